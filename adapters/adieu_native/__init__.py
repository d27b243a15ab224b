"""The default adapters: adieu's HTTP/1.1 engine on its own pool and wires, without a client library underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu_native.sync import NativeAdapter

if TYPE_CHECKING:
    from adieu_native.asynchronous import AsyncNativeAdapter

__all__ = ["AsyncNativeAdapter", "NativeAdapter"]


if not TYPE_CHECKING:
    # Hidden from type checkers, so that they report a name that does not exist.
    def __getattr__(name: str) -> object:
        # Sync programs need not import asyncio.
        if name == "AsyncNativeAdapter":
            from adieu_native.asynchronous import AsyncNativeAdapter

            return AsyncNativeAdapter
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
