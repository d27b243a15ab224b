"""Getting a connection from a pool in one call, which waits while the pool is full, and replaces a stale connection."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.events import Connected, Leased
from adieu.lifecycle import waiting
from adieu.lifecycle.deadline import Deadline
from adieu.lifecycle.exchange import ExchangeBase
from adieu.lifecycle.reporting import ExchangeReport
from adieu.lifecycle.waiting import PoolWait
from adieu.net.async_backend import current_backend
from support.fake_pool import Bench, FakeLease, begin, end
from support.stage import caught, eventually
from support.steering import LOOPS, gather, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle


class _Leases(adieu.Events):
    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self._calls = calls

    def leased(self, event: Leased) -> None:
        self._calls.append(("leased", event.connection, event.method, event.url, event.reused))


class _Taker:
    """Takes connections of a bench, in one of the two ways."""

    def __init__(self, bench: Bench, awaits: bool) -> None:
        self._bench = bench
        self._awaits = awaits
        self.leased = _Leases(bench.listener.calls)
        waiter: list[Callable[[], Any]] = (
            [lambda: current_backend().pool_waiter()] if awaits else []
        )
        self._wait: PoolWait[Any] = PoolWait(bench.pool, *waiter)

    def take(self, lease: FakeLease, **seconds: Any) -> Any:
        clock = Deadline(adieu.Timeout(**{"pool": 30, **seconds}))
        report = ExchangeReport((self._bench.listener, self.leased), 0, "GET", "http://a/")
        exchange = ExchangeBase("GET", "http://a/", clock, adieu.Prefetch(), events=report)
        if self._awaits:
            connection = asyncio.run(self._wait.take_async(lease, exchange))
        else:
            connection = self._wait.take(lease, exchange)
        if connection.uses == 1:
            connection.report.connected(Connected(seconds=0.0, peer="", local=""))
        return connection


@pytest.fixture
def bench() -> Bench:
    return Bench(1)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def taker(bench: Bench, request: pytest.FixtureRequest) -> _Taker:
    return _Taker(bench, request.param)


def test_each_use_is_counted_and_the_listener_hears_of_it(bench: Bench, taker: _Taker) -> None:
    first, second = bench.lease(), bench.lease()
    connection = taker.take(first)
    assert (connection.uses, first.reused, first.connection_id) == (1, False, connection.id)
    bench.clock.now += 3
    assert first.age == 3
    end(first)
    assert taker.take(second) is connection
    assert (connection.uses, second.reused) == (2, True)
    leased = ("leased", connection.id, "GET", "http://a/")
    assert bench.listener.calls == [
        (*leased, False),
        ("released", connection.id),
        (*leased, True),
    ]


def test_a_stale_connection_is_closed_and_another_one_taken(bench: Bench, taker: _Taker) -> None:
    former = bench.lease()
    stale = taker.take(former)
    end(former)
    stale.stale = True
    lease = bench.lease()
    fresh = taker.take(lease)
    assert fresh is not stale
    assert stale.closed == 1
    assert (fresh.uses, lease.reused) == (1, False)
    assert ("closed", stale.id, "stale") in bench.listener.calls


def test_an_inherited_connection_is_taken_without_a_place_in_the_queue(
    bench: Bench, taker: _Taker
) -> None:
    former, lease = bench.lease(), bench.lease()
    connection = taker.take(former)
    assert bench.pool.inherit(lease, former)
    assert taker.take(lease) is connection


def test_the_next_one_waits_until_the_lease_before_it_ends(bench: Bench, taker: _Taker) -> None:
    former, lease = bench.lease(), bench.lease()
    connection = taker.take(former)
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(taker.take(lease)))
    thread.start()
    eventually(lambda: lease.queue_ticket)
    assert taken == []
    end(former)
    thread.join(30)
    assert taken == [connection]


def test_a_wait_that_is_too_long_names_the_holders(bench: Bench, taker: _Taker) -> None:
    taker.take(bench.lease())
    error = caught(adieu.PoolTimeout, taker.take, bench.lease(), pool=0.01)
    assert isinstance(error, adieu.PoolTimeout)
    assert len(error.holders) == 1
    assert (error.method, error.url, error.limit) == ("GET", "http://a/", 0.01)
    caught(adieu.DeadlineExceeded, taker.take, bench.lease(), total=0.01)


@pytest.mark.parametrize("how", ["pool", "lease"])
def test_a_wait_ends_with_its_pool_and_with_its_lease(
    bench: Bench, taker: _Taker, how: str
) -> None:
    taker.take(bench.lease())
    lease = bench.lease()
    errors: list[Any] = []
    thread = threading.Thread(
        target=lambda: errors.append(caught(adieu.ClientClosed, taker.take, lease))
    )
    thread.start()
    eventually(lambda: lease.queue_ticket)
    if how == "pool":
        bench.pool.close()
    else:
        end(lease)
    thread.join(30)
    assert len(errors) == 1


def test_a_lease_that_lost_its_connection_gets_none(bench: Bench, taker: _Taker) -> None:
    former = bench.lease()
    connection = taker.take(former)
    end(former)
    lease = bench.lease()
    assert bench.pool.checkout(lease)
    connection.stale = True
    bench.pool.close()
    caught(adieu.ClientClosed, taker.take, lease)


class _Waits:
    """Waits of a lease in a pool, each of which takes four seconds of a clock; meanwhile something happens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
        self.now = 1000.0
        self.count = 0
        self._happens = happens
        monkeypatch.setattr(waiting, "monotonic", lambda: self.now)

    def waiter(self) -> _Waits:
        return self

    def wake(self) -> None:
        pass

    def wait(self, seconds: float | None) -> None:
        self.count += 1
        self.now += 4
        self._happens()

    def take(self, bench: Bench, lease: FakeLease) -> Any:
        clock = Deadline(adieu.Timeout(pool=5))
        exchange = ExchangeBase("GET", "http://a/", clock, adieu.Prefetch())
        wait: PoolWait[Any] = PoolWait(bench.pool, self.waiter)
        assert not bench.pool.checkout(lease)
        return wait.take(lease, exchange)


def test_a_line_that_moves_is_waited_in_however_long_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [bench.take(), *(bench.wait() for _ in range(20))]

    def happens() -> None:
        end(line.pop(0))
        if line:
            begin(line[0])

    waits = _Waits(monkeypatch, happens)
    lease = bench.lease()
    assert waits.take(bench, lease) is lease.connection
    assert waits.count == 21, "four seconds each, of five in which nothing may move"


def test_a_line_that_is_stuck_is_an_error_although_another_one_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a limit for each origin. Those that give up in front of a lease are no progress for it either."""
    bench = Bench(None, 1)
    bench.take("a")
    given_up = [bench.wait("a") for _ in range(20)]
    held = [bench.take("b")]

    def happens() -> None:
        end(given_up.pop(0), reuse=False, why="PoolTimeout")
        waiting_for_b = bench.wait("b")
        end(held.pop())
        held.append(begin(waiting_for_b))

    waits = _Waits(monkeypatch, happens)
    caught(adieu.PoolTimeout, waits.take, bench, bench.lease("a"))
    assert waits.count == 2


def test_of_many_that_wait_one_looks_for_what_was_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look is at all connections, so a look by each of those that wait would be quadratic work."""
    clock = bench.clock
    looks: list[float] = []
    monkeypatch.setattr(waiting, "monotonic", clock)
    snapshot = bench.pool.snapshot

    def counted() -> Any:
        looks.append(clock.now)
        return snapshot()

    monkeypatch.setattr(bench.pool, "snapshot", counted)
    holder = bench.take()
    wait: PoolWait[Any] = PoolWait(bench.pool, _Impatient)
    waits = []
    for _ in range(100):
        lease = bench.wait()
        exchange = ExchangeBase(
            "GET", "http://a/", Deadline(adieu.Timeout(pool=5)), adieu.Prefetch()
        )
        waits.append(wait.steps(lease, exchange))
    for _ in range(3):
        for steps in waits:
            next(steps)
        clock.now += 1
    assert len(looks) == 2
    for steps in waits:
        steps.close()
    end(holder)


class _Impatient:
    """A waiter whose waits end at once."""

    def wake(self) -> None:
        pass

    def wait(self, seconds: float | None) -> None:
        pass


def test_the_default_waits_for_longer_than_a_silent_peer_keeps_its_connection() -> None:
    default = adieu.Timeout()
    assert default.pool is not None
    assert default.read is not None
    assert default.pool > default.read


@pytest.mark.parametrize("loop", LOOPS)
def test_a_thousand_calls_at_once_are_all_answered(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            answers = await gather(*(client.get("/ok") for _ in range(1000)))
        assert [answer.status_code for answer in answers] == [200] * 1000
        assert fault_server.accepted <= 100

    run(main(), LOOPS[loop])
    assert census.count() == 0
