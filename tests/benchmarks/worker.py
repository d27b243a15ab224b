"""A peer in a process of its own: another interpreter may have it, and memory is measured without that of other peers.

    python -m benchmarks.worker PEER CALL URL CA FILE

Each line on standard input is an order, and is answered by a number: "slice", the CPU seconds of a call; "memory", the
MiB that one call adds at most to what the process has after a small request.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import PEERS
from benchmarks.slices import checked, repeated
from benchmarks.surroundings import Site

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker"]


class Worker:
    """The process, seen by its parent."""

    def __init__(self, interpreter: str, peer: str, call: str, site: Site) -> None:
        folders = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]
        if interpreter == sys.executable:
            folders = [*folders, *filter(None, sys.path)]
        self._process = subprocess.Popen(
            [interpreter, "-m", "benchmarks.worker", peer, call, *site],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        )

    def ask(self, order: str) -> float:
        """Give an order, and get its number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(order, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        with self._process:
            self._process.kill()


def _memory(call: Callable[[], object]) -> float:
    """The MiB that a call adds at most, by Linux; elsewhere 0."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0

    def kibibytes(field: str) -> int:
        return int(re.findall(rf"{field}:\s+(\d+)", status.read_text())[0])

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # The peak is now what there is.
    before = kibibytes("VmRSS")
    call()
    return max(kibibytes("VmHWM") - before, 0) / 1024


def main() -> None:
    """Obey until standard input ends."""
    name, call, *site = sys.argv[1:]
    calls = PEERS[name].make(Site(*site))
    if calls.get is not None:
        calls.get()
    run = None
    for order in sys.stdin:
        if order == "memory\n":
            function = getattr(calls, call)
            print(_memory(function), flush=True)
        else:
            run = run or repeated(checked(name, calls, call))
            print(run(), flush=True)


if __name__ == "__main__":
    main()
