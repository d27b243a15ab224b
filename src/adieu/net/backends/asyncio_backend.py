"""What waits under asyncio (uvloop included): for a turn, for another thread, for sockets that are being connected."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING, Any, TypeVar

from adieu.net.backends.asyncio_proactor import AsyncCompletionStream, polled, watches
from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu.net.backends.asyncio_wait import Wait
from adieu.net.backends.race import RacingSockets
from adieu.net.closing import shut, shutdown_quietly

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterable

    from adieu.net.backends.contract import ConnectRace, PoolWaiter, Spawn, ThreadResult
    from adieu.net.scope import ConnectScope

__all__ = ["answer", "dialling", "home", "sleep", "spawner", "stream", "turn", "within"]

T = TypeVar("T")

# How often the waits for a turn are looked at (seconds).
_TICK = 0.01


def home() -> object:
    """The running loop."""
    return asyncio.get_running_loop()


def stream(sock: socket.socket, scope: ConnectScope) -> AsyncSocketStream:
    """A stream that knows what the loop has registered for the socket."""
    loop = asyncio.get_running_loop()
    kind = AsyncSocketStream if watches(loop) else AsyncCompletionStream
    made = kind(sock, loop)
    scope.own(made)
    return made


async def sleep(seconds: float) -> None:
    """See `AsyncBackend`."""
    await asyncio.sleep(seconds)


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


def turn() -> PoolWaiter:
    """See `AsyncBackend`."""
    return _Turn()


def answer(late: Callable[[Any], object] | None = None) -> ThreadResult:
    """See `AsyncBackend`."""
    return _Answer(late)


def dialling(scope: ConnectScope) -> ConnectRace:
    """See `AsyncBackend`."""
    return _Dialling(scope)


async def within(seconds: float | None, doing: Coroutine[Any, Any, T]) -> T:
    """See `AsyncBackend`."""
    try:
        return await asyncio.wait_for(doing, seconds)
    except asyncio.TimeoutError:  # Before Python 3.11 it is not the other one.
        raise TimeoutError from None


class _Queue:
    """The turns that are waited for in one loop, and the one timer that ends them.

    A timer for each would cost more than the rest of its wait, which is seldom waited out. So a wait may last `_TICK`
    longer than it should. Without waits there is no timer.
    """

    __slots__ = ("_ticking", "_waits", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waits: dict[Wait, float] = {}
        self._ticking = False

    def enter(self, wait: Wait, seconds: float) -> None:
        self._waits[wait] = self.loop.time() + seconds
        if not self._ticking:
            self.loop.call_later(_TICK, self._tick)
            self._ticking = True

    def leave(self, wait: Wait) -> None:
        self._waits.pop(wait, None)

    def _tick(self) -> None:
        global _queue
        if not self._waits:
            self._ticking = False
            if _queue is self:
                _queue = None  # It would keep its loop.
            return
        now = self.loop.time()
        for wait in [wait for wait, ends_at in self._waits.items() if ends_at <= now]:
            wait.fail(TimeoutError())
        self.loop.call_later(_TICK, self._tick)


# Of the loop that asked last. Where several threads have one, each makes a few more of these.
_queue: _Queue | None = None


def _queue_of(loop: asyncio.AbstractEventLoop) -> _Queue:
    global _queue
    queue = _queue
    if queue is None or queue.loop is not loop:
        _queue = queue = _Queue(loop)
    return queue


class _Turn:
    """A waiter that suspends its task. May be woken from any thread, by a finalizer too."""

    __slots__ = ("_loop", "_wait")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wait = Wait(self._loop)

    def wake(self) -> None:
        # Not at once: it is the running task, or a finalizer anywhere, that gives its connection away.
        loop = self._loop
        here = _get_running_loop() is loop
        try:
            (loop.call_soon if here else loop.call_soon_threadsafe)(self._wait.resume)
        except RuntimeError:
            pass  # The loop is closed, and nobody waits in it.

    async def wait(self, seconds: float | None) -> None:
        wait = self._wait
        queue = _queue_of(self._loop) if seconds is not None else None
        wait.begin(None)
        try:
            if queue is not None and seconds is not None:
                queue.enter(wait, seconds)
            await wait
        except TimeoutError:
            pass  # The caller looks whether its turn has come, whatever ended the wait.
        finally:
            if queue is not None:
                queue.leave(wait)
            wait.over()


class _Answer:
    """See `ThreadResult`."""

    __slots__ = ("_come", "_found", "_late", "_loop", "_over", "_waiter")

    def __init__(self, late: Callable[[Any], object] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._late = late
        self._come = False
        self._over = False
        self._found: Any = None
        self._waiter: asyncio.Future[None] | None = None

    def give(self, found: object) -> None:
        try:
            self._loop.call_soon_threadsafe(self._give, found)
        except RuntimeError:
            pass  # The loop was closed meanwhile: nobody waits any more.

    def _give(self, found: object) -> None:
        if self._come or self._over:
            if self._late is not None:
                self._late(found)
            return
        self._come, self._found = True, found
        _wake(self._waiter)

    async def come(self, seconds: float | None = None) -> bool:
        if not self._come:
            self._waiter = waiter = self._loop.create_future()
            timer = None if seconds is None else self._loop.call_later(seconds, _wake, waiter)
            try:
                await waiter
            except BaseException:
                self.forsake()
                raise
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return self._come

    def take(self) -> Any:
        found, self._found = self._found, None
        return found

    def forsake(self) -> None:
        self._over = True
        found = self.take()
        if found is not None and self._late is not None:
            self._late(found)

    def close(self) -> None:
        self.give(ConnectionAbortedError("the connection was closed"))


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _Dialling(RacingSockets):
    """The sockets that race, and what the loop watches of them."""

    __slots__ = ("_loop", "_ready", "_wait", "_watched")

    def __init__(self, scope: ConnectScope) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched: set[socket.socket] = set()
        self._ready: list[socket.socket] = []
        self._wait = Wait(self._loop)
        super().__init__(scope)

    def over(self) -> None:
        super().over()
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
