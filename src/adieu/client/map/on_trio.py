"""The tasks of a map, under trio: they belong to the block of the map, which is left when they have ended.

An async source is read by one task from its beginning to its end, because a source may have scopes of its own, which
must be left by the task that entered them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from adieu.client.map.outcome import Outcome
    from adieu.messages.async_response import AsyncResponse

__all__ = ["TrioFlow"]


class TrioFlow:
    """The nursery, what has finished in it, and who waits for the next."""

    __slots__ = (
        "_block",
        "_cancelled",
        "_changed",
        "_feeding",
        "_finished",
        "_nursery",
        "_pulled",
        "_running",
        "_scopes",
        "_waiting",
        "_wanted",
    )

    def __init__(self) -> None:
        self._block = trio.open_nursery()
        self._nursery: trio.Nursery | None = None
        self._running = 0
        # One for each task: the nursery's own is around the block, too.
        self._scopes: set[trio.CancelScope] = set()
        self._finished: deque[Outcome[AsyncResponse]] = deque()
        self._cancelled = False
        self._changed = trio.Event()
        self._waiting = False
        # Whether there is a task that reads the source, what makes it read on, and what it has read or met with.
        self._feeding = False
        self._wanted = trio.Event()
        self._pulled: list[Any] = []

    async def enter(self) -> None:
        self._nursery = await self._block.__aenter__()

    @property
    def load(self) -> int:
        return self._running + len(self._finished)

    @property
    def over(self) -> bool:
        return not self._running and not self._finished and not self._feeding

    def start(self, outcome: Coroutine[Any, Any, Outcome[AsyncResponse]]) -> None:
        self._running += 1
        self._begin(self._run, outcome)

    def _begin(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        assert self._nursery is not None
        scope = trio.CancelScope()
        self._scopes.add(scope)

        async def scoped() -> None:
            try:
                with scope:
                    await work(*args)
            finally:
                self._scopes.discard(scope)

        self._nursery.start_soon(scoped, name=work)

    async def _run(self, outcome: Coroutine[Any, Any, Outcome[AsyncResponse]]) -> None:
        try:
            done = await outcome
        finally:
            self._running -= 1
            self._changed.set()
        if self._cancelled:
            done.discard()
        else:
            self._finished.append(done)

    def take(self) -> Outcome[AsyncResponse] | None:
        return self._finished.popleft() if self._finished else None

    def pull(self, source: AsyncIterator[Any], end: object) -> list[Any]:
        if self._pulled:
            value, error = self._pulled
            self._pulled = []
            try:
                if error is not None:
                    raise error
            finally:
                del error  # Or its traceback would refer to it: a cycle.
            return [value]
        if not self._feeding:
            self._feeding = True
            self._begin(self._feed, source, end)
        self._wanted.set()
        return []

    async def _feed(self, source: AsyncIterator[Any], end: object) -> None:
        value: Any = None
        try:
            while value is not end:
                await self._wanted.wait()
                value = await anext(source, end)
                self._wanted = trio.Event()
                self._pulled = [value, None]
                self._changed.set()
        except Exception as error:
            self._pulled = [None, error]
        finally:
            self._feeding = False
            self._changed.set()
            # Trio complains of async generators that are dropped; and what was read of it is lost to others anyway.
            aclose = getattr(source, "aclose", None)
            if aclose is not None:
                await aclose()

    async def more(self) -> None:
        if self._waiting:
            raise RuntimeError("another task is waiting for the next outcome of this map")
        self._waiting = True
        try:
            await self._changed.wait()
            self._changed = trio.Event()
        finally:
            self._waiting = False

    def cancel(self) -> None:
        self._cancelled = True
        for scope in self._scopes:
            scope.cancel()
        while self._finished:
            self._finished.popleft().discard()

    async def ended(self) -> None:
        while self._running or self._feeding:
            await self.more()

    async def close_nowait(self) -> None:
        # What was raised in the block is not the nursery's to see: it would come out of it in a group.
        await self._block.__aexit__(None, None, None)

    def abandon(self) -> None:
        """There is nothing to abandon: who entered the block leaves it."""
