"""Byte streams: an open socket with a clock on every wait, and an end that is safe from any thread.

A thread that waits in `recv` must never find its descriptor closed under it and, worse, reused by a stranger's socket.
So closing first shuts the connection down, which wakes whoever waits, and then waits for that one to be out of the call
before the descriptor goes. The lock is an `RLock` because a finalizer may close a stream at any line of its own thread.
"""

from __future__ import annotations

import select
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Any, Protocol

from adieu.lifecycle.lock import release_if_owned

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.net.tls.stream import TLSStream
    from adieu.net.wire import ConnectScope

__all__ = ["ByteStream", "SocketStream", "secured"]

_PIECE = 64 * 1024


def _would_block(error: OSError) -> bool:
    # TLS has its own two errors for it, and TLS records that carry no data make a socket readable for nothing.
    return isinstance(error, BlockingIOError) or type(error).__name__ in (
        "SSLWantReadError",
        "SSLWantWriteError",
    )


class ByteStream(Protocol):
    """An open, ordered, two-way stream of bytes. Timeouts are seconds (None: no limit), over it is `TimeoutError`."""

    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        """Some bytes, at most `max_bytes`; b"" when the peer has closed."""
        ...

    def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of `data`. The timeout is for each wait for the peer to take some more."""
        ...

    def readable(self) -> bool:
        """Whether `recv` would return at once: there are bytes, or the peer has closed. Does not wait."""
        ...

    def close(self) -> None:
        """Close. Any number of calls, from any thread; never raises. A `recv` that waits ends with an `OSError`."""
        ...


class SocketStream:
    """A `ByteStream` over a connected socket, plain or TLS."""

    __slots__ = ("_busy", "_pending", "_poll", "_recv", "_sock", "_timeout")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        # What TLS has decrypted already, where there is TLS.
        self._pending: Callable[[], int] | None = getattr(sock, "pending", None)
        self._busy = threading.RLock()
        self._timeout = sock.gettimeout()
        self._poll: select.poll | None = None

    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        try:
            with self._busy:
                if timeout != self._timeout:
                    self._sock.settimeout(timeout)
                    self._timeout = timeout
                return self._recv(max_bytes)
        except BaseException:
            release_if_owned(self._busy)
            raise

    def send(self, data: bytes, timeout: float | None) -> None:
        try:
            with self._busy:
                sock = self._sock
                if timeout != self._timeout:
                    sock.settimeout(timeout)
                    self._timeout = timeout
                sent = sock.send(data)
                if sent < len(data):
                    # Not sendall: its timeout covers the whole transfer, and a slow upload is not a dead one.
                    rest = memoryview(data)[sent:]
                    while rest:
                        rest = rest[sock.send(rest) :]
        except BaseException:
            release_if_owned(self._busy)
            raise

    def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """Wait until the peer takes some of `data` or speaks: the number of bytes taken, or the bytes it said.

        A long upload needs both ears: a peer that answers early and stops reading would block a plain `send`.
        """
        try:
            with self._busy:
                return self._send_or_recv(data, timeout)
        except BaseException:
            release_if_owned(self._busy)
            raise

    def _send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        sock = self._sock
        if self._timeout != 0.0:
            sock.settimeout(0.0)
            self._timeout = 0.0
        waited = False
        while True:
            if self.readable():
                try:
                    return self._recv(_PIECE)
                except OSError as error:
                    if not _would_block(error):
                        raise
            try:
                return sock.send(data[:_PIECE])
            except OSError as error:
                if not _would_block(error):
                    raise
            if waited:
                raise TimeoutError("the peer takes nothing and says nothing")
            selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            waited = not selector.select(timeout)

    def readable(self) -> bool:
        sock = self._sock
        if sock.fileno() < 0:
            return True
        if self._pending is not None and self._pending():
            return True
        if self._poll is None:
            if not hasattr(select, "poll"):  # Windows
                return bool(select.select([sock], [], [], 0)[0])
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)
        return bool(self._poll.poll(0))

    @property
    def tls(self) -> Any:
        """The `SSLSocket` that knows certificate, version and cipher; None: this is plain."""
        return self._sock if self._pending is not None else None

    def close(self) -> None:
        sock = self._sock
        try:
            # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster, or it is closed already.
        try:
            with self._busy:
                sock.close()
        except OSError:
            pass  # The descriptor is gone all the same.
        except BaseException:
            release_if_owned(self._busy)
            raise

    def forget(self) -> None:
        """Close the descriptor of a forked child, without a shutdown, which the parent's connection would feel."""
        try:
            self._sock.close()
        except OSError:
            pass

    def start_tls(self, hostname: str, scope: ConnectScope) -> SocketStream | TLSStream:
        """The same connection under TLS, as `scope.tls` wants it, with the handshake done."""
        if self.tls is not None:
            # It is under TLS to a proxy already, and OpenSSL would encrypt past that.
            from adieu.net.tls.stream import TLSStream

            return TLSStream.start(self, hostname, scope)
        from adieu.net.tls.config import TLSConfig, handshake

        config = scope.tls or TLSConfig()
        sock = config.context_for().wrap_socket(
            self._sock,
            server_hostname=config.name_for(hostname),
            do_handshake_on_connect=False,
            # A stream cut without close_notify may have been cut by anybody (RFC 9112, section 9.8): not an end.
            suppress_ragged_eofs=False,
        )
        scope.own(sock)
        sock.settimeout(scope.remaining())
        handshake(sock, config)
        return SocketStream(sock)


def secured(stream: Any, hostname: str, scope: ConnectScope) -> Any:
    """A sync stream under TLS: its own way, if it has one, or through memory buffers."""
    start = getattr(stream, "start_tls", None)
    if start is not None:
        return start(hostname, scope)
    from adieu.net.tls.stream import TLSStream

    return TLSStream.start(stream, hostname, scope)
