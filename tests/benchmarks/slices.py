"""Short slices of many calls, by the CPU time of this process: that of the client, without the server's."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Final, NamedTuple

from benchmarks.calls import EXPECTED, Calls

__all__ = ["SLICE", "Result", "Runs", "alternate", "check", "checked", "repeated"]

SLICE: Final = 0.01
"""Seconds of a slice: short enough that the machine is in one state during a round."""
_WARM: Final = 20
_FEWEST_ROUNDS: Final = 3

Runs = dict[str, Callable[[], float]]


class Result(NamedTuple):
    """The results of the rounds: the seconds of one call, for each peer and round."""

    rounds: dict[str, list[float]]

    def seconds(self, peer: str) -> float:
        """The seconds of one call."""
        return median(self.rounds[peer])

    def ratio(self, peer: str, reference: str) -> float:
        """Its time divided by that of the reference."""
        return median(self._ratios(peer, reference))

    def quartiles(self, peer: str, reference: str) -> tuple[float, float]:
        """The quartiles of the ratio."""
        return _quartiles(self._ratios(peer, reference))

    def spread(self, peer: str) -> tuple[float, float]:
        """The quartiles of the seconds."""
        return _quartiles(self.rounds[peer])

    def _ratios(self, peer: str, reference: str) -> list[float]:
        others = self.rounds[reference]
        return [own / other for own, other in zip(self.rounds[peer], others, strict=True)]


def _quartiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[last // 4], ordered[last - last // 4]


def checked(name: str, calls: Calls, call: str) -> Callable[[], object]:
    """The call, after its result was checked, because the time of a wrong answer is worthless."""
    function: Callable[[], object] | None = getattr(calls, call)
    assert function is not None
    check(name, call, function())
    return function


def check(name: str, call: str, answer: object) -> None:
    """Raise if this is not the right result of the call."""
    if answer != EXPECTED[call]:
        raise RuntimeError(f"{name} gives a wrong answer to {call!r}")


def repeated(call: Callable[[], object]) -> Callable[[], float]:
    """A function that times a slice of many calls and returns the seconds of one."""
    count = _count(call)
    times = range(count)

    def run() -> float:
        if count > 1:
            call()  # The peer before has filled the caches with its own code and data.
        started = process_time()
        for _ in times:
            call()
        return (process_time() - started) / count

    return run


def _count(call: Callable[[], object]) -> int:
    """The number of warm calls in a slice."""
    started = process_time()
    call()
    if process_time() - started > SLICE:
        return 1
    for _ in range(_WARM):
        call()
    started = process_time()
    for _ in range(_WARM):
        call()
    return max(int(SLICE * _WARM / max(process_time() - started, 1e-6)), 1)


def alternate(runs: Runs, until: float) -> Result:
    """Run them in turns, in another order each round, until this time of `perf_counter`."""
    order = list(runs)
    rounds: dict[str, list[float]] = {name: [] for name in order}
    chance = random.Random(1)
    freezes = sys.implementation.name == "cpython"
    gc.collect()
    if freezes:
        gc.freeze()  # Otherwise every collection would traverse the modules of all peers.
    count = 0
    while count < _FEWEST_ROUNDS or perf_counter() < until:
        chance.shuffle(order)
        for name in order:
            gc.collect()  # Garbage of one peer must not cost the next one time.
            rounds[name].append(runs[name]())
        count += 1
    if freezes:
        gc.unfreeze()
    return Result(rounds)
