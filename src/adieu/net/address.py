"""The address of a socket, as the standard library's socket functions take it."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Address", "SocketAddress"]

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""("1.2.3.4", 443) for IPv4; for IPv6 with flow and scope."""

Address: TypeAlias = tuple[int, SocketAddress]
"""An address family and an address of it."""
