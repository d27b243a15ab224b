"""`files=`: multipart/form-data (RFC 7578), as browsers write it. Each part is read when it is sent.

Invariants: memory is constant, whatever the size of the parts; the length is known if that of every part is; the
content can be sent again if every part can. A small form whose parts are all in memory is joined at once.

- A part is bytes, text, a binary file from its present position, an iterable of bytes (for AsyncClient an async one),
  or a tuple `(filename, content)`, `(filename, content, content_type)` or `(filename, content, content_type, headers)`.
  A filename of None makes a field without one. Paths are not opened: the caller closes what the caller opened.
- Names are written as UTF-8, with `%22`, `%0D` and `%0A` for a quote and line ends; nothing else is escaped
  (https://html.spec.whatwg.org/#multipart-form-data). RFC 7578, section 4.2, forbids `filename*=`. Values are sent
  unchanged: a browser would change their line ends to CR LF, which no caller of an API expects.
- Without a content type, it is guessed from the filename; a field without a filename has none (section 4.4).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias, cast

from adieu.errors import InvalidRequest
from adieu.messages.content.convert import as_content
from adieu.messages.content.value import Content
from adieu.messages.headers import Headers
from adieu.messages.url.form import form_bytes, form_items

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from typing_extensions import Self

    from adieu.lifecycle.steps import Steps
    from adieu.messages.content.convert import ContentLike
    from adieu.messages.headers import HeaderFields
    from adieu.messages.url.form import FormFields

    _Named: TypeAlias = tuple[str | None, ContentLike] | tuple[str | None, ContentLike, str | None]
    _Described: TypeAlias = tuple[
        str | None, ContentLike, str | None, Mapping[str, str] | Headers | None
    ]
    Part: TypeAlias = ContentLike | _Named | _Described
    FilesLike: TypeAlias = Mapping[str, Part] | Sequence[tuple[str, Part]]

__all__ = [
    "AsyncMultipart",
    "FilesLike",
    "Multipart",
    "Part",
    "boundary_of",
    "encode_multipart",
]

_Section: TypeAlias = tuple[bytes, Content]
"""One part: its boundary and header fields as bytes, and its content."""

# Up to this many bytes are joined at once, so that head and content of the request go out in one write.
_JOIN_UP_TO = 64 * 1024
# RFC 2046, section 5.1.1.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_TYPE = re.compile(r"\s*multipart/form-data\s*(?:;|$)", re.IGNORECASE).match


class Multipart(Content):
    """The parts of a form, and the bytes between them."""

    __slots__ = ("_sections", "boundary")

    def __init__(self, sections: list[_Section], boundary: str) -> None:
        self._sections = sections
        self.boundary = boundary
        between = sum(len(head) + 2 for head, _ in sections) + len(self._last_boundary())
        lengths = [content.length for _, content in sections]
        known = [length for length in lengths if length is not None]
        super().__init__(
            None,
            f"multipart/form-data; boundary={_quoted(boundary)}",
            length=between + sum(known) if len(known) == len(lengths) else None,
            replayable=all(content.replayable for _, content in sections),
        )

    def _last_boundary(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode("ascii")

    def _sequence(self) -> Iterator[bytes | Content]:
        """In the order of sending: bytes, and contents that are still to be read."""
        before = b""
        for head, content in self._sections:
            if content.body is None:
                yield before + head
                yield content
                before = b"\r\n"
            else:
                before = b"".join((before, head, content.body, b"\r\n"))
        yield before + self._last_boundary()

    def chunks(self) -> Iterator[bytes]:
        """See `Content.chunks`."""
        for item in self._sequence():
            if isinstance(item, bytes):
                yield item
            else:
                yield from item.chunks()

    @property
    def sendable(self) -> bool:
        return all(content.sendable for _, content in self._sections)

    @property
    def needs_owner(self) -> bool:
        return any(content.needs_owner for _, content in self._sections)

    def owned(self) -> Self:
        sections = [(head, content.owned()) for head, content in self._sections]
        owned = type(self)(sections, self.boundary)
        owned.length = self.length  # None if there are trailers.
        owned.trailers = self.trailers
        return owned

    def end(self) -> Steps[None]:
        for _, content in self._sections:
            yield from content.end()

    def end_now(self) -> None:
        for _, content in self._sections:
            content.end_now()


class AsyncMultipart(Multipart):
    """A form with at least one part from an async iterable: for `AsyncClient` only."""

    __slots__ = ()

    is_async: ClassVar[bool] = True

    def chunks(self) -> Iterator[bytes]:
        """Raise `InvalidRequest`, as the first async part does."""
        return next(content for _, content in self._sections if content.is_async).chunks()

    def async_chunks(self) -> AsyncIterator[bytes]:
        """See `Content.async_chunks`."""
        return _AsyncChunks(self._sequence())


class _AsyncChunks:
    """Not an async generator: one that is dropped half way would leave its end to the event loop."""

    __slots__ = ("_part", "_sequence")

    def __init__(self, sequence: Iterator[bytes | Content]) -> None:
        self._sequence = sequence
        self._part: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._part is not None:
                chunk = await anext(self._part, None)
                if chunk is not None:
                    return chunk
                self._part = None
            item = next(self._sequence, None)
            if item is None:
                raise StopAsyncIteration
            if isinstance(item, bytes):
                return item
            self._part = item.async_chunks()


def encode_multipart(fields: object, files: object, boundary: str | None = None) -> Content:
    """The content of a form with files: first the fields, in their order, then the files.

    `fields` and `files` are checked here, as a user gives them. Raises `InvalidRequest` for anything that cannot be
    sent; the text names the field.
    """
    if boundary is None:
        boundary = f"adieu-{os.urandom(16).hex()}"
    elif not _BOUNDARY(boundary):
        raise InvalidRequest(f"{boundary!r} is no boundary for multipart (RFC 2046, section 5.1.1)")
    sections = [
        _section(boundary, name, None, Content(form_bytes(value, name)), None)
        for name, value in form_items({} if fields is None else _checked_fields(fields))
    ]
    for name, part in files.items() if isinstance(files, Mapping) else _pairs(files):
        sections.append(_file_section(boundary, name, part))
    if any(content.is_async for _, content in sections):
        return AsyncMultipart(sections, boundary)
    form = Multipart(sections, boundary)
    in_memory = all(content.body is not None for _, content in sections)
    if in_memory and form.length is not None and form.length <= _JOIN_UP_TO:
        return Content(b"".join(form.chunks()), form.media_type)
    return form


def boundary_of(content_type: str) -> str:
    """The boundary that a user's own Content-Type announces for `files=`.

    Raises `InvalidRequest` if it announces none: no server could read the form.
    """
    from adieu.messages.fields.parameters import parameters

    found = _TYPE(content_type) and dict(reversed(parameters(content_type))).get("boundary")
    if not found:
        raise InvalidRequest(
            f"files= is sent as multipart/form-data with a boundary, but the Content-Type header "
            f"says {content_type[:100]!r}: leave it out"
        )
    return found


def _checked_fields(fields: object) -> FormFields:
    if isinstance(fields, (Mapping, list, tuple)):
        return cast("FormFields", fields)
    raise InvalidRequest(f"data= beside files= is a mapping or pairs, not {type(fields).__name__}")


def _pairs(files: object) -> Iterator[tuple[object, object]]:
    if not isinstance(files, (list, tuple)):
        raise InvalidRequest(
            f"files= is a mapping of names to parts, or pairs of both, not {type(files).__name__}"
        )
    for pair in files:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidRequest(f"files= takes pairs of name and part, not {type(pair).__name__}")
        yield pair[0], pair[1]


def _file_section(boundary: str, name: object, part: object) -> _Section:
    if not isinstance(name, str):
        raise InvalidRequest(f"a name in files= is text, not {type(name).__name__}")
    where = f"files[{name!r}]"
    filename: object
    content_type: str | None = None
    fields: HeaderFields | None = None
    if isinstance(part, tuple):
        if not 2 <= len(part) <= 4:
            raise InvalidRequest(
                f"{where} is (filename, content), and perhaps content type and headers, "
                f"not {len(part)} items"
            )
        filename, content = part[0], as_content(part[1], where)
        content_type, fields = (*part[2:], None, None)[:2]
    else:
        filename, content = _filename_of(part) or name, as_content(part, where)
    headers = Headers(fields)
    if "content-disposition" in headers:
        raise InvalidRequest(f"{where}: Content-Disposition is made of the name and the filename")
    if content_type is not None:
        headers["Content-Type"] = content_type
    elif filename is not None and "content-type" not in headers:
        headers["Content-Type"] = _guess_type(filename, content)
    return _section(boundary, name, filename, content, headers)


def _section(
    boundary: str, name: object, filename: object, content: Content, headers: Headers | None
) -> _Section:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'.encode("ascii")
    # As in browsers: line ends become CR LF in the names of fields, and not in those of files.
    head += _escaped(_LINE_END.sub("\r\n", name) if isinstance(name, str) else name, name) + b'"'
    if filename is not None:
        head += b'; filename="' + _escaped(filename, name) + b'"'
    lines = [f"\r\n{key}: {value}" for key, value in headers.multi_items()] if headers else []
    return head + "".join(lines).encode("latin-1") + b"\r\n\r\n", content


def _escaped(text: object, name: object) -> bytes:
    if not isinstance(text, str):
        raise InvalidRequest(
            f"names of fields and files are text; that of {name!r} is {type(text).__name__}"
        )
    return form_bytes(text.translate(_ESCAPES), name)


def _filename_of(part: object) -> str | None:
    """The name of an open file, without its folder, which may be private."""
    name = getattr(part, "name", None)
    if not isinstance(name, str) or name.startswith("<"):
        return None  # the number of a descriptor, or Python's placeholder for a file without a name
    return os.path.basename(name) or None


def _guess_type(filename: object, content: Content) -> str:
    from mimetypes import guess_type

    kind, coding = guess_type(filename) if isinstance(filename, str) else (None, None)
    # "a.tar.gz" is guessed as "application/x-tar" with the coding gzip, and a part has no field for the coding.
    return (None if coding else kind) or content.media_type or "application/octet-stream"


def _quoted(boundary: str) -> str:
    return boundary if re.fullmatch(r"[0-9A-Za-z'+_.\-]+", boundary) else f'"{boundary}"'
