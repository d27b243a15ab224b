"""What an open stream of bytes is, sync and async: its operations, and defaults for those that it can do without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.deadline import Within

if TYPE_CHECKING:
    import ssl

    from adieu.lifecycle.deadline import TimeLimit
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

    `limit` says how long a wait may last: call `limit.remaining("read")` or `limit.remaining("write")` at the beginning
    and again before each further wait. A wait that is longer ends in a `TimeoutError`. Two threads may call `recv` and
    `send` at once.
    """

    __slots__ = ()

    @abstractmethod
    def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        """Some bytes, at most `max_bytes`; b"" when the peer has closed."""

    @abstractmethod
    def send(self, data: bytes, limit: TimeLimit) -> None:
        """Send all of `data`. Each wait for the peer to take some more has a limit of its own."""

    def send_now(self, data: bytes) -> None:
        """Send as much of `data` as goes without a wait, before `close`. Default: by `send`, with 0 seconds."""
        try:
            self.send(data, Within(0))
        except TimeoutError:
            pass

    def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        """Wait until the peer takes some of `data` or sends something: the number of bytes taken, or the bytes it sent.

        What is sent next begins with the rest of `data`, or with all of it if the peer sent something.

        A long upload needs both: `send` alone would wait without end for a peer that answers early and stops reading.
        By default an answer is noticed only if it is there before a piece is sent.
        """
        if self.readable():
            try:
                return self.recv(_PIECE, Within(_POLL_TIMEOUT))
            except TimeoutError:
                pass  # A TLS record without data in it.
        piece = data[:_PIECE]
        self.send(bytes(piece), limit)
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
    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        """See `ByteStream.recv`."""

    @abstractmethod
    async def send(self, data: bytes, limit: TimeLimit) -> None:
        """See `ByteStream.send`."""

    def send_now(self, data: bytes) -> None:
        """See `ByteStream.send_now`. Not awaited. Default: by the beginning of `send`, as far as that does not wait."""
        sending: Any = self.send(data, Within(0))
        try:
            sending.send(None)
        except (StopIteration, TimeoutError):
            pass
        finally:
            sending.close()

    async def until_input(self, limit: TimeLimit) -> bool:
        """Wait until the peer sends something, or closes; what was received before and is buffered does not count.

        May return early. False, at once: this stream cannot tell, so the caller looks again and again. That is the
        default.
        """
        return False

    async def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        """See `ByteStream.send_or_recv`."""
        if self.readable():
            try:
                return await self.recv(_PIECE, Within(_POLL_TIMEOUT))
            except TimeoutError:
                pass  # A TLS record without data in it.
        piece = data[:_PIECE]
        await self.send(bytes(piece), limit)
        return len(piece)


AnyStream = ByteStream | AsyncByteStream
