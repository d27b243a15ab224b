"""Ends that have to be awaited: for async adapters over another async library, whose connections are closed by `await`.

Theory of operation. Ending a lease never waits, and may happen in another thread or in a finalizer. So `finish` only
starts the end, in a task of the event loop that the adapter belongs to, and the adapter's `close` waits until all of
them are over. An error of an end is reported as Python reports errors in finalizers. After the event loop has ended,
nothing can be awaited any more, and ends are dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.events import notify
from adieu.net.async_backend import current_backend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.net.backends.contract import Spawn

__all__ = ["AwaitedEnds"]


class AwaitedEnds:
    """The ends that one async adapter has started.

    ```python
    class LibraryLease(adieu.AsyncLease):
        def finish(self, reuse, why):
            self._adapter.ends.start(self._response.aclose)


    class LibraryAdapter(adieu.AdapterBase):
        def __init__(self):
            self.ends = AwaitedEnds()

        async def send(self, request, exchange):
            self.ends.bind()
            ...

        async def close(self):
            await self.ends.wait()
    ```
    """

    __slots__ = ("_pending", "_spawn", "_wakers")

    def __init__(self) -> None:
        self._spawn: Spawn | None = None
        self._pending: set[Callable[[], Awaitable[object]]] = set()
        self._wakers: list[Callable[[], object]] = []

    def bind(self) -> None:
        """Start the ends in the event loop that runs here, from now on. Call it in `send`, before there is a lease."""
        if self._spawn is None:
            self._spawn = current_backend().spawner()

    def start(self, end: Callable[[], Awaitable[object]]) -> None:
        """Call `end` in a task, and await it there. Never waits, never raises; from any thread. Each end runs once."""
        spawn = self._spawn
        if spawn is not None and end not in self._pending:
            self._pending.add(end)
            if not spawn(lambda: self._run(end)):
                self._pending.discard(end)

    async def _run(self, end: Callable[[], Awaitable[object]]) -> None:
        try:
            await end()
        except Exception as error:
            notify(_raise, error)
        finally:
            self._pending.discard(end)
            for wake in self._wakers:
                wake()

    async def wait(self) -> None:
        """Wait until all ends that were started are over."""
        waiter = current_backend().pool_waiter()
        self._wakers.append(waiter.wake)
        try:
            while self._pending:
                await waiter.wait(None)
        finally:
            self._wakers.remove(waiter.wake)


def _raise(error: Exception) -> None:
    raise error
