"""The environment: one core, a server in a process of its own, and a clock that counts the work of both.

On Linux the clock is the CPU time of client and server together. As both share one core and wait for nothing
else, that is the elapsed time without the share of other programs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import server
from benchmarks.peers import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Clock", "Origins", "pin", "serving", "without_surroundings"]

Clock = Callable[[], float]


class Origins(NamedTuple):
    """The origins of the server, and the clock that counts its work too."""

    kept: Site
    last: Site
    tls: Site
    clock: Clock


def pin() -> str:
    """Keep this process and its children on one core; return a description of the clock."""
    if sys.platform != "linux":
        return "not pinned, and by the wall clock, for want of a better one"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return "client and server on one core, by the CPU time of both"


def _clock(pid: int) -> Clock:
    """The CPU seconds of this process and of that one."""
    if sys.platform != "linux":
        return perf_counter
    # As clock_getcpuclockid(3) computes it; Python has it for threads only.
    number = ~pid << 3 | 2
    return lambda: time.process_time() + time.clock_gettime(number)


def without_surroundings() -> None:
    """Remove the variables for proxies and authorities, which some peers read."""
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_ca_bundle", "ssl_cert_file", "ssl_cert_dir")):
            del os.environ[name]


@contextmanager
def serving() -> Iterator[Origins]:
    """The server, as a child process, and its certificate."""
    import trustme

    with tempfile.TemporaryDirectory(prefix="adieu-bench-") as folder:
        authority = trustme.CA()
        ca, own = Path(folder, "ca.pem"), Path(folder, "own.pem")
        authority.cert_pem.write_to_path(str(ca))
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(own))
        command = [sys.executable, server.__file__, str(own)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            try:
                assert child.stdout is not None
                kept, last, tls = map(int, child.stdout.readline().split())
                yield Origins(
                    Site(f"http://127.0.0.1:{kept}", str(ca)),
                    Site(f"http://127.0.0.1:{last}", str(ca)),
                    Site(f"https://127.0.0.1:{tls}", str(ca)),
                    _clock(child.pid),
                )
            finally:
                child.kill()
