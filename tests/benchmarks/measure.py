"""The measurement: short slices in turn, and the median over the rounds."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from benchmarks import server
from benchmarks.async_peers import ASYNC_PEERS
from benchmarks.peers import PEERS, Peer, Site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from benchmarks.cases import Case
    from benchmarks.surroundings import Clock, Origins

__all__ = ["Result", "alternate", "measure", "repeated"]

_SLICE: Final = 0.01
"""Seconds of a slice: short enough that the machine is in one state during a round."""
_WARM: Final = 20
_LONG_SLICE: Final = 0.2
_TURNS: Final = 4
_FEWEST_ROUNDS: Final = 3

T = TypeVar("T")
Runs = dict[str, Callable[[], float]]


class Result(NamedTuple):
    """The results of the rounds: the seconds of one call, for each peer and round."""

    reference: str
    rounds: dict[str, list[float]]

    def seconds(self, peer: str) -> float:
        """The seconds of one call."""
        return median(self.rounds[peer])

    def ratio(self, peer: str, reference: str | None = None) -> float:
        """Its time divided by that of the reference."""
        return median(self._ratios(peer, reference))

    def spread(self, peer: str, reference: str | None = None) -> tuple[float, float]:
        """The quartiles of the ratio."""
        ratios = sorted(self._ratios(peer, reference))
        last = len(ratios) - 1
        return ratios[last // 4], ratios[last - last // 4]

    def _ratios(self, peer: str, reference: str | None) -> list[float]:
        others = self.rounds[reference or self.reference]
        return [own / other for own, other in zip(self.rounds[peer], others, strict=True)]


def measure(case: Case, origins: Origins, until: float) -> Result | None:
    """Run a case until about this time of `perf_counter`; None if no peer of it is installed."""
    site: Site = getattr(origins, case.origin)
    with ExitStack() as stack:
        runs = (_in_loop if case.tasks else _in_threads)(case, site, origins.clock, stack)
        return Result(next(iter(runs)), alternate(runs, until)) if runs else None


def _in_threads(case: Case, site: Site, clock: Clock, stack: ExitStack) -> Runs:
    runs = {}
    for name in case.peers:
        if not PEERS[name].installed():
            continue
        peers = _opened(PEERS[name], site, case.threads, stack)
        calls = [_checked(peer, case.call) for peer in peers]
        if case.threads == 1:
            runs[name] = repeated(calls[0], clock)
        else:
            runs[name] = _threaded(calls, clock)
    return runs


def _in_loop(case: Case, site: Site, clock: Clock, stack: ExitStack) -> Runs:
    loop = _loop(case.loop)
    if loop is None:
        return {}
    stack.callback(loop.close)
    runs: Runs = {}
    for name in case.peers:
        kind = ASYNC_PEERS[name]
        if not kind.installed():
            continue
        peer = loop.run_until_complete(kind.opened(site))
        stack.callback(_complete, loop, peer.close)
        call = getattr(peer, case.call)
        _check(name, case.call, _complete(loop, call))
        runs[name] = _awaited(call, kind.tasks or case.tasks, clock, loop)
    return runs


def _loop(name: str) -> asyncio.AbstractEventLoop | None:
    if name == "asyncio":
        return asyncio.new_event_loop()
    if find_spec(name) is None:
        return None
    import uvloop

    return uvloop.new_event_loop()


def _complete(loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return loop.run_until_complete(call())


def _opened(kind: type[Peer], site: Site, threads: int, stack: ExitStack) -> list[Peer]:
    opened = []
    for _ in range(1 if kind.shareable else threads):
        peer = kind(site)
        stack.callback(peer.close)
        opened.append(peer)
    return opened * (threads // len(opened))


def _checked(peer: Peer, call: str) -> Callable[[], object]:
    """The call, after its result was checked, because the time of a wrong answer is worthless."""
    function: Callable[[], object] = getattr(peer, call)
    _check(peer.name, call, function())
    return function


def _check(name: str, call: str, answer: object) -> None:
    """Raise if this is not the right result of the call."""
    expected = {"get": server.BODY, "post": server.BODY, "download": server.DOWNLOAD_SIZE}.get(call)
    if answer != expected:
        raise RuntimeError(f"{name} gives a wrong answer to {call!r}")


def repeated(call: Callable[[], object], clock: Clock) -> Callable[[], float]:
    """A function that times a slice of many calls and returns the seconds of one."""
    count = _slice(call, clock, _SLICE)
    times = range(count)

    def run() -> float:
        if count > 1:
            call()  # The peer before has filled the caches with its own code and data.
        started = clock()
        for _ in times:
            call()
        return (clock() - started) / count

    return run


def _slice(call: Callable[[], object], clock: Clock, seconds: float) -> int:
    """The number of warm calls that take about this long."""
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
    """The seconds of one call, over all calls of these threads."""
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


def _awaited(
    call: Callable[[], Awaitable[object]], tasks: int, clock: Clock, loop: asyncio.AbstractEventLoop
) -> Callable[[], float]:
    """The seconds of one call, over all calls of these tasks."""

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    async def share(each: int) -> float:
        await call()  # See `repeated`.
        started = clock()
        if tasks == 1:
            await work(each)
        else:
            await asyncio.gather(*(work(each) for _ in range(tasks)))
        return (clock() - started) / (each * tasks)

    def run(each: int) -> float:
        return loop.run_until_complete(share(each))

    run(1)
    took = run(1) * tasks
    # Each of many tasks makes a few calls, so that starting them is a small part; fewer, if that would take long.
    each = int(_SLICE / took) if tasks == 1 else min(int(_LONG_SLICE / took), _TURNS)
    return lambda: run(max(each, 1))


def alternate(runs: Runs, until: float) -> dict[str, list[float]]:
    """Run them in turns, in another order each round, until the time is over."""
    order = list(runs)
    rounds: dict[str, list[float]] = {name: [] for name in order}
    chance = random.Random(1)
    gc.collect()
    gc.freeze()  # Otherwise every collection would traverse the modules of all peers.
    count = 0
    while count < _FEWEST_ROUNDS or perf_counter() < until:
        chance.shuffle(order)
        for name in order:
            gc.collect()  # Garbage of one peer must not cost the next one time.
            rounds[name].append(runs[name]())
        count += 1
    gc.unfreeze()
    return rounds
