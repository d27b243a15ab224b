"""The fallback for loops that cannot watch a socket (Windows' proactor): the loop does the operation itself.

The future that such an operation waits for is the loop's. Holding on to it keeps the rule of the house: a timeout or a
close ends it at once, from outside, and the loop takes the operation back.
"""

from __future__ import annotations

import asyncio
import select
import types
from typing import TYPE_CHECKING, Any

from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu.net.backends.loops import wrong_loop
from adieu.net.backends.nonblocking import PIECE

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator, Iterable

__all__ = ["AsyncCompletionStream", "polled", "watches"]

# So many operations in a row may succeed without waiting; then the other tasks get their turn.
_MAX_READS_PER_TURN = 16
# Seconds between two looks at sockets that nobody watches, at most.
_BLINK = 0.01


def watches(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop tells when a socket is ready."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


async def polled(
    to_read: Iterable[socket.socket], to_write: Iterable[socket.socket], seconds: float | None
) -> list[socket.socket]:
    """Those of the sockets that are ready, or have failed, when one is or so many seconds have passed."""
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
        pause = min(pause * 2 or 0.001, _BLINK)


class AsyncCompletionStream(AsyncSocketStream):
    """An `AsyncByteStream` over a connected, non-blocking socket, for such a loop."""

    __slots__ = ("_futures",)

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(sock, loop)
        self._futures: set[asyncio.Future[Any]] = set()

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        self._greed += 1
        if self._greed > _MAX_READS_PER_TURN:
            self._greed = 0
            await asyncio.sleep(0)
        try:
            return self._recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            operation = self._loop.sock_recv(self._sock, max_bytes)
            return await self._done(operation, timeout)  # type: ignore[no-any-return]
        except OSError as error:
            raise self._closed_or(error) from None

    async def send(self, data: bytes, timeout: float | None) -> None:
        rest = memoryview(data)
        while rest:
            sent = self._send_some(rest[:PIECE])
            if not sent:
                sent = len(rest[:PIECE])
                await self._done(self._loop.sock_sendall(self._sock, rest[:sent]), timeout)
            rest = rest[sent:]

    async def _until_writable(self, timeout: float | None, or_readable: bool = False) -> None:
        # No operation of the loop's does two things at once, and one that was taken back may have done half of its own.
        sockets = [self._sock]
        if not await polled(sockets if or_readable else (), sockets, timeout):
            raise TimeoutError

    @types.coroutine
    def _done(
        self, operation: Coroutine[Any, Any, Any], timeout: float | None
    ) -> Generator[Any, None, Any]:
        """Await an operation of the loop's, and keep hold of the future that it waits for."""
        try:
            if asyncio.get_running_loop() is not self._loop:
                raise wrong_loop(self._loop)
            while True:
                future = operation.send(None)
                timer = None
                if timeout is not None:
                    timer = self._loop.call_later(timeout, _end, future, TimeoutError())
                self._futures.add(future)
                try:
                    yield future
                finally:
                    self._futures.discard(future)
                    if timer is not None:
                        timer.cancel()
                    del future, timer  # What it raised refers to this frame.
        except StopIteration as end:
            return end.value
        finally:
            operation.close()

    def _close(self) -> None:
        if not self._loop.is_closed():
            while self._futures:
                _end(self._futures.pop(), ConnectionAbortedError("the connection was closed"))
        super()._close()

    def _unregister(self) -> None:
        """There is nothing to be taken out of the loop's tables."""


def _end(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
