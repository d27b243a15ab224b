"""The contract of adapters: each sends one request over some transport, and answers with a response.

For people who write one:
- `send` gets the request and the exchange that owns it. A connection's lease goes to `exchange.own(lease)` as soon as
  there is one, and `exchange.respond(status, headers)` makes the response that is read through it.
- If `send` raises, the client ends what the exchange owns; an adapter need not clean up after itself.
- `close` is idempotent, ends every connection, and makes a later `send` raise `ClientClosed`.
- `AdapterBase` has the members by which an adapter says what else it can do. An object with `send` and `close` alone
  is an adapter, too: it gets the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from adieu.lifecycle.pool_report import PoolReport

if TYPE_CHECKING:
    from adieu.lifecycle.limits import CloseReport, ConnectionInfo
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.exchange import AsyncExchange, Exchange

__all__ = ["Adapter", "AdapterBase", "AnyAdapter", "AsyncAdapter", "Honour", "base_of"]

Honour: TypeAlias = Literal["tls", "connect", "guard", "route"]
"""A setting of `exchange.connection`."""


class Adapter(Protocol):
    """What sends one request over some transport: any object with these two methods."""

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request, and return the response.

        A connection's lease goes to `exchange.own(lease)` as soon as there is one; `exchange.respond(status, headers)`
        makes the response that is read through it. Raises errors of adieu's; anything else is wrapped into a
        `TransportError`. The client ends what the exchange owns if this raises, is cancelled or interrupted.
        """
        ...

    def close(self) -> CloseReport | None:
        """Close every connection. Idempotent; a later `send` raises `ClientClosed`. May report what was in use."""
        ...


class AsyncAdapter(Protocol):
    """As `Adapter`, for `AsyncClient`: both methods are awaited."""

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """As `Adapter.send`, awaited."""
        ...

    async def close(self) -> CloseReport | None:
        """As `Adapter.close`, awaited."""
        ...


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

    def pool_report(self) -> PoolReport:
        """What `client.explain()` shows: connections, what waits for one, and what was closed lately."""
        return PoolReport(self.connections())

    @property
    def stranded(self) -> bool:
        """It has connections, and the event loop that could use them has ended."""
        return False

    def for_async(self) -> AsyncAdapter | None:
        """The same adapter for an `AsyncClient`, if it serves both kinds of clients. None: it serves one."""
        return None

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
