"""Connections of an `HTTPAdapter` that tell how far a request has come, and that can be closed while it waits.

requests' `send` returns when there is an answer, and says nothing before. Its connections are urllib3's, whose pools
may be subclassed, and so may their connections: `ConnectionCls`. A connection through a proxy is not watched.
"""

from __future__ import annotations

import socket
import threading
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from urllib3.connection import HTTPConnection

from adieu.net.closing import shut

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

    from adieu.errors import Sent
    from adieu.lifecycle.deadline import Deadline

__all__ = ["Progress", "Watch"]


class Progress:
    """One request. `sent`: how much of it; None: that is not known. `write_error`: what sending it has failed with."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.sent: Sent | None = None
        self.write_error: Exception | None = None


class Watch(threading.local):
    """The request that this thread sends by an adapter, and the connections of the adapter, in all threads."""

    progress: Progress | None = None

    def __init__(self, connections: WeakSet[Any]) -> None:
        self.connections = connections

    @classmethod
    def over(cls, adapter: HTTPAdapter) -> Watch:
        """Watch the connections that this adapter makes from now on."""
        watch = cls(WeakSet())
        manager = adapter.poolmanager
        manager.pool_classes_by_scheme = {
            scheme: _pool_class(pool, watch)
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }
        return watch

    def shut(self) -> None:
        """Close all connections; threads that wait for one wake up."""
        for connection in list(self.connections):
            sock = connection.sock
            if isinstance(sock, socket.socket):
                shut(sock)


def _pool_class(pool: type[Any], watch: Watch) -> type[Any]:
    watched = cache(partial(_connection_class, watch))

    class WatchedPool(pool):  # type: ignore[misc]
        # Asked anew each time: tools that record and mock replace it while they are in use.
        @property
        def ConnectionCls(self) -> Any:  # noqa: N802 - the name of urllib3
            kind = super().ConnectionCls
            return watched(kind) if issubclass(kind, HTTPConnection) else kind

    WatchedPool.__name__ = WatchedPool.__qualname__ = pool.__name__
    return WatchedPool


def _connection_class(watch: Watch, kind: type[Any]) -> type[Any]:
    class WatchedConnection(kind):  # type: ignore[misc]
        def connect(self) -> None:
            progress = watch.progress
            if progress is not None:
                progress.sent = "no"
            super().connect()
            watch.connections.add(self)

        def send(self, data: Any) -> None:
            progress = watch.progress
            if progress is None:
                super().send(data)
                return
            if self.sock is None:
                self.connect()
            progress.sent = "partly"
            assert self.sock is not None
            self.sock.settimeout(progress.deadline.remaining("write"))
            try:
                super().send(data)
            except Exception as error:
                progress.write_error = error
                raise

        def getresponse(self) -> Any:
            progress = watch.progress
            if progress is not None and progress.write_error is None:
                progress.sent = "wholly"
            return super().getresponse()

    WatchedConnection.__name__ = WatchedConnection.__qualname__ = kind.__name__
    return WatchedConnection
