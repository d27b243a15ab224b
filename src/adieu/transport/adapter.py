"""What an adapter is: sends one request over some transport, and answers with a response.

The contract, for people who write one:
- `send` gets the request and the `Exchange` that owns it. A connection's lease goes to `exchange.own(lease)` as soon as
  there is one. Without connections (a file, a mock, a cache) the exchange can be ignored.
- If `send` raises, the client ends what the exchange owns; an adapter need not clean up after itself.
- `close` is idempotent, ends every connection, and makes a later `send` raise `ClientClosed`.
- Optional, found by name: `connections()` (for `client.connections()`), `schemes` (which it serves), `guards` (true:
  what it connects to has gone through `dial.permitted`, so that a `Guard` can be put around it).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union, overload

if TYPE_CHECKING:
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response

__all__ = [
    "Adapter",
    "AsyncAdapter",
    "AsyncFunctionAdapter",
    "AsyncMiddleware",
    "FunctionAdapter",
    "Middleware",
    "adapter",
    "is_awaited",
]

# What marks the code of an `async def`: `inspect.CO_COROUTINE`, without its import.
_COROUTINE = 0x80


class Adapter(Protocol):
    """Sends requests. See the contract at the top of this room."""

    def send(self, request: Request, exchange: Exchange) -> Response: ...

    def close(self) -> object: ...


class AsyncAdapter(Protocol):
    """The same, awaited."""

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse: ...

    async def close(self) -> object: ...


Answering = Union["Callable[[Request], Response]", "Callable[[Request, Exchange], Response]"]
AsyncAnswering = Union[
    "Callable[[Request], Awaitable[AsyncResponse]]",
    "Callable[[Request, Exchange], Awaitable[AsyncResponse]]",
]


class _OneFunction:
    """What is known of an adapter that is one function."""

    def __init__(self, function: Callable[..., Any], schemes: Sequence[str] = ()) -> None:
        self._function: Callable[..., Any] = function
        self._wants_exchange = _positional(function) >= 2
        self.schemes = tuple(schemes)

    def __reduce__(self) -> tuple[Any, ...]:
        function = self._function
        home = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        if _found(*home) is self:
            return _found, home  # Its name is this adapter's: `@adapter` stands over it.
        return type(self), (function, self.schemes)

    def __repr__(self) -> str:
        return f"adapter({getattr(self._function, '__qualname__', self._function)})"


class FunctionAdapter(_OneFunction):
    """An adapter made of one function: files, mocks, replays.

    It holds nothing, so there is nothing to close: unlike others it may serve one client after the other.
    """

    def send(self, request: Request, exchange: Exchange) -> Response:
        wanted = (request, exchange) if self._wants_exchange else (request,)
        response: Response = self._function(*wanted)
        return response

    def close(self) -> None:
        """Nothing: see above."""


class AsyncFunctionAdapter(_OneFunction):
    """An async adapter made of one function that is awaited: see `FunctionAdapter`."""

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse:
        wanted = (request, exchange) if self._wants_exchange else (request,)
        response: AsyncResponse = await self._function(*wanted)
        return response

    async def close(self) -> None:
        """Nothing: see `FunctionAdapter`."""


class _Decorator(Protocol):
    """Makes the adapter that fits the function."""

    @overload
    def __call__(self, function: AsyncAnswering, /) -> AsyncFunctionAdapter: ...
    @overload
    def __call__(self, function: Answering, /) -> FunctionAdapter: ...


@overload
def adapter(function: AsyncAnswering, /) -> AsyncFunctionAdapter: ...
@overload
def adapter(function: Answering, /) -> FunctionAdapter: ...
@overload
def adapter(*, schemes: Sequence[str] = ()) -> _Decorator: ...
def adapter(function: Any = None, /, *, schemes: Sequence[str] = ()) -> Any:
    """Make an adapter of a function that takes a request (and, if it likes, the exchange) and returns a `Response`.

    ```python
    @adieu.adapter
    def hello(request):
        return adieu.Response(200, body=b"hello")
    ```

    An `async def` that returns an `AsyncResponse` makes one for an `AsyncClient`.
    """
    return _of(function, schemes) if function is not None else lambda given: _of(given, schemes)


def _of(function: Any, schemes: Sequence[str]) -> FunctionAdapter | AsyncFunctionAdapter:
    make = AsyncFunctionAdapter if is_awaited(function) else FunctionAdapter
    return make(function, schemes)


def is_awaited(function: Any) -> bool | None:
    """Whether a function is an `async def`. None: nobody can tell (it is written in C, or a `functools.partial`)."""
    while hasattr(function, "__wrapped__"):
        function = (
            function.__wrapped__
        )  # What is around it gives on what it gives, or would not say that it wraps it.
    code = getattr(_called(function), "__code__", None)
    return None if code is None else bool(code.co_flags & _COROUTINE)


class Forwarding:
    """What an adapter around another one says of itself: what the inner one says."""

    inner: Any

    def connections(self) -> Sequence[ConnectionInfo]:
        listed: Callable[[], Sequence[ConnectionInfo]] | None
        listed = getattr(self.inner, "connections", None)
        return listed() if listed is not None else ()

    @property
    def schemes(self) -> Sequence[str]:
        found: Sequence[str] = getattr(self.inner, "schemes", ())
        return found

    @property
    def guards(self) -> bool:
        return getattr(self.inner, "guards", False) is True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


class Middleware(Forwarding):
    """The base of adapters that wrap another one. It forwards everything; change what you came to change."""

    inner: Adapter

    def __init__(self, inner: Adapter) -> None:
        self.inner = inner

    def send(self, request: Request, exchange: Exchange) -> Response:
        return self.inner.send(request, exchange)

    def close(self) -> object:
        return self.inner.close()


class AsyncMiddleware(Forwarding):
    """The base of async adapters that wrap another one: see `Middleware`."""

    inner: AsyncAdapter

    def __init__(self, inner: AsyncAdapter) -> None:
        self.inner = inner

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse:
        return await self.inner.send(request, exchange)

    async def close(self) -> object:
        return await self.inner.close()


def _found(module: str, name: str) -> Any:
    """What is at the top of a module under this name, if anything."""
    from importlib import import_module

    return getattr(import_module(module), name, None) if module and "." not in name else None


def _called(function: Any) -> Any:
    """The function that is called, where it is an object that can be."""
    return function if hasattr(function, "__code__") else getattr(type(function), "__call__")  # noqa: B004, B009


def _positional(function: Callable[..., Any]) -> int:
    """How many positional arguments a function requires. `inspect` would cost 10 ms of import for this one number."""
    called = _called(function)
    bound = called is not function or getattr(function, "__self__", None) is not None
    code = getattr(called, "__code__", None)
    if code is None:
        return 1  # Written in C, or a `functools.partial`.
    # A second argument with a default is the function's own affair.
    required: int = code.co_argcount - bound - len(called.__defaults__ or ())
    return required
