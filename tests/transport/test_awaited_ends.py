"""An adapter over another async library, whose connections end by `await`: `close` waits for all of them."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

import adieu
from adieu.transport.awaited_ends import AwaitedEnds

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.faults import FaultServer
    from support.watch import Watch


class LibraryLease(adieu.AsyncLease):
    def __init__(self, response: httpx.Response, ends: AwaitedEnds) -> None:
        self._response = response
        self._chunks = response.aiter_raw()
        self._ends = ends

    async def read(self, deadline: adieu.Deadline) -> bytes:
        return await anext(self._chunks, b"")

    def finish(self, reuse: bool, why: str) -> None:
        self._ends.start(self._response.aclose)


class LibraryAdapter(adieu.AdapterBase):
    """Sends by httpx."""

    def __init__(self) -> None:
        self.ends = AwaitedEnds()
        self._client = httpx.AsyncClient(trust_env=False)

    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        self.ends.bind()
        sent = self._client.build_request(request.method, str(request.url))
        response = await self._client.send(sent, stream=True)
        exchange.own(LibraryLease(response, self.ends))
        return exchange.respond(response.status_code, response.headers.multi_items())

    async def close(self) -> None:
        await self.ends.wait()
        await self._client.aclose()


def drop(responses: list[Any]) -> None:
    responses.clear()
    gc.collect()


def in_asyncio(work: Callable[[], Any]) -> None:
    asyncio.run(work())


@pytest.fixture(params=[in_asyncio, trio.run], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


# httpx leaves async generators of its own in the middle, which trio reports when they are collected.
@pytest.mark.filterwarnings(
    "ignore:.*async_generator object:pytest.PytestUnraisableExceptionWarning"
)
def test_whatever_becomes_of_a_body_close_waits_for_its_end(
    run: Callable[[Any], None], fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        adapter = LibraryAdapter()
        async with adieu.AsyncClient(fault_server.url, adapter=adapter) as client:
            assert len((await client.get("/bytes?n=300000")).content) == 300_000
            async with client.stream("GET", "/bytes?n=300000") as left_early:
                await anext(left_early.iter_bytes())
            unread = [await client.stream("GET", "/bytes?n=300000")]
            with pytest.warns(ResourceWarning, match="dropped unread"):
                drop(unread)
            kept = await client.stream("GET", "/bytes?n=300000")
        with pytest.raises(adieu.ClientClosed):
            await kept.read()

    run(main)
    assert len(fault_server.requests) == 4


def test_an_end_that_fails_is_reported_and_the_others_are_awaited(
    run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    over: list[str] = []

    async def fail() -> None:
        raise OSError("no")

    async def succeed() -> None:
        over.append("succeeded")

    async def main() -> None:
        ends = AwaitedEnds()
        ends.start(succeed)  # Before `bind` there is no event loop to start it in.
        ends.bind()
        ends.start(fail)
        ends.start(succeed)
        ends.start(succeed)
        await ends.wait()
        assert over == ["succeeded"]
        await ends.wait()

    run(main)
    assert [type(report.exc_value) for report in reported] == [OSError]


def test_after_its_event_loop_an_end_is_dropped(run: Callable[[Any], None]) -> None:
    ends = AwaitedEnds()

    async def end() -> None:
        raise AssertionError("there is no event loop to run this in")

    async def main() -> None:
        ends.bind()

    async def again() -> None:
        await ends.wait()

    run(main)
    ends.start(end)
    run(again)
