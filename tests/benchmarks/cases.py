"""The cases and the targets, as tables."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["CASES", "CHART", "TARGETS", "Case", "Target"]


class Case(NamedTuple):
    """One table of the page."""

    name: str
    title: str
    call: str
    """A field of `Calls`."""
    origin: Literal["kept", "last", "tls", "tls_last"]
    """A field of `Origins`."""
    peers: tuple[str, ...]
    weight: int = 4
    """Its share of the time of the run."""
    threads: int = 1
    tasks: int = 0
    """The number of tasks of an event loop that make the calls; 0: there is no loop."""
    loop: Literal["asyncio", "uvloop"] = "asyncio"
    note: str = ""
    """What a reader of the table should know."""

    @property
    def is_transfer(self) -> bool:
        """It moves 64 MiB."""
        return self.call in ("download", "chunked", "upload", "generate")


_OTHERS: Final = (
    "pyreqwest", "pycurl", "wreq", "primp", "httpx2", "httpx", "requests", "urllib3", "niquests",
)  # fmt: skip
_SYNC: Final = ("socket", "adieu", *_OTHERS)
_ASYNC: Final = ("h11 loop", "adieu", "wreq", "pyreqwest", "aiohttp", "httpx2", "httpx")
_ALL: Final = (
    "adieu, h11",
    "h11 loop",
    "adieu, urllib3",
    "adieu, in memory",
    "requests, in memory",
)
_CROWD: Final = ("adieu, 32 tasks", "adieu, 256 tasks", "adieu, 1000 tasks")

_RESUMED: Final = """\
`adieu` resumes the session of the connection before. What that saves the client, the check of the certificate, is spent
again on reading and setting `SSLSocket.session`: each copies the session and the certificate in it (160 µs), as the row
`socket, resumed` shows. The gain that is left is the server's, which signs nothing."""

CASES: Final = (
    Case("get", "GET, kept connection", "get", "kept", (*_SYNC, *_ALL), 12),
    Case("post", "POST of JSON, the answer's JSON parsed", "post", "kept", _SYNC[1:]),
    Case("tls", "GET over TLS, kept connection", "get", "tls", _SYNC, 6),
    Case("once", "One-shot GET, a new connection", "once", "last", _SYNC, 6),
    Case(
        "tls once",
        "One-shot GET over TLS",
        "once",
        "tls_last",
        (*_SYNC, "adieu, not resumed", "socket, resumed"),
        8,
        note=_RESUMED,
    ),
    Case("threads", "GET, 8 threads on one client", "get", "kept", _SYNC, 5, threads=8),
    Case("download", "64 MiB down, with a length", "download", "kept", _SYNC, 5),
    Case("chunked", "64 MiB down, in chunks", "chunked", "kept", _SYNC, 5),
    Case("upload", "64 MiB up, from a file", "upload", "kept", _SYNC, 5),
    Case("generate", "64 MiB up, from a generator", "generate", "kept", _SYNC, 5),
    Case("async", "asyncio, 1 task", "get", "kept", _ASYNC, 5, tasks=1),
    Case("async 32", "asyncio, 32 tasks", "get", "kept", _ASYNC, 5, tasks=32),
    Case("async 256", "asyncio, 256 tasks", "get", "kept", _ASYNC, 6, tasks=256),
    Case("crowd", "asyncio, from 32 to 1,000 tasks", "get", "kept", _CROWD, 6, tasks=1),
    Case("uvloop 32", "uvloop, 32 tasks", "get", "kept", _ASYNC, 5, tasks=32, loop="uvloop"),
)

CHART: Final = ("get", "post", "tls", "once", "threads", "async 32")
"""The cases in the chart."""


class Target(NamedTuple):
    """`peer` takes at most `most` times what `reference` takes; `hope` is what would be better still.

    Without a reference they are ms (`fresh`), µs (`url`) or MiB (the memory of a transfer).
    """

    case: str
    peer: str
    reference: str
    most: float
    hope: float | None = None


TARGETS: Final = (
    Target("get", "adieu", "pyreqwest", 1.25, 1.0),
    Target("get", "adieu", "requests", 0.055),
    Target("post", "adieu", "pyreqwest", 1.25, 1.0),
    Target("tls", "adieu", "pyreqwest", 1.25, 1.0),
    Target("threads", "adieu", "pyreqwest", 1.25, 1.0),
    Target("once", "adieu", "pycurl", 1.3, 1.0),
    Target("tls once", "adieu", "socket", 0.6, 0.4),
    Target("tls once", "adieu, not resumed", "socket", 1.15),
    Target("download", "adieu", "socket", 1.15),
    Target("chunked", "adieu", "socket", 1.5),
    Target("upload", "adieu", "socket", 1.15),
    Target("generate", "adieu", "socket", 1.5),
    *(Target(case, "adieu", "", 4) for case in ("download", "chunked", "upload", "generate")),
    Target("async", "adieu", "aiohttp", 0.45),
    Target("async 32", "adieu", "aiohttp", 0.45),
    Target("async 256", "adieu", "aiohttp", 0.45),
    Target("crowd", "adieu, 256 tasks", "adieu, 32 tasks", 1.1),
    Target("crowd", "adieu, 1000 tasks", "adieu, 32 tasks", 1.15),
    Target("uvloop 32", "adieu", "aiohttp", 0.6),
    # 5 µs where requests takes 430.
    Target("get", "adieu, in memory", "requests", 5 / 430, 4 / 430),
    Target("get", "adieu, h11", "h11 loop", 1.15, 1.1),
    Target("get", "adieu, urllib3", "urllib3", 1.05),
    Target("fresh", "adieu", "", 12),
    Target("fresh", "adieu", "requests", 0.35),
    Target("url", "adieu, a new path", "", 5),
    Target("url", "adieu, new params", "", 5),
)
