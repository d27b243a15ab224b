"""The lines of the user's that connected the sockets of this process, whichever library they used.

Python tells its audit hooks of each `socket.connect`. A hook cannot be removed, so this is for a process that is there
to be watched. Invariants: it keeps numbers and texts, and no socket; it never raises. What connects in C alone, as
uvloop does, is not told.
"""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from adieu.testing.socket_table import SocketRow

__all__ = ["STDIN", "Connects"]

_LIBRARIES = tuple(
    {
        os.path.realpath(sysconfig.get_path(name)) + os.sep
        for name in ("stdlib", "purelib", "platlib")
    }
)

STDIN = "<stdin>"
"""The name that Python gives to a script from standard input."""

_OWN = ("adieu", "adieu_")


class Connects:
    """Notes the line of every connect from now on."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}
        sys.addaudithook(self._hear)

    def line_of(self, row: SocketRow) -> str | None:
        """The line that connected this socket; None: it was not heard of."""
        return self._lines.get(row.inode or row.fd)

    def _hear(self, event: str, facts: tuple[object, ...]) -> None:
        if event != "socket.connect":
            return
        try:
            sock = facts[0]
            if isinstance(sock, socket.SocketType):
                self._lines[_identity(sock.fileno())] = _line(sys._getframe(1))
        except Exception:
            pass  # An audit hook that raises would fail the connect.


def _identity(fd: int) -> int:
    return os.fstat(fd).st_ino or fd


def _line(frame: FrameType) -> str:
    """The nearest frame that is neither Python's own nor an installed package's, or else the nearest one."""
    nearest = _shown(frame)
    at: FrameType | None = frame
    while at is not None:
        if not _is_library(at):
            return _shown(at)
        at = at.f_back
    return nearest


def _is_library(frame: FrameType) -> bool:
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    file = frame.f_code.co_filename
    return (
        package == "adieu"
        or package.startswith("adieu_")
        or (file.startswith("<") and file != STDIN)
        or os.path.realpath(file).startswith(_LIBRARIES)
    )


def _shown(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
