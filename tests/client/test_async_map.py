"""`AsyncClient.map`: many requests, a bounded number at a time, and nothing left when the loop is left."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.async_peers import Memory
from support.gate import Gate
from support.stage import COUNTS_REFERENCES
from support.steering import LOOPS, run, settle, sleep, spawn, to_thread, wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adieu.client.map.outcome import Outcome
    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

every_kind = pytest.mark.parametrize(
    "loop", [loop for loop in LOOPS if loop in {"asyncio", "trio"}]
)


@pytest.mark.parametrize("loop", LOOPS)
def test_every_request_has_one_outcome_with_its_place(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            requests: list[adieu.Request | adieu.URL | str] = [
                "/bytes?n=1",
                client.build_request("POST", "/echo", content=b"hello"),
                adieu.URL(fault_server.url).join("/bytes?n=3"),
                "/status/404",
            ]
            async with client.map(requests) as outcomes:
                got = sorted([outcome async for outcome in outcomes])
            assert [outcome.nth for outcome in got] == [0, 1, 2, 3]
            assert [outcome.request for outcome in got] == requests
            assert [outcome.error for outcome in got] == [None] * 4
            assert got[1].result().json()["body"] == "hello"
            assert got[3].result().status_code == 404
        assert census.count() == 0

    run(main(), LOOPS[loop])


@every_kind
def test_outcomes_come_as_they_finish_and_not_in_order(
    loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        late, later = Gate(fault_server, "/late"), Gate(fault_server, "/later")
        order = []
        async with (
            adieu.AsyncClient(fault_server.url) as client,
            client.map([later.path, "/ok", late.path, "/ok"], limit=4) as outcomes,
        ):
            async for outcome in outcomes:
                order.append(outcome.nth)
                if len(order) >= 2:
                    (late if len(order) == 2 else later).open()
        assert order[2:] == [2, 0]
        assert sorted(order[:2]) == [1, 3]

    run(main(), LOOPS[loop])


@every_kind
def test_the_error_of_one_request_is_its_outcome_and_ends_no_other(
    loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        urls = ["/ok", "/reset", "ftp://nowhere", "http://[", "/truncated", "/ok"]
        async with (
            adieu.AsyncClient(fault_server.url) as client,
            client.map(urls, limit=2) as outcomes,
        ):
            got = sorted([outcome async for outcome in outcomes], key=lambda one: one.nth)
        kinds = [type(outcome.error) for outcome in got]
        assert kinds == [
            type(None),
            adieu.ReadError,
            adieu.InvalidURL,
            adieu.InvalidURL,
            adieu.BodyTruncated,
            type(None),
        ]
        assert [outcome.response is None for outcome in got] == [bool(one.error) for one in got]
        with pytest.raises(adieu.ReadError):
            got[1].result()

    run(main(), LOOPS[loop])


@every_kind
def test_the_limit_bounds_what_is_under_way_or_not_taken(loop: str) -> None:
    taken = 0

    async def main() -> None:
        nonlocal taken
        started = 0

        def urls() -> Iterator[str]:
            nonlocal started
            for number in range(50):
                started += 1
                yield f"/{number}"

        async with Memory() as peer, peer.client() as client, client.map(urls(), limit=4) as map_:
            async for _ in map_:
                taken += 1
                await sleep(0.001)  # A slow reader is waited for.
                assert started - taken <= 4
            assert peer.accepted <= 4

    run(main(), LOOPS[loop])
    assert taken == 50


@every_kind
def test_an_endless_source_is_read_no_faster_than_its_outcomes(loop: str) -> None:
    async def main() -> None:
        given = 0

        def urls() -> Iterator[str]:
            nonlocal given
            while True:
                given += 1
                yield "/x"

        async with Memory() as peer, peer.client() as client:
            async with client.map(urls(), limit=3) as outcomes:
                for _ in range(10):
                    assert (await anext(outcomes)).error is None
            assert given <= 13
            with pytest.raises(StopAsyncIteration):
                await anext(outcomes)

    run(main(), LOOPS[loop])


@every_kind
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("kind", ["list", "async"])
def test_a_request_that_is_added_in_the_loop_is_sent_too(
    loop: str, limit: int, kind: str, fault_server: FaultServer
) -> None:
    """A tree of three levels: each page has two links, which are known when it is there."""

    async def first() -> AsyncIterator[str]:
        yield "/bytes?n=1"

    async def main() -> None:
        got = []
        async with (
            adieu.AsyncClient(fault_server.url) as client,
            client.map(["/bytes?n=1"] if kind == "list" else first(), limit=limit) as outcomes,
        ):
            async for outcome in outcomes:
                size = len(outcome.result().content)
                got.append(size)
                if size < 4:
                    for link in (2 * size, 2 * size + 1):
                        outcomes.add(f"/bytes?n={link}")
            with pytest.raises(adieu.ClientClosed, match="this map has ended"):
                outcomes.add("/ok")
        assert sorted(got) == [1, 2, 3, 4, 5, 6, 7]

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("limit", [1, 3, 100])
@every_kind
def test_an_async_source_may_be_slower_than_the_responses(loop: str, limit: int) -> None:
    async def main() -> None:
        async def urls() -> AsyncIterator[str]:
            for number in range(6):
                await sleep(0.002)
                yield f"/{number}"

        async with (
            Memory() as peer,
            peer.client() as client,
            client.map(urls(), limit=limit) as outcomes,
        ):
            got = [outcome.result().text async for outcome in outcomes]
        assert sorted(got) == [f"/{number}" for number in range(6)]

    run(main(), LOOPS[loop])


@every_kind
def test_an_outcome_is_given_while_the_source_is_waited_for(loop: str) -> None:
    async def main() -> None:
        more = False

        async def urls() -> AsyncIterator[str]:
            yield "/first"
            while not more:
                await sleep(0.001)
            yield "/second"

        async with Memory() as peer, peer.client() as client, client.map(urls()) as outcomes:
            assert (await anext(outcomes)).result().text == "/first"
            more = True
            assert (await anext(outcomes)).result().text == "/second"
            with pytest.raises(StopAsyncIteration):
                await anext(outcomes)

    run(main(), LOOPS[loop])


@every_kind
def test_a_source_that_fails_ends_the_map(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    def urls() -> Iterator[str]:
        yield "/stall-head"
        raise KeyError("the list is broken")

    async def slowly() -> AsyncIterator[str]:
        yield "/stall-head"
        await sleep(0)
        raise KeyError("the list is broken")

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            for source in (urls(), slowly()):
                async with client.map(source) as outcomes:
                    with pytest.raises(KeyError, match="broken"):
                        await anext(outcomes)
                assert not [line for line in client.connections() if line.state != "idle"]
        assert census.count() == 0

    run(main(), LOOPS[loop])


@every_kind
def test_the_error_of_a_source_after_the_map_was_left_is_dropped(loop: str) -> None:
    """The map does not wait for it any more, and asyncio must not log it."""

    async def main() -> None:
        async def urls() -> AsyncIterator[str]:
            yield "/first"
            await sleep(0.01)
            raise KeyError("too late")

        async with (
            Memory() as peer,
            peer.client() as client,
            client.map(urls(), limit=2) as outcomes,
        ):
            await anext(outcomes)
            await sleep(0.02)

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_leaving_the_block_early_cancels_the_rest(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        limits = adieu.Limits(connections=5)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            urls = ["/ok", "/stall-head", "/stall-body", "/drip?n=1000", "/stall-head"] * 3
            async with client.map(urls, limit=5) as outcomes:
                async for outcome in outcomes:
                    assert outcome.nth == 0
                    break
            await settle()
            assert not [line for line in client.connections() if line.state != "idle"]
            assert census.count() <= 1
            assert (await client.get("/ok")).status_code == 200
        assert census.count() == 0

    run(main(), LOOPS[loop])


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="without reference counting it is later")
def test_breaking_out_of_the_loop_cancels_the_rest_without_a_block(
    fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            gc.disable()
            async for outcome in client.map(["/ok", "/stall-head", "/stall-head"]):
                assert outcome.nth == 0
                break
            await settle()
            assert not [line for line in client.connections() if line.state != "idle"]
        assert census.count() == 0

    try:
        run(main())
    finally:
        gc.enable()


def test_a_map_that_is_collected_in_another_thread_is_ended_in_its_loop(
    fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            ring: list[Any] = [client.map(["/ok", "/stall-head"])]
            ring.append(ring)
            await anext(ring[0])
            del ring
            await to_thread(gc.collect)
            await sleep(0.01)
            await settle()
            assert not [line for line in client.connections() if line.state != "idle"]
        assert census.count() == 0

    run(main())


@every_kind
def test_a_response_not_taken_is_closed_and_one_taken_can_be_read(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    """The policy hands responses out open, and they were not read yet."""

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            policy = adieu.ReleaseOnRead()
            async with client.map(["/bytes?n=900000"] * 4, cleanup=policy, limit=4) as outcomes:
                first = (await anext(outcomes)).result()
                await sleep(0.05)
                assert census.count() == 4
            assert census.count() == 1
            assert len(await first.read()) == 900_000
        assert census.count() == 0

    run(main(), LOOPS[loop])


@every_kind
def test_a_cancelled_reader_can_go_on_and_misses_no_outcome(loop: str) -> None:
    async def main() -> None:
        got: list[str] = []
        async with (
            Memory() as peer,
            peer.client() as client,
            client.map([f"/{n}" for n in range(8)], limit=2) as outcomes,
        ):
            while len(got) < 8:
                waiting: Any = spawn(_next(outcomes))
                await sleep(0)
                waiting.cancel()
                await wait([waiting])
                cancelled = waiting.cancelled()
                outcome = await anext(outcomes) if cancelled else waiting.result()
                got.append(outcome.result().text)
        assert sorted(got) == [f"/{n}" for n in range(8)]

    run(main(), LOOPS[loop])


async def _all(outcomes: Any) -> list[Outcome[adieu.AsyncResponse]]:
    return [outcome async for outcome in outcomes]


async def _next(outcomes: Any) -> Outcome[adieu.AsyncResponse]:
    outcome: Outcome[adieu.AsyncResponse] = await anext(outcomes)
    return outcome


@every_kind
def test_two_readers_at_once_are_refused(loop: str, fault_server: FaultServer) -> None:
    async def main() -> None:
        gate = Gate(fault_server)
        async with (
            adieu.AsyncClient(fault_server.url) as client,
            client.map([gate.path]) as outcomes,
        ):
            first = spawn(_next(outcomes))
            await sleep(0.01)
            with pytest.raises(RuntimeError, match="another task is waiting"):
                await anext(outcomes)
            gate.open()
            assert (await first).error is None

    run(main(), LOOPS[loop])


@every_kind
def test_a_client_closed_in_the_middle_ends_the_map(loop: str, fault_server: FaultServer) -> None:
    """Also a map whose source is endless, where every further outcome would be the same error."""

    def urls() -> Iterator[str]:
        while True:
            yield "/stall-head?seconds=0.02"

    async def main() -> None:
        client = adieu.AsyncClient(fault_server.url)
        async with client.map(urls(), limit=3) as outcomes:
            assert (await anext(outcomes)).error is None
            closing = spawn(client.close())
            with pytest.raises(adieu.ClientClosed):
                await _all(outcomes)
        await closing

    run(main(), LOOPS[loop])


@every_kind
def test_the_settings_of_a_map_apply_to_every_request(loop: str, fault_server: FaultServer) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            timeout = adieu.Timeout(read=0.02)
            async with client.map(["/stall-head", "/drip"], timeout=timeout) as outcomes:
                async for outcome in outcomes:
                    assert isinstance(outcome.error, adieu.ReadTimeout)
            async with client.map(["/redirect"], follow_redirects=False) as outcomes:
                async for outcome in outcomes:
                    assert outcome.result().status_code == 302

    run(main(), LOOPS[loop])


@every_kind
def test_wrong_arguments_are_refused_at_once(loop: str) -> None:
    async def main() -> None:
        async with adieu.AsyncClient() as client:
            wrong: Any
            for wrong in (0, -1, 1.5, True, None):
                with pytest.raises(adieu.InvalidRequest, match="limit takes a whole number from 1"):
                    client.map([], limit=wrong)
            for wrong in ("http://one.example/", b"", 7, None):
                with pytest.raises(adieu.InvalidRequest, match="map takes an iterable"):
                    client.map(wrong)
            async with client.map([]) as outcomes:
                assert [outcome async for outcome in outcomes] == []

    run(main(), LOOPS[loop])


def test_a_loop_that_ends_before_its_map_causes_no_traceback(fault_server: FaultServer) -> None:
    held: list[Any] = []

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            outcomes = client.map(["/ok", "/stall-head", "/stall-head"])
            held.append(outcomes)
            await anext(outcomes)

    asyncio.run(main())
    held.clear()
    gc.collect()


@pytest.mark.skipif("trio" not in LOOPS, reason="trio is not installed")
def test_under_trio_a_map_is_used_in_a_block(fault_server: FaultServer) -> None:
    """In trio a task belongs to a nursery, and the block of the nursery waits for its end."""

    async def left_early(client: adieu.AsyncClient) -> None:
        async with client.map(["/ok", "/stall-head"]) as outcomes:
            await anext(outcomes)
            raise KeyError("mine")

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            with pytest.raises(adieu.InvalidRequest, match=r"`async with client\.map\(\.\.\.\) as"):
                await anext(client.map(["/ok"]))
            with pytest.raises(KeyError, match="mine"):  # Not in an exception group.
                await left_early(client)
            async with client.map(["/ok", "/stall-head"]) as outcomes:
                await anext(outcomes)
                await outcomes.close()
                with pytest.raises(StopAsyncIteration):
                    await anext(outcomes)
            with pytest.raises(StopAsyncIteration):
                await anext(outcomes)

    run(main(), LOOPS["trio"])
