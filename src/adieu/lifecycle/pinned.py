"""Exchanges that share one connection: for schemes that authenticate connections, not requests (NTLM, Negotiate).

Theory of operation: when the body of such an exchange is complete, its lease goes on. The exchange that comes next
in the call knows it as its `former`, and the lease that an adapter gives to that one takes the connection over, if it
knows how to (`inherit`). There is no moment at which the connection is idle, so nobody else can come in between. In the
end it is closed: whoever got it from the pool would speak in the name of this user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.lifecycle.exchange import Exchange

if TYPE_CHECKING:
    from adieu.lifecycle.exchange import AnyLease

__all__ = ["PinnedExchange"]


class PinnedExchange(Exchange):
    """One of several exchanges over one connection. `release` says that no other one follows."""

    __slots__ = ("complete", "former", "held")

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        # The exchange before this one, until there is a lease that could take its connection over.
        self.former: PinnedExchange | None = None
        self.held = True
        self.complete = False

    def continue_from(self, former: Exchange | None) -> None:
        """Take over from the exchange before, if that one still has its connection."""
        if isinstance(former, PinnedExchange) and former.held:
            self.former = former

    def own(self, lease: AnyLease) -> None:
        """Take the lease over, and with it, if it can be had, the connection of the exchange before."""
        former = self.former
        super().own(lease)
        if former is not None:
            inherit = getattr(lease, "inherit", None)
            if inherit is not None and former.complete and former.lease is not None:
                inherit(former.lease)
            former.release()
            self.former = None

    def end(self, reuse: bool, why: str) -> None:
        """End the lease; but a connection that could be used again waits for the next exchange."""
        former = self.former
        if former is not None:
            former.release()
            self.former = None
        if reuse and self.held:
            self.complete = True
            return
        super().end(False, "authenticated connection" if reuse else why)

    def release(self) -> None:
        """There is no next exchange, or it has what it needs."""
        self.held = False
        if self.complete:
            self.end(True, "complete")
