"""The base of leases of pooled connections: the facts that errors, reports and policies need, and their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.events import LeaseInfo
from adieu.lifecycle.pool import C, PoolLease
from adieu.texts import show_url

if TYPE_CHECKING:
    from collections.abc import Hashable

    from adieu.errors import Sent
    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.exchange import ExchangeBase
    from adieu.lifecycle.lease import LeaseBase
    from adieu.lifecycle.pool import Pool

__all__ = ["ExchangeLease"]


class ExchangeLease(PoolLease[C]):
    """The lease of one exchange. `key`: which connections of the pool may serve it.

    The adapter keeps these facts up to date: `sent` and `started`, how much of the request was sent and whether the
    response has begun; `framing`, `received` and `remaining`, as in `Lease`. `since` is the deadline of the call.
    """

    __slots__ = (
        "framing",
        "method",
        "opened_at",
        "received",
        "remaining",
        "sent",
        "since",
        "started",
        "url",
    )

    framing: Framing
    received: int
    remaining: int | None

    def __init__(self, pool: Pool[C], exchange: ExchangeBase, key: Hashable) -> None:
        PoolLease.__init__(self, pool, key)  # Half of what `super()` costs.
        self.method = exchange.method
        self.url = exchange.url
        self.since = exchange.deadline
        # The user's line that opened the response, if that was handed out unread.
        self.opened_at: str | None = None
        self.sent: Sent = "no"
        self.started = False
        # Slots, where `LeaseBase` has properties: the adapter assigns them.
        self.framing = "close"  # pyright: ignore[reportIncompatibleMethodOverride]
        self.received = 0  # pyright: ignore[reportIncompatibleMethodOverride]
        self.remaining = None  # pyright: ignore[reportIncompatibleMethodOverride]

    def info(self) -> LeaseInfo:
        seconds = self.since.elapsed()
        return LeaseInfo(
            self.connection_id, self.method, show_url(self.url), seconds, self.opened_at
        )

    def note_opened_at(self, place: str | None) -> None:
        self.opened_at = place

    def inherit(self, former: LeaseBase) -> None:
        """Take over the connection of a lease whose message is complete, if this one could have got it."""
        if (
            isinstance(former, ExchangeLease)
            and former.pool is self.pool
            and former.key == self.key
            and former.reusable
        ):
            self.pool.inherit(self, former)
