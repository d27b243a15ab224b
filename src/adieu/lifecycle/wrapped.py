"""Leases around leases: what `response.wrap(function)` puts between a connection and the reader of a body.

Theory of operation. The function gets an iterator over the raw bytes of the inner lease, and gives an iterator over the
bytes that the reader is to get: a tee, a progress counter, a decrypter, a bound. The wrapped lease pulls from that
iterator, and calls the function when the first bytes are wanted. The inner lease ends when the outer one does: at the
end, when the body is closed or dropped, and when the function raises. A connection is used again only if its body was
read to the end, by the function or by a drain.

References go one way: lease -> iterator -> feed -> inner lease, so that nothing waits for the collector.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, InvalidRequest
from adieu.lifecycle.blocks import take_first
from adieu.lifecycle.close_now import close_now
from adieu.lifecycle.events import notify
from adieu.lifecycle.lease import AsyncLease, Lease

if TYPE_CHECKING:
    from adieu.lifecycle.blocks import Blocks
    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline

__all__ = ["AsyncWrap", "AsyncWrappedLease", "Wrap", "WrappedLease"]

Wrap = Callable[[Iterator[bytes]], Iterable[bytes]]
"""From the bytes of a body to other ones: usually a generator function."""
AsyncWrap = Callable[[AsyncIterator[bytes]], AsyncIterable[bytes]]
"""The same for async responses: usually an async generator function."""


class _FeedBase:
    """The raw bytes of the inner lease, for the function. `ahead`: what was read of the body before it was wrapped."""

    __slots__ = ("ahead", "deadline", "ended", "lease")

    # That of the read under way; None: of a response that no exchange owns.
    deadline: Deadline | None

    def __init__(self, lease: Any, ahead: Blocks) -> None:
        self.lease = lease
        self.ahead = ahead
        self.ended = False


class _Feed(_FeedBase, Iterator[bytes]):
    """For a function of a sync response."""

    __slots__ = ()

    def __next__(self) -> bytes:
        if self.ahead:
            return take_first(self.ahead)
        if not self.ended:
            chunk: bytes = self.lease.read(self.deadline)
            if chunk:
                return chunk
            self.ended = True
        raise StopIteration


class _AsyncFeed(_FeedBase, AsyncIterator[bytes]):
    """For a function of an async response."""

    __slots__ = ()

    async def __anext__(self) -> bytes:
        if self.ahead:
            return take_first(self.ahead)
        if not self.ended:
            chunk: bytes = await self.lease.read(self.deadline)
            if chunk:
                return chunk
            self.ended = True
        raise StopAsyncIteration


class _Wrapped:
    """What sync and async share.

    The facts are those of the inner lease, but for the length, which the function may change.
    """

    __slots__ = ("_feed", "_function", "_pieces", "_stopped_early")

    def __init__(self, feed: _FeedBase, function: Callable[[Any], object]) -> None:
        self._feed: Any = feed
        # None once it has been called, and once the lease has ended.
        self._function: Callable[[Any], object] | None = function
        self._pieces: Any = None
        # The function has given all its bytes, although it has not read all of the body.
        self._stopped_early = False

    def _call_function(self) -> object:
        function, self._function = self._function, None
        if function is None:
            raise BodyClosed("this body was closed before it was read to its end")
        return function(self._feed)

    def _end_pieces(self) -> None:
        self._function = None
        pieces, self._pieces = self._pieces, None
        notify(close_now, pieces)

    def finish(self, reuse: bool, why: str) -> None:
        try:
            self._end_pieces()
        finally:
            self._feed.lease.finish(reuse, why)

    def stop_wrapping(self) -> Any:
        self._end_pieces()
        return self._feed.lease.stop_wrapping()

    @property
    def is_wrapped(self) -> bool:
        return True

    @property
    def framing(self) -> Framing:
        framing: Framing = self._feed.lease.framing
        return "chunked" if framing == "length" else framing

    @property
    def received(self) -> int:
        received: int = self._feed.lease.received
        return received

    @property
    def reusable(self) -> bool:
        reusable: bool = self._feed.lease.reusable
        return reusable and not self._stopped_early

    @property
    def reused(self) -> bool:
        reused: bool = self._feed.lease.reused
        return reused

    @property
    def age(self) -> float:
        age: float = self._feed.lease.age
        return age

    @property
    def connection_id(self) -> int:
        number: int = self._feed.lease.connection_id
        return number

    @property
    def trailers(self) -> list[tuple[str, str]] | None:
        trailers: list[tuple[str, str]] | None = self._feed.lease.trailers
        return trailers

    def adopt(self, method: str, url: object, *, is_empty: bool = False) -> None:
        self._feed.lease.adopt(method, url, is_empty=is_empty)

    def note_opened_at(self, place: str | None) -> None:
        self._feed.lease.note_opened_at(place)

    def survive_close(self) -> bool:
        survives: bool = self._feed.lease.survive_close()
        return survives

    def keep_content(self, end: Callable[[], object]) -> bool:
        keeps: bool = self._feed.lease.keep_content(end)
        return keeps


class WrappedLease(_Wrapped, Lease):
    """A lease whose bytes go through a function."""

    __slots__ = ()

    def __init__(self, lease: Lease, ahead: Blocks, *, function: Wrap) -> None:
        super().__init__(_Feed(lease, ahead), function)

    def read(self, deadline: Deadline | None) -> bytes:
        self._feed.deadline = deadline
        try:
            for piece in self._begun():
                if chunk := _checked(piece):
                    return chunk
        except BaseException:
            self._end_pieces()  # An iterator that has failed would end cleanly when it is asked again.
            raise
        self._stopped_early = not self._feed.ended
        return b""

    def _begun(self) -> Iterator[bytes]:
        if self._pieces is None:
            pieces = self._call_function()
            if not isinstance(pieces, Iterable):
                raise _wrong(pieces, "an iterable of bytes")
            self._pieces = iter(pieces)
        begun: Iterator[bytes] = self._pieces
        return begun


class AsyncWrappedLease(_Wrapped, AsyncLease):
    """An async lease whose bytes go through a function."""

    __slots__ = ()

    def __init__(self, lease: AsyncLease, ahead: Blocks, *, function: AsyncWrap) -> None:
        super().__init__(_AsyncFeed(lease, ahead), function)

    async def read(self, deadline: Deadline | None) -> bytes:
        self._feed.deadline = deadline
        try:
            async for piece in self._begun():
                if chunk := _checked(piece):
                    return chunk
        except BaseException:
            self._end_pieces()  # See `WrappedLease.read`.
            raise
        self._stopped_early = not self._feed.ended
        return b""

    def _begun(self) -> AsyncIterator[bytes]:
        if self._pieces is None:
            pieces = self._call_function()
            if not isinstance(pieces, AsyncIterable):
                raise _wrong(pieces, "an async iterable of bytes")
            self._pieces = aiter(pieces)
        begun: AsyncIterator[bytes] = self._pieces
        return begun


def _wrong(pieces: object, wanted: str) -> InvalidRequest:
    if isinstance(pieces, Coroutine):
        pieces.close()  # Or Python would warn that it was never awaited.
    return InvalidRequest(
        f"the function given to response.wrap() has to return {wanted}, not {type(pieces).__name__}"
    )


def _checked(piece: bytes) -> bytes:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise InvalidRequest(
        f"the function given to response.wrap() has to give bytes, not {type(piece).__name__}"
    )
