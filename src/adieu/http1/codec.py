"""The contract of a codec: HTTP/1.1 messages to bytes and back, for one connection, without I/O.

The engine speaks to a codec and to a stream, and to nothing else. A codec may be strict in its own way, but what could
be read differently by two readers is refused by each: the difference would be read as the next response (RFC 9112,
section 11.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from adieu.http1.request_writer import RequestWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adieu.http1.head import Fields, Head
    from adieu.http1.request_writer import FieldBlock

__all__ = ["Codec"]


class Codec(ABC):
    """The protocol state of one connection. The half that writes is here; the half that reads is for subclasses."""

    __slots__ = ("_writer", "trailers")

    _writer: RequestWriter

    trailers: Fields
    """The fields after the body, once it has ended."""

    # -- out ---------------------------------------------------------------------------------------------------------

    def request(self, method: str, target: str, fields: FieldBlock) -> bytes:
        """The bytes of a request head. Begins a new exchange. Raises `InvalidRequest`."""
        self._writer = writer = RequestWriter(method, target, fields)
        self.trailers = []
        self._begin(method, fields.watched)
        return writer.head

    def data(self, chunk: bytes) -> bytes:
        """The bytes that carry a piece of the request's body. Raises `InvalidRequest` if it is longer than promised."""
        return self._writer.data(chunk)

    def end(self, trailers: Sequence[tuple[str, str]] = ()) -> bytes:
        """The bytes that end the request's body. Raises `InvalidRequest` if it is shorter than promised."""
        return self._writer.end(trailers)

    def expects(self) -> bool:
        """The request says that its content is to be asked for (RFC 9110, section 10.1.1)."""
        return self._writer.expects

    def sent_all(self) -> bool:
        """The request has been sent in full."""
        return self._writer.done

    # -- in ----------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _begin(self, method: str, watched: Mapping[str, str]) -> None:
        """Begin to read the response to a request of this method; `watched`: see `FieldBlock`."""

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Bytes from the peer; b"" says, once the head is there, that it has closed. Raises `Malformed`."""

    @abstractmethod
    def head(self) -> Head | None:
        """The next head, 1xx ones too; None: more bytes are needed. Raises `Malformed`."""

    @abstractmethod
    def body(self) -> bytes | None:
        """The next bytes of the body, b"" at its end; None: more bytes are needed. Raises `Malformed`."""

    def rest(self) -> bytes | None:
        """The whole rest of the body, if all of it is here and its length was announced; else None."""
        return None

    @abstractmethod
    def started(self) -> bool:
        """A head has begun to arrive."""

    @abstractmethod
    def leftover(self) -> bytes:
        """The bytes that came after the head of an upgrade: they belong to the next protocol."""

    def is_reusable(self) -> bool:
        """Both halves are done, and the connection can carry the next exchange."""
        return self._writer.done and not self._writer.closes and self._is_clean()

    @abstractmethod
    def _is_clean(self) -> bool:
        """The response has ended in a way that leaves no doubt, and not one byte came after it.

        Such a byte would be read as the next response (RFC 9112, section 9.3).
        """
