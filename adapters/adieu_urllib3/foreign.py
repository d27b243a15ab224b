"""A response over a connection that is not adieu's: of the user's own manager, or of a tool that patches urllib3.

What urllib3 promises for such a connection holds, and not more: its socket is bounded by the deadline at each read, and
closing it wakes a thread that reads from it.
"""

from __future__ import annotations

import socket
from queue import LifoQueue
from typing import TYPE_CHECKING

import urllib3
from urllib3.connection import HTTPConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3._base_connection import BaseHTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.response import BaseHTTPResponse

    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline

__all__ = ["ForeignConnection", "connection_of", "forget_inherited"]

_PIECE = 64 * 1024


def connection_of(response: BaseHTTPResponse) -> HTTPConnection | BaseHTTPConnection | None:
    """The connection that a response came over. One that a tool makes up may have none."""
    return response.connection if isinstance(response, urllib3.HTTPResponse) else None


def forget_inherited(manager: urllib3.PoolManager) -> list[HTTPConnectionPool]:
    """In a forked child: empty a manager, whose idle connections are the parent's, as the holders of its locks are.

    Returns its pools, to be kept: dropped, they would wait for locks of their own.
    """
    pools = manager.pools
    pools.lock = type(pools)().lock  # A new one, as urllib3 makes it.
    inherited = []
    for key in pools.keys():  # noqa: SIM118 - it is no mapping that could be iterated.
        pool = pools[key]
        inherited.append(pool)
        del pools[key]
        idle = pool.pool
        for connection in list(idle.queue) if isinstance(idle, LifoQueue) else ():
            if isinstance(connection, HTTPConnection) and connection.sock is not None:
                # The descriptor alone: the parent's connection would feel a shutdown.
                connection.sock.close()
    return inherited


class ForeignConnection:
    """The response, and through it the connection."""

    __slots__ = ("_pieces", "_response", "_sock")

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response: BaseHTTPResponse | None = response
        connection = connection_of(response)
        # Kept: urllib3 forgets the connection when the server said that it closes it.
        self._sock = connection.sock if isinstance(connection, HTTPConnection) else None
        # A response without a connection has not always `read1`.
        self._pieces: Iterator[bytes] | None = None
        if connection is None:
            self._pieces = iter(response.stream(_PIECE, decode_content=False))

    def framing(self, method: str) -> tuple[Framing, int | None]:
        """How the end of the body is marked, as far as urllib3 tells."""
        response = self._response
        assert response is not None
        if method == "HEAD" or response.status in (204, 304):
            return "none", 0
        if not isinstance(response, urllib3.HTTPResponse):
            return "close", None  # A recorder's own class, which ends when its pieces do.
        if response.chunked:
            return "chunked", None
        if (length := response.length_remaining) is None:
            return "close", None
        return ("length" if length else "none"), length

    def read(self, size: int, deadline: Deadline) -> bytes:
        """The next bytes of the body; b"" at its end."""
        limit = deadline.remaining("read")
        response = self._response
        if response is None:
            raise ConnectionAbortedError("the connection was closed")
        if isinstance(self._sock, socket.socket) and self._sock.fileno() >= 0:
            self._sock.settimeout(limit)
        if self._pieces is not None:
            return next(self._pieces, b"")
        return response.read1(size, decode_content=False)

    def release(self) -> None:
        """Give the connection back to the pool of urllib3 that it came from."""
        response, self._response, self._sock = self._response, None, None
        if response is not None:
            response.release_conn()

    def close(self) -> None:
        """Close the connection, and wake a thread that reads from it. Never raises."""
        response, sock = self._response, self._sock
        if response is None:
            return
        try:
            if isinstance(sock, socket.socket):
                # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster, or it is closed already.
        try:
            if (connection := connection_of(response)) is not None:
                connection.close()
            response.close()
            response.release_conn()  # Its place: the next request that gets the connection opens it.
        except Exception:
            pass  # One that cannot be closed must not keep the others open.
        self._response = None

    def forget(self) -> None:
        """Close the descriptor of a forked child, without a shutdown, which the parent's connection would feel."""
        if isinstance(self._sock, socket.socket):
            self._sock.close()
