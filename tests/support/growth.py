"""How the time of a function grows with the size of its input, independent of the speed of the machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_linear"]

_GROWTH = 8
_SHORT = 0.002  # seconds; a shorter time is mostly that of other processes


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Assert that `work(8 * size)` takes no more than 24 times as long as `work(size)`: quadratic time is 64 times."""
    small = max(_fastest(work, size), _SHORT)
    large = _fastest(work, size * _GROWTH)
    assert large < small * _GROWTH * 3


def _fastest(work: Callable[[int], object], size: int) -> float:
    def seconds() -> float:
        start = time.perf_counter()
        work(size)
        return time.perf_counter() - start

    return min(seconds() for _ in range(3))
