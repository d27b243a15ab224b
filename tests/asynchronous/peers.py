"""A peer that costs next to nothing: it lives in the same event loop, and answers a request with its path."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import adieu
from adieu.transport.async_completion import AsyncCompletionStream, watches
from adieu.transport.async_stream import AsyncSocketStream
from adieu_h11 import AsyncH11Adapter

if TYPE_CHECKING:
    from typing_extensions import Self

    from adieu.transport.async_stream import AsyncByteStream
    from adieu.transport.wire import Opening

__all__ = ["Memory"]


class Memory:
    """A wire whose other end is here: each stream is one end of a socketpair, the loop serves the other.

    `GET /name` is answered with ``/name``; `accepted` counts the streams.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._served: set[asyncio.Task[None]] = set()

    def client(self, **options: Any) -> adieu.AsyncClient:
        """A client that reaches nothing but this."""
        limits = options.pop("limits", None)
        adapter: Any = AsyncH11Adapter(self, limits=limits)
        return adieu.AsyncClient("http://memory.example", adapter=adapter, **options)

    async def open(self, origin: Any, opening: Opening) -> AsyncByteStream:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        opening.own(ours)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.accepted += 1
        task = loop.create_task(self._serve(theirs))
        self._served.add(task)
        task.add_done_callback(self._served.discard)
        kind = AsyncSocketStream if watches(loop) else AsyncCompletionStream
        stream = kind(ours, loop)
        opening.own(stream)
        return stream

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock:
            while request := await loop.sock_recv(sock, 65_536):
                name = request.split(b" ", 2)[1]
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(name)
                await loop.sock_sendall(sock, head + name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        # The clients have gone, so each has read the end of its stream, or will.
        if self._served:
            await asyncio.wait(self._served, timeout=5)
        assert not self._served
