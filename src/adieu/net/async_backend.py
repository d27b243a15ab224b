"""Where an async client lives: one event loop, of asyncio or of trio, found by asking which one runs.

Everything that decides is the same under both. What waits is written once for each, in two rooms that have the same
names: `asyncio_wire` and `trio_wire`. Who needs one of them asks here for the one that fits; trio is asked only if
somebody has imported it, and is never imported for that.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from adieu.errors import ClientClosed

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterable

    from adieu.net.async_stream import AsyncByteStream
    from adieu.net.wire import ConnectScope

__all__ = [
    "AsyncBackend",
    "ConnectRace",
    "ThreadResult",
    "current_backend",
    "has_ended",
    "in_trio",
    "running",
    "wrong_loop",
]

T = TypeVar("T")


class ThreadResult(Protocol):
    """What another thread will say, once, to a task that waits for it here."""

    def give(self, found: object) -> None:
        """Say it. From any thread, and in a finalizer; what comes second is too late."""
        ...

    async def come(self, seconds: float | None = None) -> bool:
        """Wait, so long at most: whether it has come. Who is cancelled meanwhile does not want it any more."""
        ...

    def take(self) -> Any:
        """What has come, which is the caller's from now on."""
        ...

    def forsake(self) -> None:
        """Nobody waits for it any more."""
        ...

    def close(self) -> None:
        """Say that there will be none, because the connection it was for was closed."""
        ...


class PoolWaiter(Protocol):
    """How a task waits for its turn: see `http1.engine.Waiter`."""

    def wake(self) -> object: ...

    async def wait(self, seconds: float | None) -> None: ...


class ConnectRace(Protocol):
    """The sockets that race for one connection: for the race it stands for the scope."""

    async def ready(
        self, sockets: Iterable[socket.socket], seconds: float | None
    ) -> list[socket.socket]:
        """Those of the sockets that are connected, or have failed to be, when one is."""
        ...

    def over(self) -> None:
        """The race is over."""
        ...


class AsyncBackend(Protocol):
    """What waits, for one kind of event loop. To be called in a task of it."""

    def answer(self, late: Callable[[Any], object] | None = None) -> ThreadResult:
        """A place for an answer; one that nobody wants any more is given to `late`."""
        ...

    def turn(self) -> PoolWaiter: ...

    def dialling(self, scope: ConnectScope) -> ConnectRace: ...

    def stream(self, sock: socket.socket, scope: ConnectScope) -> AsyncByteStream:
        """The stream over a connected socket. From here on it is the one to be closed."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    async def within(self, seconds: float | None, doing: Coroutine[Any, Any, T]) -> T:
        """What a coroutine of the user's returns; `TimeoutError` if it takes longer."""
        ...

    def home(self) -> object: ...


def in_trio() -> bool:
    """Whether this is called by a task of trio's. Not the same as in its thread: it may be a guest of asyncio's."""
    asked = getattr(sys.modules.get("trio.lowlevel"), "in_trio_task", None)
    return asked is not None and bool(asked())


def current_backend() -> AsyncBackend:
    """The room for the event loop that runs here."""
    if in_trio():
        from adieu.net.backends import trio_backend as trio_wire

        return trio_wire
    from adieu.net.backends import asyncio_backend as asyncio_wire

    return asyncio_wire


def running() -> object:
    """The event loop that runs here: asyncio's loop, or the token of trio's run. `RuntimeError` if there is none."""
    return current_backend().home()


def has_ended(home: Any) -> bool:
    """Whether nothing will run in this loop any more."""
    if hasattr(home, "is_closed"):
        return bool(home.is_closed())
    try:
        # Trio tells by refusing. `idempotent`: asked ten times, it wakes up for one.
        home.run_sync_soon(_nothing, idempotent=True)
    except RuntimeError:
        return True
    return False


def _nothing() -> None:
    pass


def wrong_loop(home: object) -> ClientClosed:
    """The error for who comes from elsewhere than the event loop that a connection belongs to."""
    state = "has ended" if has_ended(home) else "is not this one"
    return ClientClosed(
        f"the event loop in which this client opened its connections {state}: "
        "make a client in each loop, and close it before the loop ends"
    )
