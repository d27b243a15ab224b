"""Threads that are started by another thread.

`Thread.start` waits for the thread's own first steps, with locks that are Python: an interrupt there leaves a thread
behind that never takes its first step and never ends. Only the main thread is interrupted, so a helper thread starts
the others. Waiting for the end is a `SimpleQueue`, which is C.
"""

from __future__ import annotations

import threading
from _thread import start_new_thread
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BackgroundThread"]


class BackgroundThread(threading.Thread):
    """A daemon: a thread that waits for a peer must not keep the interpreter from ending."""

    def __init__(self, work: Callable[..., object], *facts: object, name: str) -> None:
        super().__init__(target=work, args=facts, name=name, daemon=True)
        # One token, once it has ended.
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
            self._over.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of a thread that has begun, so long at most."""
        try:
            self._over.get(timeout=seconds)
        except Empty:
            return
        self._over.put(None)
        if self.ident is not None:
            self.join(seconds)
