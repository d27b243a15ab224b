"""Content out: what a caller hands over, turned into chunks of bytes with a length and a media type.

Rules of the room: nothing is sent here, and nothing is read before it is to be sent. Whether the
content can be given a second time (a redirect, a replay) is decided once, when it is encoded.

- `content=`: bytes, text (as UTF-8), a binary file from where it stands, or an iterable of those
  pieces; for the async client an async iterable. The caller closes what the caller opened.
- `data=`: a mapping, or a list or tuple of pairs: a form. Anything else is taken as `content=`, as
  users of requests do; text is then `text/plain`, and no form, unless the headers say so.
- `files=`, with fields in `data=` or without: see `adieu.messages.content.multipart`.
- `json=`: as UTF-8, without spaces, and strictly JSON: no NaN (RFC 8259, section 6). None is not
  given: wrappers pass their own `json=None` on, and must not send `null` with every GET. To send
  it: `content="null"` with a Content-Type of application/json.

The length is measured by seeking, never by asking the system about the file: of a `GzipFile` that
would be the size of something else. Who sends compares what comes with the length announced.
"""

from __future__ import annotations

import io
from collections.abc import ItemsView, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from adieu._portable import portable
from adieu.errors import InvalidRequest
from adieu.messages.content.json import encode_json
from adieu.messages.url.form import encode_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
    from typing import Protocol

    from adieu.messages.content.multipart import FilesLike
    from adieu.messages.fields.trailers import TrailersLike
    from adieu.messages.url.form import FormFields

    class Readable(Protocol):
        """A binary file: `read(n)` gives up to n bytes, and b"" at its end."""

        def read(self, size: int, /) -> bytes: ...


__all__ = [
    "NOTHING",
    "AsyncContent",
    "Content",
    "ContentLike",
    "DataLike",
    "as_content",
    "encode_content",
    "spent",
    "with_trailers",
]

Piece: TypeAlias = "bytes | bytearray | memoryview | str"
ContentLike: TypeAlias = "Piece | Readable | Iterable[Piece] | AsyncIterable[Piece]"
DataLike: TypeAlias = "FormFields | ContentLike"

_BLOCK = 64 * 1024


class Content:
    """What a request carries.

    `body`: all of it, if it is in memory; `length`: bytes, None if only the end will tell;
    `media_type`: what it says about itself, if anything; `replayable`: `chunks` may be called again;
    `is_async`: only the async client can read it; `trailers`: what is to be sent after it, if anything.
    """

    __slots__ = ("body", "length", "media_type", "replayable", "trailers")

    is_async: ClassVar[bool] = False

    def __init__(
        self,
        body: bytes | None,
        media_type: str | None = None,
        *,
        length: int | None = None,
        replayable: bool = True,
    ) -> None:
        self.body = body
        self.length = length if body is None else len(body)
        self.media_type = media_type
        self.replayable = replayable
        self.trailers: Any = None

    def chunks(self) -> Iterator[bytes]:
        """The bytes, from the beginning, in chunks that are never empty.

        Raises `InvalidRequest` if they cannot be given (again), also half way: for an item that is
        neither bytes nor text.
        """
        return iter((self.body,) if self.body else ())

    def __getstate__(self) -> dict[str, Any]:
        if self.trailers is not None:
            portable(
                "trailers=", self.trailers, "a function can be, if it stands at the top of a module"
            )
        names = (name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ()))
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        size = "unknown length" if self.length is None else f"{self.length} bytes"
        return f"<{type(self).__name__} {size}{f', {self.media_type}' if self.media_type else ''}>"


class _Source(Content):
    """Content that is still somewhere else. `where` names the argument that it was given as."""

    __slots__ = ("_source", "_where")

    def __init__(
        self, source: Any, where: str, *, length: int | None = None, replayable: bool
    ) -> None:
        super().__init__(None, length=length, replayable=replayable)
        self._source = source
        self._where = where

    def __getstate__(self) -> dict[str, Any]:
        if self._source is not None:
            portable(f"the content in {self._where}", self._source, "give bytes, or a list of them")
        return super().__getstate__()

    def _take(self) -> Any:
        """The source; what cannot be read twice is let go of, so that it is not sent half."""
        source = self._source
        if source is None:
            raise InvalidRequest(
                "the content was an iterator, or a file that cannot be rewound, and has been read: "
                "to send it again, pass bytes, a list or a seekable file"
            )
        if not self.replayable:
            self._source = None
        return source


class _Pieces(_Source):
    __slots__ = ()

    def chunks(self) -> Iterator[bytes]:
        return _checked(iter(self._take()), self._where)


class _File(_Source):
    __slots__ = ("_start",)

    def __init__(self, file: Any, where: str) -> None:
        start, length = _measure(file)
        super().__init__(file, where, length=length, replayable=length is not None)
        self._start = start

    def chunks(self) -> Iterator[bytes]:
        file = self._take()
        if getattr(file, "closed", False):
            raise InvalidRequest(f"the file in {self._where} was closed before it was sent")
        if self.replayable:
            file.seek(self._start)
        return _checked(_blocks(file.read, self._where), self._where)


class AsyncContent(_Source):
    """Content out of an async iterable: for `AsyncClient` only, through `async_chunks`."""

    __slots__ = ()

    is_async: ClassVar[bool] = True

    def chunks(self) -> Iterator[bytes]:
        """Refuse: waiting is for the async client."""
        raise InvalidRequest(
            f"{self._where} is an async iterable ({type(self._source).__name__}), which a sync client "
            "cannot wait for: use AsyncClient"
        )

    def async_chunks(self) -> AsyncIterator[bytes]:
        """As `chunks`, awaited."""
        return _AsyncChunks(self._take().__aiter__(), self._where)


class _AsyncChunks:
    """No async generator: one that is dropped half way would leave its end to the event loop."""

    __slots__ = ("_index", "_pieces", "_where")

    def __init__(self, pieces: AsyncIterator[Any], where: str) -> None:
        self._pieces = pieces
        self._where = where
        self._index = 0

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        while True:
            piece = _bytes(await self._pieces.__anext__(), self._index, self._where)
            self._index += 1
            if piece:
                return piece


def encode_content(
    content: ContentLike | None = None,
    data: DataLike | None = None,
    json: object = None,
    files: FilesLike | None = None,
    *,
    boundary: str | None = None,
) -> Content:
    """The content of a request, from the one argument that was given; empty if none was.

    `data` and `files` go together; `boundary` is for those, random if left out. Raises
    `InvalidRequest` if there is more than one, or if it cannot be sent: the text says why, and for
    JSON where in it.
    """
    if (content is not None) + (data is not None or bool(files)) + (json is not None) > 1:
        named = (("content=", content), ("data=", data), ("json=", json), ("files=", files or None))
        given = [name for name, value in named if value is not None]
        raise InvalidRequest(f"{' and '.join(given)} were given: a request has one content")
    if json is not None:
        return Content(encode_json(json), "application/json")
    if files:
        from adieu.messages.content.multipart import encode_multipart

        fields: Any = data
        return encode_multipart(fields, files, boundary)
    if data is not None:
        if isinstance(data, (dict, list, tuple, Mapping, ItemsView)):
            fields = data
            return Content(encode_form(fields).encode("ascii"), "application/x-www-form-urlencoded")
        return as_content(data)
    return NOTHING if content is None else as_content(content)


NOTHING = Content(b"")
"""The content of every request that has none."""


def spent(content: Content) -> Content:
    """What a request that was answered keeps of its content elsewhere: all of it, or that it cannot be sent again."""
    if content.body is not None:
        return content
    left = _Pieces(None, "content=", length=content.length, replayable=False)
    left.media_type = content.media_type
    return left


def with_trailers(content: Content, trailers: TrailersLike) -> Content:
    """The same content, to be sent in chunks, with fields after it."""
    if content.body is not None:
        pieces = _Pieces([content.body] if content.body else [], "content=", replayable=True)
        pieces.media_type = content.media_type
        content = pieces
    content.length = None
    content.trailers = trailers
    return content


def as_content(content: Any, where: str = "content=") -> Content:
    """Bytes, text, a file or an iterable as a content. `where` names the argument in errors."""
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Content(bytes(content))  # A copy, if it could change while it is sent.
    if isinstance(content, str):
        return Content(_utf8(content), "text/plain; charset=utf-8")
    iterable = hasattr(content, "__iter__")
    if hasattr(content, "__aiter__") and not iterable:
        return AsyncContent(content, where, replayable=not hasattr(content, "__anext__"))
    if hasattr(content, "read"):
        _refuse_unreadable(content, where)
        return _File(content, where)
    if iterable and not isinstance(content, Mapping):
        return _Pieces(content, where, replayable=not hasattr(content, "__next__"))
    raise InvalidRequest(
        f"{where} takes bytes, text, a binary file or an iterable of bytes, not "
        f"{type(content).__name__}{_hint(content)}"
    )


def _hint(content: object) -> str:
    if isinstance(content, Mapping):
        return ": a form goes to data=, JSON to json="
    return ": open the file with 'rb'" if hasattr(content, "__fspath__") else ""


def _refuse_unreadable(file: Any, where: str) -> None:
    # Wrappers of text files (tempfile's, codecs') are no TextIOBase, but they have its encoding.
    if isinstance(file, io.TextIOBase) or isinstance(getattr(file, "encoding", None), str):
        raise InvalidRequest(f"{_named(file, where)} is open for text: open it with 'rb'")
    if getattr(file, "closed", False):
        raise InvalidRequest(f"{_named(file, where)} is closed")
    readable = getattr(file, "readable", None)
    if callable(readable) and not readable():
        raise InvalidRequest(f"{_named(file, where)} is not open for reading")


def _named(file: Any, where: str) -> str:
    name = getattr(file, "name", None)
    return f"the file {name!r} in {where}" if isinstance(name, str) else f"the file in {where}"


def _measure(file: Any) -> tuple[int, int | None]:
    """Where the file stands, and the bytes from there to its end; None: it cannot be rewound."""
    try:
        start: int = file.tell()
        file.seek(0, io.SEEK_END)
        end: int = file.tell()
        file.seek(start)
    except (AttributeError, OSError, ValueError):
        return 0, None
    return start, max(end - start, 0)


def _blocks(read: Callable[[int], Any], where: str) -> Iterator[Any]:
    while block := read(_BLOCK):
        if isinstance(block, str):
            raise InvalidRequest(f"the file in {where} gives text: open it with 'rb'")
        yield block
    if block is None:
        raise InvalidRequest(f"the file in {where} is non-blocking, and has nothing to give yet")


def _checked(pieces: Iterator[Any], where: str) -> Iterator[bytes]:
    for index, piece in enumerate(pieces):
        # An empty chunk would be the end of the content (RFC 9112, section 7.1).
        if chunk := _bytes(piece, index, where):
            yield chunk


def _bytes(piece: object, index: int, where: str) -> bytes:
    if type(piece) is bytes:
        return piece
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    if isinstance(piece, str):
        return _utf8(piece)
    raise InvalidRequest(
        f"{where} has to give bytes or text, but its item {index} is {type(piece).__name__}"
    )


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"the text has a lone surrogate at {error.start}, which UTF-8 cannot express"
        ) from None
