"""Byte streams for trio: a non-blocking socket, whose readiness trio watches.

Invariants, which are trio's: a cancelled task does not begin an operation; a cancellation that comes after an operation
does not lose its result; each `recv` lets other tasks run, even if the bytes were there already. One is different:
`close` is one synchronous call from any thread, so it is no checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint_if_cancelled,
    current_trio_token,
    in_trio_run,
    notify_closing,
    wait_readable,
    wait_writable,
)

from adieu.lifecycle.fairness import turn_ends_at, turn_is_over
from adieu.net.backends.loops import wrong_loop
from adieu.net.backends.nonblocking import PIECE, NonBlockingSocket
from adieu.net.closing import shutdown_quietly

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from trio.lowlevel import TrioToken

    from adieu.lifecycle.deadline import TimeLimit

__all__ = ["TrioSocketStream", "is_running", "time_limit", "unwatch"]


class TrioSocketStream(NonBlockingSocket):
    """An `AsyncByteStream` over a connected, non-blocking socket. One task may read and another one write."""

    __slots__ = ("_token", "_turn_ends_at")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._token = current_trio_token()
        # Until then sends may succeed without a wait; after that the other tasks run.
        self._turn_ends_at = turn_ends_at()

    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        self._check()
        seconds = limit.remaining("read")
        await checkpoint_if_cancelled()
        data = self._recv_some(max_bytes)
        if data is not None:
            await cancel_shielded_checkpoint()
            return data
        while data is None:
            await self._within(seconds, wait_readable)
            data = self._recv_some(max_bytes)
        return data

    async def until_input(self, limit: TimeLimit) -> bool:
        """See `AsyncByteStream.until_input`."""
        self._check()
        await self._within(limit.remaining("read"), wait_readable)
        return True

    def _recv_some(self, max_bytes: int) -> bytes | None:
        try:
            return self._recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise self._explained(error) from None

    async def send(self, data: bytes, limit: TimeLimit) -> None:
        self._check()
        # A peer that takes everything at once must not make the call longer.
        limit.remaining("write")
        await self._checkpoint()
        sent = self._send_some(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            # One limit for each wait, and not for the whole transfer: a slow upload is not a dead one.
            await self._within(limit.remaining("write"), wait_writable)
            rest = rest[self._send_some(rest) :]

    async def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        self._check()
        await self._checkpoint()
        while True:
            seconds = limit.remaining("write")
            if self.readable() and (answer := self._recv_some(PIECE)) is not None:
                return answer
            if sent := self._send_some(data[:PIECE]):
                return sent
            await self._until_either(seconds)

    async def _checkpoint(self) -> None:
        """A checkpoint for cancellation; from time to time for the scheduler, too."""
        if turn_is_over(self._turn_ends_at):
            await trio.lowlevel.checkpoint()
            self._turn_ends_at = turn_ends_at()
        else:
            await checkpoint_if_cancelled()

    async def _until_either(self, seconds: float | None) -> None:
        """Wait until the socket can be written to or read from."""
        ended: list[OSError] = []
        done = False

        async def wait(ready: Callable[[socket.socket], Awaitable[None]]) -> None:
            nonlocal done
            try:
                await self._until(ready)
            except OSError as error:
                ended.append(error)
            done = True
            both.cancel_scope.cancel()

        with time_limit(seconds):
            async with trio.open_nursery() as both:
                both.start_soon(wait, wait_readable)
                both.start_soon(wait, wait_writable)
        if ended:
            raise ended.pop()
        if not done:
            raise TimeoutError

    async def _within(
        self, seconds: float | None, ready: Callable[[socket.socket], Awaitable[None]]
    ) -> None:
        with time_limit(seconds) as scope:
            await self._until(ready)
        if scope.cancelled_caught:
            raise TimeoutError

    async def _until(self, ready: Callable[[socket.socket], Awaitable[None]]) -> None:
        if self._closed:
            raise ConnectionAbortedError("the connection was closed")
        try:
            await ready(self._sock)
        except trio.ClosedResourceError:
            raise ConnectionAbortedError("the connection was closed") from None
        except trio.BusyResourceError:
            raise RuntimeError("another task is waiting for this connection already") from None

    def _check(self) -> None:
        if self._closed:
            raise ConnectionAbortedError("the connection was closed")
        if not is_running(self._token):
            raise wrong_loop(self._token)

    def close(self) -> None:
        if self._is_closed():
            return
        if is_running(self._token):
            self._close()
            return
        # Only the run's own thread may change what trio watches: see `AsyncSocketStream.close`.
        shutdown_quietly(self._sock)
        try:
            self._token.run_sync_soon(self._close)
        except trio.RunFinishedError:
            self._close()

    def _close(self) -> None:
        if self._is_closed():
            return
        self._closed = True
        unwatch(self._sock, self._token)
        try:
            self._sock.close()
        except OSError:
            pass  # The descriptor is gone all the same.


def is_running(token: TrioToken) -> bool:
    """Whether the calling thread is inside that run of trio's."""
    return in_trio_run() and current_trio_token() is token


def time_limit(seconds: float | None) -> trio.CancelScope:
    """A cancel scope that ends after these seconds (None: no limit)."""
    if seconds is None:
        return trio.CancelScope()
    return trio.CancelScope(deadline=trio.current_time() + seconds)


def unwatch(sock: socket.socket, token: TrioToken) -> None:
    """Remove a socket that is about to be closed from trio, which wakes the tasks that wait for it. Never raises."""
    try:
        if sock.fileno() >= 0 and is_running(token):
            notify_closing(sock)
    except Exception:
        pass  # The run is about to end, and watches nothing any more.
