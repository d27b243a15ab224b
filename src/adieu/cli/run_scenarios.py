"""A player's line of the demo's table: both parts of the script played, bounded in time, and judged.

Rules of the room: whatever a client does, and be it nothing for ever, becomes a line. Each part runs in a thread of its
own, which is left behind if it does not end.
"""

from __future__ import annotations

import gc
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from adieu.cli.scenarios import CROWD, PATIENCE, Classic, Crowd, classic, crowd
from adieu.cli.small_server import SmallServer
from adieu.testing.faults import FaultServer

if TYPE_CHECKING:
    from adieu.cli.candidates import Player

__all__ = ["LIMIT", "Line", "play"]

LIMIT = 10.0
"""Seconds for each part of the script; whoever needs more has hung."""

_HUNG = "hung"

_T = TypeVar("_T")


class _Trouble(NamedTuple):
    """Why a part of the script has no result: a word for the table, and what happened."""

    fault: str
    detail: str


class Line(NamedTuple):
    """What became of a player. `faults` is empty if all went well, `details` says more about each of them."""

    player: Player
    classic: Classic | None
    crowd: Crowd | None
    faults: list[str]
    details: list[str]


def play(player: Player) -> Line:
    """Both parts of the script, with the garbage collector off until the sockets have been counted."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with FaultServer() as server:
            first = _attempt(partial(classic, player.opened, server))
        if isinstance(first, _Trouble) and first.fault == _HUNG:
            return Line(player, None, None, [first.fault], [first.detail])
        with SmallServer() as small:
            second = _attempt(partial(crowd, player.opened, small))
    finally:
        if collecting:
            gc.enable()
    line = Line(
        player,
        None if isinstance(first, _Trouble) else first,
        None if isinstance(second, _Trouble) else second,
        [],
        [],
    )
    for part in (first, second):
        if isinstance(part, _Trouble) and part.detail not in line.details:
            line.faults.append(part.fault)
            line.details.append(part.detail)
    _judge(line)
    return line


def _judge(line: Line) -> None:
    if line.classic is not None and line.classic.after:
        left = line.classic.after
        line.faults.append(f"{left} left open")
        sockets = "1 socket was" if left == 1 else f"{left} sockets were"
        line.details.append(f"{sockets} left open after the `with` block")
    crowd = line.crowd
    if crowd is None or (crowd.stopped is None and crowd.wait is not None):
        return
    line.faults.append("blocked")
    late = f"a client that came later had no answer for {PATIENCE:g} s"
    if crowd.stopped is None:
        line.details.append(f"after {CROWD} unread requests {late}")
        return
    also = f"; {late}" if crowd.wait is None else ""
    line.details.append(
        f"blocked after {crowd.answered} of {CROWD} requests, {crowd.stopped}{also}"
    )


def _attempt(part: Callable[[], _T]) -> _T | _Trouble:
    """The result of a part of the script. One that hangs is left to its thread, which ends with the process."""
    outcome: queue.SimpleQueue[_T | _Trouble] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(part())
        except BaseException as error:
            outcome.put(_Trouble("failed", f"{type(error).__name__}: {error}"))

    threading.Thread(target=work, name="adieu demo", daemon=True).start()
    try:
        return outcome.get(timeout=LIMIT)
    except queue.Empty:
        return _Trouble(_HUNG, f"did not end within {LIMIT:g} s")
