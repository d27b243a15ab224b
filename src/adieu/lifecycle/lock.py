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
"""

from __future__ import annotations

from typing import Any

__all__ = ["free", "taken"]


def taken(lock: Any) -> bool:
    """Whether the calling thread has this `threading.RLock`. What `threading.Condition` asks it, too."""
    owned: bool = lock._is_owned()
    return owned


def free(lock: Any) -> None:
    """Let go of a lock that was not held before the block, if the calling thread has it still."""
    if lock._is_owned():
        lock.release()
