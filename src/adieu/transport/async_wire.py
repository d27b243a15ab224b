"""Wires for asyncio (uvloop included): TCP and Unix sockets, as awaitables over the same dialling.

What is being opened is owned as in `wire`. A socket that a loop watches must be taken out of the loop's tables before
it is closed, and that by the loop's own thread; so the sockets of a dialling are owned together, with their watch.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import ConnectError, InvalidRequest
from adieu.lifecycle.steps import adrive
from adieu.transport import dial
from adieu.transport.async_completion import AsyncCompletionStream, polled, watches
from adieu.transport.async_stream import AsyncSocketStream
from adieu.transport.async_wait import Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adieu.errors import RequestTimeout
    from adieu.messages.origin import Origin
    from adieu.transport.async_stream import AsyncByteStream
    from adieu.transport.dial import Address
    from adieu.transport.tls_stream import AsyncTLSStream
    from adieu.transport.wire import Opening

__all__ = ["AsyncTCPWire", "AsyncUnixWire", "AsyncWire", "secured"]

# A Unix socket whose queue is full says so at once; how soon and how late it is asked again (seconds).
_SOON, _LATE = 0.001, 0.05


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
        dialling: Any = _Dialling(opening)
        try:
            sock = await adrive(dial.race(addresses, origin, dialling, dialling.ready))
        finally:
            dialling.over()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _stream(sock, opening)

    async def addresses(self, host: str, port: int, opening: Opening) -> Sequence[Address]:
        """Where to connect to: see `TCPWire.addresses`."""
        if ":" in host or host[-1].isdigit():
            return dial.lookup(host, port)
        answer = _Answer()
        opening.own(answer)
        dial.look_up_aside(host, port, answer.give)
        timer = None
        if (seconds := opening.left()) is not None:
            timer = answer.loop.call_later(seconds, lambda: answer.give(opening.exceeded()))
        try:
            return await answer.future  # type: ignore[no-any-return]
        finally:
            answer.future.cancel()  # Whatever is given from now on, nobody waits for it.
            if timer is not None:
                timer.cancel()


class AsyncUnixWire:
    """A Unix domain socket at `path`, for asyncio."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not hasattr(socket, "AF_UNIX"):
            raise InvalidRequest("this platform has no Unix sockets")

    async def open(self, origin: Origin, opening: Opening) -> AsyncByteStream:
        sock = dial.new_socket(opening, socket.AF_UNIX)
        sock.setblocking(False)
        pause = _SOON
        # It is connected at once, or its queue is full, of which nothing tells when that has passed.
        while (code := sock.connect_ex(self.path)) == errno.EAGAIN:
            left = opening.left()
            await asyncio.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 2, _LATE)
        if code:
            raise ConnectError(
                f"cannot connect to the Unix socket {self.path}: {os.strerror(code)}"
            )
        return _stream(sock, opening)

    def __repr__(self) -> str:
        return f"AsyncUnixWire({self.path!r})"


async def secured(stream: Any, hostname: str, opening: Opening) -> AsyncTLSStream:
    """An async stream under TLS."""
    from adieu.transport.tls_stream import AsyncTLSStream

    return await AsyncTLSStream.start(stream, hostname, opening)


def _stream(sock: socket.socket, opening: Opening) -> AsyncSocketStream:
    loop = asyncio.get_running_loop()
    kind = AsyncSocketStream if watches(loop) else AsyncCompletionStream
    stream = kind(sock, loop)
    # The stream knows what the loop has registered for the socket; from here on it is the one to be closed.
    opening.own(stream)
    return stream


class _Answer:
    """What the resolver's thread will say, unless the opening is closed before."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def give(self, found: object) -> None:
        """Addresses or an exception, from any thread."""
        try:
            self.loop.call_soon_threadsafe(self._give, found)
        except RuntimeError:
            pass  # The loop was closed meanwhile: nobody waits for the addresses any more.

    def _give(self, found: object) -> None:
        if self.future.done():
            return
        if isinstance(found, Exception):
            self.future.set_exception(found)
        else:
            self.future.set_result(found)

    def close(self) -> None:
        self.give(ConnectionAbortedError("the connection was closed"))


class _Dialling:
    """The sockets that race for one connection, and their watch: for the race it stands for the opening."""

    __slots__ = ("_loop", "_opening", "_ready", "_sockets", "_wait", "_watched", "closed")

    def __init__(self, opening: Opening) -> None:
        self._loop = asyncio.get_running_loop()
        self._opening: Opening | None = opening
        self.closed = False
        self._sockets: list[socket.socket] = []
        self._watched: set[socket.socket] = set()
        self._ready: list[socket.socket] = []
        self._wait = Wait(self._loop)
        opening.own(self)

    def own(self, sock: socket.socket) -> None:
        self._sockets.append(sock)
        if self.closed:
            raise ConnectionAbortedError("the connection was closed")

    def left(self) -> float | None:
        assert self._opening is not None
        return self._opening.left()

    def exceeded(self) -> RequestTimeout:
        assert self._opening is not None
        return self._opening.exceeded()

    def over(self) -> None:
        """The race is over. The opening still knows the sockets; if they knew the opening, that would be a cycle."""
        self._opening = None
        self._wait.close()

    async def ready(
        self, sockets: Iterable[socket.socket], seconds: float | None
    ) -> list[socket.socket]:
        """Those of the sockets that are connected, or have failed to be, when one is."""
        if not watches(self._loop):
            return await polled((), sockets, seconds)
        self._ready = []
        self._wait.begin(seconds)
        try:
            for sock in sockets:
                self._watched.add(sock)
                self._loop.add_writer(sock, self._on_writable, sock)
            await self._wait
        except TimeoutError:
            pass  # The next address gets its chance, or there is none.
        finally:
            self._wait.over()
            self._unwatch()
        return self._ready

    def _on_writable(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock)
        self._watched.discard(sock)
        self._ready.append(sock)
        self._wait.resume()

    def _unwatch(self) -> None:
        if not self._loop.is_closed():
            for sock in self._watched:
                self._loop.remove_writer(sock)
        self._watched.clear()

    def close(self) -> None:
        """Close them all: see `AsyncSocketStream.close`."""
        self.closed = True
        if _get_running_loop() is self._loop or not self._loop.is_running():
            self._close()
            return
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        try:
            self._loop.call_soon_threadsafe(self._close)
        except RuntimeError:
            self._close()

    def _close(self) -> None:
        self._unwatch()
        self._wait.close()
        for sock in self._sockets:
            dial.shut(sock)
