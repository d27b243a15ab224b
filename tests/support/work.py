"""How much work a function does, by counts that do not depend on the machine's speed or load."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import FrameType
    from typing import TypeAlias

    TraceFunction: TypeAlias = Callable[[FrameType, str, object], "TraceFunction"]

__all__ = ["Allocated", "Calls", "calls_of", "lines_of"]


class Calls(NamedTuple):
    """Functions of Python and of C that were entered, and the modules that the former are in."""

    python: int
    c: int
    modules: frozenset[str]


def calls_of(work: Callable[[], object]) -> Calls:
    """The calls that it makes, in this thread, without the one of `work` itself."""
    python, modules, c_calls = 0, set(), 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal python, c_calls
        if event == "call":
            python += 1
            modules.add(frame.f_globals["__name__"])
        elif event == "c_call":
            c_calls += 1

    before = sys.getprofile()
    gc.disable()  # Finalizers of other tests' objects would be counted.
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    modules.discard(work.__module__)
    # Without `work` itself, and `setprofile` at the end.
    return Calls(python - 1, c_calls - 1, frozenset(modules))


def lines_of(work: Callable[[], object]) -> int:
    """The lines of Python that it executes in this thread."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


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
