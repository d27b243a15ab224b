"""`content=`: bytes, text, a file or an iterable, also an async one of both, converted to a `Content`."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, TypeAlias, TypeVar, cast

from adieu.errors import InvalidRequest
from adieu.messages.async_files import AsyncReadable, has_awaited, is_async_file
from adieu.messages.content.streamed import (
    AsyncContent,
    AsyncFileContent,
    FileContent,
    IterableContent,
    utf8,
)
from adieu.messages.content.value import Content

if TYPE_CHECKING:
    from typing import Protocol

    class Readable(Protocol):
        """A binary file: `read(n)` returns up to n bytes, and b"" at its end."""

        def read(self, size: int, /) -> bytes: ...

    _Piece: TypeAlias = bytes | bytearray | memoryview | str
    ContentLike: TypeAlias = (
        _Piece | Readable | AsyncReadable | Iterable[_Piece] | AsyncIterable[_Piece]
    )


__all__ = ["ContentLike", "as_content"]

F = TypeVar("F")


def as_content(content: object, where: str = "content=") -> Content:
    """The content in these bytes, this text, file or iterable. `where` names the argument in errors.

    A file whose `read` is awaited is read so, in blocks. Any other object that is both iterable and async iterable is
    read without awaiting. Raises `InvalidRequest` for anything else, and for a file that cannot be read as bytes.
    """
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Content(bytes(content))  # a copy if it is mutable: it could change while it is sent
    if isinstance(content, str):
        return Content(utf8(content), "text/plain; charset=utf-8")
    if is_async_file(content):
        return AsyncFileContent(_binary(content, where), where)
    # isinstance() cannot see a `read` that `tempfile` and `codecs` pass on by `__getattr__` from the file they wrap.
    if isinstance(content, Iterable):
        if hasattr(content, "read"):
            return _file_content(content, where)
        if not isinstance(content, Mapping):
            return IterableContent(content, where, replayable=not isinstance(content, Iterator))
    elif isinstance(content, AsyncIterable):
        return AsyncContent(content, where, replayable=not isinstance(content, AsyncIterator))
    elif hasattr(content, "read"):
        return _file_content(content, where)
    raise InvalidRequest(
        f"{where} takes bytes, text, a binary file or an iterable of bytes, not "
        f"{type(content).__name__}{_hint(content)}"
    )


def _hint(content: object) -> str:
    if isinstance(content, Mapping):
        return ": a form goes to data=, JSON to json="
    return ": open the file with 'rb'" if isinstance(content, os.PathLike) else ""


def _file_content(content: object, where: str) -> Content:
    if has_awaited(content, "read"):
        raise InvalidRequest(
            f"{where} is {type(content).__name__}, whose read() is awaited, and takes no size: give its bytes, or an "
            "async iterator over them"
        )
    return FileContent(_binary(cast("IO[bytes]", content), where), where)


def _binary(file: F, where: str) -> F:
    """The same file. Raises `InvalidRequest` if it shows that it gives no bytes."""
    # A wrapper around a text file is no TextIOBase, but it passes on the `encoding` of the file.
    if isinstance(file, io.TextIOBase) or isinstance(getattr(file, "encoding", None), str):
        raise InvalidRequest(f"{_describe(file, where)} is open for text: open it with 'rb'")
    if getattr(file, "closed", False):
        raise InvalidRequest(f"{_describe(file, where)} is closed")
    readable = getattr(file, "readable", None)
    if callable(readable) and not has_awaited(file, "readable") and not readable():
        raise InvalidRequest(f"{_describe(file, where)} is not open for reading")
    return file


def _describe(file: object, where: str) -> str:
    name = getattr(file, "name", None)
    return f"the file {name!r} in {where}" if isinstance(name, str) else f"the file in {where}"
