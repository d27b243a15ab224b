"""What a client is asked to do: the same few calls for all of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, NamedTuple

from benchmarks.server import BODY, SIZE

__all__ = ["CONTENT", "EXPECTED", "PIECE", "AsyncCalls", "Calls", "pieces"]

PIECE: Final = 64 * 1024
CONTENT: Final[dict[str, Any]] = {
    "name": "a name",
    "tags": ["a", "b"],
    "count": 3,
    "nested": {"yes": True},
}
"""What `post` sends."""


class Calls(NamedTuple):
    """The calls of one client at one site, each written as its users write it; None: it has no such call."""

    close: Callable[[], object] = lambda: None
    get: Callable[[], object] | None = None
    """A GET on a kept connection; gives the body."""
    post: Callable[[], object] | None = None
    """`CONTENT` as JSON; gives the answer's JSON."""
    once: Callable[[], object] | None = None
    """A GET of which nothing is kept; gives the body."""
    download: Callable[[], object] | None = None
    """64 MiB as a stream; gives their number. `chunked` is the same in chunks."""
    chunked: Callable[[], object] | None = None
    upload: Callable[[], object] | None = None
    """64 MiB from a file; gives the answer's body. `generate` is the same from a generator."""
    generate: Callable[[], object] | None = None


class AsyncCalls(NamedTuple):
    """The same in an event loop."""

    close: Callable[[], Awaitable[object]]
    get: Callable[[], Awaitable[object]]


EXPECTED: Final[dict[str, object]] = {
    "get": BODY,
    "post": json.loads(BODY),
    "once": BODY,
    "download": SIZE,
    "chunked": SIZE,
    "upload": BODY,
    "generate": BODY,
}
"""The result of each call."""


def pieces() -> Iterator[bytes]:
    """64 MiB in pieces."""
    piece = bytes(PIECE)
    for _ in range(SIZE // PIECE):
        yield piece
