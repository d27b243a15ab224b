"""The contract of a codec: HTTP/1.1 messages to bytes and back, for one connection, without I/O.

The engine speaks to a codec and to a stream, and to nothing else. A codec may be strict in its own way, but what could
be read differently by two readers is refused by each: the difference would be read as the next response (RFC 9112,
section 11.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from adieu.http1.head import Truncated
from adieu.http1.request_writer import RequestWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.http1.head import Fields, Framing, Head
    from adieu.http1.request_writer import FieldBlock

__all__ = ["Codec"]


class Codec(ABC):
    """The protocol state of one connection.

    What writes is here, and what reads a body that has a length or that ends with the connection: it is counted, not
    parsed. Subclasses read heads and chunks.
    """

    __slots__ = (
        "_buffered",
        "_framing",
        "_is_sound",
        "_left",
        "_method",
        "_peer_closed",
        "_watched",
        "_writer",
        "sent_all",
        "trailers",
    )

    _writer: RequestWriter
    _buffered: bytes | bytearray
    _framing: Framing | None

    sent_all: bool
    """The request has been sent in full."""

    trailers: Fields
    """The fields after the body, once it has ended."""

    # -- out ---------------------------------------------------------------------------------------------------------

    def request(self, method: str, target: str, fields: FieldBlock) -> bytes:
        """The bytes of a request head. Begins a new exchange. Raises `InvalidRequest`."""
        self._writer = writer = RequestWriter(method, target, fields)
        self.sent_all = writer.done
        self.trailers = []
        self._method = method
        # See `FieldBlock`.
        self._watched = fields.watched
        # Bytes that have come and are not handed on yet: of a head, of the body, or after its end.
        self._buffered = b""
        # None until the final head is there.
        self._framing = None
        self._left = 0
        self._peer_closed = False
        # Nothing so far speaks against another exchange on the connection.
        self._is_sound = True
        self._begin()
        return writer.head

    def data(self, chunk: bytes) -> bytes:
        """The bytes that carry a piece of the request's body. Raises `InvalidRequest` if it is longer than promised."""
        return self._writer.data(chunk)

    def end(self, trailers: Sequence[tuple[str, str]] = ()) -> bytes:
        """The bytes that end the request's body. Raises `InvalidRequest` if it is shorter than promised."""
        end = self._writer.end(trailers)
        self.sent_all = True
        return end

    def expects(self) -> bool:
        """The request says that its content is to be asked for (RFC 9110, section 10.1.1)."""
        return self._writer.expects

    # -- in ----------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _begin(self) -> None:
        """Begin to read the response to the next request."""

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Bytes from the peer; b"" says, once the head is there, that it has closed. Raises `Malformed`."""

    @abstractmethod
    def head(self) -> Head | None:
        """The next head, 1xx ones too; None: more bytes are needed. Raises `Malformed`."""

    def body(self) -> bytes | None:
        """The next bytes of the body, b"" at its end; None: more bytes are needed. Raises `Malformed`."""
        framing = self._framing
        if framing == "chunked":
            return self._chunked()
        data = self._buffered
        if framing == "close":
            self._buffered = b""
            return bytes(data) if data or self._peer_closed else None
        left = self._left
        if not left:
            return b""
        if not data:
            if self._peer_closed:
                raise Truncated(f"it closed the connection {left} bytes before the end of the body")
            return None
        if len(data) > left:
            data, self._buffered = data[:left], data[left:]
        else:
            self._buffered = b""
        self._left = left - len(data)
        return bytes(data)

    @abstractmethod
    def _chunked(self) -> bytes | None:
        """`body` of a chunked one: all the content that is here, as many small chunks are no more than a large one."""

    def rest(self) -> bytes | None:
        """The whole rest of the body, if all of it is here and its length was announced; else None."""
        data, left = self._buffered, self._left
        if self._framing in ("chunked", "close") or len(data) < left:
            return None
        self._left = 0
        if len(data) == left:
            self._buffered = b""
        else:
            data, self._buffered = data[:left], data[left:]
        return bytes(data)

    def started(self) -> bool:
        """A head has begun to arrive."""
        return bool(self._buffered)

    def leftover(self) -> bytes:
        """The bytes that came after the head of an upgrade: they belong to the next protocol."""
        return bytes(self._buffered)

    def is_reusable(self) -> bool:
        """Both halves are done, and the connection can carry the next exchange.

        The response has ended in a way that leaves no doubt, and not one byte came after it: it would be read as the
        next response (RFC 9112, section 9.3).
        """
        if self._buffered or not (self._is_sound and self.sent_all) or self._writer.closes:
            return False
        if self._framing == "chunked":
            return self._chunks_are_clean()
        return self._framing is not None and not self._left

    @abstractmethod
    def _chunks_are_clean(self) -> bool:
        """The same of the chunks."""
