"""The contract of a back end: everything that waits, for one kind of event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from adieu.net.dial import RaceScope

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Coroutine, Iterable

    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AsyncByteStream

__all__ = ["AsyncBackend", "ConnectRace", "PoolWaiter", "Spawn", "ThreadResult"]

T = TypeVar("T")

Spawn = Callable[[Callable[[], "Coroutine[object, None, None]"]], bool]
"""Starts a task for the coroutine that a function returns; False: the event loop has ended."""


class ThreadResult(Protocol):
    """A result that another thread sets, once, for one task that waits for it."""

    def set(self, result: object) -> None:
        """Set the result. From any thread, and in a finalizer; only the first result counts."""
        ...

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait at most this long: whether the result is there. A cancelled wait discards it."""
        ...

    def take(self) -> Any:
        """The result, which the caller owns from now on."""
        ...

    def discard(self) -> None:
        """The result is no longer wanted."""
        ...

    def close(self) -> None:
        """End the wait with an error: the connection that the result was for was closed."""
        ...


class PoolWaiter(Protocol):
    """How a task waits for a place in a pool: see `lifecycle.waiting.Waiter`."""

    def wake(self) -> object: ...

    async def wait(self, seconds: float | None) -> None: ...


class ConnectRace(RaceScope, Protocol):
    """The sockets that race to become one connection. It stands in for the scope while they do."""

    async def ready(
        self, sockets: Iterable[socket.socket], seconds: float | None
    ) -> list[socket.socket]:
        """Wait until one of the sockets is connected or has failed: all that are, at that time."""
        ...

    def finish(self) -> None:
        """The race has been decided."""
        ...


class AsyncBackend(Protocol):
    """The functions of a back end. They are called in a task of its event loop."""

    def thread_result(self, late: Callable[[Any], object] | None = None) -> ThreadResult:
        """A new result; one that comes after it was discarded is passed to `late`."""
        ...

    def pool_waiter(self) -> PoolWaiter: ...

    def connect_race(self, scope: ConnectScope) -> ConnectRace: ...

    def stream(self, sock: socket.socket, scope: ConnectScope) -> AsyncByteStream:
        """A stream over a connected socket. From now on the stream has to be closed, and not the socket."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def repeat(self, seconds: float, check: Callable[[], bool]) -> None:
        """Call `check` every so many seconds until it returns False. This keeps no event loop running."""
        ...

    def spawner(self) -> Spawn:
        """A function that starts tasks in the running event loop, from any thread."""
        ...

    async def within(self, seconds: float | None, doing: Awaitable[T]) -> T:
        """What a coroutine returns; `TimeoutError` if it takes longer."""
        ...

    async def beside(
        self, listening: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]
    ) -> None:
        """Run `work` in the calling task, and `listening` in a task of its own until `work` has ended.

        If `listening` ends first, `work` is cancelled. Raises what the one that ended first raises; an error of
        cancelled work is reported as Python reports those of finalizers.
        """
        ...

    def event_loop(self) -> object:
        """The running event loop: asyncio's loop, or the token of trio's run."""
        ...
