"""Origins: the scheme, host and port of a URL, without the resource."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_PORTS", "Origin", "Site", "authority_of"]

DEFAULT_PORTS = {"http": 80, "https": 443}
"""The default ports (RFC 9110, section 4.2). Other schemes have none."""


def authority_of(scheme: str, host: str, port: int | None) -> str:
    """Host and port as in the Host field (RFC 9110, section 7.2), without a default port."""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == DEFAULT_PORTS.get(scheme) else f"{host}:{port}"


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454).

    Requests to equal origins may share connections and credentials. An IPv6 host has no brackets;
    the port is None where a scheme has none. `str(origin)` is a text like `https://example.org`.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{authority_of(self.scheme, self.host, self.port)}"


class Site(NamedTuple):
    """What the URLs of one origin have in common, and so is made once: see `URL` for the parts.

    `start` is their text up to the path, such as `https://example.org`.
    """

    origin: Origin
    authority: str
    host_key: str
    start: str

    @classmethod
    def of(cls, origin: Origin) -> Site:
        """The site of an origin whose parts are in normal form."""
        authority = authority_of(*origin)
        return cls(
            origin, authority, origin.host.removesuffix("."), f"{origin.scheme}://{authority}"
        )
