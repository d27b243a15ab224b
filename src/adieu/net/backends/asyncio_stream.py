"""Byte streams for asyncio: a non-blocking socket, with a reader that is registered once.

Why not a transport of asyncio's: closing one is asynchronous, and only its loop's thread may do it. Here closing is one
synchronous call from any thread, as the lifecycle demands; the figures are in docs/design.md.

The reader stays registered as long as the connection lives, because registering costs two system calls each time. Its
callback reads: if it only woke the task, the socket would still be readable in the next iteration of the loop, and the
loop would call it again for nothing.
"""

from __future__ import annotations

from asyncio.events import _get_running_loop
from time import monotonic
from typing import TYPE_CHECKING

from adieu.lifecycle.fairness import TURN, checkpoint
from adieu.net.backends.asyncio_wait import Wait
from adieu.net.backends.loops import wrong_loop
from adieu.net.backends.nonblocking import PIECE, NonBlockingSocket
from adieu.net.closing import shutdown_quietly

if TYPE_CHECKING:
    import asyncio
    import socket

    from adieu.lifecycle.deadline import TimeLimit

__all__ = ["AsyncSocketStream"]

# Instead of the end of a turn: none has begun, and one that is over, so that the next read waits.
_NOT_BEGUN, _OVER = 0.0, -1.0
# After a response that was not there at once, how many more are waited for without trying to read first.
_SKIP_TRIES = 15


class AsyncSocketStream(NonBlockingSocket):
    """An `AsyncByteStream` over a connected, non-blocking socket. One task may read and another one write."""

    __slots__ = (
        "_data",
        "_loop",
        "_reading",
        "_registered",
        "_size",
        "_skips_left",
        "_turn_ends_at",
        "_writing",
    )

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock)
        self._loop = loop
        self._registered = False
        # Until then operations may succeed without a wait; after that the other tasks run.
        self._turn_ends_at = _NOT_BEGUN
        self._skips_left = 0
        self._size = 0
        self._data = b""
        self._reading = Wait(loop)
        self._writing: Wait | None = None

    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        seconds = limit.remaining("read")
        ends_at = self._turn_ends_at
        if ends_at == _NOT_BEGUN or (ends_at > 0 and monotonic() < ends_at):
            try:
                data = self._recv(max_bytes)
                if ends_at == _NOT_BEGUN:
                    self._turn_ends_at = monotonic() + TURN
                self._skips_left = 0
                return data
            except (BlockingIOError, InterruptedError):
                self._skips_left = _SKIP_TRIES
            except OSError as error:
                raise self._explained(error) from None
        self._turn_ends_at = _NOT_BEGUN
        self._size = max_bytes
        reading = self._begin_wait(self._reading, seconds)
        try:
            if not self._registered:
                # Before the call, in case it is interrupted: removing what was not added does no harm.
                self._registered = True
                self._loop.add_reader(self._sock, self._on_readable)
            await reading
            data, self._data = self._data, b""
            return data
        finally:
            reading.end()

    async def until_input(self, limit: TimeLimit) -> bool:
        """See `AsyncByteStream.until_input`."""
        reading = self._begin_wait(self._reading, limit.remaining("read"))
        try:
            self._registered = True
            self._loop.add_reader(self._sock, reading.resume)
            await reading
        finally:
            reading.end()
            if not self._closed:
                self._unregister()
        return True

    def _on_readable(self) -> None:
        reading = self._reading
        if not reading.pending:
            # Idle, and the peer has sent something or closed: the next use of the connection notices that.
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

    async def send(self, data: bytes, limit: TimeLimit) -> None:
        # A peer that takes everything at once must not make the call longer.
        limit.remaining("write")
        if self._skips_left:
            self._skips_left -= 1
            self._turn_ends_at = _OVER
        sent = self._send_some(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            await self._until_writable(limit.remaining("write"))
            rest = rest[self._send_some(rest) :]

    async def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        while True:
            seconds = limit.remaining("write")
            if self.readable():
                try:
                    return self._recv(PIECE)
                except (BlockingIOError, InterruptedError):
                    pass
            if sent := self._send_some(data[:PIECE]):
                await self._let_others_run()
                return sent
            await self._until_writable(seconds, or_readable=True)
            self._turn_ends_at = _NOT_BEGUN

    async def _let_others_run(self) -> None:
        """If it is time to: the caller has done something without a wait."""
        now = monotonic()
        if self._turn_ends_at <= 0:
            self._turn_ends_at = now + TURN
        elif now >= self._turn_ends_at:
            self._turn_ends_at = _NOT_BEGUN
            await checkpoint()

    async def _until_writable(self, seconds: float | None, or_readable: bool = False) -> None:
        if self._writing is None:
            self._writing = Wait(self._loop)
        writing = self._begin_wait(self._writing, seconds)
        try:
            self._loop.add_writer(self._sock, writing.resume)
            if or_readable:
                self._registered = True
                self._loop.add_reader(self._sock, writing.resume)
            await writing
        finally:
            writing.end()
            if not self._closed:
                self._loop.remove_writer(self._sock)
                if or_readable:
                    self._unregister()

    def _begin_wait(self, wait: Wait, seconds: float | None) -> Wait:
        if self._closed:
            raise ConnectionAbortedError("the connection was closed")
        if _get_running_loop() is not self._loop:
            raise wrong_loop(self._loop)
        wait.begin(seconds)
        return wait

    def close(self) -> None:
        if self._is_closed():
            return
        loop = self._loop
        if _get_running_loop() is loop or not loop.is_running():
            self._close()
            return
        # Only the loop's own thread may change what the loop watches. Until then the descriptor stays open, so that the
        # system cannot give its number to another socket; the peer notices the shutdown at once.
        shutdown_quietly(self._sock)
        try:
            loop.call_soon_threadsafe(self._close)
        except RuntimeError:  # The loop was closed meanwhile.
            self._close()

    def _close(self) -> None:
        if self._is_closed():
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
