"""The address of a socket, as the standard library's socket functions take it."""

from __future__ import annotations

from typing import Any

__all__ = ["Address"]

Address = tuple[int, Any]
"""An address family and an address of it: ("1.2.3.4", 443) for IPv4, with two numbers more for IPv6."""
