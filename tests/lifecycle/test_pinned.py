"""Exchanges that share a connection: it goes from one to the next without being idle, and is closed in the end."""

from __future__ import annotations

from typing import Any

import pytest

from adieu import URL
from adieu.lifecycle.cleanup import Prefetch
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.lifecycle.events import LeaseInfo
from adieu.lifecycle.lease import Lease as LeaseProtocol
from adieu.lifecycle.lease import LeaseBase
from adieu.lifecycle.limits import Limits
from adieu.lifecycle.pool import Pool, PooledConnection, PoolLease
from adieu.transport.exchange import Exchange, PinnedExchange

pytestmark = pytest.mark.lifecycle


class Connection(PooledConnection):
    closed = False

    def close(self) -> None:
        self.closed = True


class Plain(PoolLease[Connection], LeaseProtocol):
    """A lease that inherits nothing."""

    reusable = True

    def info(self) -> LeaseInfo:
        return LeaseInfo(0, "GET", "http://a.test/", 0.0, None)

    def read(self, deadline: Deadline) -> bytes:
        return b""


class Lease(Plain):
    """A lease that inherits every connection that it can."""

    def inherit(self, former: LeaseBase) -> None:
        assert isinstance(former, PoolLease)
        self.pool.inherit(self, former)


class Chained(PinnedExchange):
    """A pinned exchange whose leases are those of this module."""

    lease: Any


def exchange(kind: Any = Chained) -> Chained:
    made: Chained = kind("GET", URL("http://a.test/"), Deadline(Timeout()), Prefetch())
    return made


@pytest.fixture
def pool() -> Pool[Connection]:
    """A pool with a limit of one connection."""
    return Pool(Connection, Limits(connections=1))


def begun(pool: Pool[Connection], former: Chained | None = None) -> Chained:
    """An exchange with a lease, perhaps after another one."""
    made = exchange()
    made.continue_from(former)
    lease = Lease(pool, "a")
    made.own(lease)
    if lease.connection is None:
        assert pool.checkout(lease)
    return made


def test_a_complete_exchange_passes_its_connection_on_before_waiting_leases(
    pool: Pool[Connection],
) -> None:
    first = begun(pool)
    connection = first.lease.connection
    waiting = Lease(pool, "a")
    assert not pool.checkout(waiting)
    first.end(True, "complete")
    assert [line.state for line in pool.snapshot()] == ["leased"]
    second = begun(pool, first)
    assert second.lease.connection is connection
    assert pool.holds(second.lease)
    assert first.lease is None
    assert not pool.holds(waiting)
    second.end(True, "complete")
    second.release()
    assert connection.closed
    assert pool.holds(waiting)
    assert waiting.connection is not connection
    waiting.finish(True, "complete")


def test_an_exchange_that_is_released_too_early_is_closed_at_its_end(
    pool: Pool[Connection],
) -> None:
    only = begun(pool)
    connection = only.lease.connection
    only.release()
    assert not connection.closed
    only.end(True, "complete")
    assert connection.closed
    assert pool.snapshot() == []


def test_an_exchange_that_was_cut_short_passes_no_connection_on(pool: Pool[Connection]) -> None:
    first = begun(pool)
    connection = first.lease.connection
    first.end(False, "policy")
    assert connection.closed
    second = begun(pool, first)
    assert second.lease.connection is not connection
    second.end(False, "over")


def test_a_lease_that_inherits_nothing_gets_the_former_place(pool: Pool[Connection]) -> None:
    first = begun(pool)
    connection = first.lease.connection
    first.end(True, "complete")
    second = exchange()
    second.continue_from(first)
    other = Plain(pool, "b")
    second.own(other)
    assert connection.closed
    assert pool.checkout(other)
    second.end(False, "over")


@pytest.mark.parametrize("owned", [True, False])
def test_an_error_ends_the_former_exchange_too(pool: Pool[Connection], owned: bool) -> None:
    first = begun(pool)
    connection = first.lease.connection
    first.end(True, "complete")
    second = exchange()
    second.continue_from(first)
    if owned:
        second.own(Lease(pool, "a"))
    second.end(False, "error")
    assert connection.closed
    assert pool.snapshot() == []


def test_an_exchange_of_another_kind_has_no_successor(pool: Pool[Connection]) -> None:
    plain = exchange(Exchange)
    second = exchange()
    second.continue_from(plain)
    assert second.former is None
    released = begun(pool)
    released.release()
    second.continue_from(released)
    assert second.former is None
    released.end(False, "over")


def test_a_lease_that_has_ended_inherits_nothing(pool: Pool[Connection]) -> None:
    first = begun(pool)
    late = Lease(pool, "a")
    late.finish(False, "cancelled")
    assert not pool.inherit(late, first.lease)
    assert pool.holds(first.lease)
    first.end(False, "over")


def test_passing_on_twice_has_the_effect_of_once(pool: Pool[Connection]) -> None:
    """After an interrupt a step of the pool may run again."""
    first, heir = begun(pool), Lease(pool, "a")
    assert pool.inherit(heir, first.lease)
    assert pool.inherit(heir, first.lease)
    assert pool.holds(heir)
    first.end(False, "over")
    assert pool.holds(heir)
    heir.finish(True, "complete")
    assert [line.state for line in pool.snapshot()] == ["idle"]
    pool.close()
