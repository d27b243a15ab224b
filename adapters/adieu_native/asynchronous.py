"""The default adapter of `AsyncClient`, under asyncio and trio."""

from __future__ import annotations

from adieu.http1.async_adapter import AsyncHTTP1Adapter

__all__ = ["AsyncNativeAdapter"]


class AsyncNativeAdapter(AsyncHTTP1Adapter):
    """HTTP/1.1 over TCP, or over any other async wire: `AsyncNativeAdapter(AsyncUnixWire("/run/docker.sock"))`."""
