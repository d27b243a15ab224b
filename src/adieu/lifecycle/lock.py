"""Locks and interrupts.

A lock that is taken in a `with` block was safe from Ctrl-C up to CPython 3.13, and is on PyPy: taking a lock that is
written in C, and entering the block, were one instruction. In 3.14 they are two, and an interrupt that falls in between
leaves the lock taken for good (of interrupts in a loop that does nothing else, three in ten do). So who holds a lock
for more than its own thread's sake looks after it when anything has been raised:

```python
try:
    with lock:
        ...
except BaseException:
    free(lock)
    raise
```

`locked` does that for work that is a function, where a call more costs nobody anything.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["free", "locked", "process_lock", "taken"]

_T = TypeVar("_T")


def locked(lock: Any, work: Callable[..., _T], *facts: Any) -> _T:
    """What `work(*facts)` gives, with this `threading.RLock` taken meanwhile."""
    try:
        with lock:
            return work(*facts)
    except BaseException:
        free(lock)
        raise


def taken(lock: Any) -> bool:
    """Whether the calling thread has this `threading.RLock`. What `threading.Condition` asks it, too."""
    owned: bool = lock._is_owned()
    return owned


def free(lock: Any) -> None:
    """Let go of a lock that was not held before the block, if the calling thread has it still."""
    if lock._is_owned():
        lock.release()


def process_lock() -> Any:
    """An RLock for what a process has once. It is free in a forked child, where the thread that had it is not."""
    lock: Any = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    return lock
