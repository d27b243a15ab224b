"""The fallback for loops that cannot watch a socket (Windows' proactor): the loop does the operation itself.

Such an operation waits for a future of the loop's. The stream keeps that future, so that a timeout or a close can end
the wait at once, and the loop withdraws the operation.
"""

from __future__ import annotations

import asyncio
import select
import types
from typing import TYPE_CHECKING, TypeVar

from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu.net.backends.loops import wrong_loop
from adieu.net.backends.nonblocking import PIECE

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator, Iterable

    from adieu.lifecycle.deadline import TimeLimit

__all__ = ["AsyncCompletionStream", "polled", "watches"]

T = TypeVar("T")

# The longest pause between two checks of sockets that the loop cannot watch (seconds).
_LONGEST_PAUSE = 0.01


def watches(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop can watch a socket, and call back when it is ready."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


async def polled(
    to_read: Iterable[socket.socket], to_write: Iterable[socket.socket], seconds: float | None
) -> list[socket.socket]:
    """Wait until a socket is ready or has failed, or the time is over: all that are ready or have failed then."""
    loop = asyncio.get_running_loop()
    ends_at = None if seconds is None else loop.time() + seconds
    readers, writers = list(to_read), list(to_write)
    pause = 0.0
    while True:
        # On Windows a connection that failed is exceptional, and neither readable nor writable.
        ready, able, failed = select.select(readers, writers, writers, 0)
        if ready or able or failed:
            return list({*ready, *able, *failed})
        if ends_at is not None and loop.time() >= ends_at:
            return []
        await asyncio.sleep(pause)
        pause = min(pause * 2 or 0.001, _LONGEST_PAUSE)


class AsyncCompletionStream(AsyncSocketStream):
    """An `AsyncByteStream` over a connected, non-blocking socket, for such a loop."""

    __slots__ = ("_futures",)

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        self._futures: set[asyncio.Future[object]] = set()

    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        seconds = limit.remaining("read")
        await self._let_others_run()
        try:
            return self._recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            operation = self._loop.sock_recv(self._sock, max_bytes)
            return await self._done(operation, seconds)
        except OSError as error:
            raise self._explained(error) from None

    async def send(self, data: bytes, limit: TimeLimit) -> None:
        rest = memoryview(data)
        while rest:
            seconds = limit.remaining("write")
            sent = self._send_some(rest[:PIECE])
            if not sent:
                sent = len(rest[:PIECE])
                await self._done(self._loop.sock_sendall(self._sock, rest[:sent]), seconds)
            rest = rest[sent:]

    async def until_input(self, limit: TimeLimit) -> bool:
        """See `AsyncByteStream.until_input`."""
        if not await polled((self._sock,), (), limit.remaining("read")):
            raise TimeoutError
        return True

    async def _until_writable(self, seconds: float | None, or_readable: bool = False) -> None:
        # No operation of the loop's waits for two things at once, and a withdrawn one may have been done by half.
        sockets = [self._sock]
        if not await polled(sockets if or_readable else (), sockets, seconds):
            raise TimeoutError

    @types.coroutine
    def _done(
        self, operation: Coroutine[asyncio.Future[object], None, T], seconds: float | None
    ) -> Generator[asyncio.Future[object], None, T]:
        """Await an operation of the loop's, and keep the future that it waits for."""
        try:
            if asyncio.get_running_loop() is not self._loop:
                raise wrong_loop(self._loop)
            while True:
                future = operation.send(None)
                timer = None
                if seconds is not None:
                    timer = self._loop.call_later(seconds, _end, future, TimeoutError())
                self._futures.add(future)
                try:
                    yield future
                finally:
                    self._futures.discard(future)
                    if timer is not None:
                        timer.cancel()
                    del future, timer  # What it raised refers to this frame.
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            operation.close()

    def _close(self) -> None:
        if not self._loop.is_closed():
            while self._futures:
                _end(self._futures.pop(), ConnectionAbortedError("the connection was closed"))
        super()._close()

    def _unregister(self) -> None:
        """Nothing is registered in the loop."""


def _end(future: asyncio.Future[object], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
