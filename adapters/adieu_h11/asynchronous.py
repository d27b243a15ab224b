"""The async adapter over h11, under asyncio and trio."""

from __future__ import annotations

from adieu.http1.async_adapter import AsyncHTTP1Adapter
from adieu_h11.codec import H11Codec

__all__ = ["AsyncH11Adapter"]


class AsyncH11Adapter(AsyncHTTP1Adapter):
    """HTTP/1.1 over TCP, or over any other async wire: `AsyncH11Adapter(AsyncUnixWire("/run/docker.sock"))`."""

    codec = H11Codec
