"""Locks: free again after work that fails, and after an interrupt at a bad moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from adieu.lifecycle.lock import is_owned, locked
from support.locks import InterruptedLock

pytestmark = pytest.mark.lifecycle


def test_the_work_runs_with_the_lock_taken() -> None:
    lock = threading.RLock()
    assert locked(lock, lambda fact: (fact, is_owned(lock)), 7) == (7, True)
    assert not is_owned(lock)


def test_work_that_fails_leaves_the_lock_free() -> None:
    lock = threading.RLock()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        locked(lock, fail)
    assert not is_owned(lock)


def test_an_interrupt_before_the_block_leaves_the_lock_free() -> None:
    lock: Any = InterruptedLock()
    with pytest.raises(KeyboardInterrupt):
        locked(lock, pytest.fail, "the block never began")
    assert not is_owned(lock)
