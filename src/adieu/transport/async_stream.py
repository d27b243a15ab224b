"""Byte streams for asyncio: an own non-blocking socket, with a reader registered once.

Why not a transport: closing a transport is asynchronous, and may be done from its loop's thread alone. Here an end is
one synchronous call from any place, as the lifecycle demands; the figures are in docs/design.md.

The reader stays registered for the life of the connection, because registering costs two system calls each time. Its
callback does the reading itself: if it only woke the task, the socket would still be readable at the next turn of the
loop, and the loop would call again for nothing.
"""

from __future__ import annotations

import asyncio
import select
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import socket

__all__ = ["AsyncByteStream", "AsyncSocketStream"]

_PIECE = 64 * 1024
# So many reads in a row may succeed without waiting; then the other tasks get their turn.
_GREED = 16


class AsyncByteStream(Protocol):
    """A `ByteStream` whose waits are awaited. Closing is not: it never waits."""

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes: ...

    async def send(self, data: bytes, timeout: float | None) -> None: ...

    def readable(self) -> bool: ...

    def close(self) -> None: ...


class AsyncSocketStream:
    """An `AsyncByteStream` over a connected, non-blocking socket."""

    __slots__ = (
        "_closed",
        "_greed",
        "_loop",
        "_poll",
        "_reading",
        "_registered",
        "_size",
        "_sock",
        "_thread",
        "_writing",
    )

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._thread = threading.get_ident()
        self._registered = False
        self._closed = False
        self._greed = 0
        self._size = 0
        self._reading: asyncio.Future[Any] | None = None
        self._writing: asyncio.Future[Any] | None = None
        self._poll: select.poll | None = None

    # -- reading -----------------------------------------------------------------------------------------------------

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        if self._greed < _GREED:
            try:
                data = self._sock.recv(max_bytes)
                self._greed += 1
                return data
            except (BlockingIOError, InterruptedError):
                pass
        self._greed = 0
        self._size = max_bytes
        self._reading = future = self._loop.create_future()
        try:
            if not self._registered:
                self._loop.add_reader(self._sock, self._on_readable)
                self._registered = True
            return await self._within(future, timeout)  # type: ignore[no-any-return]
        finally:
            self._reading = None

    def _on_readable(self) -> None:
        future = self._reading
        if future is None or future.done():
            # Idle, and the peer speaks or has closed: whoever uses the connection next will see it.
            self._unregister()
            return
        try:
            data = self._sock.recv(self._size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            future.set_exception(error)
        else:
            future.set_result(data)

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            self._loop.remove_reader(self._sock)

    def readable(self) -> bool:
        if self._closed:
            return True
        if self._poll is None:
            if not hasattr(select, "poll"):  # Windows
                return bool(select.select([self._sock], [], [], 0)[0])
            self._poll = select.poll()
            self._poll.register(self._sock, select.POLLIN)
        return bool(self._poll.poll(0))

    # -- writing -----------------------------------------------------------------------------------------------------

    async def send(self, data: bytes, timeout: float | None) -> None:
        sent = self._sock_send(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            await self._until_writable(timeout)
            rest = rest[self._sock_send(rest) :]

    def _sock_send(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    async def _until_writable(self, timeout: float | None) -> Any:
        self._writing = future = self._loop.create_future()
        self._loop.add_writer(self._sock, _resolve, future)
        try:
            return await self._within(future, timeout)
        finally:
            self._writing = None
            if not self._closed:
                self._loop.remove_writer(self._sock)

    async def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        if self.readable():
            try:
                return self._sock.recv(_PIECE)
            except (BlockingIOError, InterruptedError):
                pass
        sent = self._sock_send(data[:_PIECE])
        if sent:
            self._greed += 1
            if self._greed >= _GREED:
                self._greed = 0
                await asyncio.sleep(0)
            return sent
        self._unregister()
        self._writing = future = self._loop.create_future()
        self._loop.add_reader(self._sock, _resolve, future)
        self._loop.add_writer(self._sock, _resolve, future)
        try:
            await self._within(future, timeout)
        finally:
            self._writing = None
            if not self._closed:
                self._loop.remove_reader(self._sock)
                self._loop.remove_writer(self._sock)
        return 0

    # -- clocks and ends -----------------------------------------------------------------------------------------------

    async def _within(self, future: asyncio.Future[Any], timeout: float | None) -> Any:
        if timeout is None:
            return await future
        timer = self._loop.call_later(timeout, _expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    def close(self) -> None:
        if self._closed:
            return
        if threading.get_ident() == self._thread or self._loop.is_closed():
            self._close()
            return
        try:
            # The loop's tables may be touched by its own thread alone; until it gets there, nobody uses the socket.
            self._loop.call_soon_threadsafe(self._close)
        except RuntimeError:  # It was closed between the two lines.
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._loop.is_closed():
            if self._registered:
                self._registered = False
                self._loop.remove_reader(self._sock)
            if self._writing is not None:
                self._loop.remove_reader(self._sock)
                self._loop.remove_writer(self._sock)
            for future in (self._reading, self._writing):
                if future is not None and not future.done():
                    future.set_exception(ConnectionAbortedError("the connection was closed"))
        try:
            self._sock.close()
        except OSError:
            pass  # The descriptor is gone all the same.

    def forget(self) -> None:
        """Close the descriptor of a forked child, whose parent goes on with the connection and the loop."""
        self._closed = True
        try:
            self._sock.close()
        except OSError:
            pass


def _resolve(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
