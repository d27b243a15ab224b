"""Byte streams over plain sockets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from adieu.net.polling import WRITE, milliseconds, poller
from adieu.net.socket_base import SocketBase, aborted

if TYPE_CHECKING:
    import socket

    from adieu.lifecycle.deadline import TimeLimit
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import ByteStream

__all__ = ["SocketStream"]


class SocketStream(SocketBase):
    """A `ByteStream` over a connected socket. For a TLS socket (`ssl.SSLSocket`) it gives one that knows TLS."""

    __slots__ = ()

    def __new__(cls, sock: socket.socket) -> SocketStream:
        # ssl takes long to import. As long as it is not imported, no socket is an SSLSocket.
        ssl = sys.modules.get("ssl")
        if ssl is None or not isinstance(sock, ssl.SSLSocket):
            return super().__new__(cls)
        if cls is not SocketStream:
            raise TypeError(
                f"{cls.__name__} is for plain sockets: only SocketStream itself takes a TLS socket"
            )
        from adieu.net.tls.socket_stream import TLSSocketStream

        secured: Any = sock
        return TLSSocketStream(secured)  # type: ignore[return-value]

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
                    if not self._wait_readable(self._milliseconds):
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
                raise aborted()  # The end is our own, not the peer's.
        return data

    def send(self, data: bytes, limit: TimeLimit) -> None:
        try:
            with self._writing:
                if self._closed:
                    raise aborted()
                # A peer that takes everything at once must not make the call longer.
                limit.remaining("write")
                try:
                    sent = self._send(data)
                except BlockingIOError:
                    sent = 0
                if sent < len(data):
                    self._send_rest(memoryview(data)[sent:], limit)
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()

    def _send_rest(self, rest: memoryview, limit: TimeLimit) -> None:
        # Not sendall: its timeout covers the whole transfer, and a slow upload is not a dead one.
        wait_writable = poller(self._sock, WRITE)
        while rest:
            if self._closed:
                raise aborted()
            if not wait_writable(milliseconds(limit.remaining("write"))):
                raise TimeoutError("the peer takes nothing")
            rest = rest[self._write_now(rest) :]

    def _read_now(self, max_bytes: int) -> bytes | None:
        if self._closed:
            raise aborted()
        try:
            return self._recv(max_bytes)
        except BlockingIOError:
            return None

    def _write_now(self, data: memoryview) -> int:
        if self._closed:
            raise aborted()
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def start_tls(self, hostname: str, scope: ConnectScope) -> ByteStream:
        from adieu.net.tls.socket_stream import TLSSocketStream

        return TLSSocketStream.start(self._sock, hostname, scope)
