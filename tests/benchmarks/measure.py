"""How it is measured: one core, short slices in turn, and the median of what each round says.

On Linux the clock is the CPU time of client and server together. Where both have one core and neither ever waits for
anything else, that is the time that passes, less what other programs on the machine take for themselves.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import server
from benchmarks.peers import PEERS, Peer, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cases import Case

__all__ = [
    "Doors",
    "Result",
    "alternate",
    "measure",
    "pin",
    "repeated",
    "serving",
    "without_surroundings",
]

_SLICE: Final = 0.01
"""Seconds that a slice takes: short enough that a round sees one state of the machine."""
_WARM: Final = 20
_FEWEST_ROUNDS: Final = 3

Clock = Callable[[], float]


class Doors(NamedTuple):
    """The origins of the server, and the clock that counts its work too."""

    kept: Site
    last: Site
    tls: Site
    clock: Clock


class Result(NamedTuple):
    """What the rounds said: for each peer the seconds of one call, round by round."""

    reference: str
    rounds: dict[str, list[float]]

    def seconds(self, peer: str) -> float:
        """What one call takes."""
        return median(self.rounds[peer])

    def ratio(self, peer: str, reference: str | None = None) -> float:
        """How many times the reference's time it takes."""
        return median(self._ratios(peer, reference))

    def spread(self, peer: str, reference: str | None = None) -> tuple[float, float]:
        """The quartiles of the ratio."""
        ratios = sorted(self._ratios(peer, reference))
        last = len(ratios) - 1
        return ratios[last // 4], ratios[last - last // 4]

    def _ratios(self, peer: str, reference: str | None) -> list[float]:
        others = self.rounds[reference or self.reference]
        return [own / other for own, other in zip(self.rounds[peer], others, strict=True)]


def pin() -> str:
    """Keep this process, and those it starts, on one core. Says what the clock is."""
    if sys.platform != "linux":
        return "not pinned, and by the wall clock, for want of a better one"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return "client and server on one core, by the CPU time of both"


def _clock(pid: int) -> Clock:
    """Seconds of work of this process and that one."""
    if sys.platform != "linux":
        return perf_counter
    # What clock_getcpuclockid(3) makes of a process id; Python has it for threads only.
    number = ~pid << 3 | 2
    return lambda: time.process_time() + time.clock_gettime(number)


def without_surroundings() -> None:
    """Forget proxies and authorities of this machine, which some peers read from the environment."""
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_ca_bundle", "ssl_cert_file", "ssl_cert_dir")):
            del os.environ[name]


@contextmanager
def serving() -> Iterator[Doors]:
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
                yield Doors(
                    Site(f"http://127.0.0.1:{kept}", str(ca)),
                    Site(f"http://127.0.0.1:{last}", str(ca)),
                    Site(f"https://127.0.0.1:{tls}", str(ca)),
                    _clock(child.pid),
                )
            finally:
                child.kill()


def measure(case: Case, doors: Doors, until: float) -> Result:
    """Run a case until about then, by `perf_counter`."""
    site: Site = getattr(doors, case.door)
    names = [name for name in case.peers if PEERS[name].installed()]
    with ExitStack() as stack:
        runs = {}
        for name in names:
            peers = _opened(PEERS[name], site, case.threads, stack)
            calls = [_checked(peer, case.call) for peer in peers]
            if case.threads == 1:
                runs[name] = repeated(calls[0], doors.clock)
            else:
                runs[name] = _threaded(calls, doors.clock)
        return Result(names[0], alternate(runs, until))


def _opened(kind: type[Peer], site: Site, threads: int, stack: ExitStack) -> list[Peer]:
    opened = []
    for _ in range(1 if kind.shareable else threads):
        peer = kind(site)
        stack.callback(peer.close)
        opened.append(peer)
    return opened * (threads // len(opened))


def _checked(peer: Peer, call: str) -> Callable[[], object]:
    """The call, after it was seen to give what it should; a fast wrong answer is no result."""
    expected = {"get": server.BODY, "post": server.BODY, "download": server.DOWNLOAD_SIZE}.get(call)
    function: Callable[[], object] = getattr(peer, call)
    if function() != expected:
        raise RuntimeError(f"{peer.name} gives a wrong answer to {call!r}")
    return function


def repeated(call: Callable[[], object], clock: Clock) -> Callable[[], float]:
    """What gives the seconds of one call, from a slice of many."""
    count = _slice(call, clock, _SLICE)
    times = range(count)

    def run() -> float:
        if count > 1:
            call()  # Whoever ran before has left its own code and data in the caches.
        started = clock()
        for _ in times:
            call()
        return (clock() - started) / count

    return run


def _slice(call: Callable[[], object], clock: Clock, seconds: float) -> int:
    """How many calls, once they are warm, take about so long."""
    started = clock()
    call()
    if clock() - started > seconds:
        return 1
    for _ in range(_WARM):
        call()
    started = clock()
    for _ in range(_WARM):
        call()
    return max(int(seconds * _WARM / (clock() - started)), 1)


def _threaded(calls: list[Callable[[], object]], clock: Clock) -> Callable[[], float]:
    """Seconds of one call, of all that these threads make."""
    each = 40

    def work(call: Callable[[], object]) -> None:
        for _ in range(each):
            call()

    def run() -> float:
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        started = clock()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (clock() - started) / (each * len(calls))

    run()
    return run


def alternate(runs: dict[str, Callable[[], float]], until: float) -> dict[str, list[float]]:
    """Let them take turns, in another order each round, until the time is over."""
    order = list(runs)
    rounds: dict[str, list[float]] = {name: [] for name in order}
    chance = random.Random(1)
    gc.collect()
    gc.freeze()  # Or everybody's collections would go through everybody's modules.
    count = 0
    while count < _FEWEST_ROUNDS or perf_counter() < until:
        chance.shuffle(order)
        for name in order:
            gc.collect()  # What one leaves behind is not for the next one to sweep.
            rounds[name].append(runs[name]())
        count += 1
    gc.unfreeze()
    return rounds
