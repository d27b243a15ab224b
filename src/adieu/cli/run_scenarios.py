"""Runs both scenarios with a candidate, bounded in time, and finds the faults.

Invariants. Whatever a client does becomes a `Result`, even if it hangs for ever: each scenario runs in a thread of its
own, which is left behind if it does not end.
"""

from __future__ import annotations

import gc
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from adieu.cli.scenarios import PATIENCE, UNREAD, ManyUnread, OrdinaryUse, many_unread, ordinary_use
from adieu.cli.small_server import SmallServer
from adieu.testing.faults import FaultServer

if TYPE_CHECKING:
    from adieu.cli.candidates import Candidate

__all__ = ["LIMIT", "Result", "run_scenarios"]

LIMIT = 10.0
"""Seconds for each scenario. One that takes longer hangs."""

_HUNG = "hung"

_T = TypeVar("_T")


class _Fault(NamedTuple):
    """Why a scenario has no result: a word for the table, and what happened."""

    word: str
    detail: str


class Result(NamedTuple):
    """The results of a candidate. `faults` is empty if all went well, `details` has a sentence for each fault."""

    candidate: Candidate
    ordinary_use: OrdinaryUse | None
    many_unread: ManyUnread | None
    faults: list[str]
    details: list[str]


def run_scenarios(candidate: Candidate) -> Result:
    """Run both scenarios, with the garbage collector off until the sockets have been counted."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with FaultServer() as server:
            first = _run(partial(ordinary_use, candidate.open_client, server))
        if isinstance(first, _Fault) and first.word == _HUNG:
            return Result(candidate, None, None, [first.word], [first.detail])
        with SmallServer() as small:
            second = _run(partial(many_unread, candidate.open_client, small))
    finally:
        if collecting:
            gc.enable()
    result = Result(
        candidate,
        None if isinstance(first, _Fault) else first,
        None if isinstance(second, _Fault) else second,
        [],
        [],
    )
    for outcome in (first, second):
        if isinstance(outcome, _Fault) and outcome.detail not in result.details:
            result.faults.append(outcome.word)
            result.details.append(outcome.detail)
    _find_faults(result)
    return result


def _find_faults(result: Result) -> None:
    if result.ordinary_use is not None and result.ordinary_use.after:
        count = result.ordinary_use.after
        result.faults.append(f"{count} left open")
        sockets = "1 socket was" if count == 1 else f"{count} sockets were"
        result.details.append(f"{sockets} left open after the `with` block")
    unread = result.many_unread
    if unread is None or (unread.stopped is None and unread.wait is not None):
        return
    result.faults.append("blocked")
    late = f"a client that came later had no answer for {PATIENCE:g} s"
    if unread.stopped is None:
        result.details.append(f"after {UNREAD} unread requests {late}")
        return
    also = f"; {late}" if unread.wait is None else ""
    result.details.append(
        f"blocked after {unread.answered} of {UNREAD} requests, {unread.stopped}{also}"
    )


def _run(scenario: Callable[[], _T]) -> _T | _Fault:
    """The result of a scenario. One that hangs is left in its thread, which ends with the process."""
    outcome: queue.SimpleQueue[_T | _Fault] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(scenario())
        except BaseException as error:
            outcome.put(_Fault("failed", f"{type(error).__name__}: {error}"))

    threading.Thread(target=work, name="adieu demo", daemon=True).start()
    try:
        return outcome.get(timeout=LIMIT)
    except queue.Empty:
        return _Fault(_HUNG, f"did not end within {LIMIT:g} s")
