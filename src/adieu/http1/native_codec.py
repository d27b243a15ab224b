"""adieu's own codec: strict about what moves the end of a message, tolerant once about what does not."""

from __future__ import annotations

from enum import Enum
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
    from collections.abc import Mapping

    from adieu.http1.head import Framing, Head

__all__ = ["NativeCodec", "ReadState"]


class ReadState(Enum):
    """What is read next."""

    HEAD = "head"
    BODY = "body"
    PEER_CLOSED = "peer closed"  # the rest of the body, and nothing after it


class NativeCodec(Codec):
    """See `Codec`. Heads are read by `adieu.http1.head`, chunks by `adieu.http1.chunks`."""

    __slots__ = (
        "_buffered",
        "_chunks",
        "_framing",
        "_is_sound",
        "_left",
        "_method",
        "_searched",
        "_watched",
        "state",
    )

    def _begin(self, method: str, watched: Mapping[str, str]) -> None:
        self._method = method
        self._watched = watched
        # Bytes that have come and are not handed on yet: of a head, of the body, or after its end.
        self._buffered: bytes | bytearray = b""
        # How much of it was searched for the end of the head, so that it may come byte by byte.
        self._searched = 0
        self.state = ReadState.HEAD
        self._framing: Framing = "none"
        self._left = 0
        self._chunks: ChunkReader | None = None
        # Nothing so far speaks against another exchange on the connection.
        self._is_sound = True

    def feed(self, data: bytes) -> None:
        if not data:
            self.state = ReadState.PEER_CLOSED
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
            self.state = ReadState.BODY
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

    def body(self) -> bytes | None:
        chunks = self._chunks
        if chunks is not None:
            return self._chunked(chunks)
        data = self._buffered
        if self._framing == "close":
            self._buffered = b""
            return bytes(data) if data or self.state is ReadState.PEER_CLOSED else None
        left = self._left
        if not left:
            return b""
        if not data:
            if self.state is ReadState.PEER_CLOSED:
                raise Truncated(f"it closed the connection {left} bytes before the end of the body")
            return None
        if len(data) > left:
            data, self._buffered = data[:left], data[left:]
        else:
            self._buffered = b""
        self._left = left - len(data)
        return bytes(data)

    def _chunked(self, chunks: ChunkReader) -> bytes | None:
        data = self._buffered
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
        if self.state is ReadState.PEER_CLOSED:
            raise Truncated("it closed the connection in the middle of a chunked body")
        return None

    def rest(self) -> bytes | None:
        data, left = self._buffered, self._left
        if self._chunks is not None or self._framing == "close" or len(data) < left:
            return None
        self._left = 0
        if len(data) == left:
            self._buffered = b""
        else:
            data, self._buffered = data[:left], data[left:]
        return bytes(data)

    def started(self) -> bool:
        return bool(self._buffered)

    def leftover(self) -> bytes:
        return bytes(self._buffered)

    def _is_clean(self) -> bool:
        if self._buffered or not self._is_sound:
            return False
        chunks = self._chunks
        if chunks is not None:
            return chunks.done and chunks.is_strict
        return self.state is not ReadState.HEAD and not self._left
