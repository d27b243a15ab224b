"""The strictness about chunked framing that parsers leave to their user (RFC 9112, section 7.1).

The guard walks over a chunked body's framing lines before h11 or http.client reads them, and refuses those that other
parsers read differently: a line that ends in a bare LF, a CR or NUL inside one, trailers that are folded or are no
fields, and lines and trailers without bound. White space around a size, which the RFC has read, it takes away.
"""

from __future__ import annotations

from typing import Final, Literal

from adieu.http1.chunk_lines import check_line_size, read_chunk_size
from adieu.http1.head import MAX_HEAD, Malformed, read_trailers

__all__ = ["ChunkGuard"]

# RFC 9110, section 6.5.1: framing is not taken from a trailer. A parser would judge these fields all the same.
_FRAMING: Final = ("content-length", "transfer-encoding")

State = Literal["size", "data", "after", "trailers", "done"]


class ChunkGuard:
    """Where a chunked body has got to. `received`: bytes of data so far; `trailers`: the fields after it so far.

    `is_strict`: nothing had to be taken away so far.
    """

    __slots__ = ("_left", "_line", "_state", "_trailers_size", "is_strict", "received", "trailers")

    def __init__(self) -> None:
        self._state: State = "size"
        self._left = 0  # bytes of the current chunk that are still to come
        self._line = bytearray()  # the beginning of a framing line whose end has not come
        self._trailers_size = 0
        self.received = 0
        self.trailers: list[tuple[str, str]] = []
        self.is_strict = True

    @property
    def done(self) -> bool:
        """The body has ended."""
        return self._state == "done"

    def check(self, data: bytes) -> bytes:
        """Walk over more of the body; gives what a parser may read of it. Raises `Malformed`.

        A framing line is given once it is whole.
        """
        at, end = 0, len(data)
        checked: list[bytes] = []
        while at < end and not self.done:
            if self._state == "data":
                step = min(self._left, end - at)
                checked.append(data[at : at + step])
                self._left -= step
                self.received += step
                at += step
                if not self._left:
                    self._state = "after"
                continue
            stop = data.find(b"\n", at) + 1
            held = self._line
            held += data[at:stop] if stop else data[at:]
            check_line_size(len(held))
            if not stop:
                return b"".join(checked)
            line = bytes(held)
            held.clear()
            at = stop
            checked.append(self._take(line))
        checked.append(data[at:])
        return b"".join(checked)

    def _take(self, line: bytes) -> bytes:
        """A whole line; gives it in the strict form."""
        if self._state == "size":
            self._left, is_strict = read_chunk_size(line)
            self._state = "data" if self._left else "trailers"
            if not is_strict:
                self.is_strict = False
                return b"%x\r\n" % self._left
        elif self._state == "after":
            if line != b"\r\n":
                raise Malformed("a chunk is longer than its size")
            self._state = "size"
        elif line == b"\r\n":
            self._state = "done"
        else:
            self._trailers_size += len(line)
            if self._trailers_size > MAX_HEAD:
                raise Malformed(f"its trailers are longer than {MAX_HEAD} bytes")
            field = read_trailers(line + b"\r\n")
            self.trailers += field
            if field[0][0].lower() in _FRAMING:
                return b""
        return line
