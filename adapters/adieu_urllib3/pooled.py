"""What adieu's pool keeps: a connection of urllib3's, with the stream that it owns.

Theory of operation. A `Connection` is in the pool's table before urllib3 makes the connection that belongs to it, and
owns the stream of that one. So whatever an interrupt, an error or another thread cuts short inside urllib3, the end of
the lease ends the connection. urllib3's own pools hold none: see `pools.LeaseQueue`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.lifecycle.pool import PooledConnection

if TYPE_CHECKING:
    from collections.abc import Hashable

    from adieu.net.scope import ConnectScope
    from adieu_urllib3.foreign import ForeignConnection
    from adieu_urllib3.peer import PeerSocket

__all__ = ["Connection"]


class Connection(PooledConnection):
    """A connection in adieu's pool: the one of urllib3's that uses it, and the stream that it owns."""

    __slots__ = ("closed", "conn", "foreign", "scope", "sock")

    def __init__(self, key: Hashable, number: int, now: float) -> None:
        super().__init__(key, number, now)
        self.conn: Any = None
        self.sock: PeerSocket | None = None
        # What a stream belongs to while it is being opened.
        self.scope: ConnectScope | None = None
        self.foreign: ForeignConnection | None = None
        # Closed before it was open, perhaps: then it may not be opened any more.
        self.closed = False

    def close(self) -> None:
        self.closed = True
        scope, sock, foreign = self.scope, self.sock, self.foreign
        if scope is not None:
            scope.close()
        if sock is not None:
            sock.stream.close()
        if foreign is not None:
            foreign.close()

    def is_stale(self) -> bool:
        # Idle and readable: the peer has closed, or sent bytes that answer no request.
        sock = self.sock
        return sock is not None and (sock.buffered > 0 or sock.stream.readable())

    def forget(self) -> None:
        if self.sock is not None:
            self.sock.stream.forget()
        if self.foreign is not None:
            self.foreign.forget()

    def __repr__(self) -> str:
        state = "not open" if self.sock is None else f"{self.uses} requests"
        return f"<connection {self.id} to {self.key}: {state}>"
