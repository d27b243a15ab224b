"""How a task of asyncio's waits for a place in a pool."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop

from adieu.net.backends.asyncio_wait import Wait

__all__ = ["AsyncioPoolWaiter"]

# How often the timeouts of pool waits are checked (seconds).
_TICK = 0.01


class _Timeouts:
    """The pool waits of one loop, and one timer that ends those that have taken too long.

    A timer for each would cost more than the rest of its wait, and few waits last until their timeout. So a wait may
    last `_TICK` longer than it should. While there are no waits, there is no timer.
    """

    __slots__ = ("_ticking", "_waits", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waits: dict[Wait, float] = {}
        self._ticking = False

    def add(self, wait: Wait, seconds: float) -> None:
        self._waits[wait] = self.loop.time() + seconds
        if not self._ticking:
            self.loop.call_later(_TICK, self._tick)
            self._ticking = True

    def remove(self, wait: Wait) -> None:
        self._waits.pop(wait, None)

    def _tick(self) -> None:
        global _timeouts
        if not self._waits:
            self._ticking = False
            if _timeouts is self:
                _timeouts = None  # It would keep its loop alive.
            return
        now = self.loop.time()
        for wait in [wait for wait, ends_at in self._waits.items() if ends_at <= now]:
            wait.fail(TimeoutError())
        self.loop.call_later(_TICK, self._tick)


# Those of the loop that asked last. Several loops at once, in threads, only make more of these.
_timeouts: _Timeouts | None = None


def _timeouts_of(loop: asyncio.AbstractEventLoop) -> _Timeouts:
    global _timeouts
    timeouts = _timeouts
    if timeouts is None or timeouts.loop is not loop:
        _timeouts = timeouts = _Timeouts(loop)
    return timeouts


class AsyncioPoolWaiter:
    """A waiter that suspends its task. May be woken from any thread, by a finalizer too."""

    __slots__ = ("_loop", "_wait")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wait = Wait(self._loop)

    def wake(self) -> None:
        # Not at once: the caller may be the running task, or a finalizer in the middle of any line.
        loop = self._loop
        is_running = _get_running_loop() is loop
        try:
            (loop.call_soon if is_running else loop.call_soon_threadsafe)(self._wait.resume)
        except RuntimeError:
            pass  # The loop is closed, and no task waits in it.

    async def wait(self, seconds: float | None) -> None:
        wait = self._wait
        timeouts = _timeouts_of(self._loop) if seconds is not None else None
        wait.begin(None)
        try:
            if timeouts is not None and seconds is not None:
                timeouts.add(wait, seconds)
            await wait
        except TimeoutError:
            pass  # Whatever ended the wait, the caller checks whether it has got a connection.
        finally:
            if timeouts is not None:
                timeouts.remove(wait)
            wait.end()
