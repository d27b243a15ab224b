"""Retries around one adapter: the same steps as a client's `retry=`, for what is mounted, or used without a client.

Everything goes through the exchange that the caller owns: each attempt ends what it left there before the next begins.
What an adapter raises without saying what happened (anything but a `TransportError`) is not tried again.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidRequest
from adieu.flow.retries import Attempts, Retry, retried
from adieu.lifecycle.body import AsyncBody, Body, BodyCore
from adieu.lifecycle.steps import adrive, drive
from adieu.messages.source import SourceLease
from adieu.transport.adapter import Adapter, AsyncAdapter, AsyncMiddleware, Middleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response

__all__ = ["AsyncRetryAdapter", "RetryAdapter"]

# For so long (seconds) who waits to try again does not look whether anybody wants it still.
_PIECE = 0.1


class RetryAdapter(Middleware):
    """Wraps any adapter so that requests are sent again as a `Retry` says; a number is `Retry(limit)`."""

    def __init__(self, inner: Adapter, retry: Retry | int = 3) -> None:
        super().__init__(inner)
        self.retry = _checked(retry)

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send until an outcome is the last one."""
        steps = _attempts(self.retry, self.inner.send, request, exchange, Body, sleep)
        response: Response = drive(steps)
        return response


class AsyncRetryAdapter(AsyncMiddleware):
    """The same around an async adapter."""

    def __init__(self, inner: AsyncAdapter, retry: Retry | int = 3) -> None:
        super().__init__(inner)
        self.retry = _checked(retry)

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse:
        """Send until an outcome is the last one."""
        from adieu.net.async_backend import current_backend

        pause = current_backend().sleep
        steps = _attempts(self.retry, self.inner.send, request, exchange, AsyncBody, pause)
        response: AsyncResponse = await adrive(steps)
        return response


def _checked(retry: Retry | int) -> Retry:
    checked = Retry.of(retry)
    if checked is None:
        raise InvalidRequest("an adapter that never retries is the adapter itself: do not wrap it")
    return checked


def _attempts(
    retry: Retry,
    send: Callable[[Request, Exchange], Any],
    request: Request,
    exchange: Exchange,
    body: Callable[[Exchange, int], BodyCore],
    pause: Callable[[float], Any],
) -> Steps[Any]:
    def attempt() -> Steps[Any]:
        return (yield send(request, exchange))

    def discard(response: Any) -> Steps[None]:
        if response is not None:
            if response.source is not None:
                SourceLease.adopt(response, exchange)
            if exchange.lease is not None:
                rest: Any = body(exchange, response.status_code)
                yield rest.close("retry")
        exchange.end(False, "retry")

    def waiting(seconds: float) -> Steps[None]:
        while seconds > 0:
            exchange.deadline.remaining(
                "pool"
            )  # It refuses when the map that the call belongs to was left.
            piece = min(seconds, _PIECE)
            yield pause(piece)
            seconds -= piece

    attempts = Attempts(retry, request, exchange.deadline, exchange.events)
    return retried(attempts, attempt, discard, waiting)
