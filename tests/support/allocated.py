"""How many bytes a function allocates. Not for PyPy, which has no tracemalloc."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Allocated"]


class Allocated:
    """Sums up the bytes that steps allocate, what they free again included: `with` it, and call `step`."""

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> Allocated:
        tracemalloc.start()
        return self

    def __exit__(self, *raised: object) -> None:
        tracemalloc.stop()

    def step(self, work: Callable[[], object]) -> None:
        """Run it, and add what it allocates at most at a time."""
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        self.bytes += tracemalloc.get_traced_memory()[1] - before
