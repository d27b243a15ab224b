"""A lock at the moment at which CPython 3.14 may leave it taken for good: see `adieu.lifecycle.lock`."""

from __future__ import annotations

from threading import RLock
from typing import Any

__all__ = ["InterruptedLock"]


class InterruptedLock:
    """A lock whose holder is interrupted as soon as it has it: before its block begins, or before its next line."""

    def __init__(self) -> None:
        lock: Any = RLock()
        self._lock = lock
        self.release = lock.release
        self._is_owned = lock._is_owned

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._lock.acquire()
        raise KeyboardInterrupt

    __enter__ = acquire

    def __exit__(self, *error: object) -> None:
        raise AssertionError("the block never began")
