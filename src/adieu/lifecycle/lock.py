"""Locks, threads and interrupts.

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

`Thread.start` waits for the thread's own first steps, with locks that are Python: an interrupt there leaves a thread
behind that never takes its first step and never ends. Only the main thread is interrupted, so another one starts them.
"""

from __future__ import annotations

import os
import threading
from _thread import start_new_thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["begin", "is_owned", "locked", "process_lock", "release_if_owned", "start_in_helper"]

_T = TypeVar("_T")


def locked(lock: threading.RLock, work: Callable[..., _T], *facts: object) -> _T:
    """Call `work(*facts)` with this `threading.RLock` held, and return its result."""
    try:
        with lock:
            return work(*facts)
    except BaseException:
        release_if_owned(lock)
        raise


def is_owned(lock: threading.RLock) -> bool:
    """Whether the calling thread holds this `threading.RLock`. `threading.Condition` uses the same method."""
    owned: bool = lock._is_owned()  # type: ignore[attr-defined]
    return owned


def release_if_owned(lock: threading.RLock) -> None:
    """Release a lock that was not held before the block, if the calling thread holds it still."""
    if is_owned(lock):
        lock.release()


def process_lock() -> threading.RLock:
    """An RLock for state that a process has once. It is free in a forked child, where its holder does not run."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]
    return lock


def begin(thread: threading.Thread) -> None:
    """Start a thread, from any other one."""
    if threading.current_thread() is threading.main_thread():
        start_in_helper(thread)
    else:
        thread.start()


def start_in_helper(thread: threading.Thread, begun: Callable[[], object] = bool) -> None:
    """Start a thread in a helper thread, which then calls `begun`."""

    def start() -> None:
        try:
            thread.start()
        except RuntimeError:
            thread.run()  # The system has no more threads to give; but this is one, too.
        begun()

    start_new_thread(start, ())
