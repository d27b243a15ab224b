"""What an event loop must offer, so that wires, pools and threads can wait in its tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Iterable

    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AsyncByteStream

__all__ = ["AsyncBackend", "ConnectRace", "PoolWaiter", "Spawn", "ThreadResult"]

T = TypeVar("T")

Spawn = Callable[[Callable[[], "Coroutine[object, None, None]"]], bool]
"""Starts the coroutine that a function gives in a task; False: the event loop has ended."""


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
    """How a task waits for its turn: see `lifecycle.waiting.Waiter`."""

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

    def spawner(self) -> Spawn:
        """What starts tasks in the event loop that runs here, from any thread."""
        ...

    async def within(self, seconds: float | None, doing: Coroutine[Any, Any, T]) -> T:
        """What a coroutine of the user's returns; `TimeoutError` if it takes longer."""
        ...

    def home(self) -> object: ...
