"""The pool's bookkeeping: one table, connection -> owner. No I/O but closing, no waiting, no HTTP.

Theory of operation. `_owners` is the truth: a connection is in it while it is open, with the lease that uses it or with
None while it is idle. Every change of owner is one store into that table; everything else (the stacks of idle
connections, their order, the counts of each origin) is an index that is checked against it, so an interrupt between two
lines can leave an index stale but never a connection without an owner. No request walks the table: what it needs to
know of the other origins' connections, the indexes tell.

Changes are steps, as `Inbox` explains. Only a thread that wants a connection waits for the lock; one that ends a lease
never waits. Deferred work may be done twice; what tells the listeners has tokens against that (`reporting`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from enum import Enum
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from adieu.errors import ClientClosed
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.events import CLIENT_CLOSED, LeaseInfo
from adieu.lifecycle.fork import call_first_after_fork
from adieu.lifecycle.inbox import AT_ONCE, Inbox
from adieu.lifecycle.lease import LeaseBase
from adieu.lifecycle.limits import CloseReport, ConnectionInfo, Limits
from adieu.lifecycle.lock import acquire, is_owned, release_if_owned
from adieu.lifecycle.origin_counts import OriginCounts
from adieu.lifecycle.pool_report import ClosedConnection, PoolReport, WaitingExchange

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Clock
    from adieu.lifecycle.reporting import Connecting, ConnectionReport, ExchangeReport

__all__ = [
    "LeaseState",
    "Pool",
    "PoolLease",
    "PooledConnection",
]


class PooledConnection:
    """A connection as the pool knows it. `close()` must be idempotent, and must not raise, block or wait."""

    __slots__ = (
        "id",
        "idle_since",
        "keep_for",
        "key",
        "opened_at",
        "report",
        "uses",
    )

    def __init__(self, key: Hashable, number: int, now: float) -> None:
        self.key = key
        self.id = number
        self.opened_at = now
        self.idle_since = now
        self.uses = 0
        # Seconds for which the server keeps an idle connection, by its Keep-Alive hint, less a margin.
        self.keep_for: float | None = None
        # What listeners know of it; made with the first lease of a client that has one.
        self.report: ConnectionReport | None = None

    def close(self) -> None:
        raise NotImplementedError

    def is_stale(self) -> bool:
        """Whether the connection was opened and cannot be used again, as when the peer closed it while it was idle.

        Asked before each exchange, and now and then while the connection is idle, with the pool's lock held: must not
        raise, block, wait, or call the pool.
        """
        return False

    def forget(self) -> None:
        """Close in a forked child: the descriptor goes, and the parent's connection must not notice."""
        raise NotImplementedError


C = TypeVar("C", bound=PooledConnection)


class LeaseState(Enum):
    """The state of a pool's lease."""

    ACTIVE = "active"
    SURVIVES_CLOSE = "survives close"  # the pool may close without cutting it off; its connection is closed at its end
    ENDED = "ended"


# Finding a member in an enumeration takes 100 ns on CPython 3.11.
_ACTIVE, _ENDED = LeaseState.ACTIVE, LeaseState.ENDED


class PoolLease(LeaseBase, Generic[C]):
    """The part of a lease that belongs to the pool. Made, and owned by an exchange, before it has a connection."""

    __slots__ = (
        "_called_at",
        "connection",
        "key",
        "pool",
        "queue_ticket",
        "reused",
        "state",
        "wake",
    )

    reused: bool
    _called_at: str | None

    def __init__(self, pool: Pool[C], key: Hashable) -> None:
        self.pool = pool
        self.key = key
        self.connection: C | None = None
        # A slot, where `LeaseBase` has a property: the pool assigns it.
        self.reused = False  # pyright: ignore[reportIncompatibleMethodOverride]
        self.state = _ACTIVE
        # Wakes a waiting exchange when it has a connection, or the pool is closed.
        self.wake: Callable[[], object] | None = None
        # Its number in the queue, once it has to wait.
        self.queue_ticket = 0

    @property
    def ended(self) -> bool:
        """It was finished."""
        return self.state is _ENDED

    @property
    def connection_id(self) -> int:
        return self.connection.id if self.connection is not None else 0

    @property
    def age(self) -> float:
        connection = self.connection
        return self.pool.age_of(connection) if connection is not None else 0.0

    @property
    def called_at(self) -> str | None:
        """The line of the user's that made the call, if it has to wait."""
        try:
            return self._called_at
        except AttributeError:
            return None  # It was not needed, and finding it takes some time.

    def waits(self, called_at: str | None) -> None:
        """It has to wait for a connection; a report names this line."""
        self._called_at = called_at

    def survive_close(self) -> bool:
        if self.state is LeaseState.ACTIVE:
            self.state = LeaseState.SURVIVES_CLOSE
        return self.state is LeaseState.SURVIVES_CLOSE

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.connection or 'no connection'}: {self.state.value}>"
        )

    def info(self) -> LeaseInfo:
        """The description that a `PoolTimeout` and `client.connections()` show."""
        raise NotImplementedError

    def finish(self, reuse: bool, why: str) -> None:
        """Release or discard: see the `Lease` protocol."""
        self.pool.finish(self, reuse, why)


class _Queue(deque[PoolLease[C]]):
    """The leases that wait for a connection of one key. `served`: how many have left it with one."""

    served = 0


# How many closed connections a report has.
_REMEMBERED = 20
# How long closing waits for the lock (seconds).
_A_MOMENT = 1.0


class Pool(Inbox, Generic[C]):
    """The connections of one adapter.

    `new(key, number, now)` makes a connection that is not open yet; it must not block.
    """

    def __init__(
        self,
        new: Callable[[Hashable, int, float], C],
        limits: Limits,
        clock: Clock = monotonic,
    ) -> None:
        super().__init__()
        self._new = new
        self._limits = limits
        # Connections have a limit: of their age, or of the number of their exchanges.
        self._wear_out = limits.age is not None or limits.requests is not None
        self._clock = clock
        self._owners: dict[C, PoolLease[C] | None] = {}
        # By origin, the newest last.
        self._idle: dict[Hashable, list[C]] = {}
        # Of all origins, in the order of release: every idle connection is in it, and some that are leased again.
        self._released: OrderedDict[C, None] = OrderedDict()
        self._newest: C | None = None
        # None: there is no limit for each origin, and so nothing to count.
        self._counts = None if limits.per_origin is None else OriginCounts(self._owners)
        self._waiting: dict[Hashable, _Queue[C]] = {}
        # How many leases got a connection after they had waited for it.
        self._served = 0
        # How often the end of a lease looks at all idle connections (seconds).
        self._sweeps_every = 2.0 if limits.idle is None else min(limits.idle, 2.0)
        self._next_sweep = clock() + self._sweeps_every
        self._closed = False
        # What a report says of them: number, key, reason, when, age, uses.
        self._closed_lately: deque[tuple[int, Hashable, str, float, float, int]] = deque(
            maxlen=_REMEMBERED
        )
        call_first_after_fork(self, Pool.after_fork)

    # -- what an adapter calls --------------------------------------------------------------------------------------

    def checkout(self, lease: PoolLease[C]) -> bool:
        """Give the lease a connection: an idle one, newest first, else a new one if the limits allow.

        False: there is none to be had; the lease is in the queue, first come first served, and its `wake` is called
        once it has a connection. Asking again is allowed. Raises `ClientClosed` when the pool is closed.
        """
        lock = self._lock
        try:
            if not lock.acquire(False):
                acquire(lock)
            # The inbox is nearly always empty, so this is done at once, and repeated if an interrupt falls in here:
            # it may have closed a connection that is in the table still.
            taken, asked = False, not self._inbox
            if asked:
                taken = lease.connection is None and self._take_newest(lease)
                if not taken:
                    self._want(lease)
            lock.release()
        except BaseException:
            release_if_owned(lock)
            self._post_within(AT_ONCE, self._want, lease)
            raise
        if taken and not self._deferred:
            return True
        if not asked or self._inbox or self._deferred:
            # If the inbox kept this from asking, then also once another thread has emptied it.
            self._post(self._want, lease)
        return self.served(lease)

    def begin(self, lease: PoolLease[C], events: ExchangeReport | None) -> C:
        """Begin an exchange on the lease's connection, which is returned; a stale one is replaced before.

        The use is counted, and listeners are told of it. Raises `ClientClosed` if the lease has lost its connection.
        """
        conn = lease.connection
        while conn is not None and conn.is_stale():
            self.replace(lease, "stale")
            conn = lease.connection
        if conn is None:
            raise ClientClosed("this client was closed")
        lease.reused = conn.uses > 0
        conn.uses += 1
        if events is not None:
            self._report_begin(lease, conn, events)
        return conn

    def _report_begin(self, lease: PoolLease[C], conn: C, events: ExchangeReport) -> None:
        report = conn.report
        if report is None:
            report = conn.report = events.of_connection(conn.id)
        about = lease.info()
        report.leased(events, about.method, about.url, lease.reused)
        if not self.holds(lease):
            # Another thread has closed the pool, perhaps before this lease was known to the listeners.
            report.dropped(CLIENT_CLOSED, conn.uses, self.age_of(conn))()

    def report_open(self, lease: PoolLease[C], connecting: Connecting) -> None:
        """Tell the listeners that the lease's connection is open."""
        conn = lease.connection
        connecting.connected()
        if conn is not None and conn.report is not None and not self.holds(lease):
            # Another thread has closed the pool, perhaps before the connection was known to be open.
            conn.report.dropped(CLIENT_CLOSED, conn.uses, self.age_of(conn))()

    def replace(self, lease: PoolLease[C], why: str, fresh: bool = False) -> bool:
        """Discard the lease's connection, which turned out to be dead, and give it another one in its place.

        With `fresh`, one that was never used.
        """
        self._post(self._replace, lease, lease.connection, why, fresh)
        return self.served(lease)

    def inherit(self, lease: PoolLease[C], former: PoolLease[C]) -> bool:
        """Give the connection of one lease to another; the former has ended."""
        self._post(self._transfer, lease, former)
        return self.holds(lease)

    def served(self, lease: PoolLease[C]) -> bool:
        """Whether the lease has its connection. Raises `ClientClosed` when it will never get one."""
        if self.holds(lease):
            return True
        if self._inbox:
            # Steps that an interrupt left behind; this lease may be waiting for one of them.
            self._work()
            if self.holds(lease):
                return True
        if self._closed:
            raise ClientClosed("this client was closed")
        return False

    def moves(self, lease: PoolLease[C]) -> int:
        """How often the line moved in which the lease waits: a number that grows with each lease that is served.

        All origins wait in one line, but with a limit for each of them one may be stuck while others move.
        """
        if self._limits.per_origin is None:
            return self._served
        queue = self._waiting.get(lease.key)
        return 0 if queue is None else queue.served

    def holds(self, lease: PoolLease[C]) -> bool:
        """Whether the lease has its connection (still).

        By the table, not by what the lease says: a step that was interrupted may have told it too early.
        """
        conn = lease.connection
        return conn is not None and self._owners.get(conn) is lease

    def finish(self, lease: PoolLease[C], reuse: bool, why: str) -> None:
        """End a lease. Calling it again, from any thread, changes nothing."""
        lock = self._lock
        if self._inbox or is_owned(lock):
            self._post_within(AT_ONCE, self._end_lease, lease, reuse, why)
            return
        try:
            if not lock.acquire(False):
                self._inbox.append((self._end_lease, (lease, reuse, why)))
            else:
                self._end_lease(lease, reuse, why)
                lock.release()
        except BaseException as error:
            release_if_owned(lock)
            if not isinstance(error, Exception):
                # An interrupt cut it short.
                self._post_within(AT_ONCE, self._end_lease, lease, reuse, why)
            raise
        if self._inbox or self._deferred:
            # Steps that other threads have posted meanwhile, and work that is done without the lock.
            self._work(AT_ONCE)

    def detach(self, lease: PoolLease[C]) -> None:
        """Let the lease's connection go to a new owner, open: an upgraded connection is no HTTP connection any more."""
        self._post(self._detach, lease)

    def close(self, why: str = CLIENT_CLOSED) -> CloseReport:
        """Close everything but the connections whose leases survive that, and report what was closed."""
        counts = [0, 0]
        # For the report a moment's wait is worth it. It has an end, because the thread that holds the lock may be in a
        # finalizer that closes another pool, whose lock this thread holds.
        self._post_within(_A_MOMENT, self._shut, counts, why)
        return CloseReport(counts[0], counts[1])

    def tend(self) -> bool:
        """Close the idle connections that are too old, and those that the peer has closed. False: none is left at all.

        For a timer, which honours the limits while no call is made.
        """
        self._post(self._sweep, self._clock())
        return bool(self._owners)

    def report(self) -> PoolReport:
        """What the pool is doing, which exchanges wait, and what was closed lately and why."""
        now = self._clock()
        closed = [
            ClosedConnection(number, str(key), why, now - at, age, uses)
            for number, key, why, at, age, uses in reversed(list(self._closed_lately))
        ]
        waiting = [
            WaitingExchange(str(lease.key), *lease.info()[1:4], lease.called_at)
            for queue in list(self._waiting.values())
            for lease in list(queue)
            if lease.connection is None and lease.state is not _ENDED
        ]
        return PoolReport(self.snapshot(), waiting, closed)

    def snapshot(self) -> list[ConnectionInfo]:
        """One line for each connection: what it is doing now."""
        now = self._clock()
        lines = []
        owners = self._owners
        # Not of the items: to make a tuple of each may begin a collection, in which a lease may end.
        for conn in list(owners):
            lease = owners.get(conn)
            if lease is None and conn not in owners:
                continue
            idle = now - conn.idle_since if lease is None else None
            state = "idle" if lease is None else "leased"
            age = now - conn.opened_at
            about = lease.info() if lease is not None else None
            lines.append(ConnectionInfo(conn.id, str(conn.key), state, age, conn.uses, idle, about))
        return lines

    @property
    def closed(self) -> bool:
        return self._closed

    def age_of(self, conn: C) -> float:
        """Seconds since the connection was opened."""
        return self._clock() - conn.opened_at

    # -- steps: run with the lock held, may run twice, never wait ------------------------------------------------------

    def _take_newest(self, lease: PoolLease[C]) -> bool:
        """The common case, which has to be cheap: there is a good idle connection, and no lease waits for one."""
        stack = self._idle.get(lease.key)
        if not stack or lease.state is _ENDED or self._closed or self._waiting:
            return False
        conn = stack[-1]
        rows = self._owners
        if rows.get(conn, lease) is None and self._expired(conn, self._clock()) is None:
            lease.connection = conn
            rows[conn] = lease
            stack.pop()
            return True
        return False

    def _want(self, lease: PoolLease[C]) -> None:
        if lease.state is _ENDED or lease.queue_ticket or self._closed or self.holds(lease):
            return
        waiting = self._waiting
        if lease.key in waiting:
            waiting[lease.key].append(lease)
            lease.queue_ticket = _number()
        elif not self._serve(lease, self._clock()):
            waiting[lease.key] = _Queue((lease,))
            lease.queue_ticket = _number()

    def _serve(self, lease: PoolLease[C], now: float, fresh: bool = False) -> bool:
        rows = self._owners
        stack = self._idle.get(lease.key) if not fresh else None
        while stack:
            conn = stack[-1]
            if rows.get(conn, lease) is None:
                why = self._expired(conn, now)
                if why is None:
                    lease.connection = conn
                    rows[conn] = lease
                    stack.pop()
                    return True
                self._drop(conn, why)
            stack.pop()
        if self._full(lease.key):
            return False
        conn = self._new(lease.key, _number(), now)
        lease.connection = conn
        if self._counts is not None:
            self._counts.changing(conn)
        rows[conn] = lease
        return True

    def _full(self, key: Hashable) -> bool:
        limits, rows = self._limits, self._owners
        limit = limits.per_origin
        if limit is not None and self._counts is not None and self._counts.of(key) >= limit:
            return True
        if limits.connections is None or len(rows) < limits.connections:
            return False
        # At the limit an idle connection to another origin is closed: the one that has been idle longest.
        released = self._released
        while released:
            conn = next(iter(released))
            if rows.get(conn, conn) is None:
                self._drop(conn, "room for another origin")
                return False
            if conn is self._newest:
                self._newest = None
            released.pop(conn, None)  # It is leased; its next release puts it back.
        return True  # None is idle; every finished lease serves those that wait.

    def _replace(self, lease: PoolLease[C], conn: C, why: str, fresh: bool) -> None:
        if self._owners.get(conn) is lease:
            self._drop(conn, why)
        if lease.connection is conn:
            lease.connection = None
        if lease.state is not _ENDED and not self.holds(lease) and not self._closed:
            # Its own place has just become free, and the lock is still held.
            self._serve(lease, self._clock(), fresh)

    def _transfer(self, lease: PoolLease[C], former: PoolLease[C]) -> None:
        conn = former.connection
        if conn is not None and self._owners.get(conn) is former and lease.state is not _ENDED:
            if conn.report is not None:
                self._deferred.append(conn.report.released())
            lease.connection = conn
            self._owners[conn] = lease
            former.state = _ENDED

    def _detach(self, lease: PoolLease[C]) -> None:
        lease.state = _ENDED
        conn = lease.connection
        if conn is not None and self._owners.get(conn) is lease:
            self._note_closed(conn, "upgraded")
            if conn.report is not None:
                self._deferred.append(conn.report.detached(conn.uses, self.age_of(conn)))
            self._forget(conn)
        if self._waiting:
            self._serve_waiting(self._clock())

    def _end_lease(self, lease: PoolLease[C], reuse: bool, why: str) -> None:
        lease.state = _ENDED
        now = self._clock()
        conn = lease.connection
        if conn is not None and self._owners.get(conn) is lease:
            if self._closed:
                reuse, why = False, CLIENT_CLOSED
            elif reuse and self._wear_out and (worn := self._past_limits(conn, now)) is not None:
                reuse, why = False, worn
            if reuse:
                conn.idle_since = now
                self._idle.setdefault(conn.key, []).append(conn)
                # Nearly always it is, for a client that sends to one origin.
                if conn is not self._newest:
                    self._released[conn] = None
                    self._released.move_to_end(conn)
                    self._newest = conn
                if conn.report is not None:
                    self._deferred.append(conn.report.released())
                self._owners[conn] = None
            else:
                self._drop(conn, why)
        elif lease.queue_ticket and conn is None and lease.wake is not None:
            # It waits in the queue, perhaps in a thread: it will never get a connection, so it is woken.
            self._deferred.append(lease.wake)
        if now >= self._next_sweep:
            self._sweep(now)
        if self._waiting and why != CLIENT_CLOSED:
            # At the end of every lease: an earlier one may have been interrupted before it served the waiters.
            self._serve_waiting(now)

    def _serve_waiting(self, now: float) -> None:
        """Hand free places straight to the leases that waited longest: none is overtaken, none is woken in vain."""
        queues = list(self._waiting.items())
        if len(queues) > 1:
            queues.sort(key=_turn)
        for key, queue in queues:
            while queue:
                lease = queue[0]
                waits = lease.state is not _ENDED and not self.holds(lease)
                if waits and not self._serve(lease, now):
                    break
                if lease.wake is not None:
                    self._deferred.append(lease.wake)
                if waits:
                    self._served += 1
                    queue.served += 1
                queue.popleft()
            if not queue:
                del self._waiting[key]

    def _shut(self, counts: list[int], why: str) -> None:
        self._closed = True
        for conn, lease in list(self._owners.items()):
            if lease is None or lease.state is not LeaseState.SURVIVES_CLOSE:
                self._drop(conn, why)
                counts[lease is not None] += 1
        self._idle.clear()
        for queue in self._waiting.values():
            self._deferred.extend(lease.wake for lease in queue if lease.wake is not None)
        self._waiting.clear()

    def _drop(self, conn: C, why: str) -> None:
        """A connection has no owner any more: first into the list of deferred work, then out of the table."""
        self._deferred.append(conn.close)
        self._note_closed(conn, why)
        if conn.report is not None:
            self._deferred.append(conn.report.dropped(why, conn.uses, self.age_of(conn)))
        self._forget(conn)

    def _note_closed(self, conn: C, why: str) -> None:
        now = self._clock()
        self._closed_lately.append((conn.id, conn.key, why, now, now - conn.opened_at, conn.uses))

    def _forget(self, conn: C) -> None:
        counts = self._counts
        if counts is not None:
            counts.changing(conn)
        self._owners.pop(conn, None)
        if counts is not None:
            counts.settle()  # Or the index would keep it alive.
        if conn is self._newest:
            self._newest = None
        self._released.pop(conn, None)

    # -- ages --------------------------------------------------------------------------------------------------------

    def _expired(self, conn: C, now: float) -> str | None:
        """Why an idle connection must not be used again, or None."""
        idle = now - conn.idle_since
        if conn.keep_for is not None and idle >= conn.keep_for:
            return "the server's keep-alive time"
        limit = self._limits.idle
        if limit is not None and idle >= limit:
            return "idle"
        return self._past_limits(conn, now) if self._wear_out else None

    def _past_limits(self, conn: C, now: float) -> str | None:
        limits = self._limits
        if limits.age is not None and now - conn.opened_at >= limits.age:
            return "age"
        if limits.requests is not None and conn.uses >= limits.requests:
            return "requests"
        return None

    def _sweep(self, now: float) -> None:
        """Close connections that were idle too long, or that the peer has closed: of every origin.

        The end of a call does this now and then, and `tend`. The pool itself has no timer and no thread.
        """
        self._next_sweep = now + self._sweeps_every
        for conn, lease in list(self._owners.items()):
            if lease is None:
                why = self._expired(conn, now)
                if why is None and _is_stale(conn):
                    why = "stale"
                if why is not None:
                    self._drop(conn, why)
        # A dropped connection is in its origin's stack still, and there may never be a request to that origin again.
        rows = self._owners
        for key, stack in list(self._idle.items()):
            kept = [conn for conn in stack if rows.get(conn, conn) is None]
            if kept:
                self._idle[key] = kept
            else:
                del self._idle[key]

    # -- forks and finalizers ------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a forked child, the connections are the parent's: forget them without sending anything."""
        rows, self._owners = self._owners, {}
        self._idle.clear()
        self._released.clear()
        self._newest = None
        if self._counts is not None:
            self._counts = OriginCounts(self._owners)
        self._waiting.clear()
        self._closed_lately.clear()
        self._inbox.clear()
        # Connections that were about to be closed are out of the table already.
        dropped = [getattr(job, "__self__", None) for job in self._deferred]
        self._deferred.clear()
        for conn in (*rows, *dropped):
            if isinstance(conn, PooledConnection):
                conn.forget()

    @quiet_at_exit
    def __del__(self) -> None:
        # A client that was never closed: idle connections end silently, because none is in use.
        for conn in list(getattr(self, "_owners", ())):
            conn.close()
            if conn.report is not None:
                conn.report.dropped("its client was dropped", conn.uses, self.age_of(conn))()


def _is_stale(conn: PooledConnection) -> bool:
    try:
        return conn.is_stale()
    except Exception:
        return True  # The end of another's lease must not fail; and it would fail when it is to be used.


def _turn(waiting: tuple[Hashable, deque[PoolLease[C]]]) -> int:
    queue = waiting[1]
    return queue[0].queue_ticket if queue else 0


_number = count(1).__next__
