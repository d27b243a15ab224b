"""Byte streams over TLS sockets, where OpenSSL uses the descriptor itself."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from adieu.lifecycle.lock import locked, new_lock, release_if_owned
from adieu.net.polling import READ, WRITE, milliseconds, poller
from adieu.net.socket_base import SocketBase, aborted
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.handshake import handshake
from adieu.net.tls.sessions import resume

if TYPE_CHECKING:
    import socket

    from adieu.lifecycle.deadline import TimeLimit
    from adieu.net.scope import ConnectScope
    from adieu.net.tls.sessions import Resumption

__all__ = ["TLSSocketStream"]


class TLSSocketStream(SocketBase):
    """A `SocketStream` over an `ssl.SSLSocket`, after its handshake.

    OpenSSL's object for a connection must not be used by two threads at once, and only some releases of Python protect
    it. So every operation on it runs under a lock, and never waits there: one that cannot go on raises an error that
    names what it needs, and the wait for that happens outside, while the other direction may go on.
    """

    __slots__ = ("_ended", "_may_have_more", "_resumption", "_session", "_tls")

    def __init__(self, sock: ssl.SSLSocket, resumption: Resumption | None = None) -> None:
        super().__init__(sock)
        self._tls = sock
        # Until the first bytes have come, and the session with them.
        self._resumption = resumption
        # Taken for each single operation, by a thread that has the lock of its direction.
        self._session = new_lock()
        # The peer has sent its close_notify. It may have left the connection open.
        self._ended = False
        # OpenSSL may have something for the next read, whatever the socket says: bytes, the end, or an error.
        self._may_have_more = True

    @classmethod
    def start(cls, sock: socket.socket, hostname: str, scope: ConnectScope) -> TLSSocketStream:
        """The secured stream over a plain socket, after the handshake."""
        config = scope.tls or TLSConfig()
        context, name = config.context_for(), config.name_for(hostname)
        secured = context.wrap_socket(
            sock,
            server_hostname=name,
            do_handshake_on_connect=False,
            # A stream cut without close_notify may have been cut by anybody (RFC 9112, section 9.8): not an end.
            suppress_ragged_eofs=False,
        )
        scope.own(secured)
        resumption = resume(secured, context, config, name, scope.peer)
        secured.setblocking(False)
        try:
            _agree(secured, config, scope)
        except BaseException:
            if resumption is not None:
                resumption.failed()
            raise
        return cls(secured, resumption)

    def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        data = None
        try:
            with self._reading:
                while data is None:
                    if self._closed:
                        raise aborted()
                    seconds = limit.remaining("read")
                    if seconds != self._seconds:
                        self._seconds, self._milliseconds = seconds, milliseconds(seconds)
                    if not self._may_have_more and not self._wait_readable(self._milliseconds):
                        raise TimeoutError("the peer sends nothing")
                    try:
                        data = self._read(max_bytes)
                    except OSError as error:
                        if _needed(error) == READ:
                            # Part of a record, or one that carries no data: a session ticket, new keys.
                            self._may_have_more = False
                        else:
                            self._may_have_more = True
                            _wait_for(self._tls, error, seconds)
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()
        return data

    def send(self, data: bytes, limit: TimeLimit) -> None:
        try:
            with self._writing:
                rest: bytes | memoryview = data
                while True:
                    seconds = limit.remaining("write")
                    try:
                        sent = self._write(rest)
                    except OSError as error:
                        # OpenSSL wants the same data again after the wait.
                        _wait_for(self._tls, error, seconds)
                        continue
                    if sent == len(rest):
                        break
                    rest = memoryview(rest)[sent:]
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()

    def _read(self, max_bytes: int) -> bytes:
        if self._closed:
            raise aborted()
        with self._session:
            data = self._recv(max_bytes)
            if self._resumption is not None and data:
                resumption, self._resumption = self._resumption, None
                resumption.keep(self._tls)
        if not data:
            self._ended = True
        # A read returns the rest of one record at most, so one that returned less than it could has left nothing.
        self._may_have_more = self._ended or len(data) == max_bytes
        return data

    def _write(self, data: bytes | memoryview) -> int:
        if self._closed:
            raise aborted()
        with self._session:
            return self._send(data)

    def _read_now(self, max_bytes: int) -> bytes | None:
        try:
            return self._read(max_bytes)
        except OSError as error:
            if not _needed(error):
                raise
            return None

    def _write_now(self, data: memoryview) -> int:
        try:
            return self._write(data)
        except OSError as error:
            if not _needed(error):
                raise
            return 0

    def readable(self) -> bool:
        return locked(self._session, self._has_decrypted) or super().readable()

    def _has_decrypted(self) -> bool:
        return self._ended or self._tls.pending() > 0

    @property
    def tls(self) -> ssl.SSLSocket:
        return self._tls

    def _release(self) -> None:
        release_if_owned(self._session)
        super()._release()


def _agree(sock: ssl.SSLSocket, config: TLSConfig, limit: TimeLimit) -> None:
    """Do the handshake of a socket that does not block."""
    while True:
        try:
            handshake(sock, config)
            return
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            _wait_for(sock, error, limit.remaining("connect"))
        except (AttributeError, ValueError, OSError):
            if (
                sock.fileno() < 0
            ):  # Another thread has closed it, and with it the object of OpenSSL.
                raise aborted() from None
            raise


def _wait_for(sock: ssl.SSLSocket, error: OSError, seconds: float | None) -> None:
    """Wait until an operation that could not go on can be tried again; raise `error` if it has failed for good."""
    events = _needed(error)
    if not events:
        raise error
    if not poller(sock, events)(milliseconds(seconds)):
        raise TimeoutError("the peer does not go on")


def _needed(error: OSError) -> int:
    """What an operation of TLS waits for: `READ` or `WRITE`; 0: it has failed."""
    if isinstance(error, ssl.SSLWantReadError):
        return READ
    return WRITE if isinstance(error, ssl.SSLWantWriteError) else 0
