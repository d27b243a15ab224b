"""What connections are kept by: only who would have made the same connection may use it again.

An origin alone says that much for nearly everybody. Where an exchange has TLS settings, connection settings or a guard,
they belong to the key: one adapter may serve several mounts, and several clients, and a connection on which a client
certificate was shown, or that no guard has seen, is not for those who would not have made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from adieu.lifecycle.exchange import Exchange

__all__ = ["PoolKey", "pool_key", "target_of"]


class PoolKey(NamedTuple):
    """A target (an `Origin`, or a `ProxiedOrigin` a proxy) for those alone who have these settings."""

    target: Any
    tls: Any
    connect: Any
    guard: Any

    @property
    def host(self) -> str:
        host: str = self.target.host
        return host

    def __str__(self) -> str:
        return str(self.target)


def pool_key(target: Hashable, exchange: Exchange) -> Hashable:
    """What a connection to the target is kept by, if it is made for this exchange."""
    tls, connect, guard = exchange.tls, exchange.connect, exchange.guard
    if tls is None and connect is None and guard is None:
        return target
    return PoolKey(target, tls, connect, guard)


def target_of(key: Any) -> Any:
    """The target in a key."""
    return key.target if type(key) is PoolKey else key
