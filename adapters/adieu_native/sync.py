"""The default adapter of `Client`."""

from __future__ import annotations

from adieu.http1.adapter import HTTP1Adapter

__all__ = ["NativeAdapter"]


class NativeAdapter(HTTP1Adapter):
    """HTTP/1.1 over TCP, or over any other wire: `NativeAdapter(UnixWire("/run/docker.sock"))`."""
