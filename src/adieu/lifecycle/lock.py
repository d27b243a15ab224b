"""Locks and interrupts.

A lock that is taken in a `with` block was safe from Ctrl-C up to CPython 3.13, and is on PyPy: taking a lock that is
written in C, and entering the block, were one instruction. In 3.14 they are two, and an interrupt that falls in
between leaves the lock taken for good (of interrupts in a loop that does nothing else, three in ten do). So code that
holds a lock which other threads wait for has to check the lock when anything was raised:

```python
try:
    with lock:
        ...
except BaseException:
    release_if_owned(lock)
    raise
```

`locked` does that for work that is a function, where one more call does not matter.

While the interpreter ends, it stops every other thread for good, wherever it is: a lock that one of them holds is never
released. So only `acquire` and `try_acquire` may wait for such a lock: the one raises then, the other gives up. What
ends a lease or a client waits for no lock at all. It notes what is to be done, and does it if the lock is free; if not,
the thread that holds the lock does it as it leaves.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, TypeVar

from adieu.errors import ClientClosed
from adieu.lifecycle.fork import call_first_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "acquire",
    "is_owned",
    "locked",
    "new_lock",
    "release_if_owned",
    "try_acquire",
]

_T = TypeVar("_T")


def new_lock() -> threading.RLock:
    """A `threading.RLock` that is free in a forked child, where its holder does not run."""
    lock = threading.RLock()
    call_first_after_fork(lock, _renew)
    return lock


def _renew(lock: threading.RLock) -> None:
    lock._at_fork_reinit()  # type: ignore[attr-defined] # The method that `threading.Condition` uses for this.


def locked(lock: threading.RLock, work: Callable[..., _T], *facts: object) -> _T:
    """Call `work(*facts)` with this `threading.RLock` held, and return its result.

    Raises `ClientClosed` instead of waiting while the interpreter ends.
    """
    was_owned = is_owned(lock)  # By the frame below, if this is a finalizer.
    try:
        if not lock.acquire(False):
            acquire(lock)
        try:
            return work(*facts)
        finally:
            lock.release()
    except BaseException:
        if not was_owned:
            release_if_owned(lock)
        raise


def acquire(lock: threading.RLock) -> None:
    """Wait for a lock. Raises `ClientClosed` while the interpreter ends, if the lock is not free."""
    if not lock.acquire(not sys.is_finalizing()):
        raise ClientClosed(
            "the interpreter is ending, and another thread was stopped while it used what this needs"
        )


def try_acquire(lock: threading.RLock, seconds: float) -> bool:
    """Wait for a lock for so long at most, and not at all while the interpreter ends."""
    return lock.acquire(timeout=0 if sys.is_finalizing() else seconds)


def is_owned(lock: threading.RLock) -> bool:
    """Whether the calling thread holds this `threading.RLock`. `threading.Condition` uses the same method."""
    owned: bool = lock._is_owned()  # type: ignore[attr-defined]
    return owned


def release_if_owned(lock: threading.RLock) -> None:
    """Release a lock that was not held before the block, if the calling thread holds it still."""
    if is_owned(lock):
        lock.release()
