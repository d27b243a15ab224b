"""Byte streams for trio: an own non-blocking socket, whose readiness trio watches.

The rules of the room are trio's. Who was cancelled does not begin; what has happened is not lost to a cancellation that
comes after it; whoever receives lets others run, however much was there. And they are the house's: `close` is
one synchronous call from any place, in the run or outside it, so it is no checkpoint.
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

from adieu.net.backends.loops import wrong_loop
from adieu.net.backends.nonblocking import PIECE, NonBlockingSocket
from adieu.net.closing import shutdown_quietly

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from trio.lowlevel import TrioToken

__all__ = ["TrioSocketStream", "here", "scope_of", "unwatch"]

# So many sends in a row may succeed without waiting; then the other tasks get their turn.
_MAX_READS_PER_TURN = 16


class TrioSocketStream(NonBlockingSocket):
    """An `AsyncByteStream` over a connected, non-blocking socket. One task may read and another one write."""

    __slots__ = ("_greed", "_token")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._token = current_trio_token()
        self._greed = 0

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        self._check()
        await checkpoint_if_cancelled()
        data = self._recv_some(max_bytes)
        if data is not None:
            await cancel_shielded_checkpoint()
            return data
        with scope_of(timeout):
            while data is None:
                await self._until(wait_readable)
                data = self._recv_some(max_bytes)
        if data is None:
            raise TimeoutError
        return data

    def _recv_some(self, max_bytes: int) -> bytes | None:
        try:
            return self._recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise self._closed_or(error) from None

    async def send(self, data: bytes, timeout: float | None) -> None:
        self._check()
        await self._breathe()
        sent = self._send_some(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            # For each wait, and not for all of it: a slow upload is not a dead one.
            with scope_of(timeout) as scope:
                await self._until(wait_writable)
            if scope.cancelled_caught:
                raise TimeoutError
            rest = rest[self._send_some(rest) :]

    async def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        self._check()
        await self._breathe()
        while True:
            if self.readable() and (said := self._recv_some(PIECE)) is not None:
                return said
            if sent := self._send_some(data[:PIECE]):
                return sent
            await self._until_either(timeout)

    async def _breathe(self) -> None:
        """Not further, if cancelled; and the others their turn, now and then."""
        if self._greed < _MAX_READS_PER_TURN:
            self._greed += 1
            await checkpoint_if_cancelled()
        else:
            self._greed = 0
            await trio.lowlevel.checkpoint()

    async def _until_either(self, timeout: float | None) -> None:
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

        with scope_of(timeout):
            async with trio.open_nursery() as both:
                both.start_soon(wait, wait_readable)
                both.start_soon(wait, wait_writable)
        if ended:
            raise ended.pop()
        if not done:
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
        if not here(self._token):
            raise wrong_loop(self._token)

    def close(self) -> None:
        if self._is_over():
            return
        if here(self._token):
            self._close()
            return
        # See `AsyncSocketStream.close`: the run's tables are its own thread's.
        shutdown_quietly(self._sock)
        try:
            self._token.run_sync_soon(self._close)
        except trio.RunFinishedError:
            self._close()

    def _close(self) -> None:
        if self._is_over():
            return
        self._closed = True
        unwatch(self._sock, self._token)
        try:
            self._sock.close()
        except OSError:
            pass  # The descriptor is gone all the same.


def here(token: TrioToken) -> bool:
    """Whether this is the thread, and the time, of that run of trio's."""
    return in_trio_run() and current_trio_token() is token


def scope_of(seconds: float | None) -> trio.CancelScope:
    """What ends a wait after so many seconds (None: it has no end)."""
    if seconds is None:
        return trio.CancelScope()
    return trio.CancelScope(deadline=trio.current_time() + seconds)


def unwatch(sock: socket.socket, token: TrioToken) -> None:
    """Take a socket that is about to be closed out of trio's tables; who waits for it is told. Never raises."""
    try:
        if sock.fileno() >= 0 and here(token):
            notify_closing(sock)
    except Exception:
        pass  # The run is at its very end, and watches nothing any more.
