"""The attributes that spans and metrics share, by the semantic conventions (general attributes, and those of HTTP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

__all__ = [
    "SCHEMA",
    "Attributes",
    "known_method",
    "peer_of",
    "server_of",
    "version_of",
]

Attributes = dict[str, "AttributeValue"]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.39.0"

_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_PORTS = {"http": 80, "https": 443}


def known_method(method: str) -> str:
    """The method, or "_OTHER", so that unknown methods cannot make any number of time series."""
    return method if method in _METHODS else "_OTHER"


def server_of(url: str) -> Attributes:
    """The server of a URL or an origin."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    attributes: Attributes = {"server.address": parts.hostname or ""}
    if port is None:
        port = _PORTS.get(parts.scheme)
    if port is not None:
        attributes["server.port"] = port
    return attributes


def peer_of(address: str) -> Attributes:
    """The peer of a connection: "10.0.0.1:443", "[::1]:443", or the path of a Unix socket."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return {"network.peer.address": address} if address else {}
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}


def version_of(http_version: str) -> str:
    """The version of "HTTP/1.1", as `network.protocol.version` has it."""
    return http_version.partition("/")[2]
