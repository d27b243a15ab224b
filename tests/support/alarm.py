"""Interrupts at random moments: a real signal, some microseconds later, becomes a KeyboardInterrupt.

Raising from a trace function would not be the same: it would also hit places where Python never handles a signal.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from typing_extensions import Self

__all__ = ["HAS_ALARMS", "Alarm", "fell_before"]

HAS_ALARMS = hasattr(signal, "setitimer")


def fell_before(interrupt: BaseException, *functions: str) -> bool:
    """Whether it was raised in one of these functions before its first line, so as if it had not been called.

    No Python code can do anything about that: the interpreter handles a signal when it enters a function, before any
    `try` in it.
    """
    step = interrupt.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_name in functions and step.tb_lineno == code.co_firstlineno:
            return True
        step = step.tb_next
    return False


class Alarm:
    """Interrupts calls, in the main thread and on POSIX only. `hits` counts the interrupted calls.

    `scale` is an estimate of the seconds that a call takes, which is adjusted after each call. `spared`: a package that
    is not interrupted itself, but what comes after it. In the middle of asyncio's own code an interrupt loses the
    callback by which a task goes on, and the task then waits for ever.
    """

    def __init__(self, seed: int, scale: float = 1e-3, spared: str | None = None) -> None:
        self._spared = spared
        self.hits = 0
        self.scale = scale
        self._chance = random.Random(seed)
        self._armed = False

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGALRM, self._ring)
        # Python prints an interrupt that hits a finalizer, and then drops it.
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        return self

    def _unraisable(self, report: Any) -> None:
        if report.exc_type is not KeyboardInterrupt:
            self._hook(report)

    def __exit__(self, *error: object) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._former)
        sys.unraisablehook = self._hook

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if not self._armed:
            return
        if self._spares(frame):
            signal.setitimer(signal.ITIMER_REAL, 1e-5)
            return
        self._armed = False
        raise KeyboardInterrupt

    def _spares(self, frame: FrameType | None) -> bool:
        """Whether the spared package is running, or what it has called in the standard library."""
        while self._spared is not None and frame is not None:
            module = str(frame.f_globals.get("__name__"))
            package = module.partition(".")[0]
            if package == self._spared:
                return True
            if package not in sys.stdlib_module_names and module != __name__:
                return False
            frame = frame.f_back
        return False

    def rounds(self, hits: int) -> Iterator[int]:
        """Count up until enough calls were interrupted; fail if that takes too many calls."""
        for number in itertools.count():
            if self.hits >= hits:
                return
            assert number < 100 * hits, f"only {self.hits} calls were interrupted"
            yield number

    def call(self, function: Callable[[], Any]) -> KeyboardInterrupt | None:
        """Call it, interrupt it at a random moment if it still runs then, and return the interrupt that it raised."""
        seconds = self._chance.uniform(1e-6, self.scale)
        self.scale = max(self.scale * 0.97, 1e-5)
        try:
            try:
                self._armed = True
                signal.setitimer(signal.ITIMER_REAL, seconds)
                function()
            finally:
                self._armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt as interrupt:
            self.hits += 1
            self.scale *= 1.06
            return interrupt
        return None
