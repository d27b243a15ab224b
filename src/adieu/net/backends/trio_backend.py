"""What waits under trio: for a turn, for another thread, for sockets that are being connected.

Whoever wakes a task may be anybody: a task, another thread, a finalizer in the middle of trio's own bookkeeping. So
nobody is rescheduled on the spot: `run_sync_soon` is the one way in that may be entered from everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio import sleep
from trio.lowlevel import current_trio_token, spawn_system_task, wait_writable

from adieu.net.backends.race import RacingSockets
from adieu.net.backends.trio_stream import TrioSocketStream, here, scope_of, unwatch
from adieu.net.closing import shut, shutdown_quietly

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterable

    from adieu.net.backends.contract import ConnectRace, PoolWaiter, Spawn, ThreadResult
    from adieu.net.scope import ConnectScope

__all__ = ["answer", "dialling", "home", "sleep", "spawner", "stream", "turn", "within"]

T = TypeVar("T")


def home() -> object:
    """The token of the run."""
    return current_trio_token()


def stream(sock: socket.socket, scope: ConnectScope) -> TrioSocketStream:
    """A stream that takes itself out of trio's tables."""
    made = TrioSocketStream(sock)
    scope.own(made)
    return made


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
    with scope_of(seconds):
        return await doing
    raise TimeoutError


class _Turn:
    """A waiter that suspends its task."""

    __slots__ = ("_event", "_token")

    def __init__(self) -> None:
        self._token = current_trio_token()
        self._event = trio.Event()

    def wake(self) -> None:
        try:
            self._token.run_sync_soon(self._ring)
        except trio.RunFinishedError:
            pass  # And nobody waits in it.

    def _ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        with scope_of(seconds):
            await self._event.wait()
        if self._event.is_set():
            self._event = trio.Event()


class _Answer:
    """See `ThreadResult`."""

    __slots__ = ("_event", "_found", "_late", "_over", "_token")

    def __init__(self, late: Callable[[Any], object] | None) -> None:
        self._token = current_trio_token()
        self._event = trio.Event()
        self._late = late
        self._over = False
        self._found: Any = None

    def give(self, found: object) -> None:
        try:
            self._token.run_sync_soon(self._give, found)
        except trio.RunFinishedError:
            pass

    def _give(self, found: object) -> None:
        if self._over or self._event.is_set():
            if self._late is not None:
                self._late(found)
            return
        self._found = found
        self._event.set()

    async def come(self, seconds: float | None = None) -> bool:
        try:
            with scope_of(seconds):
                await self._event.wait()
        except BaseException:
            self.forsake()
            raise
        return self._event.is_set()

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


class _Dialling(RacingSockets):
    """The sockets that race, each watched by a task of its own if there are several."""

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
                pass  # By `close`: seen below.
            done.append(sock)

        async def race() -> None:
            async with trio.open_nursery() as nursery:

                async def run(sock: socket.socket) -> None:
                    await wait(sock)
                    nursery.cancel_scope.cancel()

                for sock in sockets:
                    nursery.start_soon(run, sock)

        sockets = list(sockets)
        with scope_of(seconds):
            await (wait(sockets[0]) if len(sockets) == 1 else race())
        if self.closed:
            raise ConnectionAbortedError("the connection was closed")
        return done

    def close(self) -> None:
        """Close them all: see `TrioSocketStream.close`."""
        self.closed = True
        if here(self._token):
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
