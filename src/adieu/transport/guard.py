"""Guards: adapters around other adapters that connect to public addresses only.

The guard sets its `AddressRules` on the exchange, and `dial.permitted` asks them, on every hop of a call and for every
new connection. Connections that were made without the guard, or under other rules, have another pool key. An adapter
that does not ask the rules is refused when the guard is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from adieu.errors import InvalidRequest
from adieu.net.address_rules import AddressRules, Networks
from adieu.transport.adapter import (
    Adapter,
    AsyncAdapter,
    AsyncMiddleware,
    Middleware,
    Wrapper,
    base_of,
)
from adieu.transport.registry import inner_adapter

if TYPE_CHECKING:
    from adieu.lifecycle.limits import Limits
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.adapter import AnyAdapter, Honour
    from adieu.transport.exchange import AsyncExchange, Exchange, ExchangeCore

__all__ = ["AsyncGuard", "Guard"]

A = TypeVar("A", bound="AnyAdapter")


class _Guarding(Wrapper):
    """The base of both guards."""

    rules: AddressRules

    @property
    def honours(self) -> frozenset[Honour]:  # type: ignore[override]
        """As the inner adapter, but for "guard": of two guards around one adapter, one would not be asked."""
        return base_of(self.inner).honours - {"guard"}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.inner!r}{', ' if repr(self.rules) else ''}{self.rules!r})"
        )


class Guard(_Guarding, Middleware):
    """Wraps an adapter (the default one, if none is given) so that it connects to public addresses alone.

    Refused, with a `GuardError` that says which address and why: private, loopback, link-local and multicast addresses,
    the metadata services of clouds, carriers' NAT, everything reserved, and every IPv6 form of these (mapped, 6to4,
    Teredo, NAT64). The address that was checked is the one that is connected to; Host and SNI stay those of the URL.

    - `allow`, `deny`: networks or addresses. The narrowest network that holds an address decides: `allow="10.1.0.0/16"`
      opens that one, and `deny=["0.0.0.0/0", "::/0"]` leaves what `allow` names.
    - `ports`: the only ports to connect to. None: any.
    - `through_proxies`: let a proxy look up names, which cannot be checked here. Without it they are refused.

    Only the URLs that are mounted on it are guarded. Raises `InvalidRequest` for an adapter that cannot be guarded: one
    that does not say, by "guard" in its `honours`, that its connections go through `dial.permitted`.

    ```python
    with adieu.Client(adapter=adieu.Guard()) as client:
        client.get("http://169.254.169.254/")  # GuardError
    ```
    """

    def __init__(
        self,
        inner: Adapter | None = None,
        *,
        allow: Networks = (),
        deny: Networks = (),
        ports: Iterable[int] | None = None,
        through_proxies: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.rules = AddressRules(allow, deny, ports, through_proxies)
        super().__init__(_guardable(inner, limits, "native", "adieu.adapters"))

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send, over connections that the guard has let through."""
        _set(exchange, self.rules)
        return self.inner.send(request, exchange)


class AsyncGuard(_Guarding, AsyncMiddleware):
    """The same around an async adapter (the default one, if none is given): see `Guard`."""

    def __init__(
        self,
        inner: AsyncAdapter | None = None,
        *,
        allow: Networks = (),
        deny: Networks = (),
        ports: Iterable[int] | None = None,
        through_proxies: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.rules = AddressRules(allow, deny, ports, through_proxies)
        super().__init__(_guardable(inner, limits, "native", "adieu.async_adapters"))

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Send, over connections that the guard has let through."""
        _set(exchange, self.rules)
        return await self.inner.send(request, exchange)


def _set(exchange: ExchangeCore, rules: AddressRules) -> None:
    settings = exchange.connection
    if settings.guard not in (None, rules):
        raise InvalidRequest("two guards around one adapter: one of them would not be asked")
    exchange.connection = settings._replace(guard=rules)


def _guardable(inner: A | None, limits: Limits | None, default: str, group: str) -> A:
    found = inner_adapter(inner, limits, default, group)
    if "guard" not in base_of(found).honours:
        raise InvalidRequest(
            f"{found!r} cannot be guarded: it does not say (by `honours`) that it asks a guard "
            "before it connects, as adapters on adieu's TCP wires do"
        )
    return found
