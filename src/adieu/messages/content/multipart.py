"""`files=`: multipart/form-data (RFC 7578), as browsers write it, with every part read when it is sent.

Rules of the room: memory is constant, whatever the size of the parts; the length is known when every part's is, and
what is sent can be sent again when every part can. Small forms whose parts are all in memory are put together at once.

- A part is bytes, text, a binary file from where it stands, an iterable of bytes (for AsyncClient an async one), or a
  tuple `(filename, content)`, `(filename, content, content_type)` or `(filename, content, content_type, headers)`.
  A filename of None makes a field without one. Paths are not opened: the caller closes what the caller opened.
- Names are written as UTF-8, with `%22`, `%0D` and `%0A` for a quote and line ends; nothing else is escaped
  (https://html.spec.whatwg.org/#multipart-form-data). RFC 7578, section 4.2, forbids `filename*=`. Values go as they
  are: a browser would change their line ends to CR LF, which no caller of an API expects.
- Without a content type, the filename tells it; of a field without a filename nothing is said (section 4.4).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from adieu.errors import InvalidRequest
from adieu.messages.content.encode import Content, as_content
from adieu.messages.headers import Headers
from adieu.messages.url.form import FormFields, form_bytes, form_items

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.messages.content.encode import ContentLike

__all__ = [
    "AsyncMultipart",
    "FilesLike",
    "Multipart",
    "Part",
    "boundary_of",
    "encode_multipart",
]

Named: TypeAlias = "tuple[str | None, ContentLike] | tuple[str | None, ContentLike, str | None]"
Described: TypeAlias = (
    "tuple[str | None, ContentLike, str | None, Mapping[str, str] | Headers | None]"
)
Part: TypeAlias = "ContentLike | Named | Described"
FilesLike: TypeAlias = "Mapping[str, Part] | Sequence[tuple[str, Part]]"

# Put together at once up to here, so that head and content go out in one write.
_AT_ONCE = 64 * 1024
# RFC 2046, section 5.1.1.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_TYPE = re.compile(r"\s*multipart/form-data\s*(?:;|$)", re.IGNORECASE).match


class Multipart(Content):
    """The parts of a form, and what stands between them."""

    __slots__ = ("_sections", "boundary")

    def __init__(self, sections: list[tuple[bytes, Content]], boundary: str) -> None:
        self._sections = sections
        self.boundary = boundary
        between = sum(len(head) + 2 for head, _ in sections) + len(self._end())
        lengths = [content.length for _, content in sections]
        known = [length for length in lengths if length is not None]
        super().__init__(
            None,
            f"multipart/form-data; boundary={_quoted(boundary)}",
            length=between + sum(known) if len(known) == len(lengths) else None,
            replayable=all(content.replayable for _, content in sections),
        )

    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode("ascii")

    def _sequence(self) -> Iterator[bytes | Content]:
        """What is sent, in order: bytes, and contents that are still to be read."""
        before = b""
        for head, content in self._sections:
            if content.body is None:
                yield before + head
                yield content
                before = b"\r\n"
            else:
                before = b"".join((before, head, content.body, b"\r\n"))
        yield before + self._end()

    def chunks(self) -> Iterator[bytes]:
        """See `Content.chunks`."""
        for item in self._sequence():
            if isinstance(item, bytes):
                yield item
            else:
                yield from item.chunks()


class AsyncMultipart(Multipart):
    """Parts of which one at least is an async iterable: for `AsyncClient` only."""

    __slots__ = ()

    is_async: ClassVar[bool] = True

    def chunks(self) -> Iterator[bytes]:
        """Refuse: waiting is for the async client."""
        asked = next(content for _, content in self._sections if content.is_async)
        return asked.chunks()

    def async_chunks(self) -> AsyncIterator[bytes]:
        """As `chunks`, awaited."""
        return _AsyncChunks(self._sequence())


class _AsyncChunks:
    """No async generator: one that is dropped half way would leave its end to the event loop."""

    __slots__ = ("_inner", "_sequence")

    def __init__(self, sequence: Iterator[bytes | Content]) -> None:
        self._sequence = sequence
        self._inner: Any = iter(())

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        while True:
            inner = self._inner
            if hasattr(inner, "__anext__"):
                chunk = await anext(inner, None)
            else:
                chunk = next(inner, None)
            if chunk is not None:
                given: bytes = chunk
                return given
            item = next(self._sequence, None)
            if item is None:
                raise StopAsyncIteration
            if isinstance(item, bytes):
                return item
            content: Any = item
            self._inner = content.async_chunks() if content.is_async else content.chunks()


def encode_multipart(
    fields: FormFields | None, files: FilesLike, boundary: str | None = None
) -> Content:
    """The content of a form with files: the fields come first, in their order, then the files.

    Raises `InvalidRequest` for what cannot be sent; the text names the field.
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
    whole = Multipart(sections, boundary)
    in_memory = all(content.body is not None for _, content in sections)
    if in_memory and whole.length is not None and whole.length <= _AT_ONCE:
        return Content(b"".join(whole.chunks()), whole.media_type)
    return whole


def boundary_of(content_type: str) -> str:
    """The boundary that a user's own Content-Type announces for `files=`.

    Raises `InvalidRequest` if it announces none: what is sent could not be read by anybody.
    """
    from adieu.messages.fields.parameters import parameters

    found = _TYPE(content_type) and dict(reversed(parameters(content_type))).get("boundary")
    if not found:
        raise InvalidRequest(
            f"files= is sent as multipart/form-data with a boundary, but the Content-Type header "
            f"says {content_type[:100]!r}: leave it out"
        )
    return found


def _checked_fields(fields: Any) -> FormFields:
    if isinstance(fields, (Mapping, list, tuple)):
        return fields
    raise InvalidRequest(f"data= beside files= is a mapping or pairs, not {type(fields).__name__}")


def _pairs(files: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(files, (list, tuple)):
        raise InvalidRequest(
            f"files= is a mapping of names to parts, or pairs of both, not {type(files).__name__}"
        )
    for pair in files:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidRequest(f"files= takes pairs of name and part, not {type(pair).__name__}")
        yield pair[0], pair[1]


def _file_section(boundary: str, name: Any, part: Any) -> tuple[bytes, Content]:
    if not isinstance(name, str):
        raise InvalidRequest(f"a name in files= is text, not {type(name).__name__}")
    where = f"files[{name!r}]"
    content_type: Any = None
    extra: Any = None
    if isinstance(part, tuple):
        if not 2 <= len(part) <= 4:
            raise InvalidRequest(
                f"{where} is (filename, content), and perhaps content type and headers, "
                f"not {len(part)} items"
            )
        filename, content = part[0], as_content(part[1], where)
        content_type, extra = (*part[2:], None, None)[:2]
    else:
        filename, content = _filename(part) or name, as_content(part, where)
    headers = Headers(extra)
    if "content-disposition" in headers:
        raise InvalidRequest(f"{where}: Content-Disposition is made of the name and the filename")
    if content_type is not None:
        headers["Content-Type"] = content_type
    elif filename is not None and "content-type" not in headers:
        headers["Content-Type"] = _guessed(filename, content)
    return _section(boundary, name, filename, content, headers)


def _section(
    boundary: str, name: str, filename: object, content: Content, headers: Headers | None
) -> tuple[bytes, Content]:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'.encode("ascii")
    # The names of fields, not those of files: browsers do it so.
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


def _filename(part: Any) -> str | None:
    """What a file says about its name; never its folder, which is nobody's business."""
    name = getattr(part, "name", None)
    if not isinstance(name, str) or name.startswith("<"):
        return None  # A descriptor's number, or what Python calls files without a name.
    return os.path.basename(name) or None


def _guessed(filename: Any, content: Content) -> str:
    from mimetypes import guess_type

    kind, coding = guess_type(filename) if isinstance(filename, str) else (None, None)
    # Of "a.tar.gz" it says "application/x-tar", coded: a part has nowhere to say the second half.
    return (None if coding else kind) or content.media_type or "application/octet-stream"


def _quoted(boundary: str) -> str:
    return boundary if re.fullmatch(r"[0-9A-Za-z'+_.\-]+", boundary) else f'"{boundary}"'
