"""Where the work of a warm GET goes: instructions by parts, and bytecodes and calls by packages. Counts, not times.

    PYTHONPATH=tests python -m benchmarks.layers

Valgrind's callgrind counts the instructions of this program, without those of the system, over a number of calls and
over twice as many; the difference is free of the start. What Python executes is counted by a trace function.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import adieu
from adieu.http1.native_codec import NativeCodec
from adieu.http1.request_writer import field_block
from benchmarks.peers import PEERS
from benchmarks.server import _KEPT
from benchmarks.surroundings import Site, serving, without_surroundings
from benchmarks.tables import number, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["by_package", "by_part"]

_CALLS: Final = 100
_FIELDS: Final = [
    ("Host", "127.0.0.1"),
    ("User-Agent", "adieu/0.1.0"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
]


def _codec(site: Site) -> Callable[[], object]:
    """The codec alone: the bytes of the request, and the answer from prepared bytes."""
    codec, fields = NativeCodec(), field_block(_FIELDS)

    def exchange() -> object:
        codec.request("GET", "/items", fields)
        codec.end()
        codec.feed(_KEPT)
        return codec.head(), codec.rest(), codec.is_reusable()

    return exchange


def _peer(name: str) -> Callable[[Site], Callable[[], object]]:
    def made(site: Site) -> Callable[[], object]:
        get = PEERS[name].make(site).get
        assert get is not None
        return get

    return made


_WHOLE: Final = "a GET, all of it"
_PARTS: Final = {
    _WHOLE: _peer("adieu"),
    "the client, over an adapter in memory": _peer("adieu, in memory"),
    "the codec": _codec,
    "the socket's operations": _peer("socket"),
}
_REST: Final = "the engine: pool, lease, body, clocks"


def by_part() -> tuple[list[str], list[list[str]]] | None:
    """A table of the instructions of each part; None without callgrind."""
    if shutil.which("valgrind") is None:
        return None
    with serving() as origins:
        counts = {part: _instructions(part, origins.kept) for part in _PARTS}
    whole = counts.pop(_WHOLE)
    counts[_REST] = whole - sum(counts.values())
    rows = [
        [part, f"{count:,}", number(count / whole)]
        for part, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return ["part", "instructions", "share"], [*rows, [_WHOLE, f"{whole:,}", "1.00"]]


def _instructions(part: str, site: Site) -> int:
    """The instructions of one call of it."""
    once, twice = (_collected(part, site, calls) for calls in (_CALLS, 2 * _CALLS))
    return (twice - once) // _CALLS


def _collected(part: str, site: Site, calls: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += ["-m", "benchmarks.layers", part, str(calls), *site]
    done = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    return int(re.findall(r"Collected : (\d+)", done.stderr)[0])


def by_package() -> tuple[list[str], list[list[str]]]:
    """A table of what Python does in each package during one call."""
    codes: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    c_calls: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        codes[_package(frame)] += event == "opcode"
        return trace

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        calls[_package(frame)] += event == "call"
        c_calls[_package(frame)] += event == "c_call"

    with serving() as origins, adieu.Client() as client:
        url = f"{origins.kept.url}/items"
        for _ in range(20):
            client.get(url)
        sys.settrace(trace)
        client.get(url)
        sys.settrace(None)
        sys.setprofile(profile)
        client.get(url)
        sys.setprofile(None)
    own = sorted((name for name in codes if name), key=lambda name: -codes[name])
    total = sum(codes[name] for name in own)
    rows = [
        [name, str(codes[name]), number(codes[name] / total), str(calls[name]), str(c_calls[name])]
        for name in own
    ]
    sums = [str(total), "1.00", *(str(sum(c[name] for name in own)) for c in (calls, c_calls))]
    return ["package", "bytecodes", "share", "calls", "calls of C"], [*rows, ["all", *sums]]


def _package(frame: FrameType) -> str:
    """The package of adieu or the adapter that runs; "": another one."""
    parts = str(frame.f_globals.get("__name__", "")).split(".")
    if not parts[0].startswith("adieu"):
        return ""
    return ".".join(parts[:2]) if len(parts) > 2 else parts[0]


def main() -> None:
    """Print the tables; with arguments, make so many calls of one part."""
    without_surroundings()
    if len(sys.argv) > 1:
        part, calls, *site = sys.argv[1:]
        call = _PARTS[part](Site(*site))
        for _ in range(int(calls)):
            call()
        return
    for found in (by_part(), by_package()):
        print(table(*found) if found else "there is no valgrind", end="\n\n")


if __name__ == "__main__":
    main()
