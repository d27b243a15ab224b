"""Closing sockets and other resources without raising, and waking the threads that wait for them."""

from __future__ import annotations

import socket
from typing import Protocol

__all__ = ["Closable", "shut", "shutdown_quietly"]


class Closable(Protocol):
    """Anything with a `close()`."""

    def close(self) -> object: ...


def shut(thing: Closable) -> None:
    """Close it, and wake a thread that waits for it. Never raises."""
    try:
        if isinstance(thing, socket.socket):
            _wake(thing)
            # An interrupt can leave a socket half made: without Python's attributes, but with a descriptor.
            socket.SocketType.close(thing)
        thing.close()
    except Exception:
        pass  # If one cannot be closed, the others are closed all the same.


def _wake(sock: socket.socket) -> None:
    """End a `connect` or a handshake that waits in another thread, which closing a descriptor does not."""
    try:
        # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # Not connecting (any more).


def shutdown_quietly(sock: socket.socket) -> None:
    """Shut the connection down, which the peer notices at once. The descriptor stays open."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # The peer was faster, or another thread was.
