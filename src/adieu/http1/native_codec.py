"""adieu's own codec: strict about what moves the end of a message, tolerant once about what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.http1.chunks import ChunkReader
from adieu.http1.codec import Codec
from adieu.http1.head import (
    MAX_HEAD,
    Malformed,
    Truncated,
    check_beginning,
    find_head,
    read_head,
)

if TYPE_CHECKING:
    from adieu.http1.head import Head

__all__ = ["NativeCodec"]


class NativeCodec(Codec):
    """See `Codec`. Heads are read by `adieu.http1.head`, chunks by `adieu.http1.chunks`."""

    __slots__ = ("_chunks", "_searched")

    def _begin(self) -> None:
        # How much of a head was searched for its end, so that it may come byte by byte.
        self._searched = 0
        self._chunks: ChunkReader | None = None

    def feed(self, data: bytes) -> None:
        if not data:
            self._peer_closed = True
        elif not self._buffered:
            self._buffered = data
        elif isinstance(self._buffered, bytearray):
            self._buffered += data
        else:
            self._buffered = bytearray(self._buffered + data)

    def head(self) -> Head | None:
        buffered = self._buffered
        if not buffered:
            return None
        end = find_head(buffered, self._searched)
        if not end or end > MAX_HEAD:
            check_beginning(buffered)
            self._searched = max(len(buffered) - 3, 0)
            return None
        self._searched = 0
        head = read_head(bytes(buffered[:end]), self._method)
        self._buffered = buffered[end:]
        if head.status >= 200:
            self._framing = framing = head.framing
            if framing == "chunked":
                self._chunks = ChunkReader()
            else:
                self._left = head.length or 0
        else:
            self._interim(head)
        return head

    def _interim(self, head: Head) -> None:
        if head.status == 101 and "upgrade" not in self._watched:
            # RFC 9110, section 7.8: a server may switch only to a protocol that was asked for.
            raise Malformed("it switches to another protocol, without having been asked to")
        self._is_sound = self._is_sound and head.keep_alive

    def _chunked(self) -> bytes | None:
        chunks, data = self._chunks, self._buffered
        assert chunks is not None
        if data and not chunks.done:
            self._buffered = b""
            content = chunks.feed(bytes(data))
            if chunks.done:
                self.trailers = chunks.trailers
                self._buffered = chunks.surplus
            if content:
                return content
        if chunks.done:
            return b""
        if self._peer_closed:
            raise Truncated("it closed the connection in the middle of a chunked body")
        return None

    def _chunks_are_clean(self) -> bool:
        chunks = self._chunks
        return chunks is not None and chunks.done and chunks.is_strict
