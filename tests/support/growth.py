"""How the time of a function grows with the size of its input, independent of the speed and load of the machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_linear"]

_GROWTH = 8
_ALLOWED = 3 * _GROWTH  # quadratic time grows by 64
_SHORT = 0.002  # seconds; a shorter time is mostly that of other processes
_ROUNDS = 20


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Assert that the time of `work(n)` is linear in n: that of `8 * size` is less than 24 times that of `size`.

    The fastest runs are compared. More runs are made while other processes slow them down.
    """
    small = min(_seconds(work, size) for _ in range(3))
    large = _seconds(work, size * _GROWTH)
    for _ in range(_ROUNDS):
        if large < _ALLOWED * max(small, _SHORT):
            return
        small = min(small, _seconds(work, size))
        large = min(large, _seconds(work, size * _GROWTH))
    raise AssertionError(f"{small:.6f} s for {size}, but {large:.6f} s for {_GROWTH} times as much")


def _seconds(work: Callable[[int], object], size: int) -> float:
    start = time.perf_counter()
    work(size)
    return time.perf_counter() - start
