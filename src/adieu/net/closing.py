"""Closing sockets, and other things, so that threads that wait for them wake up, and nothing is raised."""

from __future__ import annotations

import socket
from typing import Protocol

__all__ = ["Closable", "shut", "shutdown_quietly"]


class Closable(Protocol):
    """Anything with a `close()`."""

    def close(self) -> object: ...


def shut(thing: Closable) -> None:
    """Close it, and wake whoever waits for it. Never raises."""
    try:
        if isinstance(thing, socket.socket):
            _wake(thing)
            # Python's own half of a socket may be missing still; the descriptor is in the other half.
            socket.SocketType.close(thing)
        thing.close()
    except Exception:
        pass  # One that cannot be closed must not keep the others open.


def _wake(sock: socket.socket) -> None:
    """End a `connect` or a handshake that waits in another thread, which closing a descriptor does not."""
    try:
        # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # Not connecting (any more).


def shutdown_quietly(sock: socket.socket) -> None:
    """Tell the peer at once, while the descriptor has to wait for the thread of its event loop."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # The peer was faster, or another thread was.
