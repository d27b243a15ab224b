"""The pool's bookkeeping, without a socket: limits, ages, fair waiting, and ends at the worst moments."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.events import Connected, Event
from adieu.lifecycle.events import CLIENT_CLOSED
from adieu.lifecycle.inbox import AT_ONCE
from adieu.lifecycle.origin_counts import OriginCounts
from adieu.lifecycle.reporting import ConnectionReport, Report
from support.alarm import HAS_ALARMS, Alarm
from support.fake_pool import Bench, FakeConnection, FakeLease, begin, end
from support.stage import COUNTS_REFERENCES, collection_after, drop
from support.work import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.lifecycle.pool import Pool

pytestmark = pytest.mark.lifecycle


# The choice of the connection


def test_a_released_connection_serves_again() -> None:
    bench = Bench()
    first = bench.take()
    end(first)
    second = bench.take()
    assert second.connection is first.connection
    assert bench.states() == [("a", "leased")]


def test_a_discarded_connection_is_closed_and_gone() -> None:
    bench = Bench()
    lease = bench.take()
    end(lease, reuse=False, why="exit")
    assert bench.states() == []
    assert not bench.made[0].open
    number = lease.connection.id
    assert bench.listener.calls == [("discarded", number, "exit"), ("closed", number, "exit")]
    assert bench.take().connection is bench.made[1]


def test_the_newest_idle_connection_comes_first() -> None:
    bench = Bench()
    leases = [bench.take() for _ in range(3)]
    for lease in leases:
        bench.clock.now += 1
        end(lease)
    again = [bench.take().connection for _ in range(3)]
    assert again == [lease.connection for lease in leases[::-1]]


def test_connections_to_one_origin_do_not_serve_another() -> None:
    bench = Bench()
    end(bench.take("a"))
    assert bench.take("b").connection is bench.made[1]
    assert bench.states() == [("a", "idle"), ("b", "leased")]


# Limits


def test_no_more_connections_than_the_limit() -> None:
    bench = Bench(2)
    bench.take("a")
    bench.take("b")
    bench.wait("c")
    bench.wait("a")
    assert len(bench.made) == 2


def test_no_more_connections_to_one_origin_than_its_limit() -> None:
    bench = Bench(10, 2)
    first, _ = bench.take("a"), bench.take("a")
    waiting = bench.wait("a")
    assert bench.take("b").connection is not None
    end(first)
    assert waiting.connection is first.connection


def test_the_connection_that_was_idle_longest_makes_room_for_another_origin() -> None:
    bench = Bench(3)
    for key in ("a", "b", "c"):
        bench.clock.now += 1
        end(bench.take(key))
    bench.take("d")
    assert bench.states() == [("b", "idle"), ("c", "idle"), ("d", "leased")]
    assert bench.made[0].closed == 1
    assert bench.listener.calls[-1] == ("closed", bench.made[0].id, "room for another origin")


def test_a_connection_in_use_does_not_make_room() -> None:
    bench = Bench(1)
    held = bench.take("a")
    waiting = bench.wait("b")
    assert held.connection.open
    end(held)
    assert waiting.connection.key == "b"
    assert held.connection.closed == 1


def test_a_connection_that_was_idle_too_long_is_not_used_again() -> None:
    bench = Bench(idle=10.0)
    end(bench.take())
    bench.clock.now += 9.9
    end(bench.take())
    assert len(bench.made) == 1
    bench.clock.now += 10
    end(bench.take())
    assert len(bench.made) == 2
    assert bench.made[0].closed == 1
    assert ("closed", bench.made[0].id, "idle") in bench.listener.calls


def test_the_servers_shorter_hint_wins() -> None:
    bench = Bench(idle=10.0)
    lease = bench.take()
    lease.connection.keep_for = 4.0
    end(lease)
    bench.clock.now += 4
    bench.take()
    assert len(bench.made) == 2
    assert ("closed", bench.made[0].id, "the server's keep-alive time") in bench.listener.calls


def test_a_connection_is_not_used_beyond_its_age() -> None:
    bench = Bench(age=60.0)
    lease = bench.take()
    bench.clock.now += 61
    assert lease.connection.open
    end(lease)
    assert bench.states() == []
    number = lease.connection.id
    assert bench.listener.calls == [("discarded", number, "age"), ("closed", number, "age")]


def test_a_connection_is_not_used_more_often_than_allowed() -> None:
    bench = Bench(requests=2)
    for _ in range(5):
        end(bench.take())
    assert [connection.uses for connection in bench.made] == [2, 2, 1]
    assert [connection.closed for connection in bench.made] == [1, 1, 0]


def test_any_call_closes_connections_that_were_idle_too_long() -> None:
    bench = Bench(idle=10.0)
    for key in "abcdef":
        end(bench.take(key))
    bench.clock.now += 11
    end(bench.take("z"))
    assert bench.states() == [("z", "idle")]
    assert sum(connection.closed for connection in bench.made) == 6


@pytest.mark.parametrize("how", ["a call to another origin", "a timer"])
def test_connections_that_the_peer_has_closed_are_closed_by(how: str) -> None:
    bench = Bench()
    for key in "abc":
        end(bench.take(key))
    held = bench.take("b")
    bench.made[0].stale = bench.made[1].stale = True
    bench.clock.now += 2
    if how == "a timer":
        assert bench.pool.tend()
        assert [connection.closed for connection in bench.made] == [1, 0, 0]
    else:
        end(bench.take("z"))
        assert [connection.closed for connection in bench.made] == [1, 0, 0, 0]
    assert ("closed", bench.made[0].id, "stale") in bench.listener.calls
    end(held)
    bench.check()


def test_a_connection_that_cannot_be_asked_whether_it_is_stale_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the lease whose end asked it has ended."""
    bench = Bench()
    end(bench.take("a"))
    held = bench.take("b")
    monkeypatch.setattr(FakeConnection, "is_stale", lambda connection: 1 / 0)
    bench.clock.now += 2
    end(held, reuse=False)
    assert bench.states() == []
    assert [connection.closed for connection in bench.made] == [1, 1]


def test_a_timer_is_told_when_there_is_nothing_left_to_close() -> None:
    bench = Bench(idle=10.0)
    assert not bench.pool.tend()
    end(bench.take())
    bench.clock.now += 9
    assert bench.pool.tend()
    bench.clock.now += 1
    assert not bench.pool.tend()
    assert bench.states() == []


@pytest.mark.parametrize("how", ["made room for", "idle too long"])
def test_a_pool_keeps_no_data_about_former_origins(how: str) -> None:
    bench = Bench(5, idle=5.0)
    seen = []
    for number in range(200):
        if how == "idle too long":
            bench.clock.now += 6
        lease = bench.take(f"host-{number}")
        seen.append(weakref.ref(_Tied(lease.connection)))
        end(lease)
        del lease
        bench.made.clear()
    bench.clock.now += 6
    end(bench.take("last"))
    bench.made.clear()
    pool = bench.pool
    known = sum(map(len, pool._idle.values()))
    assert len(pool._owners) <= 5
    assert known <= 5
    assert len(pool._idle) <= 6
    assert bench.states()[-1] == ("last", "idle")


class _Tied:
    def __init__(self, thing: object) -> None:
        self.thing = thing


# Waiting


def test_the_lease_that_waited_longest_is_served_first_whatever_the_origin() -> None:
    bench = Bench(1)
    served: list[Any] = []
    holder = bench.take("a")
    order = ["b", "a", "a", "c", "b", "a"]
    waiting = [bench.wait(key, served.append) for key in order]
    for expected in waiting:
        end(holder)
        assert served[-1] is expected
        holder = begin(expected)
    assert served == waiting
    end(holder)
    assert bench.states() == [("a", "idle")]


def test_the_limit_of_one_origin_does_not_delay_others() -> None:
    bench = Bench(2, 1)
    first, second = bench.take("a"), bench.take("b")
    behind = bench.wait("a")
    free = bench.wait("c")
    end(second)
    assert free.connection is not None
    assert behind.connection is None
    end(first)
    assert behind.connection is first.connection


def test_a_new_lease_does_not_overtake_waiting_ones() -> None:
    bench = Bench(1)
    holder = bench.take()
    waiting = bench.wait()
    end(holder)
    late = bench.wait()
    assert waiting.connection is holder.connection
    end(begin(waiting))
    assert late.connection is holder.connection


def test_a_lease_that_stopped_waiting_is_skipped() -> None:
    bench = Bench(1)
    holder = bench.take()
    first, second = bench.wait(), bench.wait()
    end(first, reuse=False, why="PoolTimeout")
    end(holder)
    assert first.connection is None
    assert second.connection is holder.connection
    end(begin(second))
    bench.check()


def test_a_lease_that_was_cancelled_when_served_passes_its_connection_on() -> None:
    bench = Bench(1)
    woken: list[Any] = []
    holder = bench.take()
    first, second = bench.wait(log=woken.append), bench.wait(log=woken.append)
    end(holder)
    assert first.connection is holder.connection
    # Cancelled between the wake-up and its first line, which blocked the pool in aio-libs/aiohttp#9670.
    end(first, reuse=False, why="cancelled")
    assert second.connection is not None
    assert woken == [first, second]
    bench.check()


def test_a_lease_that_asks_twice_waits_once() -> None:
    bench = Bench(1)
    holder = bench.take()
    waiting = bench.wait()
    assert not bench.pool.checkout(waiting)
    end(holder)
    end(begin(waiting))
    assert bench.states() == [("a", "idle")]
    bench.check()


# Ends


def test_a_lease_ends_once_however_often_it_is_ended() -> None:
    bench = Bench()
    lease = bench.take()
    end(lease)
    other = bench.take()
    assert other.connection is lease.connection
    for reuse in (True, False, True):
        lease.finish(reuse, "again")
    assert other.connection.open
    assert bench.states() == [("a", "leased")]
    assert bench.listener.calls == [("released", lease.connection.id)]


def test_a_lease_ended_by_many_threads_ends_once() -> None:
    bench = Bench(4)
    for _ in range(50):
        lease = bench.take()
        connection = lease.connection
        connection.user = None
        barrier = threading.Barrier(8)
        bench.listener.calls.clear()

        def finish(
            reuse: bool, lease: FakeLease = lease, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait(30)
            lease.finish(reuse, "race")

        threads = [threading.Thread(target=finish, args=(n % 2 == 0,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        told = [call[0] for call in bench.listener.calls]
        assert told in (["released"], ["discarded", "closed"])
        # Not the number of calls: two threads may do a deferred job, and `close()` is idempotent.
        assert connection.open == (told == ["released"])
        bench.check()


def test_a_lease_that_asks_again_keeps_the_connection_that_it_got_meanwhile() -> None:
    bench = Bench(2)
    first, second = bench.take("a"), bench.take("a")
    waiter = bench.wait("a")
    end(first)
    assert waiter.connection is bench.made[0]
    end(second)
    assert bench.pool.checkout(waiter)
    assert bench.states() == [("a", "leased"), ("a", "idle")]
    end(begin(waiter))
    bench.check()


def test_every_end_is_reported_once_with_many_threads_at_work() -> None:
    bench = Bench(3)
    leased: list[int] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(200):
            lease = bench.lease(chance.choice("ab"))
            woken = threading.Semaphore(0)
            lease.wake = woken.release
            while not bench.pool.checkout(lease):
                woken.acquire(timeout=30)
            begin(lease)
            leased.append(lease.connection.id)
            end(lease, chance.random() < 0.7, "done")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    bench.check()
    # An idle connection that makes room is closed without being leased: its end is also reported once.
    closed = [call[1] for call in bench.listener.calls if call[0] == "closed"]
    assert len(closed) == len(set(closed))
    ends = [call for call in bench.listener.calls if call[0] in ("released", "discarded")]
    assert len(ends) == len(leased) == 1200


def told_to(listener: adieu.Events, lease: FakeLease) -> ConnectionReport:
    """What tells the lease's connection, which it has and is open, to another listener."""
    number = lease.connection.id
    report = ConnectionReport(number, Report((listener,), 0, 0))
    report.leased(report.lease, "GET", "http://a/", False)
    report.connected(Connected(seconds=0.0, peer="", local=""))
    return report


def test_an_error_of_a_listener_has_no_effect_on_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)

    class Loud(adieu.Events):
        def closed(self, event: Event) -> None:
            raise ValueError("not today")

    bench = Bench()
    lease = bench.take()
    lease.connection.report = told_to(Loud(), lease)
    end(lease, reuse=False)
    assert bench.made[0].closed == 1
    assert [report.exc_type for report in seen] == [ValueError]


def test_a_finalizer_may_end_a_lease_in_the_middle_of_a_step() -> None:
    bench = Bench(4)
    others = [bench.take() for _ in range(3)]
    lease = bench.take()

    def collector() -> float:
        # The clock is read in the middle of a step, where the collector may also run a finalizer.
        if others:
            end(others.pop(), reuse=False, why="abandoned")
        return bench.clock.now

    bench.pool._clock = collector
    end(lease)
    while others:
        end(bench.take())
    assert [state for _, state in bench.states()] == ["idle"]
    bench.check()


def test_a_finalizer_may_end_a_lease_while_a_connection_is_closed() -> None:
    bench = Bench(2)
    other, lease = bench.take(), bench.take()
    dropped = [other]

    def collector() -> None:
        if dropped:  # A finalizer runs once.
            end(dropped.pop(), reuse=False, why="abandoned")

    lease.connection.at_close = collector
    end(lease, reuse=False)
    assert bench.states() == []
    assert not any(connection.open for connection in bench.made)
    told = sorted(call[0] for call in bench.listener.calls)
    assert told == ["closed", "closed", "discarded", "discarded"]


def test_a_connection_that_cannot_be_closed_does_not_prevent_other_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    bench = Bench()
    leases = [bench.take() for _ in range(3)]

    def fail() -> None:
        raise OSError("the descriptor is gone")

    leases[1].connection.at_close = fail
    bench.pool.close()
    assert [connection.open for connection in bench.made] == [False, True, False]
    assert [report.exc_type for report in seen] == [OSError]
    bench.pool.close()
    assert len(seen) == 1


def test_a_detached_connection_leaves_the_pool() -> None:
    bench = Bench(1)
    lease = bench.take()
    waiting = bench.wait()
    bench.pool.detach(lease)
    lease.finish(False, "exit")
    assert waiting.connection is not None
    assert lease.connection.open
    bench.pool.close()
    assert lease.connection.closed == 0
    number = lease.connection.id
    assert ("discarded", number, "upgraded") in bench.listener.calls
    assert ("detached", number) in bench.listener.calls


def test_a_dead_connection_is_replaced_in_its_place() -> None:
    bench = Bench(1)
    end(bench.take())
    lease = bench.take()
    dead = lease.connection
    dead.user = None
    waiting = bench.wait()
    assert bench.pool.replace(lease, "stale")
    assert lease.connection is not dead
    assert dead.closed == 1
    assert waiting.connection is None
    end(begin(lease))
    assert waiting.connection is lease.connection
    bench.check()


def test_a_fresh_connection_was_never_used() -> None:
    bench = Bench(3)
    leases = [bench.take() for _ in range(3)]
    for lease in leases:
        end(lease)
    lease = bench.take()
    lease.connection.user = None
    assert bench.pool.replace(lease, "died while idle", fresh=True)
    assert lease.connection.uses == 0
    bench.check()


# The end of the pool


def test_closing_closes_idle_connections_and_those_in_use() -> None:
    bench = Bench()
    end(bench.take())
    leases = [bench.take(key) for key in "abc"]
    end(leases[0])
    assert bench.pool.close() == adieu.CloseReport(1, 2)
    assert bench.pool.close() == adieu.CloseReport(0, 0)
    assert not any(connection.open for connection in bench.made)
    for lease in leases:
        end(lease)
    assert [connection.closed for connection in bench.made] == [1, 1, 1]


class _InterruptedInbox(deque[Any]):
    """The signal is handled when `append` has returned."""

    def append(self, step: Any) -> None:
        super().append(step)
        raise KeyboardInterrupt


def test_an_interrupt_just_after_the_close_was_noted_does_not_stop_it() -> None:
    bench = Bench()
    end(bench.take())
    bench.pool._inbox = _InterruptedInbox()
    with pytest.raises(KeyboardInterrupt):
        bench.pool.close()
    assert not bench.made[0].open
    assert not bench.pool._inbox


def test_after_closing_no_lease_gets_a_connection() -> None:
    bench = Bench()
    bench.pool.close()
    with pytest.raises(adieu.ClientClosed):
        bench.pool.checkout(bench.lease())
    with pytest.raises(adieu.ClientClosed):
        bench.pool.served(bench.lease())
    assert bench.made == []


def test_closing_wakes_waiting_leases() -> None:
    bench = Bench(1)
    woken: list[Any] = []
    held = bench.take()
    waiting = [bench.wait(key, woken.append) for key in "aba"]
    bench.pool.close()
    assert set(woken) == set(waiting)
    for lease in waiting:
        with pytest.raises(adieu.ClientClosed):
            bench.pool.served(lease)
    end(held)
    assert bench.states() == []


def test_a_place_that_becomes_free_while_closing_is_given_to_no_lease() -> None:
    bench = Bench(1)
    holder = bench.take()
    woken: list[Any] = []
    waiting = bench.wait(log=woken.append)
    end(holder, reuse=False, why=CLIENT_CLOSED)
    assert waiting.connection is None
    assert woken == []
    bench.pool.close()
    assert woken == [waiting]
    with pytest.raises(adieu.ClientClosed):
        bench.pool.served(waiting)
    bench.check()


def test_a_lease_that_survives_the_close_is_closed_at_its_end() -> None:
    bench = Bench()
    lease, cut = bench.take(), bench.take()
    assert lease.survive_close()
    assert bench.pool.close() == adieu.CloseReport(0, 1)
    assert lease.connection.open
    assert not cut.connection.open
    end(lease)
    assert bench.states() == []
    assert lease.connection.closed == 1


def test_a_dropped_pool_closes_its_idle_connections() -> None:
    bench = Bench()
    end(bench.take())
    made = bench.made
    del bench
    drop()
    assert [connection.closed for connection in made] == [1]


def test_ending_a_lease_does_not_wait_for_a_thread_that_holds_the_lock() -> None:
    bench = Bench(2)
    lease = bench.take()
    holding, go_on = threading.Event(), threading.Event()

    def made(key: Any, number: int, now: float) -> Any:
        holding.set()
        assert go_on.wait(30)
        return make(key, number, now)

    make, bench.pool._new = bench.pool._new, made
    other = threading.Thread(target=bench.take, args=("b",))
    other.start()
    assert holding.wait(30)
    lease.finish(False, "left")
    assert lease.connection.closed == 0
    go_on.set()
    other.join(30)
    assert lease.connection.closed == 1
    assert [key for key, *_ in bench.states()] == ["b"]


def test_a_lease_that_met_steps_of_others_is_asked_for_after_them() -> None:
    """Even if another thread has done those steps, and gone, by the time that this one looks again."""
    bench = Bench()
    pool = bench.pool
    done: list[str] = []
    pool._inbox.append((done.append, ("a step of another thread",)))
    lock = _WorkAtRelease(pool)
    pool._lock = lock  # type: ignore[assignment]
    lease = bench.lease()
    assert pool.checkout(lease)
    assert done == ["a step of another thread"]
    assert lock.emptied
    begin(lease)
    bench.check()


class _WorkAtRelease:
    """The pool's lock, with another thread that does all steps just after it was first released."""

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool
        self._real = pool._lock
        self.emptied = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def release(self) -> None:
        self._real.release()
        if not self.emptied:
            self.emptied = True
            other = threading.Thread(target=self._pool._work, args=(AT_ONCE,))
            other.start()
            other.join()
            assert not self._pool._inbox


def test_in_a_forked_child_the_pool_forgets_the_parents_connections() -> None:
    bench = Bench(3, 2)
    end(bench.take("b"))
    lease = bench.take("b")
    bench.take("a"), bench.take("a")
    waiting = bench.wait("a")
    bench.pool.after_fork()
    assert bench.states() == []
    assert [connection.forgotten for connection in bench.made] == [True] * 3
    assert [connection.closed for connection in bench.made] == [0] * 3
    lease.finish(True, "complete")
    waiting.finish(False, "gone")
    assert bench.states() == []
    fresh = [bench.take(key) for key in "abc"]
    assert {lease.connection for lease in fresh}.isdisjoint(bench.made[:3])


def test_a_connection_that_was_about_to_be_closed_is_forgotten_in_a_forked_child() -> None:
    bench = Bench(3)
    lease = bench.take()
    lease.connection.user = None
    seen: list[bool] = []

    class Forking(adieu.Events):
        def released(self, event: Event) -> None:
            # Another thread forks here: the connection has left the table and is not closed yet.
            bench.pool._deferred.append(other.connection.close)
            bench.pool._owners.pop(other.connection)
            bench.pool.after_fork()
            seen.append(other.connection.forgotten)

    other = bench.take()
    lease.connection.report = told_to(Forking(), lease)
    end(lease)
    assert seen == [True]
    assert other.connection.closed == 0


# Costs


class _Counted(dict[Any, Any]):
    """A table that counts the rows that are read one after the other."""

    rows = 0

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.rows += 1
            yield key

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def values(self) -> Any:
        return [self[key] for key in self]

    keys = __iter__  # type: ignore[assignment]


def _among(origins: int, work: Callable[[Bench], object]) -> tuple[int, int]:
    """What a piece of work costs beside so many idle connections, each to an origin of its own."""
    bench = Bench(origins + 1, 2, idle=None)
    for lease in [bench.take(f"origin {number}") for number in range(origins)]:
        end(lease)
    pool: Any = bench.pool
    pool._owners, pool._idle = owners, idle = _Counted(pool._owners), _Counted(pool._idle)
    if pool._counts is not None:
        pool._counts._rows = owners
    cost = lines_of(lambda: work(bench))
    return cost, owners.rows + idle.rows


def _known_origin(bench: Bench) -> None:
    end(bench.take("origin 5"))


def _new_origin(bench: Bench) -> None:
    end(bench.take("another"))


def _second_connection(bench: Bench) -> None:
    bench.take("origin 5"), bench.take("origin 5")


def _room_for_another(bench: Bench) -> None:
    for lease in bench.take("another"), bench.take("one more"):
        end(lease)


def _full_origin(bench: Bench) -> None:
    bench.take("origin 5"), bench.take("origin 5")
    bench.wait("origin 5")


@pytest.mark.parametrize(
    "work", [_known_origin, _new_origin, _second_connection, _room_for_another, _full_origin]
)
def test_a_thousand_idle_connections_to_other_origins_cost_nothing(
    work: Callable[[Bench], object],
) -> None:
    (few, _), (many, rows) = _among(10, work), _among(1000, work)
    assert many == few
    assert rows == 0


def test_the_connection_that_was_released_first_makes_room() -> None:
    """Also if it was opened last, or was leased and released again meanwhile."""
    bench = Bench(3)
    first, second, third = (bench.take(key) for key in "abc")
    for lease in (third, first, second):
        end(lease)
    end(bench.take("c"))
    end(bench.take("d"))
    assert [key for key, _ in bench.states()] == ["b", "c", "d"]
    end(bench.take("e"))
    held = bench.take("c")
    end(bench.take("f"))
    assert [key for key, _ in bench.states()] == ["c", "e", "f"]
    end(held)
    end(bench.take("g"))
    end(bench.take("h"))
    assert [key for key, _ in bench.states()] == ["c", "g", "h"]
    bench.check()


def test_a_connection_that_was_passed_over_is_found_after_its_release() -> None:
    bench = Bench(1)
    held = bench.take("a")
    end(held)
    held = bench.take("a")
    waiting = bench.wait("b")
    end(held)
    assert bench.states() == [("b", "leased")]
    begin(waiting)
    end(waiting)
    bench.check()


# Interrupts


class _InterruptPoint:
    """Raises at one of the operations on the pool's tables, before or after it."""

    def __init__(self) -> None:
        self.count = 0
        self.at = -1
        self.late = False

    def around(self, operation: Callable[..., Any], *args: Any) -> Any:
        self.count += 1
        caught = self.count == self.at
        if caught and not self.late:
            raise KeyboardInterrupt
        result = operation(*args)
        if caught:
            raise KeyboardInterrupt
        return result


def _observed(kind: Any, point: _InterruptPoint, names: tuple[str, ...]) -> Any:
    def method(name: str) -> Callable[..., Any]:
        operation = getattr(kind, name)
        return lambda *args: point.around(operation, *args)

    return type(f"Observed{kind.__name__}", (kind,), {name: method(name) for name in names})


def _observe_pool(bench: Bench, point: _InterruptPoint) -> None:
    """Have the interrupt point observe every operation on the pool's tables and every change of a lease."""
    pool: Any = bench.pool
    reading = ("__getitem__", "__setitem__", "__delitem__", "get", "pop", "items", "setdefault")
    table = _observed(dict, point, reading)
    queue = _observed(deque, point, ("append", "popleft", "__getitem__", "remove", "extend"))
    pool._owners, pool._idle, pool._waiting = (
        table(pool._owners),
        table(pool._idle),
        table(pool._waiting),
    )
    order = _observed(OrderedDict, point, ("__setitem__", "move_to_end", "pop"))
    pool._released = order(pool._released)
    if pool._counts is not None:
        counts: Any = OriginCounts(pool._owners)
        for connection in list(pool._owners):
            counts.changing(connection)
        counts.settle()
        counts._members = table(counts._members)
        pool._counts = counts
    pool._inbox, pool._deferred = queue(pool._inbox), queue(pool._deferred)
    pool._clock = lambda: point.around(bench.clock)


class _ObservedLease(FakeLease):
    """A lease whose changes the interrupt point observes."""

    point: _InterruptPoint

    def __setattr__(self, name: str, value: Any) -> None:
        self.point.around(super().__setattr__, name, value)


def _release(bench: Bench, lease: Any) -> None:
    end(lease)


def _discard(bench: Bench, lease: Any) -> None:
    end(lease, reuse=False, why="exit")


def _replace(bench: Bench, lease: Any) -> None:
    lease.connection.user = None
    bench.pool.replace(lease, "stale")
    begin(lease)


def _close(bench: Bench, lease: Any) -> None:
    lease.connection.user = None
    bench.pool.close()


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("again", ["the same", "another"])
@pytest.mark.parametrize("what", [_release, _discard, _replace, _close])
def test_a_step_interrupted_anywhere_is_repeated(
    what: Callable[[Bench, Any], None], again: str, late: bool
) -> None:
    """Each operation on a table is interrupted once; then the owner of the lease ends it, as an exchange does.

    Or another caller runs the step, if it was posted already; then nothing is lost either.
    """
    for at in itertools.count(1):
        bench = Bench(2, 2)
        point = _InterruptPoint()
        lease: Any = _ObservedLease.__new__(_ObservedLease)
        type(lease).point = point
        lease.__init__(bench.pool, "a")
        bench.pool.checkout(lease)
        begin(lease)
        idle = bench.take("b")
        end(idle)
        held = bench.take("b")
        first, second = bench.wait("a"), bench.wait("c")
        _observe_pool(bench, point)
        point.count, point.at, point.late = 0, at, late
        try:
            what(bench, lease)
        except KeyboardInterrupt:
            pass
        else:
            assert point.count < at
            point.at = -1  # The pool's finalizer asks the clock, too.
            break
        point.at = -1
        posted = lease.ended or bench.pool._inbox or bench.pool.closed
        if again == "the same" or not posted:
            lease.finish(False, "KeyboardInterrupt")
            if what is _close:
                bench.pool.close()
        elif not bench.pool.closed:
            held.finish(True, "complete")  # Another caller, whose own lease ends too.
            held.connection.user = None
        if what is _close:
            assert not any(connection.open for connection in bench.made), at
            continue
        if again == "another" and what is _replace:
            lease.finish(False, "KeyboardInterrupt")
        assert first.connection is not None, f"the first in the queue was forgotten at {at}"
        begin(first)
        bench.check()
        end(held)
        assert second.connection is not None, f"the second in the queue was forgotten at {at}"
        begin(second)
        end(first)
        end(second)
        bench.check()
        assert all(state == "idle" for _, state in bench.states())


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("state", ["new", "idle", "expired", "of another origin", "full"])
def test_a_checkout_interrupted_anywhere_loses_nothing(state: str, late: bool) -> None:
    for at in itertools.count(1):
        bench = Bench(1, 1)
        point = _InterruptPoint()
        type_: Any = _ObservedLease
        type_.point = point
        held = None
        if state != "new":
            held = bench.take("b" if state == "of another origin" else "a")
        if state not in ("new", "full") and held is not None:
            if state == "expired":
                held.connection.keep_for = 0.0
            end(held)
        lease = _ObservedLease(bench.pool, "a")
        _observe_pool(bench, point)
        point.count, point.at, point.late = 0, at, late
        try:
            bench.pool.checkout(lease)
        except KeyboardInterrupt:
            pass
        else:
            assert point.count < at
            point.at = -1  # The pool's finalizer asks the clock, too.
            break
        point.at = -1
        lease.finish(False, "KeyboardInterrupt")
        if state == "full" and held is not None:
            end(held)
        bench.check()
        end(bench.take("a"))
        bench.check()


@pytest.mark.skipif(not HAS_ALARMS, reason="this platform has no interval timers")
def test_real_interrupts_lose_no_connection() -> None:
    """Thousands of checkouts and ends, while another thread does the same and is never interrupted."""
    bench = Bench(3, 2)
    chance = random.Random(520)
    over = threading.Event()
    failures: list[BaseException] = []

    def play(rounds: int, chance: random.Random, leases: list[FakeLease]) -> None:
        for _ in range(rounds):
            lease = bench.lease(chance.choice("abc"))
            leases.append(lease)
            woken = threading.Semaphore(0)
            lease.wake = woken.release
            until = time.monotonic() + 30
            while not bench.pool.checkout(lease):
                assert time.monotonic() < until, "never served"
                woken.acquire(timeout=0.2)
            begin(lease)
            end(lease, chance.random() < 0.8)
            leases.pop()

    def neighbour() -> None:
        own = random.Random(7)
        try:
            while not over.is_set():
                play(20, own, [])
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=neighbour)
    thread.start()
    try:
        with Alarm(520, scale=4e-4) as alarm:
            for _ in alarm.rounds(300):
                if failures:
                    break
                leases: list[FakeLease] = []
                alarm.call(lambda: play(20, chance, leases))  # noqa: B023
                for lease in leases:
                    # As an exchange does after any exception.
                    end(lease, reuse=False, why="KeyboardInterrupt")
    finally:
        over.set()
        thread.join(30)
    assert not thread.is_alive()
    assert failures == []
    bench.check()
    assert all(state == "idle" for _, state in bench.states())
    for lease in [bench.take(key) for key in "abc"]:
        end(lease)
    bench.check()


# What the collector ends while a report is made


class _Dropped:
    """An object in a cycle, whose finalizer ends a lease, as that of a response does."""

    def __init__(self, lease: FakeLease) -> None:
        self.lease = lease
        self.itself = self

    def __del__(self) -> None:
        end(self.lease, reuse=False, why="abandoned")


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="it has no threshold of collections")
def test_a_collection_while_the_connections_are_listed_is_harmless() -> None:
    bench = Bench(1000)
    leases = [bench.take() for _ in range(500)]

    def drop_some() -> None:
        for lease in leases[:200]:
            _Dropped(lease)

    with collection_after(100, drop_some):
        lines = bench.pool.snapshot()
    assert {line.id for line in lines} >= {lease.connection.id for lease in leases[200:]}
    bench.check()
