"""A pool without sockets, with connections that record the calls on them and a clock that the test sets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import adieu
from adieu.events import Connected
from adieu.lifecycle.pool import Pool, PooledConnection, PoolLease
from adieu.lifecycle.reporting import ConnectionReport, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from adieu import events

__all__ = ["Bench", "Clock", "FakeConnection", "FakeLease", "Listener", "begin", "end"]


class FakeConnection(PooledConnection):
    """A connection that is open from `opened()` to `close()`, and used by one lease at a time."""

    __slots__ = ("at_close", "closed", "forgotten", "open", "stale", "user")

    def __init__(self, key: Hashable, number: int, now: float) -> None:
        super().__init__(key, number, now)
        self.open = False
        self.closed = 0
        self.forgotten = False
        self.stale = False
        self.user: object = None
        self.at_close: Callable[[], object] = bool

    def close(self) -> None:
        self.at_close()
        self.open = False
        self.closed += 1

    def is_stale(self) -> bool:
        return self.stale

    def forget(self) -> None:
        self.forgotten = True


class FakeLease(PoolLease[Any]):
    """A lease with the description that the pool needs."""

    connection: Any

    def info(self) -> adieu.LeaseInfo:
        number = 0 if self.connection is None else self.connection.id
        return adieu.LeaseInfo(number, "GET", f"http://{self.key}/", 1.0, None)


class Listener(adieu.Events):
    """Records the ends of leases and connections."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def released(self, event: events.Released) -> None:
        self.calls.append(("released", event.connection))

    def discarded(self, event: events.Discarded) -> None:
        self.calls.append(("discarded", event.connection, event.why))

    def closed(self, event: events.Closed) -> None:
        self.calls.append(("closed", event.connection, event.why))

    def detached(self, event: events.Detached) -> None:
        self.calls.append(("detached", event.connection))


class Clock:
    """A clock that changes only when the test sets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A pool, with the connections and leases that were made for it."""

    def __init__(self, *limits: Any, **more: Any) -> None:
        self.clock = clock = Clock()
        self.made: list[FakeConnection] = []
        self.listener = Listener()
        more.setdefault("idle", None)
        made, told = self.made, Report((self.listener,), 0, 0)

        def new(key: Hashable, number: int, now: float) -> FakeConnection:
            connection = FakeConnection(key, number, now)
            connection.report = ConnectionReport(number, told)
            made.append(connection)
            return connection

        self.pool: Pool[Any] = Pool(new, adieu.Limits(*limits, **more), clock)

    def lease(self, key: str = "a") -> FakeLease:
        """A lease that has no connection yet; its `woken` counts how often the pool woke it."""
        return FakeLease(self.pool, key)

    def take(self, key: str = "a") -> FakeLease:
        """A lease with its connection, which is open and used."""
        lease = self.lease(key)
        assert self.pool.checkout(lease), f"no connection for {key}"
        return begin(lease)

    def wait(self, key: str = "a", log: Callable[[FakeLease], object] = id) -> FakeLease:
        """A lease in the queue."""
        lease = self.lease(key)
        lease.wake = _Bell(lease, log).ring
        assert not self.pool.checkout(lease), f"there was a connection for {key}"
        return lease

    def states(self) -> list[tuple[Any, str]]:
        """The table of owners as text."""
        return [(line.origin, line.state) for line in self.pool.snapshot()]

    def check(self) -> None:
        """Each connection has one owner, no connection without an owner is open, and none is above the limits.

        The indexes know each connection that is in the table.
        """
        rows = dict(self.pool._owners)
        limit = self.pool._limits.connections
        assert limit is None or len(rows) <= limit, rows
        counts = Counter(connection.key for connection in rows)
        most = self.pool._limits.per_origin
        index = self.pool._counts
        assert (index is None) == (most is None)
        for key in {connection.key for connection in self.made}:
            assert index is None or index.of(key) == counts[key], key
        assert most is None or max(counts.values(), default=0) <= most, rows
        idle = {connection for connection, lease in rows.items() if lease is None}
        # An interrupted step may leave a connection in this index that is out of the table; `_full` passes over it.
        assert idle <= set(self.pool._released)
        for connection in self.made:
            assert not connection.open or connection in rows, "open without an owner"
        for connection, lease in rows.items():
            assert not connection.closed, "closed, and still in the table"
            if lease is None:
                assert connection.user is None, "idle, and in use"
            else:
                assert lease.connection is connection, "leased to one who does not know of it"


class _Bell:
    def __init__(self, lease: FakeLease, log: Callable[[FakeLease], object]) -> None:
        self._lease = lease
        self._log = log

    def ring(self) -> None:
        self._log(self._lease)


def begin(lease: FakeLease) -> FakeLease:
    """Open the connection and use it, as an engine does."""
    connection = lease.connection
    assert connection.user is None, "two exchanges on one connection"
    connection.open = True
    connection.uses += 1
    connection.user = lease
    report = connection.report
    report.leased(report.lease, "GET", f"http://{lease.key}/", connection.uses > 1)
    if connection.uses == 1:
        report.connected(Connected(seconds=0.0, peer="", local=""))
    return lease


def end(lease: FakeLease, reuse: bool = True, why: str = "complete") -> None:
    """End the lease, as the end of an exchange does."""
    if lease.connection is not None and lease.connection.user is lease:
        lease.connection.user = None
    lease.finish(reuse, why)
