"""Bodies that come from a file, an iterator or another response instead of a connection.

They have an owner and an end all the same: the exchange owns a lease of them, and what was given is closed with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, BodyClosed, InvalidRequest, ReadError
from adieu.lifecycle.close_now import close_now
from adieu.lifecycle.lease import AsyncLease, Lease
from adieu.messages.async_files import AsyncBlocks, is_async_file
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline

__all__ = ["AsyncSourceLease", "SourceLease", "is_source"]

_BLOCK = 64 * 1024


def is_source(body: object, *, awaited: bool) -> bool:
    """Whether `body` can be read in pieces: a binary file or an iterable of bytes; if `awaited`, an async one, too."""
    if is_async_file(body):
        return awaited
    if isinstance(body, Iterable) or callable(getattr(body, "read", None)):
        return True
    return awaited and isinstance(body, AsyncIterable)


class _Source:
    """The base of the sync and async sources: the given object, its end, and the texts of errors."""

    __slots__ = (
        "_adopted",
        "_close",
        "_end_content",
        "_is_empty",
        "_pieces",
        "_received",
        "_source",
        "_subject",
    )

    def __init__(self, source: object, close: Callable[[], object] | None = None) -> None:
        self._source = source
        self._close = close
        # Made at the first read.
        self._pieces: Any = None
        self._received = 0
        self._subject = "a response made by hand"
        self._adopted = False
        self._is_empty = False
        # Ends the content of the request, which the source may read.
        self._end_content: Callable[[], object] | None = None

    @property
    def framing(self) -> Framing:
        source = self._source
        return "none" if self._is_empty or (isinstance(source, tuple) and not source) else "close"

    @property
    def received(self) -> int:
        return self._received

    def adopt(self, method: str, url: object, *, is_empty: bool = False) -> None:
        """An exchange becomes the owner. `is_empty`: of a message that has no content.

        Raises `InvalidRequest` if one has been before.
        """
        if self._adopted:
            raise InvalidRequest(
                f"the response to {method} {show_url(url)} was returned before, and its body, {self._source!r}, "
                "can be read once: return a new response for each call"
            )
        self._adopted = True
        self._is_empty = is_empty
        self._subject = f"{method} {show_url(url)}"

    def keep_content(self, end: Callable[[], object]) -> bool:
        self._end_content = end
        return self._source is not None

    def finish(self, reuse: bool, why: str) -> None:
        source, self._source = self._source, None
        close, self._close = self._close, None
        pieces, self._pieces = self._pieces, None
        end_content, self._end_content = self._end_content, None
        if source is None:
            return
        for end in (partial(close_now, pieces), close or partial(close_now, source), end_content):
            try:
                if end is not None:
                    end()
            except Exception:
                pass  # The end of a lease never raises; what was read of the source was right.

    def _opened(self) -> object:
        if self._source is None:
            raise BodyClosed("this body was closed before it was read to its end")
        return self._source

    def _fail(self, error: BaseException) -> None:
        """Raise what reading has failed with. A generator that has failed would end cleanly when it is asked again."""
        self.finish(False, "failed")
        if isinstance(error, Exception) and not isinstance(error, AdieuError):
            raise ReadError(
                f"the body that an adapter gave for {self._subject} failed with {type(error).__name__}: {error}",
                phase="body",
                request_sent="wholly",
                response_started=True,
            ) from error


class SourceLease(_Source, Lease):
    """The lease of something that is read and closed once."""

    __slots__ = ()

    def read(self, deadline: Deadline | None) -> bytes:
        """The next bytes; without a deadline for a response that no exchange owns."""
        source = self._opened()
        if deadline is not None:
            deadline.remaining("read")
        try:
            if self._pieces is None:
                self._pieces = _pieces(source)
            chunk: bytes = next(self._pieces, b"")
        except BaseException as error:
            self._fail(error)
            raise
        self._received += len(chunk)
        return chunk


class AsyncSourceLease(_Source, AsyncLease):
    """The lease of something that is read and closed once, by an async response.

    A file or a sync iterable is read where the event loop runs: give an async iterable for what has to be waited for.
    """

    __slots__ = ()

    async def read(self, deadline: Deadline | None) -> bytes:
        """See `SourceLease.read`."""
        source = self._opened()
        if deadline is not None:
            deadline.remaining("read")
        try:
            if self._pieces is None:
                self._pieces = _async_pieces(source)
            chunk: bytes = await anext(self._pieces, b"")
        except BaseException as error:
            self._fail(error)
            raise
        self._received += len(chunk)
        return chunk


def _pieces(source: object) -> Iterator[bytes]:
    read = getattr(source, "read", None)
    if read is not None:
        while chunk := read(_BLOCK):
            yield _bytes(chunk)
        return
    assert isinstance(source, Iterable)
    yield from _nonempty(source)


def _nonempty(pieces: Iterable[object]) -> Iterator[bytes]:
    for piece in pieces:
        if chunk := _bytes(piece):
            yield chunk


def _async_pieces(source: object) -> AsyncIterator[bytes]:
    if is_async_file(source):
        return _AsyncNonempty(AsyncBlocks(source))
    if isinstance(source, AsyncIterable):
        return _AsyncNonempty(source)
    return _Awaited(_pieces(source))


class _Awaited(AsyncIterator[bytes]):
    """The pieces of a sync iterator, for an async reader."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        if chunk := next(self._pieces, b""):
            return chunk
        raise StopAsyncIteration

    def close(self) -> None:
        close_now(self._pieces)


class _AsyncNonempty(AsyncIterator[bytes]):
    """The pieces that are not empty. Not an async generator, which the event loop would want to finalize."""

    def __init__(self, pieces: AsyncIterable[object]) -> None:
        self._pieces = aiter(pieces)

    async def __anext__(self) -> bytes:
        async for piece in self._pieces:
            if chunk := _bytes(piece):
                return chunk
        raise StopAsyncIteration

    def close(self) -> None:
        close_now(self._pieces)


def _bytes(chunk: object) -> bytes:
    # Not bytes() alone, which makes n zeros of a number n.
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise InvalidRequest(f"the body of a response is made of bytes, not of {type(chunk).__name__}")
