"""No keep-alive: every request says `Connection: close`, and every socket is closed when its body ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.cleanup import NoKeepAlive
from adieu.transport.adapter import Adapter, AsyncAdapter, AsyncMiddleware, Middleware
from adieu.transport.registry import inner_adapter

if TYPE_CHECKING:
    from adieu.lifecycle.limits import Limits
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.exchange import AsyncExchange, Exchange

__all__ = ["AsyncCloseAdapter", "CloseAdapter"]


class CloseAdapter(Middleware):
    """Wraps any adapter (the default one, if none is given) so that no connection is kept for a second exchange."""

    def __init__(self, inner: Adapter | None = None, *, limits: Limits | None = None) -> None:
        super().__init__(inner_adapter(inner, limits, "native"))

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send with a policy that reads as the chosen one does, and keeps nothing."""
        _keep_nothing(exchange)
        return self.inner.send(request, exchange)


class AsyncCloseAdapter(AsyncMiddleware):
    """The same around an async adapter."""

    def __init__(self, inner: AsyncAdapter | None = None, *, limits: Limits | None = None) -> None:
        super().__init__(inner_adapter(inner, limits, "native", "adieu.async_adapters"))

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Send with a policy that reads as the chosen one does, and keeps nothing."""
        _keep_nothing(exchange)
        return await self.inner.send(request, exchange)


def _keep_nothing(exchange: Exchange | AsyncExchange) -> None:
    if exchange.policy.keep_alive:
        exchange.policy = NoKeepAlive(exchange.policy)
