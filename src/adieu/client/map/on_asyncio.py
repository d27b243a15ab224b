"""The tasks of an async map under asyncio. They belong to the event loop, and are cancelled when the map is left."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections import deque
from typing import TYPE_CHECKING

from adieu.client.map.arguments import NoRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.client.map.outcome import Outcome, Sending, Wanted
    from adieu.messages.async_response import AsyncResponse

    OutcomeTask = asyncio.Task[Outcome[AsyncResponse]]
    PullTask = asyncio.Task[Wanted | NoRequest]

__all__ = ["AsyncioTasks"]


class AsyncioTasks:
    """The tasks under way and those that have finished: an `AsyncInFlight`."""

    __slots__ = ("_cancelled", "_finished", "_loop", "_pull_task", "_running", "_waiter")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: set[OutcomeTask] = set()
        self._finished: deque[OutcomeTask] = deque()
        # The task that waits for the next request of an async source.
        self._pull_task: PullTask | None = None
        self._cancelled = False
        # Done when something has finished; there while the reader waits for that.
        self._waiter: asyncio.Future[None] | None = None

    async def enter(self) -> None:
        """Does nothing: tasks need no block."""

    @property
    def count(self) -> int:
        """How many tasks are under way, or have an outcome that was not taken."""
        return len(self._running) + len(self._finished)

    @property
    def is_done(self) -> bool:
        """There will be no further outcome."""
        return not self._running and not self._finished and self._pull_task is None

    def start(self, sending: Sending) -> None:
        """Start a task that sends a request."""
        task: OutcomeTask = self._loop.create_task(sending)
        self._running.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: OutcomeTask) -> None:
        self._running.discard(task)
        self._finished.append(task)
        if self._cancelled:
            self._discard()
        self._wake_reader()

    def take(self) -> Outcome[AsyncResponse] | None:
        """The oldest outcome. Raises what is no `Exception`."""
        return self._finished.popleft().result() if self._finished else None

    def pull(self, source: AsyncIterator[Wanted]) -> Wanted | NoRequest:
        """The next request of the source, if it has come. Raises what the source raised."""
        task = self._pull_task
        if task is None:
            self._pull_task = task = self._loop.create_task(_next(source))
            task.add_done_callback(self._on_pulled)
        if not task.done():
            return NoRequest.NOT_YET
        self._pull_task = None
        return task.result()

    def _on_pulled(self, task: PullTask) -> None:
        if not task.cancelled():
            task.exception()  # Mark it as seen: asyncio would log it if the map is left before `pull` raises it.
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for the next outcome, or the next request of the source."""
        if self._waiter is not None:
            raise RuntimeError("another task is waiting for the next outcome of this map")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def cancel(self) -> None:
        """Cancel the tasks, discard the outcomes."""
        self._cancelled = True
        for task in list(self._running):
            task.cancel()
        if self._pull_task is not None:
            self._pull_task.cancel()
        self._discard()

    def _discard(self) -> None:
        while self._finished:
            task = self._finished.popleft()
            if not task.cancelled() and task.exception() is None:
                task.result().discard()

    async def join(self) -> None:
        """Wait for the end of the cancelled tasks."""
        unfinished = [task for task in (*self._running, self._pull_task) if task is not None]
        if unfinished:
            await asyncio.wait(unfinished)
        self._pull_task = None

    async def exit(self) -> None:
        """Wait for the end of the cancelled tasks."""
        await self.join()

    def abandon(self) -> None:
        """The iterator was dropped, in any thread: cancel the tasks in their loop."""
        if self.is_done:
            return
        if _get_running_loop() is self._loop:
            self.cancel()
        else:
            try:
                self._loop.call_soon_threadsafe(self.cancel)
            except RuntimeError:
                pass  # The loop was closed, and its tasks have ended.


async def _next(source: AsyncIterator[Wanted]) -> Wanted | NoRequest:
    return await anext(source, NoRequest.EXHAUSTED)
