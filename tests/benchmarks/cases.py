"""The cases: a call, an origin of the server, the peers, and the promises."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = [
    "ASYNC_CASES",
    "ASYNC_PEERS",
    "CASES",
    "CROWD",
    "PEERS",
    "TARGETS",
    "Case",
    "Target",
]


class Case(NamedTuple):
    """One row of the table."""

    name: str
    title: str
    call: Literal["get", "post", "download", "unread"]
    origin: Literal["kept", "last", "tls"]
    peers: tuple[str, ...]
    """The first one is the reference: its time is 1."""
    weight: int
    """Its share of the time of the run."""
    threads: int = 1
    tasks: int = 0
    """The number of tasks of an event loop that make the calls; 0: there is no loop."""
    loop: Literal["asyncio", "uvloop"] = "asyncio"


PEERS: Final = (
    "h11 loop",
    "urllib3",
    "requests",
    "httpx",
    "pyreqwest",
    "pycurl",
    "adieu",
    "adieu, h11",
    "adieu, urllib3",
)

CASES: Final = (
    Case(
        "get",
        "GET, kept connection, 1 KiB read",
        "get",
        "kept",
        (*PEERS, "adieu, client alone", "socket"),
        22,
    ),
    Case("post", "POST with params, headers and JSON", "post", "kept", PEERS, 9),
    Case(
        "close",
        "GET, a new connection for each",
        "get",
        "last",
        (*PEERS, "adieu, close", "socket"),
        9,
    ),
    Case("tls", "GET over TLS, kept connection", "get", "tls", (*PEERS, "socket"), 9),
    Case(
        "threads", "GET, 8 threads on one client", "get", "kept", (*PEERS, "socket"), 9, threads=8
    ),
    Case("unread", "GET as a stream, left unread", "unread", "kept", PEERS, 8),
    Case("download", "64 MiB as a stream", "download", "kept", (*PEERS, "socket"), 8),
)

ASYNC_PEERS: Final = ("h11 loop", "aiohttp", "httpx", "adieu")

ASYNC_CASES: Final = (
    Case("async get", "GET, kept connection, 1 KiB read", "get", "kept", ASYNC_PEERS, 14, tasks=1),
    Case("async few", "GET, 32 tasks on one client", "get", "kept", ASYNC_PEERS, 8, tasks=32),
    Case("async many", "GET, 256 tasks on one client", "get", "kept", ASYNC_PEERS, 8, tasks=256),
    Case("async tls", "GET over TLS, kept connection", "get", "tls", ASYNC_PEERS, 7, tasks=1),
    Case("async unread", "GET as a stream, left unread", "unread", "kept", ASYNC_PEERS, 4, tasks=1),
    Case("async download", "64 MiB as a stream", "download", "kept", ASYNC_PEERS, 6, tasks=1),
    Case("uvloop", "GET, kept, in uvloop", "get", "kept", ASYNC_PEERS, 6, tasks=1, loop="uvloop"),
)

CROWD: Final = Case(
    "crowd",
    "GET, 256 tasks beside 32",
    "get",
    "kept",
    ("adieu, 32 tasks", "adieu, 256 tasks"),
    6,
    tasks=1,
)
"""Only for a promise, not in a table."""


class Target(NamedTuple):
    """A promise: `peer` takes at most `limit` times what `reference` takes, in one run."""

    case: str
    peer: str
    reference: str
    limit: float
    says: str


TARGETS: Final = (
    Target("get", "adieu", "pyreqwest", 1.25, "adieu / pyreqwest, which is written in Rust"),
    Target("get", "adieu", "requests", 0.055, "adieu / requests"),
    Target("post", "adieu", "pyreqwest", 1.25, "adieu / pyreqwest, POST"),
    Target("tls", "adieu", "pyreqwest", 1.25, "adieu / pyreqwest, over TLS"),
    Target("threads", "adieu", "pyreqwest", 1.25, "adieu / pyreqwest, 8 threads"),
    Target("close", "adieu, close", "pycurl", 1.3, "adieu / pycurl, a new connection for each"),
    Target("download", "adieu", "socket", 1.15, "adieu / a bare socket, 64 MiB"),
    Target("get", "adieu, h11", "h11 loop", 1.15, "adieu over h11 / a bare h11 loop"),
    Target("get", "adieu, urllib3", "urllib3", 1.6, "adieu over urllib3 / PoolManager.request"),
    # 5 µs where requests takes 430.
    Target("get", "adieu, client alone", "requests", 5 / 430, "the client alone / Session.get"),
    Target("async get", "adieu", "aiohttp", 0.45, "AsyncClient / aiohttp"),
    Target("async few", "adieu", "aiohttp", 0.45, "AsyncClient / aiohttp, 32 tasks"),
    Target("async many", "adieu", "aiohttp", 0.45, "AsyncClient / aiohttp, 256 tasks"),
    Target("uvloop", "adieu", "aiohttp", 0.6, "AsyncClient / aiohttp, in uvloop"),
    Target("crowd", "adieu, 256 tasks", "adieu, 32 tasks", 1.1, "a request of 256 tasks / of 32"),
)
