"""Exchanges that share one connection: for schemes that authenticate connections, not requests (NTLM, Negotiate).

Theory of operation: when the body of such an exchange is complete, its lease goes on. The next exchange of the call
continues from it, and the lease that an adapter gives to that one takes the connection over, if it knows how to
(`inherit`). There is no moment at which the connection is idle, so no other exchange can take it in between. In the end
it is closed: from the pool, the next exchange would get a connection that is authenticated as this user.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.exchange import ExchangeBase

if TYPE_CHECKING:
    from adieu.lifecycle.lease import AnyLease

__all__ = ["PinState", "Pinned"]


class PinState(Enum):
    """Whether the connection is kept for the next exchange."""

    PINNED = "pinned"  # the exchange goes on
    COMPLETE = "complete"  # its body is complete, and the connection waits for the next exchange
    RELEASED = "released"  # no exchange follows, or it has the connection


class Pinned(ExchangeBase):
    """Mixed into the exchanges of a call that share one connection. `release` says that no other one follows."""

    __slots__ = ()

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        # The exchange before this one, until there is a lease that could take its connection over.
        self.former: Pinned | None = None
        self.pin = PinState.PINNED

    def continue_from(self, former: ExchangeBase | None) -> None:
        """Take over from the exchange before, if that one still has its connection."""
        if isinstance(former, Pinned) and former.pin is not PinState.RELEASED:
            self.former = former

    def own(self, lease: AnyLease) -> None:
        """Take the lease over, and with it, if it can be had, the connection of the exchange before."""
        former = self.former
        if self.pin is PinState.COMPLETE:
            self.pin = PinState.PINNED  # An adapter has sent once more.
        super().own(lease)
        if former is not None:
            if former.pin is PinState.COMPLETE and former.lease is not None:
                lease.inherit(former.lease.stop_wrapping())
            former.release()
            self.former = None

    def end(self, reuse: bool, why: str) -> None:
        """End the lease; but a connection that could be used again waits for the next exchange."""
        former = self.former
        if former is not None:
            former.release()
            self.former = None
        if reuse and self.pin is not PinState.RELEASED:
            self.pin = PinState.COMPLETE
            lease = self.lease
            if self.events is not None and lease is not None:
                self.events.lease_ended(why, lease.received, lease.connection_id)
            return
        super().end(False, "authenticated connection" if reuse else why)

    def keeps_lease(self) -> bool:
        return self.pin is PinState.COMPLETE

    def release(self) -> None:
        """There is no next exchange, or the connection is its own by now."""
        complete = self.pin is PinState.COMPLETE
        self.pin = PinState.RELEASED
        if complete:
            self.end(True, "complete")
