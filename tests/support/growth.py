"""How the time of a function grows with the size of its input, independent of the speed and load of the machine."""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_linear"]

_GROWTH = 8
_ALLOWED = 3 * _GROWTH  # quadratic time grows by 64
_SHORT = 0.002  # seconds; a shorter time is measured too coarsely
_ROUNDS = 10
# The time of the processor does not count that of other processes. Windows counts it in steps of 16 ms.
_clock = time.perf_counter if sys.platform == "win32" else time.process_time


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Assert that the time of `work(n)` is linear in n: that of `8 * size` is less than 24 times that of `size`.

    The fastest runs are compared, and more are made until the assertion holds or is clearly wrong.
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
    """Seconds without the collector, whose time depends on the objects of all other modules, too."""
    gc.disable()
    try:
        start = _clock()
        work(size)
        return _clock() - start
    finally:
        gc.enable()
