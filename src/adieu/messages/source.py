"""Bodies that come from a file or an iterator instead of a connection: they have an owner and an end all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, InvalidRequest, ReadError

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.exchange import Exchange
    from adieu.messages.response import ResponseHead

__all__ = ["SourceLease"]

_BLOCK = 64 * 1024


class SourceLease:
    """The lease of something that is read and closed once."""

    __slots__ = ("_pieces", "_source", "method", "opened_at", "received", "url")

    reusable = False
    framing = "close"

    def __init__(self, source: Any, method: str, url: object) -> None:
        self._source = source
        self._pieces = _pieces(source)
        self.method = method
        self.url = url
        self.received = 0
        self.opened_at: str | None = None

    @classmethod
    def adopt(cls, response: ResponseHead, exchange: Exchange) -> None:
        """Make the exchange the owner of what an adapter gave as a body."""
        exchange.own(cls(response.source, exchange.method, exchange.url))
        response.source = None

    def read(self, deadline: Deadline) -> bytes:
        deadline.remaining("read")
        try:
            chunk = next(self._pieces, b"")
        except AdieuError:
            raise
        except Exception as error:
            raise ReadError(
                f"the body that an adapter gave for {self.url} failed with {type(error).__name__}: {error}",
                phase="body",
                request_sent="wholly",
                response_started=True,
                method=self.method,
                url=str(self.url),
            ) from error
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
            yield _bytes(chunk)
        return
    for chunk in source:
        if piece := _bytes(chunk):
            yield piece


def _bytes(chunk: Any) -> bytes:
    # Not bytes() alone, which makes n zeros of a number n.
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise InvalidRequest(f"the body of a response is made of bytes, not of {type(chunk).__name__}")
