"""adieu's HTTP/1.1 engine with h11 as its codec: the reference that the default adapters are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu_h11.sync import H11Adapter

if TYPE_CHECKING:
    from adieu_h11.asynchronous import AsyncH11Adapter

__all__ = ["AsyncH11Adapter", "H11Adapter"]


if not TYPE_CHECKING:
    # Hidden from type checkers, so that they report a name that does not exist.
    def __getattr__(name: str) -> object:
        # Sync programs need not import asyncio.
        if name == "AsyncH11Adapter":
            from adieu_h11.asynchronous import AsyncH11Adapter

            return AsyncH11Adapter
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
