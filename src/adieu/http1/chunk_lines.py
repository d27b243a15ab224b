"""The lines of chunked framing (RFC 9112, section 7.1), for every reader of chunks."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from adieu.http1.head import Malformed

__all__ = ["ChunkSize", "check_line_size", "read_chunk_size"]

MAX_LINE: Final = 4 * 1024
"""The most bytes of a chunk's size with its extensions, and the end of the line."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION: Final = rb"%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_LINE: Final = re.compile(
    rb"([ \t]*)([0-9A-Fa-f]{1,16})((?:[ \t]*;[ \t]*%b)*)([ \t]*)\r\n" % _EXTENSION
)


class ChunkSize(NamedTuple):
    """The line before a chunk. `is_strict`: no blanks but between an extension and its value, which are tolerated."""

    size: int
    is_strict: bool


def check_line_size(size: int) -> None:
    """Refuse a line of chunked framing that is too long, before its end has come. Raises `Malformed`."""
    if size > MAX_LINE:
        raise Malformed(f"a line of its chunked framing is longer than {MAX_LINE} bytes")


def read_chunk_size(line: bytes) -> ChunkSize:
    """A whole line before a chunk. Raises `Malformed`.

    Blanks around the size and the extensions are read over, as the RFC says of "bad" white space; a line that ends in a
    bare LF is not, because some readers take an LF within an extension for the end of the line, and some do not.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        if line.endswith(b"\r\n") and b"\r" not in line[:-2]:
            raise Malformed(f"{line[:40]!r} is no chunk size")
        raise Malformed("a line of its chunked framing does not end in CR LF")
    before, size, extensions, after = match.groups()
    is_strict = not (before or after or b" " in extensions or b"\t" in extensions)
    return ChunkSize(int(size, 16), is_strict)
