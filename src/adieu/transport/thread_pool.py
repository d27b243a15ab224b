"""A bounded number of threads, each of which carries one exchange at a time, from its first call to its last.

Theory of operation. An exchange takes a `ThreadSlot`. Slots wait in one queue, first come, first served; a thread takes
the next one, makes its calls in their order, and is free again when the slot is left. So a reader never waits for a
thread that waits, in a pool, for what the reader holds; and an object that belongs to one thread (a cursor, a curl
handle) stays in it.

Shared state is C: `SimpleQueue`, `deque`, and a list from which the first to pop has won. A slot may be left from any
thread and in a finalizer. A thread drops its references to a call as soon as its outcome was handed over: a last
reference kept here would run finalizers here, at some later time. Hence the lists, out of which results are taken.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, TransportError
from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.lock import locked, new_lock
from adieu.lifecycle.threads import BackgroundThread
from adieu.net.async_backend import current_backend
from adieu.texts import show_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.net.backends.contract import ThreadResult

__all__ = ["Outcome", "ThreadSlot", "Threads", "answer", "taken"]

Call = list[Any]
"""A `ThreadResult`, and the function whose outcome it gets. The thread that calls takes the function out."""
Outcome = list[Any]
"""A result, and an error or None. The code that passes them on takes them out."""


class ThreadSlot:
    """The right of one exchange to a thread. `survives_close`: `Threads.stop` does not end it."""

    __slots__ = (
        "_calls",
        "_claims",
        "_context",
        "_left",
        "_method",
        "_url",
        "since",
        "survives_close",
    )

    def __init__(self, method: str, url: object) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._claims = [True]
        self._context = copy_context()
        self._left = False
        self._method = method
        self._url = url
        self.survives_close = False
        self.since = monotonic()

    @property
    def name(self) -> str:
        """What the thread is for, as texts say it."""
        return f"{self._method} {show_url(self._url)}"

    def call(self, function: Callable[[], object]) -> ThreadResult:
        """Have the thread call this; see `taken`. The call goes on if its caller stops waiting."""
        wanted = answer()
        self._calls.put([wanted, function])
        if self._left:
            self._refuse()
        return wanted

    def run_inline(self, function: Callable[[], object]) -> None:
        """Call this now, in the context of the slot's other calls, if none of them is running."""
        try:
            self._context.run(function)
        except RuntimeError:
            function()

    def claim(self) -> bool:
        """Win the slot: only the first to claim it may begin it, or end it before it has begun."""
        try:
            return self._claims.pop()
        except IndexError:
            return False

    def leave(self) -> None:
        """No further call will be made. Idempotent, from any thread."""
        if self.claim():
            self._left = True
            self._refuse()  # Functions that wait to be called are dropped now, not when a thread is free.
        else:
            self._calls.put(None)

    def give_up(self, error: Callable[[], BaseException]) -> None:
        """End a slot that has no thread yet: its callers get the error."""
        if self.claim():
            self._left = True
            self._refuse(error())

    def run_calls(self) -> None:
        """In the thread: make the calls, until the slot is left."""
        while True:
            call = self._calls.get()
            if call is None:
                break
            outcome = self._outcome(call)
            call.pop().set(outcome)
            del call, outcome
        self._left = True
        self._refuse()

    def _outcome(self, call: Call) -> Outcome:
        # The frame of this is in the error's traceback, and must not refer to the error, nor to the answer.
        function = call.pop()
        del call
        try:
            return [self._context.run(function), None]
        except BaseException as error:
            return [None, error]

    def _refuse(self, error: BaseException | None = None) -> None:
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            if call is not None:
                call[0].set([None, error or BodyClosed(f"{self.name} has been ended")])


class Threads:
    """At most `limit` threads. They are made when they are needed, and end with `stop`. `name`: how theirs begin."""

    __slots__ = (
        "__weakref__",
        "_begun",
        "_busy",
        "_idle",
        "_lock",
        "_name",
        "_queue",
        "_stopped",
        "_threads",
        "limit",
    )

    def __init__(self, limit: int, name: str = "adieu-to_async") -> None:
        self.limit = limit
        self._name = name
        self._stopped = False
        self._lock = new_lock()
        self._reset()
        call_after_fork(self, Threads._reset)  # A forked child has none of these threads.

    def _reset(self) -> None:
        self._queue: SimpleQueue[ThreadSlot | None] = SimpleQueue()
        # One token for each thread that waits at the queue, and for which no slot was put there.
        self._idle: deque[None] = deque()
        self._busy: dict[ThreadSlot, threading.Thread] = {}
        # When a thread last began with a slot.
        self._begun = [monotonic()]
        self._threads: list[BackgroundThread] = []

    def take(self, slot: ThreadSlot, stopped: Callable[[], BaseException]) -> None:
        """Queue a slot. After `stop` it gets the error that `stopped` makes."""
        self._queue.put(slot)
        try:
            self._idle.pop()
        except IndexError:
            try:
                locked(self._lock, self._grow)
            except RuntimeError as error:
                if not self._threads:  # Else one of them takes the slot when it is free.
                    slot.give_up(partial(_no_thread, slot.name, error.with_traceback(None)))
        if self._stopped:
            slot.give_up(stopped)

    def _grow(self) -> None:
        number = len(self._threads)
        if number >= self.limit or self._stopped:
            return
        name = f"{self._name}-{number + 1}"
        shared = (self._queue, self._idle, self._busy, self._begun)
        thread = BackgroundThread(_work, *shared, name=name)
        thread.begin()
        self._threads.append(thread)

    def moved_at(self) -> float:
        """When a thread last began with one of the slots, which are in one line (`monotonic()`)."""
        return self._begun[0]

    def holders(self) -> list[str]:
        """The use of every thread, longest first."""
        now = monotonic()
        slots = sorted(self._busy.copy(), key=lambda slot: slot.since)
        return [f"{slot.name} for {now - slot.since:.1f} s" for slot in slots]

    def stop(self, stopped: Callable[[], BaseException]) -> None:
        """Let the threads end: idle ones now, the others after their call; slots that wait get an error."""
        self._stopped = True
        while True:
            try:
                slot = self._queue.get_nowait()
            except Empty:
                break
            if slot is not None:
                slot.give_up(stopped)
        for slot in self._busy.copy():
            if not slot.survives_close:
                slot.leave()
        for _ in range(self.limit):
            self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Wait, so long at most, for the threads that are about to end."""
        until = monotonic() + seconds
        lasting = {thread for slot, thread in self._busy.copy().items() if slot.survives_close}
        for thread in self._threads:
            if thread not in lasting:
                thread.wait(max(until - monotonic(), 0.0))


def _work(
    queue: SimpleQueue[ThreadSlot | None],
    idle: deque[None],
    busy: dict[ThreadSlot, threading.Thread],
    begun: list[float],
) -> None:
    this = threading.current_thread()
    while True:
        slot = queue.get()
        if slot is None:
            return
        if slot.claim():
            begun[0] = monotonic()
            busy[slot] = this
            slot.run_calls()
            del busy[slot]
        del slot
        idle.append(None)


def _no_thread(name: str, why: RuntimeError) -> TransportError:
    error = TransportError(f"no thread could be started for {name}: {why}")
    error.__cause__ = why
    return error


def answer() -> ThreadResult:
    """A place for an outcome, in the event loop that runs here. An outcome that comes too late is dropped there."""
    return current_backend().thread_result(list.clear)


async def taken(wanted: ThreadResult) -> Any:
    """Wait for an outcome: its result is given, its error raised."""
    await wanted.wait()
    outcome: Outcome = wanted.take()
    error, result = outcome.pop(), outcome.pop()
    try:
        if error is not None:
            raise error
    finally:
        del error  # Or the exception's traceback would refer to the exception: a cycle.
    return result
