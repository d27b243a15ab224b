"""Steps that change shared state: each is carried out under one lock, until it is done.

Theory of operation. Changes are posted to an inbox. The thread that holds the lock carries them out, each until it is
done: a step that was interrupted in the middle is repeated by the next caller, so every step may run twice. The lock is
an `RLock`, which is C: an interrupt cannot make it lose its count, as it can with `Condition`, `Event` and
`queue.Queue`, which are Python. Only a thread that needs the result of its step waits for the lock. Any other leaves
the step in the inbox if the lock is not free, and the thread that holds it looks into the inbox once more after it has
released the lock. So such a step never waits: not for a thread that the end of the interpreter has stopped with the
lock held, and not for its own thread, which may hold the lock below a finalizer.

Work that takes longer or runs foreign code (closing a connection, waking a waiter, notifying a listener) is deferred
until the lock is free, and stays in the list until it has been done. So it may be done twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from adieu.lifecycle.events import notify
from adieu.lifecycle.lock import acquire, is_owned, new_lock, release_if_owned, try_acquire

__all__ = ["AT_ONCE", "Inbox"]

# How long to wait for the lock (seconds).
AT_ONCE = 0.0
_Step = tuple[Callable[..., None], tuple[object, ...]]


class Inbox:
    """The base of an object whose state is changed by steps."""

    def __init__(self) -> None:
        self._inbox: deque[_Step] = deque()
        self._deferred: deque[Callable[[], object]] = deque()
        self._lock = new_lock()

    def _post(self, step: Callable[..., None], *args: object) -> None:
        """Carry out a step for a caller that needs its result, and so waits for the lock."""
        self._post_within(None, step, *args)

    def _post_within(
        self, patience: float | None, step: Callable[..., None], *args: object
    ) -> None:
        """Carry out a step, or leave it to the thread that holds the lock: see `_work`."""
        try:
            self._inbox.append((step, args))
            self._work(patience)
        except Exception:
            raise
        except BaseException:
            # An interrupt, perhaps just after the step was noted. The step is done first: there may never be another
            # caller, and a step that stays in the inbox refers to the pool, in a cycle.
            self._work(patience)
            raise

    def _work(self, patience: float | None = None) -> None:
        """Carry out the steps in the inbox, and what is deferred.

        `patience`: how long to wait for the lock (seconds); after that its holder finds the steps, when it has released
        the lock. None: for as long as it takes, but see `acquire`.
        """
        inbox, lock = self._inbox, self._lock
        if is_owned(lock):
            return  # A finalizer, entered while this very thread is at work below: it will find the step.
        while inbox:  # Again, if others left a step when the lock was all but released.
            try:
                if patience is None:
                    acquire(lock)
                elif not try_acquire(lock, patience):
                    break
                self._carry_out(inbox)
                lock.release()
            except BaseException:
                release_if_owned(lock)
                raise
        if self._deferred:
            self._run_deferred()

    def _carry_out(self, inbox: deque[_Step]) -> None:
        try:
            while inbox:
                step, args = inbox[0]
                step(*args)
                inbox.popleft()
        except Exception:
            inbox.popleft()  # A step that fails would fail for ever; an interrupt leaves it to the next caller.
            raise

    def _run_deferred(self) -> None:
        aside = self._deferred
        while aside:
            try:
                job = aside[0]
                # One that raises must not keep the others from being done, nor come up for ever.
                notify(job)
                aside.remove(job)
            except (IndexError, ValueError):
                pass  # Another thread did the same job meanwhile; each may be done twice.
