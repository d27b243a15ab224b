"""Byte streams over sockets: a timeout for each wait, both directions at once, and a close that any thread may call.

Invariants:

- One thread may be in `recv` while another is in `send`. Each direction has a lock of its own.
- The socket never blocks. A thread waits in poll(), with the timeout of its own call: a timeout set on the socket would
  be shared by both directions.
- A descriptor is closed only when no thread waits for it: the system may give its number to another socket, and the
  waiting thread would read that one's bytes. `close` first marks the stream as closed and shuts the connection down,
  which wakes every thread that waits; then it gives them a moment to leave. If one does not, that one closes the
  descriptor as it leaves. So `close` always ends: it may run in a finalizer, at any line of any thread, and while the
  interpreter ends, which has stopped the other threads for good and is not waited for.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from adieu.lifecycle.lock import is_owned, locked, new_lock, release_if_owned, try_acquire
from adieu.net.polling import READ, WRITE, milliseconds, poller
from adieu.net.stream import ByteStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from adieu.net.scope import ConnectScope
    from adieu.net.tls.sessions import Resumption

__all__ = ["SocketStream"]

_PIECE = 64 * 1024
# How long `close` waits for the threads that it has woken (seconds).
_A_MOMENT = 1.0


class SocketStream(ByteStream):
    """A `ByteStream` over a connected socket, plain or TLS (`ssl.SSLSocket`)."""

    __slots__ = (
        "_closed",
        "_has_input",
        "_limit",
        "_reading",
        "_recv",
        "_send",
        "_sock",
        "_timeout",
        "_wait_readable",
        "_writing",
    )

    def __new__(cls, sock: socket.socket) -> SocketStream:
        # ssl takes long to import. As long as it is not imported, no socket is an SSLSocket.
        ssl = sys.modules.get("ssl")
        if ssl is None or not isinstance(sock, ssl.SSLSocket):
            return super().__new__(cls)
        if cls is not SocketStream:
            raise TypeError(
                f"{cls.__name__} is for plain sockets: only SocketStream itself takes a TLS socket"
            )
        return _TLSSocketStream.__new__(_TLSSocketStream, sock)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._send = sock.send
        # The timeout of the latest `recv`, in seconds, and as `_wait_readable` takes it.
        self._timeout: float | None = None
        self._limit: float | None = None
        self._closed = False
        self._reading = new_lock()
        self._writing = new_lock()
        try:
            sock.setblocking(False)
        except OSError:
            pass  # Its owner has closed it meanwhile, which the first operation will find.
        self._wait_readable = poller(sock, READ)
        # For `readable`, which does not wait for the thread that uses the other one.
        self._has_input: Callable[[float | None], object] | None = None

    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        data = None
        try:
            with self._reading:
                if timeout != self._timeout:
                    self._timeout, self._limit = timeout, milliseconds(timeout)
                while data is None:
                    if self._closed:
                        raise _aborted()
                    if not self._wait_readable(self._limit):
                        raise TimeoutError("the peer sends nothing")
                    try:
                        data = self._recv(max_bytes)
                    except BlockingIOError:
                        pass  # The system may report a socket as readable that is not.
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()
            if not data:
                raise _aborted()  # The end is our own, not the peer's.
        return data

    def send(self, data: bytes, timeout: float | None) -> None:
        try:
            with self._writing:
                if self._closed:
                    raise _aborted()
                try:
                    sent = self._send(data)
                except BlockingIOError:
                    sent = 0
                if sent < len(data):
                    self._send_rest(memoryview(data)[sent:], timeout)
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()

    def _send_rest(self, rest: memoryview, timeout: float | None) -> None:
        # Not sendall: its timeout covers the whole transfer, and a slow upload is not a dead one.
        wait_writable = poller(self._sock, WRITE)
        while rest:
            if self._closed:
                raise _aborted()
            if not wait_writable(milliseconds(timeout)):
                raise TimeoutError("the peer takes nothing")
            rest = rest[self._write_now(rest) :]

    def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        try:
            done = self._send_or_recv(data[:_PIECE], timeout)
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()
        return done

    def _send_or_recv(self, piece: memoryview, timeout: float | None) -> int | bytes:
        expired = False
        while True:
            if self.readable():
                with self._reading:
                    answer = self._read_now(_PIECE)
                if answer is not None:
                    return answer
            with self._writing:
                taken = self._write_now(piece)
            if taken:
                return taken
            if expired:
                raise TimeoutError("the peer takes nothing and sends nothing")
            with self._reading:
                if not self._closed:
                    wait = poller(self._sock, READ | WRITE)
                    expired = not wait(milliseconds(timeout))

    def _read_now(self, max_bytes: int) -> bytes | None:
        """Bytes that are there without waiting, b"" at the peer's end; None: nothing is there."""
        if self._closed:
            raise _aborted()
        try:
            return self._recv(max_bytes)
        except BlockingIOError:
            return None

    def _write_now(self, data: memoryview) -> int:
        """Send what the system takes without waiting: the number of bytes."""
        if self._closed:
            raise _aborted()
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def readable(self) -> bool:
        if self._closed:
            return True
        if self._has_input is None:
            self._has_input = poller(self._sock, READ)
        return bool(self._has_input(0))

    def close(self) -> None:
        self._closed = True
        sock = self._sock
        try:
            # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster, or it is closed already.
        self._finish_close(_A_MOMENT)

    def _finish_close(self, patience: float = 0.0) -> None:
        """Close the descriptor, unless a thread uses it for longer than that (seconds): it does this as it leaves."""
        reading, writing = self._reading, self._writing
        if is_owned(reading) or is_owned(writing):
            # A finalizer or a signal handler, in the middle of a call of its own thread, which does this as it leaves.
            return
        try:
            while try_acquire(reading, patience):
                if try_acquire(writing, patience):
                    self._sock.close()
                    writing.release()
                    reading.release()
                    return
                reading.release()
                # The thread that sends closes the descriptor, unless it found `_reading` taken as it left.
                if not writing.acquire(False):
                    return
                writing.release()
        except OSError:
            self._release()  # The descriptor is gone all the same.
        except BaseException:
            self._release()
            raise

    def _leave(self, error: BaseException) -> None:
        """Clean up after an operation that raised. Of one that `close` ended, say so."""
        self._release()
        if self._closed:
            self._finish_close()
            if isinstance(error, OSError):
                raise _aborted() from None

    def _release(self) -> None:
        release_if_owned(self._reading)
        release_if_owned(self._writing)

    def forget(self) -> None:
        # Without a shutdown, which would end the parent's connection too.
        self._closed = True
        try:
            self._sock.close()
        except OSError:
            pass

    def start_tls(self, hostname: str, scope: ConnectScope) -> ByteStream | None:
        if self.tls is not None:
            return None  # It is under TLS to a proxy already, and OpenSSL would encrypt past that.
        from adieu.net.tls.config import TLSConfig
        from adieu.net.tls.handshake import handshake
        from adieu.net.tls.sessions import resume

        config = scope.tls or TLSConfig()
        context, name = config.context_for(), config.name_for(hostname)
        sock = context.wrap_socket(
            self._sock,
            server_hostname=name,
            do_handshake_on_connect=False,
            # A stream cut without close_notify may have been cut by anybody (RFC 9112, section 9.8): not an end.
            suppress_ragged_eofs=False,
        )
        scope.own(sock)
        resumption = resume(sock, context, config, name, scope.peer)
        sock.settimeout(scope.remaining())
        try:
            handshake(sock, config)
        except BaseException:
            if resumption is not None:
                resumption.failed()
            raise
        return _TLSSocketStream(sock, resumption)


class _TLSSocketStream(SocketStream):
    """A `SocketStream` over an `ssl.SSLSocket`, after its handshake.

    OpenSSL's object for a connection must not be used by two threads at once, and only some releases of Python protect
    it. So every operation on it runs under a lock, and never waits there: one that cannot go on raises an error that
    names what it needs, and the wait for that happens outside, while the other direction may go on.
    """

    __slots__ = ("_ended", "_may_have_more", "_resumption", "_session", "_tls")

    def __new__(cls, sock: socket.socket, resumption: Resumption | None = None) -> _TLSSocketStream:
        return object.__new__(cls)

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

    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        data = None
        try:
            with self._reading:
                if timeout != self._timeout:
                    self._timeout, self._limit = timeout, milliseconds(timeout)
                while data is None:
                    if self._closed:
                        raise _aborted()
                    if not self._may_have_more and not self._wait_readable(self._limit):
                        raise TimeoutError("the peer sends nothing")
                    try:
                        data = self._read(max_bytes)
                    except OSError as error:
                        if _needed(error) == READ:
                            # Part of a record, or one that carries no data: a session ticket, new keys.
                            self._may_have_more = False
                        else:
                            self._may_have_more = True
                            self._wait_for(error, timeout)
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()
        return data

    def send(self, data: bytes, timeout: float | None) -> None:
        try:
            with self._writing:
                rest: bytes | memoryview = data
                while True:
                    try:
                        sent = self._write(rest)
                    except OSError as error:
                        # OpenSSL wants the same data again after the wait.
                        self._wait_for(error, timeout)
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
            raise _aborted()
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
            raise _aborted()
        with self._session:
            return self._send(data)

    def _wait_for(self, error: OSError, timeout: float | None) -> None:
        """Wait until an operation that could not go on can be tried again; raise `error` if it has failed for good."""
        events = _needed(error)
        if not events:
            raise error
        if not self._closed and not poller(self._tls, events)(milliseconds(timeout)):
            raise TimeoutError("the peer takes nothing")

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


def _needed(error: OSError) -> int:
    """What an operation of TLS waits for: `READ` or `WRITE`; 0: it has failed."""
    # By name, because this module does without ssl for plain connections.
    return {"SSLWantReadError": READ, "SSLWantWriteError": WRITE}.get(type(error).__name__, 0)


def _aborted() -> ConnectionAbortedError:
    return ConnectionAbortedError("the connection was closed")
