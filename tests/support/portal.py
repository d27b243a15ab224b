"""An event loop in a thread of its own, which tests call from their thread.

The caller gets the errors of a call, interrupts too. For the loop they are results; otherwise they would end it.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["AsyncioPortal", "Portal", "TrioPortal"]

# Seconds after which the test gives up a call that has not returned.
_PATIENCE = 60


class Portal:
    """The base of both kinds: it returns the results."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="portal", daemon=True)
        self._thread.start()
        assert self._started.wait(30)

    def _main(self) -> None:
        raise NotImplementedError

    def _submit(self, call: Callable[[], Awaitable[None]]) -> None:
        raise NotImplementedError

    def run(self, awaitable: Callable[[], Awaitable[Any]]) -> Any:
        """Run the coroutine that this makes in a task of the loop, and return or raise its result."""
        results: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        awaitables = [awaitable]
        del awaitable

        async def call() -> None:
            # Lists, so that neither this frame nor the loop keeps objects of the test alive.
            await _answer(awaitables.pop(), results)

        self._submit(call)
        outcome = results.get(timeout=_PATIENCE)
        # Emptied, so that the thread of the loop, which may come late, refers to neither.
        value, error = outcome.pop(), outcome.pop()
        try:
            if error is not None:
                raise error
        finally:
            del error
        return value

    def settle(self) -> None:
        """Wait until the loop has done what other threads requested."""
        self.run(_nothing)

    def close(self) -> None:
        raise NotImplementedError


async def _answer(
    awaitable: Callable[[], Awaitable[Any]], results: queue.SimpleQueue[list[Any]]
) -> None:
    try:
        outcome = [None, await awaitable()]
    except BaseException as error:
        outcome = [error, None]
    results.put(outcome)


async def _nothing() -> None:
    pass


class AsyncioPortal(Portal):
    """A loop of asyncio's."""

    def _main(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop.call_soon(self._started.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _submit(self, call: Callable[[], Awaitable[None]]) -> None:
        context = contextvars.copy_context()
        self._loop.call_soon_threadsafe(context.run, self._start, call)

    def _start(self, call: Any) -> None:
        task = self._loop.create_task(call())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        self.run(self._others_ended)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def _others_ended(self) -> None:
        left: set[Any] = set()
        for turn in range(1000):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                return
            # Some need another thread, which may come late.
            await asyncio.sleep(0 if turn < 10 else 0.002)
        raise AssertionError(f"tasks are left: {left}")


class TrioPortal(Portal):
    """A run of trio's."""

    def _main(self) -> None:
        import trio

        trio.run(self._serve)

    async def _serve(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        async with trio.open_nursery() as self._nursery:
            self._started.set()
            await self._over.wait()

    def _submit(self, call: Callable[[], Awaitable[None]]) -> None:
        self._token.run_sync_soon(self._nursery.start_soon, call)

    def close(self) -> None:
        self._token.run_sync_soon(self._over.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
