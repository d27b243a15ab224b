"""The base of the async streams over sockets: the operations that do not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.net.polling import READ, poller
from adieu.net.stream import AsyncByteStream

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["PIECE", "NonBlockingSocket"]

PIECE = 64 * 1024
"""How much of an upload is offered to the system at once (bytes)."""


class NonBlockingSocket(AsyncByteStream):
    """A connected, non-blocking socket. Subclasses wait for it."""

    __slots__ = ("_closed", "_poll", "_recv", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._closed = False
        self._poll: Callable[[float | None], object] | None = None

    def readable(self) -> bool:
        if self._closed:
            return True
        if self._poll is None:
            self._poll = poller(self._sock, READ)
        return bool(self._poll(0))

    def send_now(self, data: bytes) -> None:
        if not self._closed:
            self._send_some(data)

    def _send_some(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise self._explained(error) from None

    def _is_closed(self) -> bool:
        """The descriptor is closed. `_closed` is not enough: an interrupt may have stopped the close in the middle."""
        return self._sock.fileno() < 0

    def _explained(self, error: OSError) -> OSError:
        """The error of a failed operation; if the stream was closed meanwhile, one that says so, instead of EBADF."""
        return ConnectionAbortedError("the connection was closed") if self._closed else error

    def forget(self) -> None:
        # Without a shutdown and without the loop, which belong to the parent.
        self._closed = True
        try:
            self._sock.close()
        except OSError:
            pass
