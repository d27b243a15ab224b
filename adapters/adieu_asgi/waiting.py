"""Waiting, for the tasks of one event loop: until something holds, and for everything that an adapter has running."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextvars import Context

__all__ = ["Changes", "Tasks"]

# How often, and for how many seconds each, a task that was cancelled is waited for: some take the first one for advice.
_TRIES = 3
_EACH = 1.0


class Changes:
    """Lets tasks wait until something holds, and is told whenever that may have come true.

    Of this loop's thread only. Cancelling one who waits disturbs nobody else.
    """

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Something has changed."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds."""
        while not holds():
            future = self._loop.create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                if not future.done() or future.cancelled():
                    self._waiting = [other for other in self._waiting if other is not future]

    async def within(self, seconds: float | None, holds: Callable[[], bool]) -> bool:
        """Wait until this holds, so long at most; whether it does."""
        if holds():
            return True
        if seconds is None:
            await self.until(holds)
            return True
        ends_at = self._loop.time() + seconds
        timer = self._loop.call_at(ends_at, self.notify)
        try:
            await self.until(lambda: holds() or self._loop.time() >= ends_at)
        finally:
            timer.cancel()
        return holds()


class Tasks:
    """Every task that an adapter has started and that has not ended yet."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, context: Context, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task in this context. What it raises is its own affair."""
        task = context.run(asyncio.get_running_loop().create_task, work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def __len__(self) -> int:
        return len(self._running)

    def cancel(self) -> None:
        """Cancel them all, without waiting."""
        for task in list(self._running):
            task.cancel()

    async def wait(self, seconds: float) -> None:
        """Wait for all of them, so long at most."""
        if seconds > 0 and (going := self._others()):
            await asyncio.wait(going, timeout=seconds)

    async def end(self, patience: float) -> None:
        """Wait for all of them, so long at most; then cancel those that go on, and wait for their end."""
        try:
            await self.wait(patience)
            for _ in range(_TRIES):
                if not (going := self._others()):
                    return
                for task in going:
                    task.cancel()
                await self.wait(_EACH)
        except BaseException:
            self.cancel()
            raise
        if going := self._others():
            warnings.warn(
                f"the app was cancelled {_TRIES} times and goes on: {going}",
                ResourceWarning,
                stacklevel=2,
            )

    def _others(self) -> list[asyncio.Task[Any]]:
        # An app may close the very client that called it: its own end is nothing that it can wait for.
        this = asyncio.current_task()
        return [task for task in self._running if task is not this]
