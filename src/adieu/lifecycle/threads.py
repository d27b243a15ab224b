"""Threads that are started by another thread.

`Thread.start` waits for the thread's own first steps, with locks that are Python: an interrupt there leaves a thread
behind that never takes its first step and never ends. Ctrl-C reaches the main thread alone, so there a helper thread
starts it. Waiting for the end is a `SimpleQueue`, which is C.
"""

from __future__ import annotations

import threading
from _thread import start_new_thread
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BackgroundThread"]

# How often a waiting thread looks by itself (seconds).
_CHECK_INTERVAL = 0.5


class BackgroundThread(threading.Thread):
    """A daemon: a thread that waits for a peer must not keep the interpreter from ending."""

    def __init__(self, work: Callable[..., object], *facts: object, name: str) -> None:
        super().__init__(target=work, args=facts, name=name, daemon=True)
        self._ended = False
        # A signal for those that wait. It may be lost in an interrupt, so `_ended` is the truth.
        self._over: SimpleQueue[None] = SimpleQueue()

    def begin(self) -> None:
        """Start it, without waiting for its first step. Raises `RuntimeError` if the system gives no thread."""
        if threading.current_thread() is threading.main_thread():
            start_new_thread(self._start_or_run, ())
        else:
            self.start()

    def _start_or_run(self) -> None:
        try:
            self.start()
        except RuntimeError:
            self.run()  # The system has no more threads to give; but this is one, too.

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._ended = True
            self._over.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of a thread that has begun, so long at most."""
        until = None if seconds is None else monotonic() + seconds
        while not self._ended:
            left = _CHECK_INTERVAL if until is None else min(_CHECK_INTERVAL, until - monotonic())
            if left <= 0:
                return
            try:
                self._over.get(timeout=left)
            except Empty:
                pass
        self._over.put(None)  # For others that wait.
        if self.ident is not None:
            self.join(seconds)
