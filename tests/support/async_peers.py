"""A cheap peer: it runs in the same event loop and answers each request with its path."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import adieu
from adieu.net.async_backend import current_backend, in_trio
from adieu.net.async_wire import AsyncWire
from adieu_native import AsyncNativeAdapter
from support.steering import spawn, wait

if TYPE_CHECKING:
    from typing_extensions import Self

    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AsyncByteStream

__all__ = ["Memory"]


class Memory(AsyncWire):
    """A wire to a server in the same loop: each stream is one end of a socketpair, and the loop serves the other.

    `GET /name` is answered with ``/name``; `accepted` counts the streams.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._served: list[Any] = []

    def client(self, **options: Any) -> adieu.AsyncClient:
        """A client that can reach this peer only."""
        limits = options.pop("limits", None)
        adapter: Any = AsyncNativeAdapter(self, limits=limits)
        return adieu.AsyncClient("http://memory.example", adapter=adapter, **options)

    async def open(self, origin: Any, scope: ConnectScope) -> AsyncByteStream:
        ours, theirs = socket.socketpair()
        scope.own(ours)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.accepted += 1
        self._served.append(spawn(self._serve(theirs)))
        return current_backend().stream(ours, scope)

    async def _serve(self, sock: socket.socket) -> None:
        if in_trio():
            await self._serve_in_trio(sock)
            return
        loop = asyncio.get_running_loop()
        with sock:
            while request := await loop.sock_recv(sock, 65_536):
                await loop.sock_sendall(sock, _answer(request))

    async def _serve_in_trio(self, sock: socket.socket) -> None:
        import trio

        with trio.socket.from_stdlib_socket(sock) as other:
            while request := await other.recv(65_536):
                await other.send(_answer(request))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        # The clients are closed, so each server task has read the end of its stream, or will.
        await wait(self._served, timeout=30)
        assert all(task.done() and task.exception() is None for task in self._served)


def _answer(request: bytes) -> bytes:
    name = request.split(b" ", 2)[1]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(name) + name
