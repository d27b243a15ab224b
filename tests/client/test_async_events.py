"""The events of an async client: each start has exactly one end, wherever the call is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import refused_port
from adieu_native import AsyncNativeAdapter
from support.clients import EventLog
from support.steering import LOOPS, Cut, DelayedWire, outcome, run, settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.testing import FaultServer

pytestmark = pytest.mark.lifecycle

_MOST_WAITS = 100


async def _kept(client: adieu.AsyncClient) -> None:
    for _ in range(2):
        await client.get("/bytes?n=1000")


async def _redirected(client: adieu.AsyncClient) -> None:
    await client.get("/redirect?n=1&body=300000")


async def _left(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/bytes?n=300000"):
        pass


async def _replayed(client: adieu.AsyncClient) -> None:
    for _ in range(2):
        await client.get("/race")


async def _hinted(client: adieu.AsyncClient) -> None:
    await client.get("/early-hints?n=2")


async def _refused(client: adieu.AsyncClient) -> None:
    with refused_port() as nobody, pytest.raises(adieu.ConnectError):
        await client.get(f"http://127.0.0.1:{nobody}/")


_PLAYS = (_kept, _redirected, _left, _replayed, _hinted, _refused)


@pytest.mark.parametrize("play", _PLAYS, ids=lambda play: play.__name__.strip("_"))
@pytest.mark.parametrize("mode", [None, "early", "late"])
@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop in {"asyncio", "trio"}])
def test_every_start_has_one_end_wherever_a_call_is_cancelled(
    loop: str,
    mode: str | None,
    play: Callable[[adieu.AsyncClient], Awaitable[None]],
    fault_server: FaultServer,
) -> None:
    async def cut_at(nth: int) -> bool:
        event_log = EventLog()
        adapter: Any = AsyncNativeAdapter(DelayedWire(), limits=adieu.Limits(connections=1))
        client = adieu.AsyncClient(fault_server.url, adapter=adapter, events=event_log)
        cut = Cut(_played(play, client), nth, mode or "early")
        assert await outcome(cut) in {None, asyncio.CancelledError}
        await client.close()
        await settle()
        event_log.check()
        assert event_log.leaks == []
        if not cut.happened:
            assert len(event_log.lines) > 1
        return cut.happened

    async def main() -> None:
        # The number of waits is higher than there are, so it is never cancelled.
        for nth in range(1 if mode else _MOST_WAITS, _MOST_WAITS + 1):
            if not await cut_at(nth):
                return
        raise AssertionError(f"more than {_MOST_WAITS} waits")

    run(main(), LOOPS[loop])


async def _played(
    play: Callable[[adieu.AsyncClient], Awaitable[None]], client: adieu.AsyncClient
) -> None:
    await play(client)
