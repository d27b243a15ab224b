"""Response heads: the rules of RFC 9112, sections 2 to 6, for a client whose responses share connections. No I/O.

Theory of operation. `read_head` reads the strict form: each line ends in CR LF, no field is folded. Servers repeat
themselves, so status lines and field names are validated once and looked up from then on. A head that is not in the
strict form is brought into it, once, as the RFC says (`strict_form`); two readers may differ about what such a sender
means, so its connection serves no other request. What could move the end of the message is an error: a bare CR, a NUL,
a length beside a transfer coding, lengths that differ (RFC 9112, section 11.2).
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from adieu.messages.headers import index_of
from adieu.texts import show

__all__ = [
    "MAX_HEAD",
    "MAX_INTERIM",
    "Fields",
    "Framing",
    "Head",
    "Malformed",
    "Truncated",
    "check_beginning",
    "find_head",
    "index_of",
    "keep_for",
    "read_fields",
    "read_head",
    "read_trailers",
    "says_close",
    "strict_form",
]

MAX_HEAD: Final = 64 * 1024
"""The most bytes of a response head, and of the trailers."""

MAX_INTERIM: Final = 32
"""The most 1xx responses before a final one."""

_MAX_FIELDS: Final = 1000
_WITHOUT_CONTENT: Final = (204, 304)
_MOST_DIGITS: Final = 20
_MOST_KNOWN: Final = 1024
_LONGEST_KNOWN: Final = 64

_STATUS_LINE: Final = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\0\r\n\v\f]*))?")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FOLD: Final = re.compile(rb"\r\n[ \t]+")

Fields = list[tuple[str, str]]
Framing = Literal["none", "length", "chunked", "close"]

# A status line: the status, the reason, the version, and whether connections of that version are kept.
_status_lines: dict[str, tuple[int, str, str, bool]] = {}
# A field name as written, with its colon: the name, and the same in lower case.
_names: dict[str, tuple[str, str]] = {}


class Malformed(Exception):
    """The peer's bytes are not what RFC 9112 calls a response. What the text quotes of them is masked and bounded."""

    def __init__(self, why: str = "") -> None:
        super().__init__(show(why, 300))


class Truncated(Malformed):
    """The peer closed in the middle of a message."""


class Head(NamedTuple):
    """A response head. `length` is the body's in bytes, where the framing tells it.

    `by_name`: the values by their names in lower case, as `Headers` has them. `keep_for`: for how many seconds the
    server keeps an idle connection, if it said so.
    """

    status: int
    reason: str
    http_version: str
    fields: Fields
    by_name: dict[str, str]
    framing: Framing
    length: int | None
    keep_alive: bool
    keep_for: float | None


def find_head(data: bytes | bytearray, start: int = 0) -> int:
    """Where the first head in these bytes ends; 0: its end has not come. `start`: before it there is no end."""
    end = data.find(b"\n\r\n", start) + 3
    # An empty line without CR may come earlier: see `strict_form`.
    bare = data.find(b"\n\n", start, end - 1) if end >= 3 else data.find(b"\n\n", start)
    if bare >= 0:
        return bare + 2
    return end if end >= 3 else 0


def read_head(head: bytes, method: str) -> Head:
    """The head of a response to a request with this method; it ends as `find_head` says. Raises `Malformed`."""
    try:
        return _read_strict_head(head, method, True)
    except Malformed:
        form = strict_form(head)
        if form == head:
            raise
    return _read_strict_head(form, method, False)


def _read_strict_head(head: bytes, method: str, strict: bool) -> Head:
    """`strict`: it came in this form."""
    text = head.decode("latin-1")
    lines = _lines(text)
    line = lines[0]
    status, reason, version, keep_alive = _status_lines.get(line) or _learn_status_line(line)
    has_blanks = "\t" in text or " \r\n" in text or ":  " in text
    fields, index = read_fields(lines[1:-2], has_blanks)
    lengths = index.get("content-length")
    codings = index.get("transfer-encoding")
    is_sound = True
    framing: Framing
    length: int | None = None
    if (
        status < 200
        or status in _WITHOUT_CONTENT
        or method == "HEAD"
        or (method == "CONNECT" and status < 300)
    ):
        # RFC 9112, section 6.3: these end with their head, whatever it says.
        framing, length = "none", 0
        is_sound = (lengths is None and codings is None) or _is_sound(status, lengths, codings)
    elif codings is not None:
        if lengths is not None:
            # RFC 9112, section 6.3: an attack or an error, and the end of the message is unknown.
            raise Malformed("it sent Transfer-Encoding together with Content-Length")
        if codings.lower() != "chunked":
            raise Malformed(f"it sent the transfer coding {codings[:60]!r}, not chunked alone")
        # RFC 9112, section 6.1: HTTP/1.0 knows no transfer codings, so its connection is closed after the message.
        framing, is_sound = "chunked", version != "HTTP/1.0"
    elif lengths is not None:
        length = _length(lengths)
        framing = "length" if length else "none"
    else:
        framing = "close"
    if keep_alive:
        option = index.get("connection")
        keep_alive = (
            strict
            and is_sound
            and framing != "close"
            and (option is None or not says_close(option))
        )
    hint = index.get("keep-alive")
    seconds = None if hint is None else keep_for(hint)
    return Head(status, reason, version, fields, index, framing, length, keep_alive, seconds)


def read_fields(lines: list[str], has_blanks: bool) -> tuple[Fields, dict[str, str]]:
    """Header fields or trailer fields (RFC 9112, section 5), and their index. Raises `Malformed`.

    `has_blanks`: there may be more blanks around a value than the one before it.
    """
    if len(lines) > _MAX_FIELDS:
        raise Malformed(f"it sent {len(lines)} header fields, more than {_MAX_FIELDS}")
    if has_blanks:
        return _read_new_fields(lines)
    fields = []
    index = {}
    names = _names
    try:
        for line in lines:
            label, _, value = line.partition(" ")
            name, key = names[label]
            fields.append((name, value))
            index[key] = value
    except KeyError:
        return _read_new_fields(lines)
    return fields, index if len(index) == len(fields) else index_of(fields)


def _read_new_fields(lines: list[str]) -> tuple[Fields, dict[str, str]]:
    """As `read_fields`, for names that are not known yet, and for values with blanks around them."""
    fields = []
    for line in lines:
        label, colon, value = line.partition(":")
        if not colon:
            # Texts quote no line as a whole: its value may be a secret.
            raise Malformed("its head has a line without a colon")
        name, _ = _names.get(f"{label}:") or _learn_name(label)
        fields.append((name, value.strip(" \t")))
    return fields, index_of(fields)


def _lines(text: str) -> list[str]:
    """The lines of a block in the strict form: each ends in CR LF. Raises `Malformed`."""
    lines = text.split("\r\n")
    ends = len(lines) - 1
    if text.count("\n") != ends or text.count("\r") != ends:
        # RFC 9112, section 2.2: recipients differ on whether a lone CR or LF ends a line.
        raise Malformed("its head has a line that does not end in CR LF")
    # Not in the bytes: there each of these tests raises and drops an error, which takes a microsecond.
    if "\0" in text or "\v" in text or "\f" in text:
        raise Malformed("its head has a NUL, a vertical tab or a form feed in it")
    return lines


def read_trailers(block: bytes) -> Fields:
    """The fields of a trailer section, which ends with an empty line. Raises `Malformed`."""
    return read_fields(_lines(block.decode("latin-1"))[:-2], has_blanks=True)[0]


def strict_form(block: bytes) -> bytes:
    """The lines with CR LF at each end and without folds (RFC 9112, sections 2.2 and 5.2). Raises `Malformed`."""
    ends = block.count(b"\r\n")
    if (
        block.count(b"\n") == ends
        and block.count(b"\r") == ends
        and block.find(b"\n ") < 0
        and block.find(b"\n\t") < 0
    ):
        return block
    block = block.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if block.count(b"\r") != block.count(b"\n"):
        # RFC 9112, section 2.2: some recipients take it for the end of a line.
        raise Malformed("its head has a CR that ends no line")
    first, end, rest = block.partition(b"\r\n")
    if rest[:1] in (b" ", b"\t"):
        raise Malformed("the line after its status line begins with a blank")
    return first + end + _FOLD.sub(b" ", rest)


def check_beginning(data: bytes | bytearray) -> None:
    """Refuse bytes that cannot become a head. Raises `Malformed`."""
    if len(data) > MAX_HEAD:
        raise Malformed(f"its head is longer than {MAX_HEAD} bytes")
    if data[:7] != b"HTTP/1."[: len(data)]:
        # RFC 9113, section 3.4: a server that speaks HTTP/2 begins with a SETTINGS frame, of stream 0.
        speaks_2 = data[3:9] == b"\4\0\0\0\0\0"
        found = "it speaks HTTP/2" if speaks_2 else f"its first bytes are {bytes(data[:24])!r}"
        raise Malformed(f"it does not speak HTTP/1: {found}")


def _learn_status_line(line: str) -> tuple[int, str, str, bool]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        if not line.startswith("HTTP/1."):
            check_beginning(line.encode("latin-1"))
        raise Malformed(f"{line[:60]!r} is no status line")
    minor, status, reason = match.groups()
    # RFC 9110, section 2.5: a higher minor version means no less.
    learnt = int(status), reason or "", f"HTTP/1.{minor}", minor != "0"
    if len(_status_lines) < _MOST_KNOWN and len(line) <= _LONGEST_KNOWN:
        _status_lines[line] = learnt
    return learnt


def _learn_name(name: str) -> tuple[str, str]:
    if _NAME.fullmatch(name) is None:
        raise Malformed(f"{name[:60]!r} is no field name")
    learnt = name, name.lower()
    if len(_names) < _MOST_KNOWN and len(name) <= _LONGEST_KNOWN:
        _names[f"{name}:"] = learnt
    return learnt


def _length(text: str) -> int:
    """The one length that a Content-Length says; equal ones count as one (RFC 9112, section 6.3)."""
    if not (text.isdigit() and text.isascii() and len(text) <= _MOST_DIGITS):
        said = {part.strip(" \t") for part in text.split(",")}
        text = said.pop()
        if said or not (text.isdigit() and text.isascii() and len(text) <= _MOST_DIGITS):
            raise Malformed(f"it sent the Content-Length {text[:60]!r}")
    return int(text)


def _is_sound(status: int, lengths: str | None, codings: str | None) -> bool:
    """Whether the sender of a message without a body agrees, by its framing fields, that it has none.

    They tell what the answer to a GET would have (RFC 9110, section 8.6), except those of a 204, which may not have
    any: its sender may go on to send what it announces.
    """
    if codings is not None:
        return lengths is None and status != 204 and codings.lower() == "chunked"
    try:
        return lengths is None or _length(lengths) == 0 or status != 204
    except Malformed:
        return False


def says_close(options: str) -> bool:
    """Whether one of the options is `close`: they are a list, without case (RFC 9110, section 7.6.1)."""
    lowered = options.lower()
    return "close" in lowered and "close" in [part.strip(" \t") for part in lowered.split(",")]


def keep_for(hint: str) -> float | None:
    """The seconds of a `Keep-Alive: timeout=`, less one for the way."""
    for part in hint.split(","):
        name, _, number = part.partition("=")
        number = number.strip()
        if name.strip().lower() == "timeout" and number.isascii() and number.isdigit():
            return max(float(number[:9]) - 1.0, 0.5)
    return None
