"""What a response head says about framing, and the strictness that http.client leaves to its user.

http.client forgives what two readers can read differently: a bare LF, a folded line, a space before a colon, two
lengths, a length beside a transfer coding (RFC 9112, section 11.2). On a connection that is used again such
a difference is the beginning of somebody else's response. So each head is checked here before http.client parses it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from adieu.http1.codec import Malformed

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import Framing

__all__ = ["MAX_HEAD", "HeadFacts", "check_unfinished", "read_facts"]

MAX_HEAD: Final = 64 * 1024
"""The most bytes of a response head."""

_HEAD: Final = re.compile(
    rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\0\r\n\v\f]*))?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0\r\n\v\f]*\r\n)*)\r\n"
)
_DIGITS: Final = re.compile(rb"[0-9]{1,20}")


class HeadFacts(NamedTuple):
    """The status and the framing of a response. `length`: bytes of the body, None if the head does not tell.

    `keep_alive`: the server leaves the connection open. `keep_for`: for how many seconds of idleness, if it said so.
    """

    status: int
    http_version: str
    framing: Framing
    length: int | None
    keep_alive: bool
    keep_for: float | None


def check_unfinished(data: bytes) -> None:
    """Refuse the beginning of what cannot become a head. Raises `Malformed`."""
    if len(data) > MAX_HEAD:
        raise Malformed(f"its head is longer than {MAX_HEAD} bytes")
    if data[:7] != b"HTTP/1."[: len(data)]:
        # RFC 9113, section 3.4: a server that speaks HTTP/2 begins with a SETTINGS frame, of stream 0.
        speaks_2 = data[3:9] == b"\4\0\0\0\0\0"
        found = "it speaks HTTP/2" if speaks_2 else f"its first bytes are {data[:24]!r}"
        raise Malformed(f"it does not speak HTTP/1: {found}")
    if b"\n\n" in data:
        raise Malformed("its head has a line that does not end in CR LF")


def read_facts(head: bytes, method: str) -> HeadFacts:
    """The facts of a whole head, which answers a request with this method. Raises `Malformed`."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise Malformed(f"its head is not what RFC 9112 allows: {_first_fault(head)!r}")
    minor, number, _, block = match.groups()
    lengths: list[bytes] = []
    codings: list[bytes] = []
    keep_alive = minor != b"0"  # RFC 9110, section 2.5: a higher minor version means no less.
    keep_for = None
    for line in block.splitlines():
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"connection":
            keep_alive = keep_alive and b"close" not in _members(value)
        elif name == b"keep-alive":
            keep_for = _hint(value)
    announced = _length(lengths)
    if codings and (announced is not None or minor == b"0"):
        # RFC 9112, sections 6.1 and 6.3: an attack or an error, and the end of the message is unknown.
        raise Malformed("it sent Transfer-Encoding together with Content-Length, or in HTTP/1.0")
    if codings and [coding.strip(b" \t").lower() for coding in codings] != [b"chunked"]:
        raise Malformed(f"it sent the transfer coding {b', '.join(codings)!r}, not chunked alone")
    status = int(number)
    length = announced
    framing: Framing = "close"
    if status < 200 or status in (204, 304) or method == "HEAD":
        length, framing = 0, "none"
    elif codings:
        framing = "chunked"
    elif length is not None:
        framing = "length" if length else "none"
    # A 204 has no content; one that announces some has a sender that may go on to send it.
    unsafe = status == 204 and bool(announced or codings)
    return HeadFacts(
        status,
        f"HTTP/1.{minor.decode()}",
        framing,
        length,
        keep_alive and framing != "close" and not unsafe,
        keep_for,
    )


def _first_fault(head: bytes) -> bytes:
    """The first line that is wrong, as far as an error text shows it."""
    lines = head.split(b"\r\n")
    rest = b"\r\n\r\n"
    if _HEAD.fullmatch(lines[0] + rest) is None:
        return lines[0][:60]
    for line in lines[1:-2]:
        if _HEAD.fullmatch(b"HTTP/1.1 200\r\n" + line + rest) is None:
            return line[:60]
    return head[:60]


def _length(values: list[bytes]) -> int | None:
    """The one length that all Content-Length fields say (RFC 9112, section 6.3)."""
    if not values:
        return None
    found = {part.strip(b" \t") for value in values for part in value.split(b",")}
    text = found.pop()
    if found or _DIGITS.fullmatch(text) is None:
        raise Malformed(f"it sent the Content-Length {b','.join(values)!r}")
    return int(text)


def _members(value: bytes) -> list[bytes]:
    return [member.strip(b" \t") for member in value.lower().split(b",")]


def _hint(value: bytes) -> float | None:
    """The seconds of a `Keep-Alive: timeout=`, less one for the way."""
    for part in value.split(b","):
        name, _, number = part.partition(b"=")
        if name.strip().lower() == b"timeout" and number.strip().isdigit():
            return max(float(number.strip()[:9]) - 1.0, 0.5)
    return None
