"""Retries around one adapter: the steps of a client's `retry=`, for a mounted adapter or one without a client.

All attempts use the exchange that the caller owns: each one is ended there before the next begins. An error that is no
`TransportError` does not say whether the request was sent, so there is no retry after it.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, TypeVar

from adieu.errors import InvalidRequest
from adieu.flow.retries import Attempts, Retry, retried
from adieu.lifecycle.steps import adrive, drive
from adieu.transport.adapter import Adapter, AsyncAdapter, AsyncMiddleware, Middleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.messages.response_head import ResponseHead
    from adieu.transport.exchange import AnyExchange, AsyncExchange, Exchange

__all__ = ["AsyncRetryAdapter", "RetryAdapter"]

E = TypeVar("E", bound="AnyExchange")
R = TypeVar("R", bound="ResponseHead")

# How often a backoff checks whether the call was cancelled (seconds).
_CANCEL_CHECK_INTERVAL = 0.1


class RetryAdapter(Middleware):
    """Wraps an adapter and sends requests again as a `Retry` says. A number is `Retry(limit)`."""

    def __init__(self, inner: Adapter, retry: Retry | int = 3) -> None:
        super().__init__(inner)
        self.retry = _checked(retry)

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request, and again as long as the setting allows."""
        return drive(_attempts(self.retry, self.inner.send, request, exchange, sleep))


class AsyncRetryAdapter(AsyncMiddleware):
    """`RetryAdapter` around an async adapter."""

    def __init__(self, inner: AsyncAdapter, retry: Retry | int = 3) -> None:
        super().__init__(inner)
        self.retry = _checked(retry)

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Send the request, and again as long as the setting allows."""
        from adieu.net.async_backend import current_backend

        pause = current_backend().sleep
        steps: Steps[AsyncResponse] = _attempts(
            self.retry, self.inner.send, request, exchange, pause
        )
        return await adrive(steps)


def _checked(retry: Retry | int) -> Retry:
    checked = Retry.of(retry)
    if checked is None:
        raise InvalidRequest(
            "a RetryAdapter takes a Retry or a number from 1: without retries, use the adapter itself"
        )
    return checked


def _attempts(
    retry: Retry,
    send: Callable[[Request, E], object],
    request: Request,
    exchange: E,
    pause: Callable[[float], object],
) -> Steps[R]:
    def attempt() -> Steps[R]:
        response: R = yield send(request, exchange)
        return response

    def discard(response: R | None) -> Steps[None]:
        if response is not None:
            settled = yield from exchange.settle(response)
            if settled.body is not None:
                yield settled.body.close("retry")
        exchange.end(False, "retry")

    def waiting(seconds: float) -> Steps[None]:
        while seconds > 0:
            # Raises when the map that the call belongs to was left.
            exchange.deadline.remaining("pool")
            step = min(seconds, _CANCEL_CHECK_INTERVAL)
            yield pause(step)
            seconds -= step

    attempts = Attempts(retry, request, exchange.deadline, exchange.events)
    return retried(attempts, attempt, discard, waiting)
