"""The sockets that race for one connection: what owns them, whichever event loop watches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from adieu.errors import RequestTimeout
    from adieu.net.connect import Connect
    from adieu.net.scope import ConnectScope

__all__ = ["RacingSockets"]


class RacingSockets:
    """For the race it stands for the scope.

    A socket that a loop watches must be taken out of the loop's tables before it is closed, and that by the loop's own
    thread. So the sockets of a race are owned together, with their watch, which a subclass knows how to end.
    """

    __slots__ = ("_opening", "_sockets", "closed")

    def __init__(self, scope: ConnectScope) -> None:
        self._opening: ConnectScope | None = scope
        self._sockets: list[socket.socket] = []
        self.closed = False
        scope.own(self)

    @property
    def connect(self) -> Connect | None:
        assert self._opening is not None
        return self._opening.connect

    def own(self, sock: socket.socket) -> None:
        self._sockets.append(sock)
        if self.closed:
            raise ConnectionAbortedError("the connection was closed")

    def remaining(self) -> float | None:
        assert self._opening is not None
        return self._opening.remaining()

    def exceeded(self) -> RequestTimeout:
        assert self._opening is not None
        return self._opening.exceeded()

    def over(self) -> None:
        """The race is over. The scope still knows the sockets; if they knew the scope, that would be a cycle."""
        self._opening = None

    def close(self) -> None:
        raise NotImplementedError
