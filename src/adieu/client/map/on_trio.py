"""The tasks of an async map under trio. They belong to a nursery, which the map's block enters and leaves.

An async source is read by one task from its beginning to its end: a source may have cancel scopes of its own, and the
task that entered them must leave them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import trio

from adieu.client.map.arguments import NoRequest

if TYPE_CHECKING:
    from adieu.client.map.outcome import Outcome, Sending, Wanted
    from adieu.messages.async_response import AsyncResponse

__all__ = ["TrioTasks"]


@runtime_checkable
class _AsyncClosable(Protocol):
    """An async generator, a trio channel, and any other source that can be closed."""

    def aclose(self) -> Awaitable[object]: ...


class _Pulled(NamedTuple):
    """The next item of the source, or the error that it raised."""

    request: Wanted | NoRequest
    error: Exception | None


class TrioTasks:
    """The nursery, and the outcomes of its tasks that were not taken yet: an `AsyncInFlight`."""

    __slots__ = (
        "_block",
        "_cancelled",
        "_changed",
        "_finished",
        "_nursery",
        "_pull_running",
        "_pull_wanted",
        "_pulled",
        "_reader_waits",
        "_running",
        "_scopes",
    )

    def __init__(self) -> None:
        self._block = trio.open_nursery()
        self._nursery: trio.Nursery | None = None
        self._running = 0
        # One for each task. The nursery's own scope would cancel the block of the map, too.
        self._scopes: set[trio.CancelScope] = set()
        self._finished: deque[Outcome[AsyncResponse]] = deque()
        self._cancelled = False
        self._changed = trio.Event()
        self._reader_waits = False
        # The task that reads the source: whether it runs, what makes it read on, and what it has read.
        self._pull_running = False
        self._pull_wanted = trio.Event()
        self._pulled: _Pulled | None = None

    async def enter(self) -> None:
        """Open the nursery."""
        self._nursery = await self._block.__aenter__()

    @property
    def count(self) -> int:
        """How many tasks are under way, or have an outcome that was not taken."""
        return self._running + len(self._finished)

    @property
    def is_done(self) -> bool:
        """There will be no further outcome."""
        return not self._running and not self._finished and not self._pull_running

    def start(self, sending: Sending) -> None:
        """Start a task that sends a request."""
        self._running += 1

        async def send() -> None:
            await self._run(sending)

        self._start_task(send)

    def _start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None
        scope = trio.CancelScope()
        self._scopes.add(scope)

        async def scoped() -> None:
            try:
                with scope:
                    await work()
            finally:
                self._scopes.discard(scope)

        self._nursery.start_soon(scoped, name=work)

    async def _run(self, sending: Sending) -> None:
        try:
            outcome = await sending
        finally:
            self._running -= 1
            self._changed.set()
        if self._cancelled:
            outcome.discard()
        else:
            self._finished.append(outcome)

    def take(self) -> Outcome[AsyncResponse] | None:
        """The oldest outcome."""
        return self._finished.popleft() if self._finished else None

    def pull(self, source: AsyncIterator[Wanted]) -> Wanted | NoRequest:
        """The next request of the source, if it has come. Raises what the source raised."""
        if self._pulled is not None:
            request, error = self._pulled
            self._pulled = None
            try:
                if error is not None:
                    raise error
            finally:
                del error  # Or its traceback would refer to it: a cycle.
            return request
        if not self._pull_running:
            self._pull_running = True

            async def read() -> None:
                await self._read(source)

            self._start_task(read)
        self._pull_wanted.set()
        return NoRequest.NOT_YET

    async def _read(self, source: AsyncIterator[Wanted]) -> None:
        request: Wanted | NoRequest = NoRequest.NOT_YET
        try:
            while request is not NoRequest.EXHAUSTED:
                await self._pull_wanted.wait()
                request = await anext(source, NoRequest.EXHAUSTED)
                self._pull_wanted = trio.Event()
                self._pulled = _Pulled(request, None)
                self._changed.set()
        except Exception as error:
            self._pulled = _Pulled(NoRequest.EXHAUSTED, error)
        finally:
            self._pull_running = False
            self._changed.set()
            # Trio warns of async generators that are dropped. The map has read ahead, so the source is of no further
            # use to its owner.
            if isinstance(source, _AsyncClosable):
                await source.aclose()

    async def wait(self) -> None:
        """Wait for the next outcome, or the next request of the source."""
        if self._reader_waits:
            raise RuntimeError("another task is waiting for the next outcome of this map")
        self._reader_waits = True
        try:
            await self._changed.wait()
            self._changed = trio.Event()
        finally:
            self._reader_waits = False

    def cancel(self) -> None:
        """Cancel the tasks, discard the outcomes."""
        self._cancelled = True
        for scope in self._scopes:
            scope.cancel()
        while self._finished:
            self._finished.popleft().discard()

    async def join(self) -> None:
        """Wait for the end of the cancelled tasks."""
        while self._running or self._pull_running:
            await self.wait()

    async def exit(self) -> None:
        """Leave the nursery, which waits for the end of the tasks."""
        # Without the exception of the block: the nursery would raise it in an exception group.
        await self._block.__aexit__(None, None, None)

    def abandon(self) -> None:
        """Does nothing: the map is used in a block, which is left in any case."""
