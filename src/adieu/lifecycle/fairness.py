"""Fairness between the tasks of an event loop: one that has always something to do lets the others run.

What counts is time, and not how often something was read: a peer that sends tiny chunks, or a small body that decodes
to a large one, makes much work of few reads. So code that can go on without a wait looks at the clock, and after `TURN`
seconds it waits for the next iteration of the loop.
"""

from __future__ import annotations

import sys
import types
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from adieu.lifecycle.steps import Steps

__all__ = [
    "TURN",
    "cancellation_point",
    "checkpoint",
    "in_trio",
    "in_turns",
    "is_cancellation",
    "turn_ends_at",
    "turn_is_over",
    "uncancelled",
]

T = TypeVar("T")

TURN = 0.002
"""How long a task goes on before the others run (seconds). An iteration of the loop costs a hundredth of that."""


def turn_ends_at() -> float:
    """When a turn that begins now is over."""
    return monotonic() + TURN


def turn_is_over(ends_at: float) -> bool:
    """Whether it is time to let the other tasks run."""
    return monotonic() >= ends_at


def in_trio() -> bool:
    """Whether a task of trio's calls this. Its thread is not enough: trio may run as a guest of asyncio's loop."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel is not None and bool(lowlevel.in_trio_task())


async def checkpoint() -> None:
    """Let the other tasks run. May raise a cancellation."""
    if in_trio():
        await sys.modules["trio.lowlevel"].checkpoint()
    else:
        await _next_iteration()


async def cancellation_point() -> None:
    """Raise a cancellation that is due, before what follows is begun: trio's sends look for one, asyncio's do not."""
    if in_trio():
        await sys.modules["trio.lowlevel"].checkpoint_if_cancelled()


async def uncancelled(work: Awaitable[T]) -> T:
    """What this returns, which a cancellation of trio's does not end: its operations may let other tasks run first.

    Under asyncio an operation that need not wait is not cancelled anyway.
    """
    if in_trio():
        with sys.modules["trio"].CancelScope(shield=True):
            return await work
    return await work


def is_cancellation(error: BaseException) -> bool:
    """Whether an event loop has raised this to cancel a task, asyncio's or trio's."""
    for module, name in (("asyncio", "CancelledError"), ("trio", "Cancelled")):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, vars(loaded)[name]):
            return True
    return False


async def in_turns(steps: Steps[T]) -> T:
    """Run steps that wait for nothing, and let the other tasks run between them when it is time to."""
    ends_at = turn_ends_at()
    try:
        while True:
            next(steps)
            if turn_is_over(ends_at):
                await checkpoint()
                ends_at = turn_ends_at()
    except StopIteration as end:
        result: T = end.value
        return result


@types.coroutine
def _next_iteration() -> Generator[None, None, None]:
    """A task of asyncio's that yields nothing goes on in the next iteration of its loop, as with `sleep(0)`."""
    yield
