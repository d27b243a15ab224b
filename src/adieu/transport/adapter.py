"""Adapters: each sends one request over some transport, and answers with a response.

The contract, for people who write one:
- `send` gets the request and the exchange that owns it. A connection's lease goes to `exchange.own(lease)` as soon as
  there is one, and `exchange.respond(status, headers)` makes the response that is read through it.
- If `send` raises, the client ends what the exchange owns; an adapter need not clean up after itself.
- `close` is idempotent, ends every connection, and makes a later `send` raise `ClientClosed`.
- `AdapterBase` has the members by which an adapter says what else it can do. An object with `send` and `close` alone
is an
  adapter, too: it gets the defaults.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    overload,
)

from adieu.errors import InvalidRequest
from adieu.lifecycle.fork import call_after_fork
from adieu.messages.response_head import ResponseHead

if TYPE_CHECKING:
    from adieu.lifecycle.limits import CloseReport, ConnectionInfo
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.exchange import AsyncExchange, Exchange

__all__ = [
    "Adapter",
    "AdapterBase",
    "AnyAdapter",
    "AsyncAdapter",
    "AsyncFunctionAdapter",
    "AsyncMiddleware",
    "FunctionAdapter",
    "Honour",
    "Middleware",
    "Wrapper",
    "adapter",
    "base_of",
    "checked_adapter",
    "is_awaited",
]

Honour: TypeAlias = Literal["tls", "connect", "guard", "route"]
"""A setting of `exchange.connection`."""

T = TypeVar("T")

# The flag of the code of an `async def`: `inspect.CO_COROUTINE`, without its import.
_COROUTINE = 0x80


class Adapter(Protocol):
    """Sends requests: see the contract at the top of this module."""

    def send(self, request: Request, exchange: Exchange) -> Response: ...

    def close(self) -> CloseReport | None: ...


class AsyncAdapter(Protocol):
    """The same, awaited."""

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse: ...

    async def close(self) -> CloseReport | None: ...


AnyAdapter = Adapter | AsyncAdapter


class AdapterBase:
    """The optional members of an adapter, sync or async, each with the careful default."""

    schemes: Sequence[str] = ()
    """The schemes of URLs that it serves; empty: any."""

    honours: frozenset[Honour] = frozenset()
    """The settings of `exchange.connection` that it honours. A request that has another one is refused.

    "route": it goes through the proxy that was chosen. "tls": it applies the TLS settings. "connect": it connects as
    these settings say. "guard": it connects to no address that `dial.permitted` does not let through.
    """

    is_local: bool = False
    """It opens no connection to anything (a file, a mock, an app in this process): connection settings mean nothing."""

    @property
    def on_network(self) -> bool:
        """It reaches servers of the network. False: something of this machine or process (a Unix socket, an app).

        A redirect from the network does not lead there, unless the mount allows it.
        """
        return not self.is_local

    def connections(self) -> Sequence[ConnectionInfo]:
        """The state of every connection, for `client.connections()`."""
        return ()

    @property
    def stranded(self) -> bool:
        """It has connections, and the event loop that could use them has ended."""
        return False

    def after_fork(self) -> None:
        """Called in a forked child: forget the connections of the parent, without a word to the peers.

        Called for adapters that a client or a middleware has taken. adieu's own pools do this by themselves.
        """


class _Unknown(AdapterBase):
    """The base of an adapter that has `send` and `close` alone: all defaults."""


_UNKNOWN = _Unknown()


def base_of(adapter: object) -> AdapterBase:
    """The adapter itself, if it is an `AdapterBase`; else one with all defaults."""
    return adapter if isinstance(adapter, AdapterBase) else _UNKNOWN


def checked_adapter(adapter: T, *, awaits: bool, what: str = "an adapter") -> T:
    """An object that was given as an adapter. `awaits`: it has to be an async one. Raises `InvalidRequest`."""
    if isinstance(adapter, type):
        raise InvalidRequest(
            f"{adapter!r} is a class; {what} is an instance of it: write it with parentheses"
        )
    send, close = getattr(adapter, "send", None), getattr(adapter, "close", None)
    if not callable(send) or not callable(close):
        hint = ""
        if isinstance(adapter, str):
            hint = ": names are for adapter= and mount(); here it is the adapter itself"
        raise InvalidRequest(
            f"{what} has send(request, exchange) and close(); {adapter!r} has not{hint}"
        )
    awaited = {is_awaited(send), is_awaited(close)}
    if awaits and awaited == {False}:
        raise InvalidRequest(
            f"an AsyncClient awaits its adapters, and {adapter!r} is a sync one: "
            "give it to adieu.to_async(adapter)"
        )
    if not awaits and True in awaited:
        raise InvalidRequest(f"{adapter!r} is an async adapter: it needs an AsyncClient")
    if isinstance(adapter, AdapterBase) and type(adapter).after_fork is not AdapterBase.after_fork:
        call_after_fork(adapter, type(adapter).after_fork)
    return adapter


# -- adapters of one function ------------------------------------------------------------------------------------------

Answering = Union["Callable[[Request], Response]", "Callable[[Request, Exchange], Response]"]
AsyncAnswering = Union[
    "Callable[[Request], Awaitable[AsyncResponse]]",
    "Callable[[Request, AsyncExchange], Awaitable[AsyncResponse]]",
]


class _OneFunction(AdapterBase, Generic[T]):
    """The parts of an adapter of one function that sync and async share."""

    is_local = True

    def __init__(self, function: Callable[..., T], schemes: Sequence[str] = ()) -> None:
        self._function = function
        self._wants_exchange = _positional(function) >= 2
        self.schemes = tuple(schemes)

    def _call(self, request: Request, exchange: Exchange | AsyncExchange) -> T:
        wanted = (request, exchange) if self._wants_exchange else (request,)
        return self._function(*wanted)

    def __reduce__(self) -> tuple[object, ...]:
        function = self._function
        home = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        if _found(*home) is self:
            return _found, home  # Its name is this adapter's: `@adapter` stands over it.
        return type(self), (function, self.schemes)

    def __repr__(self) -> str:
        return f"adapter({getattr(self._function, '__qualname__', self._function)})"


class FunctionAdapter(_OneFunction["Response"]):
    """An adapter made of one function: files, mocks, replays.

    It holds nothing, so there is nothing to close: unlike others it may serve one client after the other. A response
    that the function returns is copied for the call, so it may return the same one twice.
    """

    def send(self, request: Request, exchange: Exchange) -> Response:
        return _adopted(self._call(request, exchange), exchange)

    def close(self) -> None:
        """Nothing: see above."""


class AsyncFunctionAdapter(_OneFunction[Awaitable["AsyncResponse"]]):
    """An async adapter made of one function that is awaited: see `FunctionAdapter`."""

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        return _adopted(await self._call(request, exchange), exchange)

    async def close(self) -> None:
        """Nothing: see `FunctionAdapter`."""


def _adopted(response: T, exchange: Exchange | AsyncExchange) -> T:
    """A copy that belongs to the exchange. The client refuses an object that is no response."""
    if not isinstance(response, ResponseHead) or response.belongs_to(exchange):
        return response
    return exchange.adopt(response)


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

    An `async def` that returns an `AsyncResponse` makes one for an `AsyncClient`.
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


# -- middleware --------------------------------------------------------------------------------------------------------


class Wrapper(AdapterBase):
    """The base of adapters around another one: each member gives that of the inner adapter."""

    inner: Any

    def connections(self) -> Sequence[ConnectionInfo]:
        return base_of(self.inner).connections()

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


class Middleware(Wrapper):
    """The base of adapters that wrap another one. It forwards everything; change what you came to change.

    What `self.inner.send()` returns can be read, wrapped (`response.wrap`), closed, or left for another response; the
    user gets what `send` returns, and whatever it leaves behind is ended. Calling `inner.send` again with the same
    exchange ends the former attempt first.
    """

    inner: Adapter

    def __init__(self, inner: Adapter) -> None:
        self.inner = checked_adapter(inner, awaits=False, what=f"what {type(self).__name__} wraps")

    def send(self, request: Request, exchange: Exchange) -> Response:
        return self.inner.send(request, exchange)

    def close(self) -> CloseReport | None:
        return self.inner.close()


class AsyncMiddleware(Wrapper):
    """The base of async adapters that wrap another one: see `Middleware`."""

    inner: AsyncAdapter

    def __init__(self, inner: AsyncAdapter) -> None:
        self.inner = checked_adapter(inner, awaits=True, what=f"what {type(self).__name__} wraps")

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        return await self.inner.send(request, exchange)

    async def close(self) -> CloseReport | None:
        return await self.inner.close()


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
