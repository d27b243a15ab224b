"""Adapters, as people write and give them: the contract, the bases of middlewares, and the check of what is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from adieu.errors import InvalidRequest
from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.steps import adrive, drive
from adieu.messages.async_response import AsyncResponse
from adieu.messages.response import Response
from adieu.transport.contract import (
    Adapter,
    AdapterBase,
    AnyAdapter,
    AsyncAdapter,
    Honour,
    base_of,
)
from adieu.transport.functions import AsyncFunctionAdapter, FunctionAdapter, is_awaited

if TYPE_CHECKING:
    from adieu.lifecycle.limits import CloseReport, ConnectionInfo
    from adieu.lifecycle.pool_report import PoolReport
    from adieu.messages.request import Request
    from adieu.transport.exchange import AsyncExchange, Exchange
    from adieu.transport.functions import Answering, AnyAnswering

    AdapterLike: TypeAlias = Adapter | AsyncAdapter | AnyAnswering
    """What may be given as an adapter: the object, or a function."""

__all__ = [
    "Adapter",
    "AdapterBase",
    "AdapterLike",
    "AnyAdapter",
    "AsyncAdapter",
    "AsyncMiddleware",
    "Honour",
    "Middleware",
    "Wrapper",
    "base_of",
    "checked_adapter",
]


def checked_adapter(given: object, *, awaits: bool, what: str = "an adapter") -> Any:
    """The adapter that was given, or that is made of a function. `awaits`: it has to be an async one.

    Raises `InvalidRequest` for what is none, or one of the other kind.
    """
    if isinstance(given, type):
        raise InvalidRequest(
            f"{given!r} is a class; {what} is an instance of it: write it with parentheses"
        )
    send, close = getattr(given, "send", None), getattr(given, "close", None)
    if not callable(send) or not callable(close):
        return _of_function(given, awaits, what)
    if awaits and isinstance(given, AdapterBase) and (other := given.for_async()) is not None:
        return checked_adapter(other, awaits=True, what=what)
    awaited = {is_awaited(send), is_awaited(close)}
    if awaits and awaited == {False}:
        raise InvalidRequest(
            f"an AsyncClient awaits its adapters, and {given!r} is a sync one: "
            "give it to adieu.to_async(adapter)"
        )
    if not awaits and True in awaited:
        raise InvalidRequest(f"{given!r} is an async adapter: it needs an AsyncClient")
    if isinstance(given, AdapterBase) and type(given).after_fork is not AdapterBase.after_fork:
        call_after_fork(given, type(given).after_fork)
    return given


def _of_function(given: object, awaits: bool, what: str) -> AnyAdapter:
    if not callable(given):
        hint = ""
        if isinstance(given, str):
            hint = ": names are for adapter= and mount(); here it is the adapter itself"
        raise InvalidRequest(
            f"{what} has send(request, exchange) and close(), or is a function of a request; "
            f"{given!r} is neither{hint}"
        )
    if awaits:
        return AsyncFunctionAdapter(given)
    if is_awaited(given):
        raise InvalidRequest(f"{given!r} is an async function: it needs an AsyncClient")
    return FunctionAdapter(given)


class Wrapper(AdapterBase):
    """The base of adapters around another one: each member gives that of the inner adapter."""

    inner: Any

    def connections(self) -> Sequence[ConnectionInfo]:
        return base_of(self.inner).connections()

    def pool_report(self) -> PoolReport:
        return base_of(self.inner).pool_report()

    @property
    def schemes(self) -> Sequence[str]:  # type: ignore[override]
        return base_of(self.inner).schemes

    @property
    def honours(self) -> frozenset[Honour]:  # type: ignore[override]
        return base_of(self.inner).honours

    @property
    def is_local(self) -> bool:  # type: ignore[override]
        return base_of(self.inner).is_local

    @property
    def on_network(self) -> bool:
        return base_of(self.inner).on_network

    @property
    def stranded(self) -> bool:
        return base_of(self.inner).stranded

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


class _Inner(Wrapper):
    """The inner adapter, as a middleware calls it: what it made by hand belongs to the exchange from then on.

    So the file or iterator in it is closed, too, if the middleware returns another response or raises.
    """

    inner: Adapter

    def __init__(self, inner: Adapter) -> None:
        self.inner = inner

    def send(self, request: Request, exchange: Exchange) -> Response:
        response = self.inner.send(request, exchange)
        # The client refuses an object that is no response.
        if not isinstance(response, Response) or response.belongs_to(exchange):
            return response
        return drive(exchange.settle(response))

    def close(self) -> CloseReport | None:
        return self.inner.close()

    def for_async(self) -> AsyncAdapter | None:
        return base_of(self.inner).for_async()

    def __repr__(self) -> str:
        return repr(self.inner)


class _AsyncInner(Wrapper):
    """As `_Inner`, awaited."""

    inner: AsyncAdapter

    def __init__(self, inner: AsyncAdapter) -> None:
        self.inner = inner

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        response = await self.inner.send(request, exchange)
        if not isinstance(response, AsyncResponse) or response.belongs_to(exchange):
            return response
        return await adrive(exchange.settle(response))

    async def close(self) -> CloseReport | None:
        return await self.inner.close()

    def __repr__(self) -> str:
        return repr(self.inner)


class Middleware(Wrapper):
    """The base of adapters that wrap another one. It forwards everything; change what you came to change.

    What `self.inner.send()` returns can be read, wrapped (`response.wrap`), closed, or left for another response; the
    user gets what `send` returns, and whatever it leaves behind is ended. Calling `inner.send` again with the same
    exchange ends the former attempt first.
    """

    inner: Adapter

    def __init__(self, inner: Adapter | Answering) -> None:
        what = f"what {type(self).__name__} wraps"
        self.inner = _Inner(checked_adapter(inner, awaits=False, what=what))

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send over the inner adapter. Overwrite this; what it returns is what the user gets."""
        return self.inner.send(request, exchange)

    def close(self) -> CloseReport | None:
        """Close the inner adapter."""
        return self.inner.close()


class AsyncMiddleware(Wrapper):
    """The base of async adapters that wrap another one: see `Middleware`."""

    inner: AsyncAdapter

    def __init__(self, inner: Adapter | AsyncAdapter | AnyAnswering) -> None:
        what = f"what {type(self).__name__} wraps"
        self.inner = _AsyncInner(checked_adapter(inner, awaits=True, what=what))

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Send over the inner adapter. Overwrite this; what it returns is what the user gets."""
        return await self.inner.send(request, exchange)

    async def close(self) -> CloseReport | None:
        """Close the inner adapter."""
        return await self.inner.close()
