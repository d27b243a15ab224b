"""The table of the `FaultServer`'s routes, and the payload that they send.

A route is a function of the `Peer` and the `Request`. It answers, and returns how the connection goes on. It waits only
with the methods of the `Peer`, which return at once when the server is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from adieu.testing.peer import Ending, Peer
from adieu.testing.request import Headers, Request

__all__ = [
    "PIECE",
    "ROUTES",
    "Entry",
    "Route",
    "extra_headers",
    "first_segment",
    "payload",
    "pieces",
    "route",
    "send_payload",
    "start_payload",
]

Route = Callable[[Peer, Request], Ending]

PIECE = 1 << 16
# The period is no power of two, so a lost or repeated read of a buffer changes the payload.
_BLOCK = bytes(range(251)) * 263


class Entry(NamedTuple):
    """A route.

    `early`: it is called before the body of the request was read. `usages`: its paths with their parameters and the
    defaults of these. `does`: a sentence for people.
    """

    serve: Route
    early: bool
    usages: tuple[str, ...] = ()
    does: str = ""


ROUTES: dict[str, Entry] = {}


def route(*usages: str, does: str, early: bool = False) -> Callable[[Route], Route]:
    """Register a function as a route: see `Entry`. The first segment of a path finds its route."""

    def add(serve: Route) -> Route:
        entry = Entry(serve, early, usages, does)
        for usage in usages:
            ROUTES[first_segment(usage)] = entry
        return serve

    return add


def first_segment(path: str) -> str:
    """The part of a path by which its route is found."""
    return "/" + path.partition("?")[0][1:].partition("/")[0]


def pieces(n: int, start: int = 0, size: int = PIECE) -> Iterator[bytes]:
    """The bytes of `payload` from `start` to `n`, at most `size` (and 64 KiB) at a time."""
    size = min(size, PIECE)
    for at in range(start, n, size):
        offset = at % 251
        yield _BLOCK[offset : offset + min(size, n - at)]


def payload(n: int) -> bytes:
    """The body of `n` bytes that the routes send."""
    return b"".join(pieces(n))


def extra_headers(request: Request) -> Headers:
    """The fields that ``header=Name:value`` asks for."""
    pairs = (given.partition(":") for given in request.query.get("header", ()))
    return [(name, value.strip()) for name, _, value in pairs]


def send_payload(peer: Peer, n: int, start: int = 0) -> None:
    """Stream a part of the payload."""
    for piece in pieces(n, start):
        peer.body(piece)


def start_payload(peer: Peer, n: int, status: int = 200, *more: tuple[str, str]) -> None:
    """Send the head of a reply that promises `n` bytes."""
    peer.start(status, [("content-length", str(n)), *more])
