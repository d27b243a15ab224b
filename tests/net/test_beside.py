"""`AsyncBackend.beside`: work in the calling task, and a second task that listens meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adieu.lifecycle.fairness import in_trio
from adieu.net.async_backend import current_backend
from support.steering import LOOPS, run, sleep

every_loop = pytest.mark.parametrize("loop", LOOPS)

LONG = 3600.0
"""Longer than any test (seconds)."""


@every_loop
def test_an_error_with_which_the_listener_ends_is_not_lost(loop: str) -> None:
    """The work has ended, and the peer has broken the protocol, at the same moment."""

    async def listening() -> None:
        try:
            await sleep(LONG)
        finally:
            raise ValueError("no answer")

    async def main() -> None:
        with pytest.raises(ValueError, match="no answer"):
            await current_backend().beside(listening(), sleep(0.001))

    run(main(), LOOPS[loop])


@every_loop
def test_an_error_of_the_work_is_raised_when_the_listener_has_left(loop: str) -> None:
    left: list[str] = []

    async def listening() -> None:
        try:
            await sleep(LONG)
        finally:
            left.append("listener")

    async def work() -> None:
        await sleep(0.001)
        raise ValueError("no content")

    async def main() -> None:
        with pytest.raises(ValueError, match="no content"):
            await current_backend().beside(listening(), work())
        assert left == ["listener"]

    run(main(), LOOPS[loop])


@every_loop
def test_a_cancellation_at_the_moment_of_an_answer_stays_one(loop: str) -> None:
    """The caller's own limit is over in the same turn of the loop in which the listener ends."""
    seen: list[str] = []

    async def listening() -> None:
        await sleep(0.001)
        end_of_the_caller()

    async def called() -> None:
        await current_backend().beside(listening(), sleep(LONG))
        await sleep(LONG)
        seen.append("went on")

    def end_of_the_caller() -> None:
        cancel[0]()

    cancel: list[Any] = []

    async def main() -> None:
        if in_trio():
            import trio

            with trio.CancelScope() as scope:
                cancel.append(scope.cancel)
                await called()
            assert scope.cancelled_caught
        else:
            task = asyncio.ensure_future(called())
            cancel.append(task.cancel)
            await asyncio.wait((task,))
            assert task.cancelled()

    run(main(), LOOPS[loop])
    assert seen == []
