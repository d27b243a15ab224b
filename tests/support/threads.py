"""A call in a thread of its own, and a way to wait until a thread is inside a function."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from support.stage import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BackgroundCall", "wait_until_in"]


class BackgroundCall(threading.Thread):
    """A thread that has begun, and keeps the result or the exception of its function."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._result: object = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._function()
        except Exception as error:
            self._result = error.with_traceback(None)

    def wait_until_in(self, name: str) -> None:
        """See the function."""
        wait_until_in(self, name)

    def finished(self) -> object:
        """What the function returned or raised."""
        self.join(30)
        assert not self.is_alive()
        return self._result


def wait_until_in(thread: threading.Thread, name: str) -> None:
    """Wait until a thread is inside a function of this name."""

    def inside() -> bool:
        frame = sys._current_frames().get(thread.ident or 0)
        while frame is not None and frame.f_code.co_name != name:
            frame = frame.f_back
        return frame is not None

    eventually(inside)
