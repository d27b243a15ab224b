"""Bodies that come from a file or an iterator instead of a connection: they have an owner and an end all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.exchange import Exchange
    from adieu.messages.response import Response

__all__ = ["SourceLease"]

_BLOCK = 64 * 1024


class SourceLease:
    """The lease of something that is read and closed once."""

    __slots__ = ("_pieces", "_source", "place", "received")

    reusable = False
    framing = "close"

    def __init__(self, source: Any) -> None:
        self._source = source
        self._pieces = _pieces(source)
        self.received = 0
        self.place: str | None = None

    @classmethod
    def adopt(cls, response: Response, exchange: Exchange) -> None:
        """Make the exchange the owner of what an adapter gave as a body."""
        exchange.own(cls(response.source))
        response.source = None

    def read(self, deadline: Deadline) -> bytes:
        deadline.left("read")
        chunk = next(self._pieces, b"")
        self.received += len(chunk)
        return chunk

    def finish(self, reuse: bool, why: str) -> None:
        source, self._source = self._source, None
        close = getattr(source, "close", None)
        if close is not None:
            try:
                close()
            except Exception:
                pass  # The end of a lease never raises; what was read of the source was right.


def _pieces(source: Any) -> Iterator[bytes]:
    read = getattr(source, "read", None)
    if read is not None:
        while chunk := read(_BLOCK):
            yield chunk
        return
    for chunk in source:
        if chunk:
            yield bytes(chunk)
