"""Ctrl-C in any call on a socket: it ends the event loop at once, and adieu closes the sockets of the program.

If a task makes the call, the interrupt passes through the task; if the loop makes it for a waiting task, it does not.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from unittest import mock

import pytest

import adieu
from adieu.net import dial
from support.faulty import Plan
from support.steering import LOOPS, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

_MOST_CALLS = 100


async def _at_once(client: adieu.AsyncClient) -> None:
    for _ in range(2):
        await client.get("/ok")


async def _late(client: adieu.AsyncClient) -> None:
    """The answer comes late, so the loop reads it."""
    async with client.stream("GET", "/drip?n=3&seconds=0.005") as response:
        await response.read()


async def _uploaded(client: adieu.AsyncClient) -> None:
    await client.post("/echo", content=[bytes(50_000)] * 4)


@pytest.mark.parametrize("play", [_at_once, _late, _uploaded], ids=lambda p: p.__name__.strip("_"))
@pytest.mark.parametrize("fault", ["interrupt before", "interrupt after"])
@pytest.mark.parametrize("loop", LOOPS)
def test_an_interrupt_in_any_call_on_a_socket_leaves_none_open(
    loop: str,
    fault: str,
    play: Callable[[adieu.AsyncClient], Awaitable[None]],
    fault_server: FaultServer,
    census: Watch,
) -> None:
    for at in itertools.count(1):
        plan = Plan(fault, at)
        clients: list[adieu.AsyncClient] = []

        async def main(clients: list[adieu.AsyncClient] = clients) -> None:
            async with adieu.AsyncClient(fault_server.url) as client:
                clients.append(client)
                await play(client)

        with mock.patch.object(dial, "socket", plan.module()):
            try:
                run(main(), LOOPS[loop])
            except KeyboardInterrupt:
                assert plan.struck is not None
        assert census.count() == 0, (plan.struck, plan.calls)
        assert clients[0].connections() == []
        if plan.struck is None:
            break
    assert 5 < at < _MOST_CALLS
