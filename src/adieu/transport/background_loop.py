"""An event loop of asyncio's in a thread of its own, which threads call; it ends when it is told to, or is dropped.

Invariants. The thread refers to the loop, and not to the `BackgroundLoop`, so that dropping that ends the thread. A
caller waits in C (`SimpleQueue`), and an interrupt in its wait cancels the task that it waits for. An error of a call,
interrupts too, is a result for its caller and not for the loop. After a fork the child begins with a new loop.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from adieu.errors import ClientClosed, InvalidRequest
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.lock import locked, new_lock
from adieu.lifecycle.threads import BackgroundThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["BackgroundLoop"]

# How often a waiting caller looks whether the loop has ended (seconds).
_CHECK_INTERVAL = 0.5
# How often, and for how many seconds each, tasks that are left are cancelled and waited for: some ignore the first one.
_TRIES = 3
_EACH = 1.0


class BackgroundLoop:
    """Runs what is awaited for threads that cannot await. The loop starts with its first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = new_lock()
        self._running: _Running | None = None
        self._ended = False
        call_after_fork(self, BackgroundLoop._forget)

    def _forget(self) -> None:
        self._running = None  # A forked child has no thread that runs it.

    def call(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Await what this makes, in the loop and in a copy of the caller's context; return or raise its result.

        Raises `ClientClosed` if the loop has ended, and `InvalidRequest` where it would wait for itself.
        """
        running = self._running or locked(self._lock, self._start)
        if running.thread.ident == threading.get_ident():
            raise InvalidRequest(
                f"{self._name}: a sync call would wait here for the event loop that it stops: "
                "what runs in this loop needs an AsyncClient"
            )
        return running.call(work)

    def _start(self) -> _Running:
        if self._ended:
            raise ClientClosed(f"{self._name} has ended")
        if self._running is None:
            running = _Running(self._name)
            running.thread.begin()
            self._running = running
        return self._running

    def end(self, seconds: float | None = None) -> None:
        """Cancel every task, close the loop and end its thread; wait for that for so long (None: do not wait)."""
        self._ended = True
        running = self._running
        if running is not None:
            running.stop()
            if seconds is not None and running.thread.ident != threading.get_ident():
                running.thread.wait(seconds)

    @property
    def is_running(self) -> bool:
        """It has a thread that has not ended."""
        running = self._running
        return running is not None and running.thread.is_alive()

    @quiet_at_exit
    def __del__(self) -> None:
        try:
            self.end()
        except AttributeError:
            pass  # An interrupt in the constructor.


class _Running:
    """A loop that runs, and its thread.

    The thread makes the loop, because an interrupt in the middle of that would leave half of one. If this object is
    dropped, by an interrupt as it is made, too, the thread ends.
    """

    def __init__(self, name: str) -> None:
        # The loop, or the error of making it, once the thread has come so far; and whether it is still wanted.
        self._made: list[asyncio.AbstractEventLoop | Exception] = []
        self._given_up: list[None] = []
        # A signal for those that wait. It may be lost in an interrupt, so `_made` is the truth.
        self._signal: SimpleQueue[None] = SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        facts = (self._made, self._given_up, self._signal)
        self.thread = BackgroundThread(_run, *facts, name=name)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; waits until it is there."""
        while not self._made:
            try:
                self._signal.get(timeout=_CHECK_INTERVAL)
            except Empty:
                continue
            self._signal.put(None)  # For others that wait.
        made = self._made[0]
        if isinstance(made, Exception):
            raise ClientClosed(f"{self.thread.name} could not be made: {made}") from made
        return made

    @quiet_at_exit
    def __del__(self) -> None:
        try:
            self.stop()
        except AttributeError:
            pass  # An interrupt in the constructor.

    def call(self, work: Callable[[], Awaitable[Any]]) -> Any:
        outcome: SimpleQueue[list[Any]] = SimpleQueue()
        tasks: list[asyncio.Task[None]] = []
        begin = partial(self._begin, [work], outcome, tasks)
        del work
        try:
            self._schedule(begin)
            del begin
            found = self._wait(outcome)
        except BaseException:
            self._cancel(tasks)
            raise
        error, result = found.pop(), found.pop()
        try:
            if error is not None:
                raise error
        finally:
            del error  # Or the exception's traceback would refer to the exception: a cycle.
        return result

    def _schedule(self, begin: Callable[[], object]) -> None:
        loop = self.loop
        try:
            loop.call_soon_threadsafe(begin, context=copy_context())
        except RuntimeError:
            raise ClientClosed(f"{self.thread.name} has ended") from None

    def _begin(
        self,
        works: list[Callable[[], Awaitable[Any]]],
        outcome: SimpleQueue[list[Any]],
        tasks: list[Any],
    ) -> None:
        task = self.loop.create_task(_answer(works, outcome))
        tasks.append(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wait(self, outcome: SimpleQueue[list[Any]]) -> list[Any]:
        while True:
            try:
                return outcome.get(timeout=_CHECK_INTERVAL)
            except Empty:
                if self.loop.is_closed():
                    raise ClientClosed(f"{self.thread.name} has ended") from None

    def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        """The caller waits no more."""
        try:
            self.loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
        except RuntimeError:
            pass  # The loop has ended, and every task with it.

    def stop(self) -> None:
        """Let the loop end, without waiting. Idempotent."""
        self._given_up.append(None)
        # Asked after that, as the thread asks the other way round.
        for made in self._made:
            if not isinstance(made, Exception):
                try:
                    made.call_soon_threadsafe(made.stop)
                except RuntimeError:
                    pass  # It has ended.


async def _answer(
    works: list[Callable[[], Awaitable[Any]]], outcome: SimpleQueue[list[Any]]
) -> None:
    # Lists, which the other side empties, so that neither this frame nor the loop keeps objects of the caller alive.
    try:
        found = [await works.pop()(), None]
    except BaseException as error:
        found = [None, error]
    outcome.put(found)


def _run(
    made: list[asyncio.AbstractEventLoop | Exception],
    given_up: list[None],
    signal: SimpleQueue[None],
) -> None:
    """In the thread: make the loop, run it until it is stopped, and end what is left in it."""
    try:
        loop = asyncio.new_event_loop()
    except Exception as error:
        made.append(error)
        signal.put(None)
        return
    made.append(loop)
    signal.put(None)
    asyncio.set_event_loop(loop)
    if given_up:
        loop.call_soon(loop.stop)
    while True:
        try:
            loop.run_forever()
            break
        except (KeyboardInterrupt, SystemExit):
            pass  # A task has raised it; it ends neither this loop nor, from this thread, the program.
    try:
        loop.run_until_complete(_end_tasks())
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), _EACH))
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_default_executor(), _EACH))
    except (TimeoutError, asyncio.TimeoutError):
        pass  # What ignores its end goes down with its thread.
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _end_tasks() -> None:
    this = asyncio.current_task()
    for _ in range(_TRIES):
        going = [task for task in asyncio.all_tasks() if task is not this]
        if not going:
            return
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=_EACH)
