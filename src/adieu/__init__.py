"""adieu: the HTTP client that always says goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

from adieu.api import delete, get, head, options, patch, post, put, query, request, stream
from adieu.async_client import AsyncClient
from adieu.client import Client
from adieu.client_base import CloseReport
from adieu.errors import *  # noqa: F403
from adieu.errors import __all__ as _errors
from adieu.lifecycle.cleanup import (
    CLOSE,
    RELEASE,
    STREAM,
    CleanupPolicy,
    CloseOnExit,
    Drain,
    NoKeepAlive,
    Prefetch,
    PrefetchUpTo,
    Read,
    ReleaseOnRead,
    Strict,
    View,
)
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.lifecycle.events import Events, LeaseInfo
from adieu.lifecycle.exchange import Exchange, Lease
from adieu.lifecycle.pool import ConnectionInfo, Limits
from adieu.messages.async_response import AsyncResponse
from adieu.messages.headers import Headers
from adieu.messages.request import Request
from adieu.messages.response import Response
from adieu.messages.url import URL
from adieu.transport.adapter import Adapter, AsyncAdapter, AsyncMiddleware, Middleware, adapter
from adieu.transport.stream import ByteStream, SocketStream
from adieu.transport.wire import Opening, TCPWire, UnixWire, Wire

if TYPE_CHECKING:
    from adieu.transport.tls import InsecureRequestWarning, TLSConfig

__all__ = [
    "CLOSE",
    "RELEASE",
    "STREAM",
    "URL",
    "Adapter",
    "AsyncAdapter",
    "AsyncClient",
    "AsyncMiddleware",
    "AsyncResponse",
    "ByteStream",
    "CleanupPolicy",
    "Client",
    "CloseOnExit",
    "CloseReport",
    "ConnectionInfo",
    "Deadline",
    "Drain",
    "Events",
    "Exchange",
    "Headers",
    "InsecureRequestWarning",
    "Lease",
    "LeaseInfo",
    "Limits",
    "Middleware",
    "NoKeepAlive",
    "Opening",
    "Prefetch",
    "PrefetchUpTo",
    "Read",
    "ReleaseOnRead",
    "Request",
    "Response",
    "SocketStream",
    "Strict",
    "TCPWire",
    "TLSConfig",
    "Timeout",
    "UnixWire",
    "View",
    "Wire",
    "adapter",
    "delete",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "query",
    "request",
    "stream",
    *_errors,
]


def __getattr__(name: str) -> object:
    # TLS settings bring nothing with them, but their room is loaded only by who uses it.
    if name in ("TLSConfig", "InsecureRequestWarning"):
        from adieu.transport import tls

        return getattr(tls, name)
    raise AttributeError(f"module 'adieu' has no attribute {name!r}")
