"""Content that is read while it is sent: from an iterable, a file, or an async one of both.

Nothing is read before it is to be sent. The user closes the files that the user opened. The call that owns the content
closes iterators: the user's, and those that were made of an iterable that can be restarted.

A file's length is measured by seeking, not by asking the system: for a `GzipFile`, the size on disk is that of the
compressed file. The sender compares what was read with the length that was announced.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar, cast

from adieu._portable import portable
from adieu.errors import InvalidRequest
from adieu.lifecycle.close_now import close_now, is_running
from adieu.lifecycle.events import report_unraisable
from adieu.messages.async_files import AsyncBlocks, AsyncReadable, has_awaited
from adieu.messages.content.value import Content

if TYPE_CHECKING:
    from typing import SupportsIndex

    from typing_extensions import Self

    from adieu.lifecycle.steps import Steps

__all__ = ["AsyncContent", "AsyncFileContent", "FileContent", "IterableContent", "utf8"]

_BLOCK_SIZE = 64 * 1024

S = TypeVar("S")
T = TypeVar("T")


class _StreamedContent(Content, Generic[S]):
    """Content in a `source` outside of the request: None when it has been read and cannot be read again.

    `where` names the argument that the source was given as.
    """

    __slots__ = ("_source", "_where")

    def __init__(
        self, source: S | None, where: str, *, length: int | None = None, replayable: bool
    ) -> None:
        super().__init__(None, length=length, replayable=replayable)
        self._source: S | None = source
        self._where = where

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> str | tuple[object, ...]:
        if self._source is not None:
            portable(f"the content in {self._where}", self._source, "give bytes, or a list of them")
        return super().__reduce_ex__(protocol)

    @property
    def sendable(self) -> bool:
        return self._source is not None

    def _take_source(self) -> S:
        """The source. One that cannot be read twice is forgotten here, so that a second call cannot send the rest."""
        source = self._source
        if source is None:
            raise InvalidRequest(
                "the content was an iterator, or a file that cannot be rewound, and has been read: "
                "to send it again, pass bytes, a list or a seekable file"
            )
        if not self.replayable:
            self._source = None
        return source


class _IteratedContent(_StreamedContent[S]):
    """Content from an iterable, whose iterators are closed by the call that owns it."""

    __slots__ = ("_iterators",)

    def __init__(
        self, source: S | None, where: str, *, length: int | None = None, replayable: bool
    ) -> None:
        super().__init__(source, where, length=length, replayable=replayable)
        # Those that may have to be closed; None: no call owns this content.
        self._iterators: list[object] | None = None

    @property
    def needs_owner(self) -> bool:
        return self._iterators is None

    def owned(self) -> Self:
        owned = type(self)(
            self._source, self._where, length=self.length, replayable=self.replayable
        )
        owned.media_type = self.media_type
        owned.trailers = self.trailers
        owned._iterators = []
        if not self.replayable:
            self._source = None
        return owned

    def end(self) -> Steps[None]:
        while (iterator := self._next_iterator()) is not None:
            try:
                aclose = getattr(iterator, "aclose", None) if self.is_async else None
                if aclose is None or is_running(iterator):
                    close_now(iterator)
                else:
                    yield aclose()
            except Exception as error:
                report_unraisable(error, iterator)
            self._forget(iterator)

    def end_now(self) -> None:
        while (iterator := self._next_iterator()) is not None:
            try:
                close_now(iterator)
            except Exception as error:
                report_unraisable(error, iterator)
            self._forget(iterator)

    def _begin(self, iterator: T) -> T:
        """The same iterator, to be closed with this content."""
        if self._iterators is not None:
            self._iterators.append(iterator)
        return iterator

    def _next_iterator(self) -> object | None:
        """The next one to close; None when there are no more."""
        source = self._source
        if source is not None and not self.replayable:
            return source
        return self._iterators[-1] if self._iterators else None

    def _forget(self, iterator: object) -> None:
        """This one was closed. Not before: an interrupt may have fallen into its end, which is tried again then."""
        if self._source is iterator:
            self._source = None
        self._iterators = [other for other in self._iterators or () if other is not iterator]


class IterableContent(_IteratedContent[Iterable[object]]):
    """Content from an iterable of bytes and text."""

    __slots__ = ()

    def chunks(self) -> Iterator[bytes]:
        """See `Content.chunks`."""
        return _chunks(self._begin(iter(self._take_source())), self._where)


class FileContent(_StreamedContent[IO[bytes]]):
    """Content from a binary file, from its present position to its end."""

    __slots__ = ("_start",)

    def __init__(self, file: IO[bytes], where: str) -> None:
        start, length = _measure(file)
        super().__init__(file, where, length=length, replayable=length is not None)
        self._start = start

    def chunks(self) -> Iterator[bytes]:
        """See `Content.chunks`."""
        file = self._take_source()
        if getattr(file, "closed", False):  # a file may have no more than `read`
            raise InvalidRequest(f"the file in {self._where} was closed before it was sent")
        if self.replayable:
            file.seek(self._start)
        return _chunks(_blocks(file.read, self._where), self._where)


class AsyncContent(_IteratedContent[AsyncIterable[object]]):
    """Content from an async iterable: for `AsyncClient` only."""

    __slots__ = ()

    is_async: ClassVar[bool] = True

    def chunks(self) -> Iterator[bytes]:
        """Raise `InvalidRequest`: a sync client cannot wait for the items."""
        raise InvalidRequest(
            f"{self._where} is an async iterable ({type(self._source).__name__}), which a sync client "
            "cannot wait for: use AsyncClient"
        )

    def async_chunks(self) -> AsyncIterator[bytes]:
        """See `Content.async_chunks`."""
        return _AsyncChunks(self._begin(self._take_source().__aiter__()), self._where)


class AsyncFileContent(_StreamedContent[AsyncReadable]):
    """Content from a file whose `read` is awaited, from its present position to its end: for `AsyncClient` only.

    Its length is unknown: measuring it has to be awaited, too, and a request's head is made before.
    """

    __slots__ = ("_start",)

    is_async: ClassVar[bool] = True

    def __init__(self, file: AsyncReadable, where: str) -> None:
        super().__init__(file, where, replayable=_can_rewind(file))
        # Learnt before the first block is read.
        self._start: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """Raise `InvalidRequest`: a sync client cannot wait for the blocks."""
        raise InvalidRequest(
            f"{self._where} is an async file ({type(self._source).__name__}), which a sync client "
            "cannot wait for: use AsyncClient"
        )

    def async_chunks(self) -> AsyncIterator[bytes]:
        """See `Content.async_chunks`."""
        file = self._take_source()
        return _AsyncChunks(_FileBlocks(file, self.rewind, self._where), self._where)

    async def rewind(self, file: AsyncReadable) -> None:
        """Go to where this content begins; the first time, learn where that is."""
        if not self.replayable:
            return
        seekable = cast("_Seekable", file)
        if self._start is not None:
            await seekable.seek(self._start)
            return
        try:
            self._start = await seekable.tell()
        except (OSError, ValueError):
            self.replayable = False  # A pipe, for example.
            self._source = None


class _Seekable(Protocol):
    async def seek(self, offset: int, /) -> object: ...

    async def tell(self) -> int: ...


class _FileBlocks(AsyncBlocks):
    """The blocks of an async file, from the beginning of the content on."""

    __slots__ = ("_rewind", "_where")

    def __init__(
        self, file: AsyncReadable, rewind: Callable[[AsyncReadable], Awaitable[None]], where: str
    ) -> None:
        super().__init__(file)
        self._rewind: Callable[[AsyncReadable], Awaitable[None]] | None = rewind
        self._where = where

    async def __anext__(self) -> bytes:
        rewind, self._rewind = self._rewind, None
        if rewind is not None:
            await rewind(self._file)
        block = await super().__anext__()
        if isinstance(block, str):
            raise _gives_text(self._where)
        return block


class _AsyncChunks:
    """Not an async generator: one that is dropped half way would leave its end to the event loop."""

    __slots__ = ("_index", "_items", "_where")

    def __init__(self, items: AsyncIterator[object], where: str) -> None:
        self._items = items
        self._where = where
        self._index = 0

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        while True:
            chunk = _as_bytes(await self._items.__anext__(), self._index, self._where)
            self._index += 1
            if chunk:
                return chunk


def _measure(file: IO[bytes]) -> tuple[int, int | None]:
    """The position of the file, and the bytes from there to its end; None if it cannot be rewound."""
    try:
        start = file.tell()
        file.seek(0, io.SEEK_END)
        end = file.tell()
        file.seek(start)
    except (AttributeError, OSError, ValueError):
        return 0, None
    return start, max(end - start, 0)


def _blocks(read: Callable[[int], object], where: str) -> Iterator[object]:
    while block := read(_BLOCK_SIZE):
        if isinstance(block, str):
            raise _gives_text(where)
        yield block
    if block is None:
        raise InvalidRequest(f"the file in {where} is non-blocking, and has nothing to give yet")


def _gives_text(where: str) -> InvalidRequest:
    return InvalidRequest(f"the file in {where} gives text: open it with 'rb'")


def _can_rewind(file: object) -> bool:
    """Whether an async file can be asked where it stands, and be put there again."""
    return has_awaited(file, "seek") and has_awaited(file, "tell")


def _chunks(items: Iterator[object], where: str) -> Iterator[bytes]:
    for index, item in enumerate(items):
        # An empty chunk would end a chunked content (RFC 9112, section 7.1).
        if chunk := _as_bytes(item, index, where):
            yield chunk


def _as_bytes(item: object, index: int, where: str) -> bytes:
    if type(item) is bytes:
        return item
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    if isinstance(item, str):
        return utf8(item)
    raise InvalidRequest(
        f"{where} has to give bytes or text, but its item {index} is {type(item).__name__}"
    )


def utf8(text: str) -> bytes:
    """The text as UTF-8. Raises `InvalidRequest` for a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"the text has a lone surrogate at {error.start}, which UTF-8 cannot express"
        ) from None
