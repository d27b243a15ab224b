"""The tasks of a map, under asyncio: they belong to the loop, and are cancelled when nobody wants their outcomes."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adieu.client.map.outcome import Outcome
    from adieu.messages.async_response import AsyncResponse

__all__ = ["AsyncioFlow"]


class AsyncioFlow:
    """The tasks under way, those that have finished, and who waits for the next."""

    __slots__ = ("_cancelled", "_finished", "_loop", "_pulling", "_running", "_waiter")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[Outcome[AsyncResponse]]] = set()
        self._finished: deque[asyncio.Task[Outcome[AsyncResponse]]] = deque()
        # The task that waits for the next request of an async source.
        self._pulling: asyncio.Task[object] | None = None
        self._cancelled = False
        self._waiter: asyncio.Future[None] | None = None

    async def enter(self) -> None:
        pass

    @property
    def load(self) -> int:
        return len(self._running) + len(self._finished)

    @property
    def over(self) -> bool:
        return not self._running and not self._finished and self._pulling is None

    def start(self, outcome: Coroutine[Any, Any, Outcome[AsyncResponse]]) -> None:
        task: asyncio.Task[Outcome[AsyncResponse]] = self._loop.create_task(outcome)
        self._running.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[Outcome[AsyncResponse]]) -> None:
        self._running.discard(task)
        self._finished.append(task)
        if self._cancelled:
            self._discard()
        self._tell()

    def take(self) -> Outcome[AsyncResponse] | None:
        return self._finished.popleft().result() if self._finished else None

    def pull(self, source: AsyncIterator[Any], end: object) -> list[Any]:
        pulling = self._pulling
        if pulling is None:
            self._pulling = pulling = self._loop.create_task(_next(source, end))
            pulling.add_done_callback(self._come)
        if not pulling.done():
            return []
        self._pulling = None
        return [pulling.result()]

    def _come(self, pulling: asyncio.Task[object]) -> None:
        if not pulling.cancelled():
            pulling.exception()  # Who left the map does not want to hear of it.
        self._tell()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def more(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task is waiting for the next outcome of this map")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def cancel(self) -> None:
        self._cancelled = True
        for task in list(self._running):
            task.cancel()
        if self._pulling is not None:
            self._pulling.cancel()
        self._discard()

    def _discard(self) -> None:
        """Close what nobody will take."""
        while self._finished:
            task = self._finished.popleft()
            if not task.cancelled() and task.exception() is None:
                task.result().discard()

    async def ended(self) -> None:
        left = [task for task in (*self._running, self._pulling) if task is not None]
        if left:
            await asyncio.wait(left)
        self._pulling = None

    async def close_nowait(self) -> None:
        await self.ended()

    def abandon(self) -> None:
        if self.over:
            return
        if _get_running_loop() is self._loop:
            self.cancel()
        else:
            try:
                self._loop.call_soon_threadsafe(self.cancel)
            except RuntimeError:
                pass  # Its loop has ended, and the tasks with it.


async def _next(source: AsyncIterator[Any], end: object) -> object:
    return await anext(source, end)
