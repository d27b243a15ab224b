"""What an open stream of bytes is, sync and async: its operations, and defaults for those that it can do without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from adieu.net.scope import ConnectScope

__all__ = ["AnyStream", "AsyncByteStream", "ByteStream"]

# How much of an upload is offered at once (bytes).
_PIECE = 64 * 1024
# How long a read may take that has something to read (seconds): a TLS record need not carry data.
_POLL_TIMEOUT = 0.001


class _Stream(ABC):
    __slots__ = ()

    @abstractmethod
    def readable(self) -> bool:
        """Whether `recv` would return at once: there are bytes, or the peer has closed. Does not wait."""

    @abstractmethod
    def close(self) -> None:
        """Close. Idempotent, from any thread; never raises. A call that waits ends with an `OSError`."""

    def forget(self) -> None:
        """Close in a forked child, without a message to the peer, with which the parent goes on. Default: `close`."""
        self.close()

    @property
    def tls(self) -> ssl.SSLSocket | ssl.SSLObject | None:
        """The object of `ssl` that knows certificate, version and cipher. Default: None, for a plain stream."""
        return None


class ByteStream(_Stream):
    """An open, ordered, two-way stream of bytes: a base class.

    Timeouts are seconds (None: no limit), and end in a `TimeoutError`. Two threads may call `recv` and `send` at once.
    """

    __slots__ = ()

    @abstractmethod
    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        """Some bytes, at most `max_bytes`; b"" when the peer has closed."""

    @abstractmethod
    def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of `data`. The timeout is for each wait for the peer to take some more."""

    def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """Wait until the peer takes some of `data` or sends something: the number of bytes taken, or the bytes it sent.

        A long upload needs both: `send` alone would wait without end for a peer that answers early and stops reading.
        By default an answer is noticed only if it is there before a piece is sent.
        """
        if self.readable():
            try:
                return self.recv(_PIECE, _POLL_TIMEOUT)
            except TimeoutError:
                pass  # A TLS record without data in it.
        piece = data[:_PIECE]
        self.send(bytes(piece), timeout)
        return len(piece)

    def start_tls(self, hostname: str, scope: ConnectScope) -> ByteStream | None:
        """The same connection under TLS, as `scope.tls` wants it, after the handshake.

        Default: None, for a stream that has no way of its own. TLS then goes over it, through memory buffers.
        """
        return None


class AsyncByteStream(_Stream):
    """A `ByteStream` whose waits are awaited: a base class. Closing is not awaited: it never waits."""

    __slots__ = ()

    @abstractmethod
    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        """See `ByteStream.recv`."""

    @abstractmethod
    async def send(self, data: bytes, timeout: float | None) -> None:
        """See `ByteStream.send`."""

    async def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """See `ByteStream.send_or_recv`."""
        if self.readable():
            try:
                return await self.recv(_PIECE, _POLL_TIMEOUT)
            except TimeoutError:
                pass  # A TLS record without data in it.
        piece = data[:_PIECE]
        await self.send(bytes(piece), timeout)
        return len(piece)


AnyStream = ByteStream | AsyncByteStream
