"""Getting a connection from a pool, and waiting while it is full: fair, bounded by the deadline, with a useful error.

A pool that is busy is no error, and one that is stuck is. So `Timeout.pool` bounds the time in which the line does not
move, as `Timeout.read` bounds the time in which no byte comes. The line is first come, first served, so each wait in a
line that moves has an end; `Timeout.total` bounds it further.

Before the wait ends in a `PoolTimeout` the garbage collector runs: responses that were dropped in a reference cycle
hold connections until it finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Generic, Protocol

from adieu.errors import ClientClosed, PoolTimeout
from adieu.lifecycle.exchange import caller
from adieu.lifecycle.pool import C
from adieu.lifecycle.pool_report import summary
from adieu.lifecycle.steps import adrive, drive
from adieu.texts import show_url

if TYPE_CHECKING:
    import queue

    from adieu.errors import RequestTimeout
    from adieu.lifecycle.exchange import ExchangeBase
    from adieu.lifecycle.pool import Pool, PoolLease
    from adieu.lifecycle.steps import Steps

__all__ = ["PoolWait", "ThreadWaiter", "Waiter"]

# How long to wait in a full pool before the collector runs (seconds).
_PATIENCE = 0.05
# Minimum pause between forced collections (seconds), and as a multiple of the last one's duration.
_COLLECT_REST = 0.5
_COLLECT_PART = 20


class Waiter(Protocol):
    """How one exchange waits for its turn."""

    def wake(self) -> object:
        """The turn has come. Called from any thread, perhaps twice; never raises."""
        ...

    def wait(self, seconds: float | None) -> object:
        """Wait until `wake`, at most so long (async: an awaitable)."""
        ...


class ThreadWaiter:
    """A waiter that blocks its thread. `SimpleQueue` is C: an interrupt cannot leave it half locked."""

    __slots__ = ("_signals", "wake")

    def __init__(self) -> None:
        # Imported here, because few programs ever wait for a connection.
        from queue import SimpleQueue

        self._signals: queue.SimpleQueue[None] = SimpleQueue()
        self.wake = _Wake(self._signals)

    def wait(self, seconds: float | None) -> None:
        """Wait until `wake`, at most so long."""
        from queue import Empty

        try:
            self._signals.get(timeout=seconds)
        except Empty:
            pass  # The caller looks whether its turn has come, whatever ended the wait.


class _Wake:
    __slots__ = ("_signals",)

    def __init__(self, signals: queue.SimpleQueue[None]) -> None:
        self._signals = signals

    def __call__(self) -> None:
        self._signals.put(None)


class PoolWait(Generic[C]):
    """How the exchanges of one pool wait for a connection. `waiter()` makes a waiter; the default blocks its thread."""

    __slots__ = ("_collect_at", "_pool", "_waiter")

    def __init__(self, pool: Pool[C], waiter: Callable[[], Waiter] = ThreadWaiter) -> None:
        self._pool = pool
        self._waiter = waiter
        self._collect_at = 0.0

    def take(self, lease: PoolLease[C], exchange: ExchangeBase) -> C:
        """A connection for a sync exchange, which owns the lease: a new one (`uses` is 1), or one that is still good.

        Waits while the pool is full. Raises `PoolTimeout`, `DeadlineExceeded` and `ClientClosed`.
        """
        pool = self._pool
        if lease.connection is None and not pool.checkout(lease):  # It may have inherited one.
            drive(self.steps(lease, exchange))
        return pool.begin(lease, exchange.events)

    async def take_async(self, lease: PoolLease[C], exchange: ExchangeBase) -> C:
        """`take` for an async exchange, where the waits of `waiter()` are awaitables."""
        pool = self._pool
        if lease.connection is None and not pool.checkout(lease):
            await adrive(self.steps(lease, exchange))
        return pool.begin(lease, exchange.events)

    def steps(self, lease: PoolLease[C], exchange: ExchangeBase) -> Steps[None]:
        """Wait until the lease, which is in the pool's queue, has a connection.

        Raises `PoolTimeout`, `DeadlineExceeded` and `ClientClosed`.
        """
        events = exchange.events
        if events is None:
            return (yield from self._steps(lease, exchange))
        wait = events.pool_wait(lease.key)
        try:
            yield from self._steps(lease, exchange)
        except BaseException as error:
            wait.ended(0, type(error).__name__)
            raise
        wait.ended(lease.connection_id, None)

    def _steps(self, lease: PoolLease[C], exchange: ExchangeBase) -> Steps[None]:
        waiter = self._waiter()
        lease.wake = waiter.wake
        lease.waits(caller())
        pool, deadline = self._pool, exchange.deadline
        moves, moved_at = pool.moves(lease), monotonic()
        patience = _PATIENCE
        while not pool.served(lease):
            if lease.ended:
                # Another thread ended it, as `to_async` and `map` do when their caller has stopped waiting.
                raise ClientClosed(
                    f"{exchange.method} {show_url(exchange.url)} was ended while it waited for a connection"
                )
            left = deadline.remaining_since("pool", monotonic() - moved_at)
            yield waiter.wait(patience if left is None else min(patience, left))
            if pool.served(lease):
                break
            patience = self._collect_abandoned()
            if (now_moves := pool.moves(lease)) != moves:
                moves, moved_at = now_moves, monotonic()
            left = deadline.remaining_since("pool", monotonic() - moved_at)
            if left == 0 and not pool.served(lease):
                raise self._exhausted(exchange)

    def _collect_abandoned(self) -> float:
        """Responses dropped in a reference cycle are found by the collector alone, which may be far or switched off.

        So it runs before a `PoolTimeout`, but for no more than a small part of the time. Returns the seconds until it
        is worth running again.
        """
        now = monotonic()
        if now < self._collect_at:
            return max(self._collect_at - now, _COLLECT_REST)
        # First: of many waiting exchanges one looks, at all connections, and one collects.
        self._collect_at = now + _PATIENCE
        if any(line.lease is not None and line.lease.opened_at for line in self._pool.snapshot()):
            self._collect_at = now + _COLLECT_REST
            import gc

            try:
                gc.collect()
            except ValueError:
                pass  # PyPy's refuses while it is at work already, in another thread.
            started, now = now, monotonic()
            self._collect_at = now + max((now - started) * _COLLECT_PART, _COLLECT_REST)
        return max(self._collect_at - now, _COLLECT_REST)

    def _exhausted(self, exchange: ExchangeBase) -> RequestTimeout:
        error = exchange.deadline.exceeded("pool")
        if isinstance(error, PoolTimeout):
            held = sorted(
                (line.lease for line in self._pool.snapshot() if line.lease is not None),
                key=lambda info: -info.seconds,
            )
            error.holders = tuple(map(str, held))
            shown = "; ".join(error.holders[:3])
            more = f"; and {len(held) - 3} more" if len(held) > 3 else ""
            report = self._pool.report()
            rest = summary(report, len(report.waiting) - 1)
            error.args = (f"{error.args[0]}. All {len(held)} are in use: {shown}{more}{rest}",)
        error.method = exchange.method
        error.url = str(exchange.url)
        return error
