"""`adieu` as a user runs it: in this process, in a process of its own, and in a terminal."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from adieu.cli import main

if TYPE_CHECKING:
    import pytest

__all__ = ["COMMAND", "Ran", "in_terminal"]

COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "adieu"]


class Ran:
    """A command line that was run in this process: its exit status, and what it printed."""

    def __init__(self, capture: pytest.CaptureFixture[bytes], *argv: str) -> None:
        try:
            self.status = main(argv)
        except SystemExit as end:
            self.status = int(end.code or 0)
        self.raw, said = capture.readouterr()
        self.error = said.decode()

    @property
    def out(self) -> str:
        """The output as text."""
        return self.raw.decode()

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


def in_terminal(*argv: str, **environment: str) -> str:
    """What a terminal of 80 columns is sent."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", **environment}
    env = {name: value for name, value in env.items() if value}
    with subprocess.Popen([*COMMAND, *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=env):
        os.close(theirs)
        got = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so at the end.
                break
            if not piece:
                break
            got += piece
    os.close(ours)
    return got.decode().replace("\r\n", "\n")
