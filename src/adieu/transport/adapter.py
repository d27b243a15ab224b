"""What an adapter is: sends one request over some transport, and answers with a response.

The contract, for people who write one:
- `send` gets the request and the `Exchange` that owns it. A connection's lease goes to `exchange.own(lease)` as soon as
  there is one. Without connections (a file, a mock, a cache) the exchange can be ignored.
- If `send` raises, the client ends what the exchange owns; an adapter need not clean up after itself.
- `close` is idempotent, ends every connection, and makes a later `send` raise `ClientClosed`.
- Optional, found by name: `connections()` (for `client.connections()`), `schemes` (which it serves).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union, overload

from adieu.errors import ClientClosed

if TYPE_CHECKING:
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response

__all__ = ["Adapter", "AsyncAdapter", "AsyncMiddleware", "FunctionAdapter", "Middleware", "adapter"]


class Adapter(Protocol):
    """Sends requests. See the contract at the top of this room."""

    def send(self, request: Request, exchange: Exchange) -> Response: ...

    def close(self) -> object: ...


class AsyncAdapter(Protocol):
    """The same, awaited."""

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse: ...

    async def close(self) -> object: ...


Answering = Union["Callable[[Request], Response]", "Callable[[Request, Exchange], Response]"]


class FunctionAdapter:
    """An adapter made of one function: files, mocks, replays."""

    def __init__(self, function: Answering, schemes: Sequence[str] = ()) -> None:
        self._function: Callable[..., Response] = function
        self._wants_exchange = _positional(function) >= 2
        self._closed = False
        self.schemes = tuple(schemes)

    def send(self, request: Request, exchange: Exchange) -> Response:
        if self._closed:
            raise ClientClosed(f"{self!r} is closed")
        if self._wants_exchange:
            return self._function(request, exchange)
        return self._function(request)

    def close(self) -> None:
        self._closed = True

    def __repr__(self) -> str:
        return f"adapter({getattr(self._function, '__qualname__', self._function)})"


@overload
def adapter(function: Answering, /) -> FunctionAdapter: ...
@overload
def adapter(*, schemes: Sequence[str] = ()) -> Callable[[Answering], FunctionAdapter]: ...
def adapter(
    function: Answering | None = None, /, *, schemes: Sequence[str] = ()
) -> FunctionAdapter | Callable[[Answering], FunctionAdapter]:
    """Make an adapter of a function that takes a request (and, if it likes, the exchange) and returns a `Response`.

    ```python
    @adieu.adapter
    def hello(request):
        return adieu.Response(200, body=b"hello")
    ```
    """
    if function is not None:
        return FunctionAdapter(function, schemes)
    return lambda function: FunctionAdapter(function, schemes)


class Middleware:
    """The base of adapters that wrap another one. It forwards everything; change what you came to change."""

    def __init__(self, inner: Adapter) -> None:
        self.inner = inner

    def send(self, request: Request, exchange: Exchange) -> Response:
        return self.inner.send(request, exchange)

    def close(self) -> object:
        return self.inner.close()

    def connections(self) -> Sequence[ConnectionInfo]:
        listed: Callable[[], Sequence[ConnectionInfo]] | None
        listed = getattr(self.inner, "connections", None)
        return listed() if listed is not None else ()

    @property
    def schemes(self) -> Sequence[str]:
        found: Sequence[str] = getattr(self.inner, "schemes", ())
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


class AsyncMiddleware:
    """The base of async adapters that wrap another one: see `Middleware`."""

    def __init__(self, inner: AsyncAdapter) -> None:
        self.inner = inner

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse:
        return await self.inner.send(request, exchange)

    async def close(self) -> object:
        return await self.inner.close()

    def connections(self) -> Sequence[ConnectionInfo]:
        listed: Callable[[], Sequence[ConnectionInfo]] | None
        listed = getattr(self.inner, "connections", None)
        return listed() if listed is not None else ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


def _positional(function: Callable[..., Any]) -> int:
    """How many positional arguments a function takes. `inspect` would cost 10 ms of import for this one number."""
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(getattr(type(function), "__call__"), "__code__", None)  # noqa: B004, B009
        return code.co_argcount - 1 if code is not None else 1
    bound = 1 if getattr(function, "__self__", None) is not None else 0
    taken: int = code.co_argcount - bound
    return taken
