"""The strictness about chunked framing that parsers leave to their user (RFC 9112, section 7.1).

The guard walks over a chunked body's framing lines before h11 or http.client reads them, and refuses those that other
parsers read differently: white space around a size, a line that ends in a bare LF, a CR or NUL inside one, trailers
that are folded or are no fields, and lines and trailers without bound. It changes nothing and keeps no data.
"""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["ChunkGuard", "LooseChunk"]

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t -~\x80-\xff]*)?")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_LINE: Final = 4 * 1024
_MAX_TRAILERS: Final = 64 * 1024

State = Literal["size", "data", "after", "trailers", "done"]


class LooseChunk(Exception):
    """A framing line breaks the rules of the RFC."""


class ChunkGuard:
    """Where a chunked body has got to. `received`: bytes of data so far; `trailers`: the fields after it so far."""

    __slots__ = ("_left", "_line", "_state", "_trailers_size", "received", "trailers")

    def __init__(self) -> None:
        self._state: State = "size"
        self._left = 0  # bytes of the current chunk that are still to come
        self._line = b""  # the beginning of a framing line whose end has not come
        self._trailers_size = 0
        self.received = 0
        self.trailers: list[tuple[str, str]] = []

    @property
    def done(self) -> bool:
        """The body has ended."""
        return self._state == "done"

    def check(self, data: bytes) -> None:
        """Walk over more of the body. Raises `LooseChunk`."""
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._state == "data":
                step = min(self._left, end - at)
                self._left -= step
                self.received += step
                at += step
                if not self._left:
                    self._state = "after"
                continue
            stop = data.find(b"\n", at) + 1
            line = self._line + (data[at:stop] if stop else data[at:])
            if len(line) > _MAX_LINE:
                raise LooseChunk(f"a line of its chunked framing is longer than {_MAX_LINE} bytes")
            if not stop:
                self._line = line
                return
            self._line = b""
            at = stop
            self._take(line)

    def _take(self, line: bytes) -> None:
        text = line[:-2]
        if not line.endswith(b"\r\n") or b"\r" in text or b"\0" in text:
            raise LooseChunk("a line of its chunked framing does not end in CR LF")
        if self._state == "size":
            size = _SIZE.fullmatch(text)
            if size is None:
                raise LooseChunk(f"{text[:40]!r} is no chunk size")
            self._left = int(size.group(1), 16)
            self._state = "data" if self._left else "trailers"
        elif self._state == "after":
            if text:
                raise LooseChunk("a chunk is longer than its size")
            self._state = "size"
        elif not text:
            self._state = "done"
        else:
            self._trailers_size += len(line)
            name, colon, value = text.partition(b":")
            if not colon or _NAME.fullmatch(name) is None or self._trailers_size > _MAX_TRAILERS:
                raise LooseChunk("its trailers are folded, no fields, or too long")
            self.trailers.append((name.decode("ascii"), value.strip(b" \t").decode("latin-1")))
