"""How much work a function does, by counts that do not depend on the machine's speed or load."""

from __future__ import annotations

import gc
import select
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import FrameType
    from typing import TypeAlias

    TraceFunction: TypeAlias = Callable[[FrameType, str, object], "TraceFunction"]

__all__ = ["Calls", "lines_of"]

_POLLERS: Final = ("poll", "epoll", "kqueue")
_SYSTEM: Final[tuple[type, ...]] = (
    socket.socket,
    *(type(getattr(select, name)()) for name in _POLLERS if hasattr(select, name)),
)


class Calls:
    """Counts what is called within a `with` block, in this thread, by functions of the packages `by`.

    `python`: functions of Python in these packages, and `modules`, those that they are in; `c`: functions of C that
    they call; `system`: how many of these are operations of a socket or of what waits for sockets.
    """

    def __init__(self, *by: str) -> None:
        self.by = by
        self.python = self.c = self.system = 0
        self.modules: set[str] = set()
        self._before: Any = None

    def __enter__(self) -> Calls:
        self._before = sys.getprofile()
        gc.disable()  # Finalizers of other tests' objects would be counted.
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *raised: object) -> None:
        sys.setprofile(self._before)
        gc.enable()

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        name = frame.f_globals.get("__name__", "")
        if not name.partition(".")[0].startswith(self.by):
            return
        if event == "call":
            self.python += 1
            self.modules.add(name)
        elif event == "c_call":
            self.c += 1
            self.system += isinstance(getattr(argument, "__self__", None), _SYSTEM)


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
