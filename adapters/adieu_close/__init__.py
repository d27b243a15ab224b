"""No keep-alive: every request says `Connection: close`, and every socket is closed when its body ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.cleanup import NoKeepAlive
from adieu.transport.adapter import Adapter, Middleware

if TYPE_CHECKING:
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import Limits
    from adieu.messages.request import Request
    from adieu.messages.response import Response

__all__ = ["CloseAdapter"]


class CloseAdapter(Middleware):
    """Wraps any adapter (the raw one, if none is given) so that no connection is kept for a second exchange."""

    def __init__(self, inner: Adapter | None = None, *, limits: Limits | None = None) -> None:
        if inner is None:
            from adieu_h11 import H11Adapter

            inner = H11Adapter(limits=limits)
        super().__init__(inner)

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send with a policy that reads as the chosen one does, and keeps nothing."""
        if exchange.policy.keep_alive:
            exchange.policy = NoKeepAlive(exchange.policy)
        return self.inner.send(request, exchange)
