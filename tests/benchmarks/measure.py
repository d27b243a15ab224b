"""One case: its peers are made, checked and measured in turns."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from time import process_time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.async_peers import ASYNC_PEERS
from benchmarks.peers import PEERS
from benchmarks.slices import SLICE, Result, Runs, alternate, check, checked, repeated
from benchmarks.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from benchmarks.cases import Case
    from benchmarks.surroundings import Origins, Site

__all__ = ["Measured", "measure"]

_EACH: Final = 40
"""Calls of each of several threads in a slice."""
_LONG_SLICE: Final = 0.2
_TURNS: Final = 4
_MEMORY_RUNS: Final = 3


class Measured(NamedTuple):
    """The times, and for the transfers the MiB that each adds; what is missing in both is not installed."""

    result: Result
    memory: dict[str, float]


def measure(
    case: Case, origins: Origins, interpreters: dict[str, str], until: float
) -> Measured | None:
    """Run a case until about this time of `perf_counter`; None if it needs what this environment has not.

    `interpreters`: those that have a peer which this one has not.
    """
    site: Site | None = getattr(origins, case.origin)
    if site is None or (case.loop != "asyncio" and find_spec(case.loop) is None):
        return None
    with ExitStack() as stack:
        runs = (_in_loop if case.tasks else _in_threads)(case, site, interpreters, stack)
        result = alternate(runs, until)
    memory = {}
    if case.is_transfer:
        for name in result.rounds:
            worker = Worker(interpreters.get(name, sys.executable), name, case.call, site)
            memory[name] = max(worker.ask("memory") for _ in range(_MEMORY_RUNS))
            worker.close()
    return Measured(result, memory)


def _in_threads(case: Case, site: Site, interpreters: dict[str, str], stack: ExitStack) -> Runs:
    runs: Runs = {}
    for name in case.peers:
        peer = PEERS[name]
        if name in interpreters and case.threads == 1:
            worker = Worker(interpreters[name], name, case.call, site)
            stack.callback(worker.close)
            worker.ask("slice")  # The first one finds out how long it is.
            runs[name] = _asked(worker)
        elif peer.installed():
            made = [peer.make(site) for _ in range(1 if peer.shareable else case.threads)]
            for calls in made:
                stack.callback(calls.close)
            if getattr(made[0], case.call) is None:
                continue
            each = [checked(name, calls, case.call) for calls in made] * case.threads
            runs[name] = repeated(each[0]) if case.threads == 1 else _threaded(each[: case.threads])
    return runs


def _asked(worker: Worker) -> Callable[[], float]:
    return lambda: worker.ask("slice")


def _threaded(calls: list[Callable[[], object]]) -> Callable[[], float]:
    """The seconds of one call, over all calls of these threads."""

    def work(call: Callable[[], object]) -> None:
        for _ in range(_EACH):
            call()

    def run() -> float:
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        started = process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (process_time() - started) / (_EACH * len(calls))

    run()
    return run


def _in_loop(case: Case, site: Site, interpreters: dict[str, str], stack: ExitStack) -> Runs:
    loop = _loop(case.loop)
    stack.callback(loop.close)
    runs: Runs = {}
    for name in case.peers:
        peer = ASYNC_PEERS[name]
        if not peer.installed():
            continue
        calls = _completed(loop, peer.make(site))
        stack.callback(lambda close: _completed(loop, close()), calls.close)
        check(name, case.call, _completed(loop, calls.get()))
        runs[name] = _awaited(calls.get, peer.tasks or case.tasks, loop)
    return runs


def _loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def _awaited(
    call: Callable[[], Awaitable[object]], tasks: int, loop: asyncio.AbstractEventLoop
) -> Callable[[], float]:
    """The seconds of one call, over all calls of these tasks."""

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    async def share(each: int) -> float:
        await call()  # See `repeated`.
        started = process_time()
        if tasks == 1:
            await work(each)
        else:
            await asyncio.gather(*(work(each) for _ in range(tasks)))
        return (process_time() - started) / (each * tasks)

    def run(each: int) -> float:
        return loop.run_until_complete(share(each))

    run(1)
    took = run(1) * tasks
    # Each of many tasks makes a few calls, so that starting them is a small part; fewer, if that would take long.
    each = int(SLICE / took) if tasks == 1 else min(int(_LONG_SLICE / took), _TURNS)
    return lambda: run(max(each, 1))


def _completed(loop: asyncio.AbstractEventLoop, waiting: Awaitable[object]) -> Any:
    async def wait() -> object:
        return await waiting

    return loop.run_until_complete(wait())
