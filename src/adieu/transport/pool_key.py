"""The key of a connection in its pool: the origin, and the settings that the connection was made with.

Most exchanges have no settings of their own, and an origin alone is their key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adieu.net.connection_settings import DEFAULT, ConnectionSettings
from adieu.net.proxies.proxy import ProxiedOrigin

if TYPE_CHECKING:
    from adieu.messages.url import Origin

__all__ = ["PoolKey", "pool_key", "target_of"]


class PoolKey(NamedTuple):
    """An origin, for exchanges that have these settings."""

    origin: Origin
    settings: ConnectionSettings

    @property
    def target(self) -> Origin | ProxiedOrigin:
        """Where the connection leads: to the origin, or to it through a proxy."""
        route = self.settings.route
        return self.origin if route is None else ProxiedOrigin(route, self.origin)

    @property
    def host(self) -> str:
        return self.origin.host

    def __str__(self) -> str:
        return str(self.target)


def pool_key(origin: Origin, settings: ConnectionSettings) -> Origin | PoolKey:
    """The key of a connection that is made for an exchange with these settings."""
    if settings is DEFAULT or settings == DEFAULT:
        return origin
    return PoolKey(origin, settings)


def target_of(key: Origin | PoolKey) -> Origin | ProxiedOrigin:
    """Where a connection with this key leads."""
    return key.target if isinstance(key, PoolKey) else key
