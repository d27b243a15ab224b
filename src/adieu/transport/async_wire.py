"""Wires for asyncio (uvloop included): TCP and Unix sockets, as awaitables over the same dialling."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import ConnectError, InvalidRequest
from adieu.lifecycle.steps import adrive
from adieu.transport import dial
from adieu.transport.async_stream import AsyncSocketStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adieu.messages.origin import Origin
    from adieu.transport.async_stream import AsyncByteStream
    from adieu.transport.dial import Address
    from adieu.transport.tls_stream import AsyncTLSStream
    from adieu.transport.wire import Opening

__all__ = ["AsyncTCPWire", "AsyncUnixWire", "AsyncWire", "secured"]


class AsyncWire(Protocol):
    """Opens async byte streams: see `Wire`."""

    async def open(self, origin: Origin, opening: Opening) -> AsyncByteStream: ...


class AsyncTCPWire:
    """TCP for asyncio: see `TCPWire`."""

    async def open(self, origin: Origin, opening: Opening) -> AsyncByteStream:
        host, port = origin.host, origin.port
        if not host or port is None:
            raise ConnectError(f"{origin} names no host and port to connect to")
        addresses = await self.addresses(host, port, opening)
        sock = await adrive(dial.race(addresses, origin, opening, partial(_writable, opening)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _stream(sock, opening)

    async def addresses(self, host: str, port: int, opening: Opening) -> Sequence[Address]:
        """Where to connect to: see `TCPWire.addresses`."""
        if ":" in host or host[-1].isdigit():
            return dial.lookup(host, port)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def answer(found: Any) -> None:
            try:
                loop.call_soon_threadsafe(_give, future, found)
            except RuntimeError:
                pass  # The loop was closed meanwhile: nobody waits for the addresses any more.

        dial.look_up_aside(host, port, answer)
        timer = None
        if (seconds := opening.left()) is not None:
            timer = loop.call_later(seconds, lambda: _give(future, opening.exceeded()))
        try:
            return await future  # type: ignore[no-any-return]
        finally:
            if timer is not None:
                timer.cancel()


class AsyncUnixWire:
    """A Unix domain socket at `path`, for asyncio."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not hasattr(socket, "AF_UNIX"):
            raise InvalidRequest("this platform has no Unix sockets")

    async def open(self, origin: Origin, opening: Opening) -> AsyncByteStream:
        address: Address = (socket.AF_UNIX, self.path)
        sock = await adrive(dial.race([address], origin, opening, partial(_writable, opening)))
        return _stream(sock, opening)

    def __repr__(self) -> str:
        return f"AsyncUnixWire({self.path!r})"


async def secured(stream: Any, hostname: str, opening: Opening) -> AsyncTLSStream:
    """An async stream under TLS."""
    from adieu.transport.tls_stream import AsyncTLSStream

    return await AsyncTLSStream.start(stream, hostname, opening)


def _stream(sock: socket.socket, opening: Opening) -> AsyncSocketStream:
    stream = AsyncSocketStream(sock, asyncio.get_running_loop())
    # The stream knows what the loop has registered for the socket; from here on it is the one to be closed.
    opening.own(stream)
    return stream


async def _writable(
    opening: Opening, sockets: Iterable[socket.socket], seconds: float | None
) -> list[socket.socket]:
    """Wait until one of the sockets is connected, or has failed to be."""
    watch = _Watch(asyncio.get_running_loop())
    opening.own(
        watch
    )  # Closed before the sockets are: a closed one cannot be taken out of the loop's tables.
    timer = None
    try:
        for sock in sockets:
            watch.add(sock)
        if seconds is not None:
            timer = watch.loop.call_later(seconds, _give, watch.future, None)
        await watch.future
    finally:
        if timer is not None:
            timer.cancel()
        watch.forget()
    return watch.ready


class _Watch:
    """Sockets that the loop watches until one of them is writable."""

    __slots__ = ("_watched", "future", "loop", "ready")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.ready: list[socket.socket] = []
        self._watched: list[socket.socket] = []

    def add(self, sock: socket.socket) -> None:
        self._watched.append(sock)
        self.loop.add_writer(sock, self._writable, sock)

    def _writable(self, sock: socket.socket) -> None:
        self.loop.remove_writer(sock)
        self._watched.remove(sock)
        self.ready.append(sock)
        _give(self.future, None)

    def forget(self) -> None:
        """Take them out of the loop's tables."""
        for sock in self._watched:
            self.loop.remove_writer(sock)
        self._watched = []

    def close(self) -> None:
        """The opening is closed from elsewhere: whoever waits is told."""
        if not self.loop.is_closed():
            self.forget()
            _give(self.future, ConnectionAbortedError("the connection was closed"))


def _give(future: asyncio.Future[Any], found: Any) -> None:
    if future.done():
        return
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)
