"""`content=`: bytes, text, a binary file or an iterable, converted to a `Content`."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, TypeAlias, cast

from adieu.errors import InvalidRequest
from adieu.messages.content.streamed import AsyncContent, FileContent, IterableContent, utf8
from adieu.messages.content.value import Content

if TYPE_CHECKING:
    from typing import Protocol

    class Readable(Protocol):
        """A binary file: `read(n)` returns up to n bytes, and b"" at its end."""

        def read(self, size: int, /) -> bytes: ...


__all__ = ["ContentLike", "as_content"]

_Piece: TypeAlias = "bytes | bytearray | memoryview | str"
ContentLike: TypeAlias = "_Piece | Readable | Iterable[_Piece] | AsyncIterable[_Piece]"


def as_content(content: object, where: str = "content=") -> Content:
    """The content in these bytes, this text, file or iterable. `where` names the argument in errors.

    An object that is both iterable and async iterable is read without awaiting. Raises `InvalidRequest` for anything
    else, and for a file that cannot be read as bytes.
    """
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Content(bytes(content))  # a copy if it is mutable: it could change while it is sent
    if isinstance(content, str):
        return Content(utf8(content), "text/plain; charset=utf-8")
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
    file = cast("IO[bytes]", content)
    # A wrapper around a text file is no TextIOBase, but it passes on the `encoding` of the file.
    if isinstance(file, io.TextIOBase) or isinstance(getattr(file, "encoding", None), str):
        raise InvalidRequest(f"{_describe(file, where)} is open for text: open it with 'rb'")
    if getattr(file, "closed", False):
        raise InvalidRequest(f"{_describe(file, where)} is closed")
    readable = getattr(file, "readable", None)
    if callable(readable) and not readable():
        raise InvalidRequest(f"{_describe(file, where)} is not open for reading")
    return FileContent(file, where)


def _describe(file: IO[bytes], where: str) -> str:
    name = getattr(file, "name", None)
    return f"the file {name!r} in {where}" if isinstance(name, str) else f"the file in {where}"
