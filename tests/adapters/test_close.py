"""`adieu_close`: any adapter, without idle connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu_close import AsyncCloseAdapter, CloseAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from support.watch import Watch


def test_every_wrapped_adapter_keeps_no_connection(
    fault_server: FaultServer, census: Watch
) -> None:
    inner = NativeAdapter()
    with adieu.Client(fault_server.url, adapter=CloseAdapter(inner)) as client:
        for _ in range(3):
            assert client.get("/ok").status_code == 200
            assert census.count() == 0
            assert inner.connections() == []
    assert fault_server.accepted == 3
    with pytest.raises(adieu.ClientClosed):
        adieu.Client(adapter=inner).get(fault_server.url)


def test_limits_go_to_the_adapter_that_has_the_pool() -> None:
    limits = adieu.Limits(connections=1)
    with pytest.raises(adieu.InvalidRequest, match=r"give it to NativeAdapter\(0 connections\)"):
        CloseAdapter(NativeAdapter(), limits=limits)
    with pytest.raises(adieu.InvalidRequest, match=r"give it to AsyncNativeAdapter"):
        AsyncCloseAdapter(AsyncNativeAdapter(), limits=limits)


def test_limits_of_its_own_hold(fault_server: FaultServer) -> None:
    limits = adieu.Limits(connections=1)
    short = adieu.Timeout(pool=0.05)

    async def both() -> None:
        async with (
            adieu.AsyncClient(
                fault_server.url, adapter=AsyncCloseAdapter(limits=limits), timeout=short
            ) as client,
            await client.stream("GET", "/bytes?n=1000000"),
        ):
            with pytest.raises(adieu.PoolTimeout):
                await client.get("/ok")

    with (
        adieu.Client(
            fault_server.url, adapter=CloseAdapter(limits=limits), timeout=short
        ) as client,
        client.stream("GET", "/bytes?n=1000000"),
        pytest.raises(adieu.PoolTimeout),
    ):
        client.get("/ok")
    asyncio.run(both())
