"""The sync adapter over h11."""

from __future__ import annotations

from adieu.http1.adapter import HTTP1Adapter
from adieu_h11.codec import H11Codec

__all__ = ["H11Adapter"]


class H11Adapter(HTTP1Adapter):
    """HTTP/1.1 over TCP, or over any other wire: `H11Adapter(UnixWire("/run/docker.sock"))`."""

    codec = H11Codec
