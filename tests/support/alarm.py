"""Interrupts at moments that nobody chose: a real signal, after some microseconds, that becomes a KeyboardInterrupt.

Raising from a trace function would be no model of it: that hits places where Python never handles a signal.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from typing_extensions import Self

__all__ = ["HAS_ALARMS", "Alarm"]

HAS_ALARMS = hasattr(signal, "setitimer")


class Alarm:
    """Interrupts calls; in the main thread, and on POSIX. `hits` counts the calls that were interrupted.

    `scale` is how long the calls take, in seconds, as far as is known: it is learnt from how many were interrupted.
    """

    def __init__(self, seed: int, scale: float = 1e-3) -> None:
        self.hits = 0
        self.scale = scale
        self._chance = random.Random(seed)
        self._armed = False

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGALRM, self._ring)
        # In a finalizer Python prints an interrupt, and forgets it.
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
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt

    def rounds(self, hits: int, seconds: float = 30.0) -> Iterator[int]:
        """Numbers, until so many calls were interrupted; a failure if they have not been within so many seconds."""
        ends_at = time.monotonic() + seconds
        for number in itertools.count():
            if self.hits >= hits:
                return
            assert time.monotonic() < ends_at, f"only {self.hits} calls were interrupted"
            yield number

    def call(self, function: Callable[[], Any]) -> KeyboardInterrupt | None:
        """Call it, and interrupt it at a random moment, if it still runs then: the interrupt that came out of it."""
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
