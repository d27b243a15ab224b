"""Many tasks on one client: none is lost, none overtakes, and a call costs the same with any number of tasks."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.net.async_backend import current_backend
from adieu_native import AsyncNativeAdapter
from support.async_peers import Memory
from support.steering import LOOPS, gather, run, sleep, spawn, wait

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle


@pytest.mark.timeout(300)  # Seconds of work, of which a busy machine makes minutes.
@pytest.mark.parametrize("loop", LOOPS)
def test_ten_thousand_requests_by_a_thousand_tasks_share_fifty_connections(
    loop: str, census: Watch
) -> None:
    """Each gets its own answer, and the tasks are served in turn."""
    tasks, each, connections = 1000, 10, 50
    served: list[int] = []
    own: Counter[int] = Counter()

    async def worker(client: adieu.AsyncClient, number: int) -> None:
        for nth in range(each):
            response = await client.get(f"/{number}/{nth}")
            assert response.content == b"/%d/%d" % (number, nth)
            served.append(number)
            own[number] += 1

    async def main() -> int:
        limits = adieu.Limits(connections=connections)
        timeout = adieu.Timeout(pool=60)
        async with Memory() as peer:
            async with peer.client(limits=limits, timeout=timeout) as client:
                await gather(*(worker(client, number) for number in range(tasks)))
                assert len(client.connections()) <= connections
            return peer.accepted

    accepted = run(main(), LOOPS[loop])
    assert accepted <= connections
    assert len(served) == tasks * each
    assert set(own.values()) == {each}
    # First come, first served: when the last task gets its nth answer, no other is far ahead.
    rounds = [served[start : start + tasks] for start in range(0, len(served), tasks)]
    behind = 0
    seen: Counter[int] = Counter()
    for nth, numbers in enumerate(rounds, 1):
        seen.update(numbers)
        behind = max(behind, nth - min(seen[number] for number in range(tasks)))
    assert behind <= 1, f"a task was {behind} rounds behind"
    assert census.count() == 0


def test_ten_thousand_requests_to_a_server_with_a_thread_for_each_connection(
    fault_server: FaultServer, census: Watch
) -> None:
    async def worker(client: adieu.AsyncClient) -> list[int]:
        paths = ("/ok", "/ok", "/chunked?n=300", "/empty", "/ok")
        answers = [await client.get(path) for path in paths * 2]
        return [int(answer.headers.get("x-request-number", 0)) for answer in answers]

    async def main() -> list[int]:
        limits, timeout = adieu.Limits(connections=50), adieu.Timeout(pool=60)
        async with adieu.AsyncClient(fault_server.url, limits=limits, timeout=timeout) as client:
            every = await gather(*(worker(client) for _ in range(1000)))
        return [number for numbers in every for number in numbers if number]

    numbers = run(main())
    assert len(set(numbers)) == 6000  # No answer was given twice.
    assert fault_server.served == 10_000
    assert fault_server.accepted <= 50
    assert census.count() == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_waiters_are_served_in_the_order_in_which_they_came(
    loop: str, fault_server: FaultServer
) -> None:
    order: list[int] = []

    async def one(client: adieu.AsyncClient, number: int) -> None:
        await client.get("/ok")
        order.append(number)

    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            held = await client.stream("GET", "/bytes?n=1000000")
            waiting = []
            for number in range(20):
                waiting.append(spawn(one(client, number)))
                await sleep(0)  # Trio starts tasks of the same moment in any order.
            for number in (3, 7, 19):
                waiting[number].cancel()
            await held.close()
            await wait(waiting)

    run(main(), LOOPS[loop])
    assert order == [number for number in range(20) if number not in {3, 7, 19}]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_place_that_was_given_to_a_cancelled_waiter_goes_to_the_next(
    loop: str, fault_server: FaultServer
) -> None:
    """The wake-up and the cancellation come in one turn of the loop: no task may wait for ever."""

    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            for _ in range(20):
                held = await client.stream("GET", "/bytes?n=1000000")
                waiting = []
                for _ in range(3):
                    waiting.append(spawn(client.get("/ok")))
                    await sleep(0)
                await held.close()  # The first of them has the place now, and has not resumed yet.
                waiting[0].cancel()
                done = await gather(*waiting, return_exceptions=True)
                assert isinstance(done[0], asyncio.CancelledError)
                assert [answer.status_code for answer in done[1:]] == [200, 200]

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_pool_timeout_names_the_requests_that_hold_the_connections(
    loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        limits, timeout = adieu.Limits(connections=2), adieu.Timeout(pool=0.02)
        async with adieu.AsyncClient(fault_server.url, limits=limits, timeout=timeout) as client:
            async with (
                client.stream("GET", "/bytes?n=1000000"),
                client.stream("GET", "/bytes?n=2000000"),
            ):
                with pytest.raises(adieu.PoolTimeout) as caught:
                    await client.get("/ok")
            assert (await client.get("/ok")).status_code == 200
        error = caught.value
        # In either order: they were opened at nearly the same time, and each duration is taken at its own moment.
        paths = {holder.partition("bytes?")[2].split()[0] for holder in error.holders}
        assert (len(error.holders), paths) == (2, {"n=1000000", "n=2000000"})
        assert f"opened at {__file__}" in str(error)
        assert error.retry_safe

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_fast_download_does_not_starve_the_other_tasks(
    loop: str, fault_server: FaultServer
) -> None:
    """If bytes are always available, the task that reads them could run for ever."""

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await sleep(0)

        async with adieu.AsyncClient(fault_server.url) as client:
            other = spawn(tick())
            async with client.stream("GET", "/bytes?n=50000000") as response:
                size = sum([len(piece) async for piece in response.iter_bytes()])
            other.cancel()
        assert size == 50_000_000
        # At most sixteen reads of 256 KiB between two turns of another task.
        assert ticks >= size / (16 * 256 * 1024)

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_fast_upload_does_not_starve_the_other_tasks(
    loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await sleep(0)

        async with adieu.AsyncClient(fault_server.url) as client:
            other = spawn(tick())
            response = await client.post("/echo", content=[bytes(65_536)] * 400)
            other.cancel()
        assert response.json()["length"] == 400 * 65_536
        assert ticks >= 400 / 16

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_each_end_of_a_lease_wakes_one_task(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all waiters woke for one place, all but one would go back to sleep and wake again for the next."""
    woken: list[object] = []

    async def main() -> None:
        turn = type(current_backend().pool_waiter())
        wake = turn.wake

        def counted(waiting: Any) -> object:
            woken.append(waiting)
            return wake(waiting)

        monkeypatch.setattr(turn, "wake", counted)
        limits, timeout = adieu.Limits(connections=2), adieu.Timeout(pool=60)
        async with Memory() as peer, peer.client(limits=limits, timeout=timeout) as client:
            await gather(*(client.get("/x") for _ in range(200)))

    run(main(), LOOPS[loop])
    assert len(woken) == len(set(map(id, woken))) == 198


def test_a_request_costs_the_same_however_many_are_under_way() -> None:
    """The benchmark has the strict limit, 1.15; this test would find a walk through all connections."""

    async def cost(client: adieu.AsyncClient, tasks: int) -> float:
        async def worker() -> None:
            for _ in range(1024 // tasks):
                await client.get("/1024")

        started = time.process_time()
        await gather(*(worker() for _ in range(tasks)))
        return time.process_time() - started

    async def main() -> float:
        async with (
            Memory() as peer,
            peer.client(limits=adieu.Limits(connections=256)) as client,
        ):
            await cost(client, 256)
            ratios: list[float] = []
            while len(ratios) < 3 or (len(ratios) < 30 and median(ratios) >= 1.35):
                gc.collect()
                few = await cost(client, 32)
                ratios.append(await cost(client, 256) / few)
            assert peer.accepted == 256
            return median(ratios)

    ratio = run(main())
    assert ratio < 1.35


def test_a_thousand_waiters_cost_no_more_than_a_hundred() -> None:
    async def cost(client: adieu.AsyncClient, tasks: int) -> float:
        started = time.process_time()
        await gather(*(client.get("/1") for _ in range(tasks)))
        return (time.process_time() - started) / tasks

    async def main() -> float:
        limits = adieu.Limits(connections=4)
        async with (
            Memory() as peer,
            peer.client(limits=limits, timeout=adieu.Timeout(pool=60)) as client,
        ):
            await cost(client, 100)
            ratios: list[float] = []
            while len(ratios) < 3 or (len(ratios) < 20 and median(ratios) >= 2):
                gc.collect()
                few = median([await cost(client, 100) for _ in range(5)])
                ratios.append(await cost(client, 2000) / few)
            return median(ratios)

    ratio = run(main())
    assert ratio < 2


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_may_be_closed_while_many_are_waiting(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        client = adieu.AsyncClient(fault_server.url, limits=adieu.Limits(connections=2))
        calls = [spawn(client.get("/stall-head")) for _ in range(20)]
        await sleep(0.05)
        report = await client.close()
        assert report.in_use == 2
        assert census.count() == 0
        done = await gather(*calls, return_exceptions=True)
        assert {type(error) for error in done} == {adieu.ClientClosed}

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_two_clients_of_one_adapter_share_its_connections(
    loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        adapter: Any = AsyncNativeAdapter(limits=adieu.Limits(connections=1))
        one = adieu.AsyncClient(fault_server.url, adapter=adapter)
        other = adieu.AsyncClient(fault_server.url, adapter=adapter)
        await gather(*(client.get("/ok") for client in (one, other) * 5))
        await one.close()
        with pytest.raises(adieu.ClientClosed):
            await other.get("/ok")
        await other.close()

    run(main(), LOOPS[loop])
    assert fault_server.accepted == 1
