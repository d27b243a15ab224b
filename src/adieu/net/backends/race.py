"""The owner of the sockets that race to become one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from adieu.errors import RequestTimeout
    from adieu.lifecycle.reporting import Connecting
    from adieu.net.connect import Connect
    from adieu.net.scope import ConnectScope

__all__ = ["RacingSockets"]


class RacingSockets:
    """Stands in for the scope during the race.

    A socket that an event loop watches must be removed from the loop before it is closed, and in the loop's own thread.
    So the sockets of a race are owned together, and a subclass knows how to remove them.
    """

    __slots__ = ("_scope", "_sockets", "closed")

    def __init__(self, scope: ConnectScope) -> None:
        self._scope: ConnectScope | None = scope
        self._sockets: list[socket.socket] = []
        self.closed = False
        scope.own(self)

    @property
    def connect(self) -> Connect | None:
        assert self._scope is not None
        return self._scope.connect

    @property
    def events(self) -> Connecting | None:
        assert self._scope is not None
        return self._scope.events

    def own(self, sock: socket.socket) -> None:
        self._sockets.append(sock)
        if self.closed:
            raise ConnectionAbortedError("the connection was closed")

    def remaining(self) -> float | None:
        assert self._scope is not None
        return self._scope.remaining()

    def exceeded(self) -> RequestTimeout:
        assert self._scope is not None
        return self._scope.exceeded()

    def finish(self) -> None:
        """Forget the scope, which refers to this object: otherwise the two would be a reference cycle."""
        self._scope = None

    def close(self) -> None:
        raise NotImplementedError
