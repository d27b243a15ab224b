"""Waiting in the tasks of one event loop: for a condition, and for the running tasks of an adapter."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextvars import Context

__all__ = ["Changes", "Tasks"]

# How often, and for how many seconds each, a task is cancelled and waited for: some ignore the first cancellation.
_TRIES = 3
_EACH = 1.0


class Changes:
    """Lets tasks wait for a condition; `notify` is called after each change that may make it true.

    For the thread of the loop only. Cancelling one waiting task does not affect the others.
    """

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Check the conditions of all waiting tasks again."""
        waiting = self._waiting
        while waiting:
            # It leaves the list last: an interrupt in between loses nobody.
            if not waiting[-1].done():
                waiting[-1].set_result(None)
            waiting.pop()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this is true."""
        while not holds():
            future = self._loop.create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                if (
                    future in self._waiting
                ):  # Cancelled or interrupted. (Futures are equal to themselves alone.)
                    self._waiting.remove(future)

    async def within(self, seconds: float | None, holds: Callable[[], bool]) -> bool:
        """Wait until this is true, for at most these seconds; return whether it is."""
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
    """The running tasks of an adapter."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, context: Context, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task in this context. Its errors are ignored."""
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
        """Wait for all of them, for at most these seconds."""
        if seconds > 0 and (going := self._others()):
            await asyncio.wait(going, timeout=seconds)

    async def end(self, patience: float) -> None:
        """Wait for all of them, for at most these seconds; then cancel the others, and wait for their end."""
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
        # An app may close the client that called it, and cannot wait for its own end.
        this = asyncio.current_task()
        return [task for task in self._running if task is not this]
