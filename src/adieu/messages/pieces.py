"""A body in pieces: raw, decoded, as text, as lines, as events. The steps are pure; two small iterators drive them.

A step takes bytes and gives pieces (`feed`), and gives what is left at the end (`finish`). Steps go around each other:
lines around text around decoding. An iterator pulls chunks from a response and feeds them.

An iterator that failed once never ends cleanly later: its next piece is an error, whatever has failed (a read, the
decoding, a cancelled task). One that is dropped half way loses nothing: it owns no connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from adieu.errors import BodyBusy, BodyClosed
from adieu.lifecycle.fairness import checkpoint, turn_ends_at, turn_is_over

if TYPE_CHECKING:
    from adieu.lifecycle.reporting import ExchangeReport
    from adieu.messages.decoding.charset import IncrementalText
    from adieu.messages.decoding.decoder import Decoder
    from adieu.messages.decoding.lines import LineSplitter
    from adieu.messages.decoding.sse import EventParser, ServerSentEvent

__all__ = [
    "AsyncPieces",
    "Begin",
    "Decoded",
    "Events",
    "Lines",
    "Pieces",
    "Raw",
    "Sized",
    "Step",
    "Text",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Step(Protocol[T_co]):
    """From the raw bytes of a body to its pieces."""

    def feed(self, data: bytes) -> Iterable[T_co]:
        """The pieces that are complete with these bytes."""
        ...

    def finish(self) -> Iterable[T_co]:
        """The pieces that are complete with the end."""
        ...


class Raw:
    """The bytes as they come."""

    __slots__ = ()

    def feed(self, data: bytes) -> Iterable[bytes]:
        return (data,)

    def finish(self) -> Iterable[bytes]:
        return ()


class Decoded:
    """The bytes with their content coding undone. `events` are told of it, once it is done."""

    __slots__ = ("_decoder", "_events")

    def __init__(self, decoder: Decoder, events: ExchangeReport | None = None) -> None:
        self._decoder = decoder
        self._events = events

    def feed(self, data: bytes) -> Iterable[bytes]:
        return self._decoder.pieces(data)

    def finish(self) -> Iterable[bytes]:
        yield from self._decoder.pieces(None)
        if self._events is not None:
            self._events.decoded(self._decoder.bytes_in, self._decoder.content_bytes)


class Sized:
    """Pieces of `size` bytes; the last may be shorter."""

    __slots__ = ("_inner", "_kept", "_size")

    def __init__(self, inner: Step[bytes], size: int) -> None:
        self._inner = inner
        self._size = size
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterable[bytes]:
        return self._cut(self._inner.feed(data))

    def finish(self) -> Iterable[bytes]:
        yield from self._cut(self._inner.finish())
        if self._kept:
            yield bytes(self._kept)

    def _cut(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        kept, size = self._kept, self._size
        for piece in pieces:
            kept += piece
            if len(kept) >= size:
                whole = len(kept) - len(kept) % size
                view = bytes(kept[:whole])
                del kept[:whole]
                for start in range(0, whole, size):
                    yield view[start : start + size]


class Text:
    """The decoded bytes as text."""

    __slots__ = ("_decoder", "_inner")

    def __init__(self, inner: Step[bytes], decoder: IncrementalText) -> None:
        self._inner = inner
        self._decoder = decoder

    def feed(self, data: bytes) -> Iterable[str]:
        return self._decode(self._inner.feed(data))

    def finish(self) -> Iterable[str]:
        yield from self._decode(self._inner.finish())
        if text := self._decoder.finish():
            yield text

    def _decode(self, pieces: Iterable[bytes]) -> Iterator[str]:
        for piece in pieces:
            if text := self._decoder.feed(piece):
                yield text


class Lines:
    """The text line by line."""

    __slots__ = ("_inner", "_splitter")

    def __init__(self, inner: Step[str], splitter: LineSplitter) -> None:
        self._inner = inner
        self._splitter = splitter

    def feed(self, data: bytes) -> Iterable[str]:
        for text in self._inner.feed(data):
            yield from self._splitter.feed(text)

    def finish(self) -> Iterable[str]:
        for text in self._inner.finish():
            yield from self._splitter.feed(text)
        yield from self._splitter.finish()


class Events:
    """Server-sent events. One that is not complete at the end is dropped, as the standard says."""

    __slots__ = ("_inner", "_parser")

    def __init__(self, inner: Step[bytes], parser: EventParser) -> None:
        self._inner = inner
        self._parser = parser

    def feed(self, data: bytes) -> Iterable[ServerSentEvent]:
        for piece in self._inner.feed(data):
            yield from self._parser.feed(piece)

    def finish(self) -> Iterable[ServerSentEvent]:
        for piece in self._inner.finish():
            yield from self._parser.feed(piece)


Begin = Callable[[], tuple[Step[T], "bytes | None"]]


class _PiecesBase(Generic[T]):
    """The state of an iteration.

    `begin` gives the step, and the whole body if that is here already. `pull` gives the next raw bytes, b"" at the end.
    `failed` is called with the error that ended the iteration early.
    """

    __slots__ = ("_begin", "_ended", "_failure", "_ready", "_step", "_waiting")

    def __init__(
        self,
        begin: Begin[T],
    ) -> None:
        # Called at the first piece: an iterator that is only made has not begun to read.
        self._begin = begin
        self._step: Step[T] | None = None
        self._ready: Iterator[T] = iter(())
        self._ended = False
        self._waiting = False
        self._failure: str | None = None

    def _refusal(self) -> BodyBusy | BodyClosed:
        if self._waiting:
            return BodyBusy("this body is being read by another thread or task")
        return BodyClosed(
            f"this iteration failed before, with {self._failure}: what it gave is not the whole content"
        )

    def _start(self) -> Step[T]:
        self._step, whole = step, _ = self._begin()
        if whole is not None:
            self._ready = chain(step.feed(whole) if whole else (), step.finish())
            self._ended = True
        return step

    def _took(self, step: Step[T], chunk: bytes) -> None:
        if chunk:
            self._ready = iter(step.feed(chunk))
        else:
            self._ended = True
            self._ready = iter(step.finish())

    def _leave(self, error: BaseException) -> None:
        if not isinstance(error, BodyBusy):
            self._ready = iter(())
            self._failure = f"{type(error).__name__}: {error}".removesuffix(": ")


class Pieces(_PiecesBase[T], Iterator[T]):
    """The pieces of a sync response."""

    __slots__ = ("_failed", "_pull")

    def __init__(
        self,
        begin: Begin[T],
        pull: Callable[[], bytes],
        failed: Callable[[Exception], object],
    ) -> None:
        super().__init__(begin)
        self._pull = pull
        self._failed = failed

    def __next__(self) -> T:
        if self._waiting or self._failure is not None:
            raise self._refusal()
        try:
            self._waiting = True
            step = self._step or self._start()
            while True:
                for piece in self._ready:
                    return piece
                if self._ended:
                    break
                self._took(step, self._pull())
        except BaseException as error:
            self._leave(error)
            if isinstance(error, Exception):
                self._failed(error)
            raise
        finally:
            self._waiting = False
        raise StopIteration

    def close(self) -> None:
        """Leave it here. Nothing is lost by not calling this."""
        self._ready, self._ended = iter(()), True


class AsyncPieces(_PiecesBase[T], AsyncIterator[T]):
    """The pieces of an async response.

    Not an async generator: the event loop keeps account of those, finalizes one that is left in the middle in a task of
    its own, some time later, and under trio complains of it. These hold nothing but memory.

    Many pieces may come out of one read, and each without a wait: so the other tasks run from time to time.
    """

    __slots__ = ("_failed", "_pull", "_turn_ends_at")

    def __init__(
        self,
        begin: Begin[T],
        pull: Callable[[], Awaitable[bytes]],
        failed: Callable[[Exception], Awaitable[object]],
    ) -> None:
        super().__init__(begin)
        self._pull = pull
        self._failed = failed
        self._turn_ends_at = turn_ends_at()

    async def __anext__(self) -> T:
        if self._waiting or self._failure is not None:
            raise self._refusal()
        try:
            self._waiting = True
            if turn_is_over(self._turn_ends_at):
                await checkpoint()
                self._turn_ends_at = turn_ends_at()
            step = self._step or self._start()
            while True:
                for piece in self._ready:
                    return piece
                if self._ended:
                    break
                self._took(step, await self._pull())
        except BaseException as error:
            self._leave(error)
            if isinstance(error, Exception):
                await self._failed(error)
            raise
        finally:
            self._waiting = False
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave it here. Nothing is lost by not calling this."""
        self._ready, self._ended = iter(()), True
