"""The back end for asyncio, uvloop included: see `AsyncBackend`."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING, Any, TypeVar

from adieu.net.backends.asyncio_beside import beside
from adieu.net.backends.asyncio_pool_waiter import AsyncioPoolWaiter
from adieu.net.backends.asyncio_proactor import AsyncCompletionStream, polled, watches
from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu.net.backends.asyncio_wait import Wait
from adieu.net.backends.race import RacingSockets
from adieu.net.closing import shut, shutdown_quietly

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from adieu.net.backends.contract import ConnectRace, PoolWaiter, Spawn, ThreadResult
    from adieu.net.scope import ConnectScope

__all__ = [
    "beside",
    "connect_race",
    "event_loop",
    "pool_waiter",
    "repeat",
    "sleep",
    "spawner",
    "stream",
    "thread_result",
    "within",
]

T = TypeVar("T")


def event_loop() -> object:
    """See `AsyncBackend`."""
    return asyncio.get_running_loop()


def stream(sock: socket.socket, scope: ConnectScope) -> AsyncSocketStream:
    """See `AsyncBackend`. The stream knows what the loop has registered for the socket."""
    loop = asyncio.get_running_loop()
    kind = AsyncSocketStream if watches(loop) else AsyncCompletionStream
    opened = kind(sock, loop)
    scope.own(opened)
    return opened


async def sleep(seconds: float) -> None:
    """See `AsyncBackend`."""
    await asyncio.sleep(seconds)


def repeat(seconds: float, check: Callable[[], bool]) -> None:
    """See `AsyncBackend.repeat`."""
    loop = asyncio.get_running_loop()
    loop.call_later(seconds, _check_again, loop, seconds, check)


def _check_again(
    loop: asyncio.AbstractEventLoop, seconds: float, check: Callable[[], bool]
) -> None:
    if check():
        loop.call_later(seconds, _check_again, loop, seconds, check)


def spawner() -> Spawn:
    """See `AsyncBackend.spawner`."""
    loop = asyncio.get_running_loop()
    # The loop itself refers to its tasks weakly.
    tasks: set[asyncio.Task[None]] = set()

    def begin(work: Callable[[], Coroutine[object, None, None]]) -> None:
        task = loop.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def spawn(work: Callable[[], Coroutine[object, None, None]]) -> bool:
        try:
            loop.call_soon_threadsafe(begin, work)
        except RuntimeError:
            return False
        return True

    return spawn


def pool_waiter() -> PoolWaiter:
    """See `AsyncBackend`."""
    return AsyncioPoolWaiter()


def thread_result(late: Callable[[Any], object] | None = None) -> ThreadResult:
    """See `AsyncBackend`."""
    return _ThreadResult(late)


def connect_race(scope: ConnectScope) -> ConnectRace:
    """See `AsyncBackend`."""
    return _ConnectRace(scope)


async def within(seconds: float | None, doing: Awaitable[T]) -> T:
    """See `AsyncBackend`."""
    try:
        return await asyncio.wait_for(doing, seconds)
    except asyncio.TimeoutError:  # Before Python 3.11 it is not the other one.
        raise TimeoutError from None


class _ThreadResult:
    """See `ThreadResult`."""

    __slots__ = ("_discarded", "_is_set", "_late", "_loop", "_result", "_waiter")

    def __init__(self, late: Callable[[Any], object] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._late = late
        self._is_set = False
        self._discarded = False
        self._result: object = None
        self._waiter: asyncio.Future[None] | None = None

    def set(self, result: object) -> None:
        try:
            self._loop.call_soon_threadsafe(self._set, result)
        except RuntimeError:
            pass  # The loop was closed meanwhile, and no task waits any more.

    def _set(self, result: object) -> None:
        if self._is_set or self._discarded:
            if self._late is not None:
                self._late(result)
            return
        self._is_set, self._result = True, result
        _wake(self._waiter)

    async def wait(self, seconds: float | None = None) -> bool:
        if not self._is_set:
            self._waiter = waiter = self._loop.create_future()
            timer = None if seconds is None else self._loop.call_later(seconds, _wake, waiter)
            try:
                await waiter
            except BaseException:
                self.discard()
                raise
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return self._is_set

    def take(self) -> Any:
        result, self._result = self._result, None
        return result

    def discard(self) -> None:
        self._discarded = True
        result = self.take()
        if result is not None and self._late is not None:
            self._late(result)

    def close(self) -> None:
        self.set(ConnectionAbortedError("the connection was closed"))


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _ConnectRace(RacingSockets):
    """The sockets that race, and those of them that the loop watches."""

    __slots__ = ("_loop", "_ready", "_wait", "_watched")

    def __init__(self, scope: ConnectScope) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched: set[socket.socket] = set()
        self._ready: list[socket.socket] = []
        self._wait = Wait(self._loop)
        super().__init__(scope)

    def finish(self) -> None:
        super().finish()
        self._wait.close()

    async def ready(
        self, sockets: Iterable[socket.socket], seconds: float | None
    ) -> list[socket.socket]:
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
            pass  # The next address is tried, if there is one.
        finally:
            self._wait.end()
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
            shutdown_quietly(sock)
        try:
            self._loop.call_soon_threadsafe(self._close)
        except RuntimeError:
            self._close()

    def _close(self) -> None:
        self._unwatch()
        self._wait.close()
        for sock in self._sockets:
            shut(sock)
