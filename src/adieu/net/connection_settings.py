"""The settings that a connection is made with: only an exchange that has the same ones may use it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from adieu.net.address_rules import AddressRules
    from adieu.net.connect import Connect
    from adieu.net.proxies.proxy import Proxy
    from adieu.net.tls.config import TLSConfig

__all__ = ["DEFAULT", "ConnectionSettings"]


class ConnectionSettings(NamedTuple):
    """How a connection is made; None is the default of each.

    `tls`: certificates, versions, names. `connect`: source address, resolver, socket options. `guard`: which addresses
    are allowed (all). `route`: through which proxy (directly).

    Together with the origin they are the key of a pool: a connection on which a client certificate was shown, or that
    no guard has seen, is not for an exchange that would not have made it.
    """

    tls: TLSConfig | None = None
    connect: Connect | None = None
    guard: AddressRules | None = None
    route: Proxy | None = None


DEFAULT = ConnectionSettings()
"""Nothing was set: what nearly all exchanges have."""
