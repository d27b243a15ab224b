"""Byte streams for asyncio: an own non-blocking socket, with a reader registered once.

Why not a transport: closing a transport is asynchronous, and may be done from its loop's thread alone. Here an end is
one synchronous call from any place, as the lifecycle demands; the figures are in docs/design.md.

The reader stays registered for the life of the connection, because registering costs two system calls each time. Its
callback does the reading itself: if it only woke the task, the socket would still be readable at the next turn of the
loop, and the loop would call again for nothing.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING

from adieu.net.backends.asyncio_wait import Wait
from adieu.net.backends.loops import wrong_loop
from adieu.net.backends.nonblocking import PIECE, NonBlockingSocket
from adieu.net.closing import shutdown_quietly

if TYPE_CHECKING:
    import socket

__all__ = ["AsyncSocketStream"]

# So many operations in a row may succeed without waiting; then the other tasks get their turn.
_MAX_READS_PER_TURN = 16
# After an answer that was not there at once, so many are waited for without trying.
_SKIP_TRIES = 15


class AsyncSocketStream(NonBlockingSocket):
    """An `AsyncByteStream` over a connected, non-blocking socket. One task may read and another one write."""

    __slots__ = (
        "_data",
        "_greed",
        "_late",
        "_loop",
        "_reading",
        "_registered",
        "_size",
        "_writing",
    )

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock)
        self._loop = loop
        self._registered = False
        self._greed = 0
        self._late = 0
        self._size = 0
        self._data = b""
        self._reading = Wait(loop)
        self._writing: Wait | None = None

    # -- reading -----------------------------------------------------------------------------------------------------

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        if self._greed < _MAX_READS_PER_TURN:
            try:
                data = self._recv(max_bytes)
                self._greed += 1
                self._late = 0
                return data
            except (BlockingIOError, InterruptedError):
                self._late = _SKIP_TRIES
            except OSError as error:
                raise self._closed_or(error) from None
        self._greed = 0
        self._size = max_bytes
        reading = self._begun(self._reading, timeout)
        try:
            if not self._registered:
                self._registered = (
                    True  # First: what is not in the loop's tables can be taken out of them.
                )
                self._loop.add_reader(self._sock, self._on_readable)
            await reading
            data, self._data = self._data, b""
            return data
        finally:
            reading.over()

    def _on_readable(self) -> None:
        reading = self._reading
        if not reading.pending:
            # Idle, and the peer speaks or has closed: whoever uses the connection next will see it.
            self._unregister()
            return
        try:
            self._data = self._recv(self._size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            reading.fail(error)
        else:
            reading.resume()

    def _unregister(self) -> None:
        if self._registered:
            self._loop.remove_reader(self._sock)
            self._registered = False

    # -- writing -----------------------------------------------------------------------------------------------------

    async def send(self, data: bytes, timeout: float | None) -> None:
        if self._late:
            self._late -= 1
            self._greed = _MAX_READS_PER_TURN
        sent = self._send_some(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            await self._until_writable(timeout)
            rest = rest[self._send_some(rest) :]

    async def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        while True:
            if self.readable():
                try:
                    return self._recv(PIECE)
                except (BlockingIOError, InterruptedError):
                    pass
            if sent := self._send_some(data[:PIECE]):
                self._greed += 1
                if self._greed >= _MAX_READS_PER_TURN:
                    self._greed = 0
                    await asyncio.sleep(0)
                return sent
            await self._until_writable(timeout, or_readable=True)

    async def _until_writable(self, timeout: float | None, or_readable: bool = False) -> None:
        if self._writing is None:
            self._writing = Wait(self._loop)
        writing = self._begun(self._writing, timeout)
        try:
            self._loop.add_writer(self._sock, writing.resume)
            if or_readable:
                self._registered = True
                self._loop.add_reader(self._sock, writing.resume)
            await writing
        finally:
            writing.over()
            if not self._closed:
                self._loop.remove_writer(self._sock)
                if or_readable:
                    self._unregister()

    def _begun(self, wait: Wait, timeout: float | None) -> Wait:
        if self._closed:
            raise ConnectionAbortedError("the connection was closed")
        if _get_running_loop() is not self._loop:
            raise wrong_loop(self._loop)
        wait.begin(timeout)
        return wait

    # -- ends --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._is_over():
            return
        loop = self._loop
        if _get_running_loop() is loop or not loop.is_running():
            self._close()
            return
        # The loop's tables may be touched by its own thread alone. Until it gets there the descriptor stays, so that it
        # cannot be another socket's meanwhile; the peer is told at once.
        shutdown_quietly(self._sock)
        try:
            loop.call_soon_threadsafe(self._close)
        except RuntimeError:  # It was closed between the lines.
            self._close()

    def _close(self) -> None:
        if self._is_over():
            return
        self._closed = True
        loop, writing = self._loop, self._writing
        try:
            if not loop.is_closed():
                self._unregister()
                if writing is not None:
                    loop.remove_writer(self._sock)
            self._reading.close()
            if writing is not None:
                writing.close()
        finally:
            try:
                self._sock.close()
            except OSError:
                pass  # The descriptor is gone all the same.
