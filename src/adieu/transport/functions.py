"""Adapters of one function: mocks, files, replays.

A plain `def` serves both kinds of clients, because it does not wait; an `async def` serves an `AsyncClient`. A response
that the function returns is copied for the call, so it may return the same one twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

from adieu.errors import InvalidRequest
from adieu.messages.async_response import AsyncResponse, awaited
from adieu.messages.response import Response
from adieu.messages.response_head import ResponseHead
from adieu.transport.contract import AdapterBase

if TYPE_CHECKING:
    from adieu.messages.request import Request
    from adieu.transport.contract import AsyncAdapter
    from adieu.transport.exchange import AsyncExchange, Exchange

    Answering: TypeAlias = Callable[[Request], Response] | Callable[[Request, Exchange], Response]
    AsyncAnswering: TypeAlias = (
        Callable[[Request], Awaitable[AsyncResponse]]
        | Callable[[Request, AsyncExchange], Awaitable[AsyncResponse]]
    )
    AnyAnswering: TypeAlias = Answering | AsyncAnswering
    """A function of a request, or of a request and its exchange, that returns a response or awaits one."""

__all__ = [
    "Answering",
    "AnyAnswering",
    "AsyncAnswering",
    "AsyncFunctionAdapter",
    "FunctionAdapter",
    "adapter",
    "is_awaited",
]

# The flag of the code of an `async def`: `inspect.CO_COROUTINE`, without its import.
_COROUTINE = 0x80


class _OneFunction(AdapterBase):
    """The parts of an adapter of one function that sync and async share."""

    is_local = True

    def __init__(self, function: Callable[..., object], schemes: Sequence[str] = ()) -> None:
        self._function = function
        self._wants_exchange = _positional(function) >= 2
        self.schemes = tuple(schemes)

    def _call(self, request: Request, exchange: Exchange | AsyncExchange) -> Any:
        wanted = (request, exchange) if self._wants_exchange else (request,)
        return self._function(*wanted)

    def __reduce__(self) -> tuple[object, ...]:
        function = self._function
        home = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        found = _found(*home)  # An adapter, if `@adapter` stands over the function.
        if found is self:
            return _found, home
        if isinstance(found, _OneFunction):
            return _around, (type(self), found)
        return type(self), (function, self.schemes)

    def __repr__(self) -> str:
        return f"adapter({getattr(self._function, '__qualname__', self._function)})"


class FunctionAdapter(_OneFunction):
    """An adapter made of one function: files, mocks, replays.

    It holds nothing, so there is nothing to close: unlike others it may serve one client after the other. A response
    that the function returns is copied for the call, so it may return the same one twice.
    """

    def send(self, request: Request, exchange: Exchange) -> Response:
        response: Response = self._call(request, exchange)
        # The client refuses an object that is no response.
        if not isinstance(response, ResponseHead) or response.belongs_to(exchange):
            return response
        if isinstance(response, AsyncResponse):
            raise InvalidRequest("it returned an AsyncResponse, which a sync client cannot read")
        return exchange.adopt(response)

    def close(self) -> None:
        """Nothing: see above."""

    def for_async(self) -> AsyncAdapter:
        """The function is called where the event loop runs, so it must not wait for anything."""
        return AsyncFunctionAdapter(self._function, self.schemes)


class AsyncFunctionAdapter(_OneFunction):
    """An async adapter made of one function, whose result is awaited where it can be: see `FunctionAdapter`."""

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        response = self._call(request, exchange)
        if not isinstance(response, ResponseHead):
            if not isinstance(response, Awaitable):
                return response  # type: ignore[no-any-return]  # The client refuses it.
            response = await response
        if isinstance(response, Response):
            if response.source is not None:
                response.source.adopt(exchange.method, exchange.url)
            response = awaited(response)
        if not isinstance(response, AsyncResponse) or response.belongs_to(exchange):
            return response  # type: ignore[no-any-return]
        return exchange.adopt(response)

    async def close(self) -> None:
        """Nothing: see `FunctionAdapter`."""


def _around(kind: type[_OneFunction], other: _OneFunction) -> _OneFunction:
    """An adapter around the function of another one."""
    return kind(other._function, other.schemes)


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
def adapter(
    function: Callable[..., object] | None = None, /, *, schemes: Sequence[str] = ()
) -> object:
    """Make an adapter of a function that takes a request (and, if it likes, the exchange) and returns a `Response`.

    ```python
    @adieu.adapter
    def hello(request):
        return adieu.Response(200, body=b"hello")
    ```

    It serves both kinds of clients; an `AsyncClient` calls it where its event loop runs, so it must not wait for
    anything. An `async def` that returns an `AsyncResponse` makes one for an `AsyncClient`. Where a client takes an
    adapter, it takes the function itself, too, as an adapter for all schemes.
    """
    return _of(function, schemes) if function is not None else lambda given: _of(given, schemes)


def _of(function: Any, schemes: Sequence[str]) -> FunctionAdapter | AsyncFunctionAdapter:
    make = AsyncFunctionAdapter if is_awaited(function) else FunctionAdapter
    return make(function, schemes)


def is_awaited(function: object) -> bool | None:
    """Whether a function is an `async def`. None: unknown (it is written in C, or a `functools.partial`)."""
    # Follow `__wrapped__`: a wrapper returns what its inner function returns.
    while (wrapped := getattr(function, "__wrapped__", None)) is not None:
        function = wrapped
    code = getattr(_called(function), "__code__", None)
    return None if code is None else bool(code.co_flags & _COROUTINE)


def _found(module: str, name: str) -> object:
    """The object at the top of a module under this name, if there is one."""
    from importlib import import_module

    return getattr(import_module(module), name, None) if module and "." not in name else None


def _called(function: object) -> Any:
    """The function that is called, where it is an object that can be."""
    return function if hasattr(function, "__code__") else getattr(type(function), "__call__")  # noqa: B004, B009


def _positional(function: Callable[..., object]) -> int:
    """How many positional arguments a function requires. `inspect` would cost 10 ms of import for this one number."""
    called = _called(function)
    bound = called is not function or getattr(function, "__self__", None) is not None
    code = getattr(called, "__code__", None)
    if code is None:
        return 1  # Written in C, or a `functools.partial`.
    # A second argument with a default is the function's own affair.
    required: int = code.co_argcount - bound - len(called.__defaults__ or ())
    return required
