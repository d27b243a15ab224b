"""The back end for trio: see `AsyncBackend`.

A task may be woken by another task, another thread, or a finalizer in the middle of trio's own bookkeeping. So no task
is rescheduled directly: `run_sync_soon` is the one function of trio's that may be called from all of them.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio import sleep
from trio.lowlevel import current_trio_token, spawn_system_task, wait_writable

from adieu.lifecycle.events import report_unraisable
from adieu.net.backends.race import RacingSockets
from adieu.net.backends.trio_stream import TrioSocketStream, is_running, time_limit, unwatch
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
    return current_trio_token()


def stream(sock: socket.socket, scope: ConnectScope) -> TrioSocketStream:
    """See `AsyncBackend`."""
    opened = TrioSocketStream(sock)
    scope.own(opened)
    return opened


def repeat(seconds: float, check: Callable[[], bool]) -> None:
    """See `AsyncBackend.repeat`. A system task ends with the run, which does not wait for it."""
    spawn_system_task(_repeat, seconds, check)


async def _repeat(seconds: float, check: Callable[[], bool]) -> None:
    goes_on = True
    while goes_on:
        await sleep(seconds)
        goes_on = check()


def spawner() -> Spawn:
    """See `AsyncBackend.spawner`."""
    token = current_trio_token()

    def spawn(work: Callable[[], Coroutine[object, None, None]]) -> bool:
        try:
            token.run_sync_soon(spawn_system_task, work)
        except trio.RunFinishedError:
            return False
        return True

    return spawn


def pool_waiter() -> PoolWaiter:
    """See `AsyncBackend`."""
    return _PoolWaiter()


def thread_result(late: Callable[[Any], object] | None = None) -> ThreadResult:
    """See `AsyncBackend`."""
    return _ThreadResult(late)


def connect_race(scope: ConnectScope) -> ConnectRace:
    """See `AsyncBackend`."""
    return _ConnectRace(scope)


async def within(seconds: float | None, doing: Awaitable[T]) -> T:
    """See `AsyncBackend`."""
    with time_limit(seconds):
        return await doing
    raise TimeoutError


async def beside(listening: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
    """See `AsyncBackend`. A system task, and no nursery: a nursery would wrap the errors of the work in a group."""
    ended = trio.Event()
    failures: list[Exception] = []
    work_scope, listening_scope = trio.CancelScope(), trio.CancelScope()

    async def listen() -> None:
        try:
            with listening_scope:
                await listening
        except Exception as error:
            failures.append(error)
        finally:
            ended.set()
            if not listening_scope.cancelled_caught:
                work_scope.cancel()

    # A system task has no context of the user's by itself, and the user's listeners for events are called in it.
    spawn_system_task(listen, context=copy_context())
    try:
        with work_scope:
            await work
    except Exception as error:
        if not ended.is_set():
            listening_scope.cancel()
            await ended.wait()
            raise
        report_unraisable(error, work)
    except BaseException:
        listening_scope.cancel()
        raise
    if not ended.is_set():
        listening_scope.cancel()
        await ended.wait()
    if failures:
        raise failures.pop()


class _PoolWaiter:
    """A waiter that suspends its task."""

    __slots__ = ("_event", "_token")

    def __init__(self) -> None:
        self._token = current_trio_token()
        self._event = trio.Event()

    def wake(self) -> None:
        try:
            self._token.run_sync_soon(self._set)
        except trio.RunFinishedError:
            pass  # No task waits in it.

    def _set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        with time_limit(seconds):
            await self._event.wait()
        if self._event.is_set():
            self._event = trio.Event()


class _ThreadResult:
    """See `ThreadResult`."""

    __slots__ = ("_discarded", "_event", "_late", "_result", "_token")

    def __init__(self, late: Callable[[Any], object] | None) -> None:
        self._token = current_trio_token()
        self._event = trio.Event()
        self._late = late
        self._discarded = False
        self._result: object = None

    def set(self, result: object) -> None:
        try:
            self._token.run_sync_soon(self._set, result)
        except trio.RunFinishedError:
            pass

    def _set(self, result: object) -> None:
        if self._discarded or self._event.is_set():
            if self._late is not None:
                self._late(result)
            return
        self._result = result
        self._event.set()

    async def wait(self, seconds: float | None = None) -> bool:
        try:
            with time_limit(seconds):
                await self._event.wait()
        except BaseException:
            self.discard()
            raise
        return self._event.is_set()

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


class _ConnectRace(RacingSockets):
    """The sockets that race; if there are several, a task waits for each."""

    __slots__ = ("_token",)

    def __init__(self, scope: ConnectScope) -> None:
        self._token = current_trio_token()
        super().__init__(scope)

    async def ready(
        self, sockets: Iterable[socket.socket], seconds: float | None
    ) -> list[socket.socket]:
        done: list[socket.socket] = []

        async def wait(sock: socket.socket) -> None:
            try:
                await wait_writable(sock)
            except trio.ClosedResourceError:
                pass  # `close` did that, which is checked below.
            done.append(sock)

        async def race() -> None:
            async with trio.open_nursery() as nursery:

                async def run(sock: socket.socket) -> None:
                    await wait(sock)
                    nursery.cancel_scope.cancel()

                for sock in sockets:
                    nursery.start_soon(run, sock)

        sockets = list(sockets)
        with time_limit(seconds):
            await (wait(sockets[0]) if len(sockets) == 1 else race())
        if self.closed:
            raise ConnectionAbortedError("the connection was closed")
        return done

    def close(self) -> None:
        """Close them all: see `TrioSocketStream.close`."""
        self.closed = True
        if is_running(self._token):
            self._close()
            return
        for sock in self._sockets:
            shutdown_quietly(sock)
        try:
            self._token.run_sync_soon(self._close)
        except trio.RunFinishedError:
            self._close()

    def _close(self) -> None:
        for sock in self._sockets:
            unwatch(sock, self._token)
            shut(sock)
