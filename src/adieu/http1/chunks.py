"""Reading a chunked body (RFC 9112, section 7.1): bytes in, content out. No I/O.

Theory of operation. Most lines are a size and nothing else, so one regular expression reads the end of a chunk and the
next size; what it does not match is read line by line. Whatever is there is decoded into one piece: a body of many
small chunks costs its readers no more than one of a few large ones.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from adieu.http1.chunk_lines import check_line_size, read_chunk_size
from adieu.http1.head import MAX_HEAD, Fields, Malformed, find_head, read_trailers

__all__ = ["ChunkReader", "ChunkState"]

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_NEXT_SIZE: Final = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})\r\n")


class ChunkState(Enum):
    """What comes next."""

    SIZE = "a size"
    DATA = "data"
    AFTER_DATA = "the line end after the data"
    TRAILERS = "trailers"
    DONE = "nothing"


# Finding a member in an enumeration takes 100 ns on CPython 3.11, and each chunk has several states.
_SIZE_LINE, _DATA, _AFTER_DATA, _TRAILERS, _DONE = ChunkState


class ChunkReader:
    """Where a chunked body has got to.

    `trailers`: the fields after it, and `surplus`: the bytes after it, once it is done. `is_strict`: its framing
    has been as the grammar says, without white space that is only to be tolerated.
    """

    __slots__ = ("_held", "_left", "_searched", "is_strict", "state", "surplus", "trailers")

    def __init__(self) -> None:
        self.state = _SIZE_LINE
        self.is_strict = True
        self.surplus = b""
        self.trailers: Fields = []
        # How much of the chunk is still to come (bytes).
        self._left = 0
        # The beginning of a line, or of the trailers, whose end has not come; and how much of the trailers was searched
        # for it, so that they may come byte by byte.
        self._held = bytearray()
        self._searched = 0

    @property
    def done(self) -> bool:
        """The body has ended."""
        return self.state is _DONE

    def feed(self, data: bytes) -> bytes:
        """The content in these bytes; b"" if they only frame it. Raises `Malformed`."""
        if self.state is _TRAILERS:
            self._end(data)
            return b""
        if held := self._held:
            held += data
            if b"\n" not in data:  # A line may come byte by byte.
                check_line_size(len(held))
                return b""
            data = bytes(held)
            held.clear()
        pieces: list[memoryview] = []
        at, state = self._chunks(data, pieces)
        self.state = state
        if state is _TRAILERS:
            self._end(data[at:])
        elif state is not _DATA:
            self._held += data[at:]
        return b"".join(pieces)

    def _chunks(self, data: bytes, pieces: list[memoryview]) -> tuple[int, ChunkState]:
        """Take the chunks from the data; gives where the first byte is that is not used up, and the state there."""
        at, end, left = 0, len(data), self._left
        state = self.state
        # Its slices are joined in the end; slices of the bytes themselves would copy them once more.
        view = memoryview(data)
        # Most servers send chunks of one size: what was between the two chunks before is then between the next two.
        usual_size, usual_bytes = 0, b""
        while True:
            if state is _DATA:
                stop = at + left
                pieces.append(view[at:stop])
                if stop >= end:
                    left, at = stop - end, end
                    state = _DATA if left else _AFTER_DATA
                    break
                at = stop
                if usual_size and data.startswith(usual_bytes, at):
                    left, at = usual_size, at + len(usual_bytes)
                    continue
                state = _AFTER_DATA
            match = (_NEXT_SIZE if state is _AFTER_DATA else _SIZE).match(data, at)
            if match is not None:
                left, at = int(match[1], 16), match.end()
                if state is _AFTER_DATA:
                    usual_size, usual_bytes = left, match[0]
            else:
                stop = data.find(b"\n", at) + 1
                line = data[at:stop] if stop else data[at:]
                check_line_size(len(line))
                if not stop:
                    break
                at = stop
                if state is _AFTER_DATA:
                    if line != b"\r\n":
                        raise Malformed("a chunk is longer than its size")
                    state = _SIZE_LINE
                    continue
                left, is_strict = read_chunk_size(line)
                self.is_strict = self.is_strict and is_strict
            state = _DATA if left else _TRAILERS
            if not left:
                break
        self._left = left
        return at, state

    def _end(self, data: bytes) -> None:
        """Take the trailers, up to the empty line."""
        held = self._held
        held += data
        if held[:2] == b"\r\n":
            end = 2
        elif held[:1] == b"\n":
            raise Malformed("a line of its chunked framing does not end in CR LF")
        else:
            end = find_head(held, max(self._searched - 3, 0))
            self._searched = len(held)
            if (end or len(held)) > MAX_HEAD:
                raise Malformed(f"its trailers are longer than {MAX_HEAD} bytes")
            if not end:
                return
            self.trailers = read_trailers(bytes(held[:end]))
        self.surplus = bytes(held[end:])
        self._held = bytearray()
        self.state = _DONE
