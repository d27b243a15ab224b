"""adieu: the HTTP client that always says goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

from adieu.api import delete, get, head, options, patch, post, put, query, request, stream
from adieu.async_client import AsyncClient
from adieu.client import Client
from adieu.client_base import CloseReport
from adieu.errors import (
    AdieuError,
    BodyBusy,
    BodyClosed,
    BodyTooLarge,
    BodyTruncated,
    ClientClosed,
    ConnectError,
    ConnectTimeout,
    ContentError,
    DeadlineExceeded,
    DecodeError,
    DNSError,
    InvalidHeader,
    InvalidRequest,
    InvalidURL,
    MissingExtra,
    MountError,
    PeerClosed,
    PoolTimeout,
    ProtocolError,
    ReadError,
    ReadTimeout,
    RedirectError,
    RequestTimeout,
    TLSError,
    TooManyRedirects,
    TransportError,
    UnknownAdapter,
    WriteError,
    WriteTimeout,
)
from adieu.lifecycle.cleanup import (
    CLOSE,
    REFUSE,
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
from adieu.messages.response import Response, StatusError
from adieu.messages.url import URL
from adieu.transport.adapter import Adapter, AsyncAdapter, AsyncMiddleware, Middleware, adapter
from adieu.transport.stream import ByteStream, SocketStream
from adieu.transport.wire import Opening, TCPWire, UnixWire, Wire

if TYPE_CHECKING:
    from adieu.transport.tls import InsecureRequestWarning, TLSConfig
    from adieu.transport.to_async import to_async

__all__ = [
    "CLOSE",
    "REFUSE",
    "RELEASE",
    "STREAM",
    "URL",
    "Adapter",
    "AdieuError",
    "AsyncAdapter",
    "AsyncClient",
    "AsyncMiddleware",
    "AsyncResponse",
    "BodyBusy",
    "BodyClosed",
    "BodyTooLarge",
    "BodyTruncated",
    "ByteStream",
    "CleanupPolicy",
    "Client",
    "ClientClosed",
    "CloseOnExit",
    "CloseReport",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionInfo",
    "ContentError",
    "DNSError",
    "Deadline",
    "DeadlineExceeded",
    "DecodeError",
    "Drain",
    "Events",
    "Exchange",
    "Headers",
    "InsecureRequestWarning",
    "InvalidHeader",
    "InvalidRequest",
    "InvalidURL",
    "Lease",
    "LeaseInfo",
    "Limits",
    "Middleware",
    "MissingExtra",
    "MountError",
    "NoKeepAlive",
    "Opening",
    "PeerClosed",
    "PoolTimeout",
    "Prefetch",
    "PrefetchUpTo",
    "ProtocolError",
    "Read",
    "ReadError",
    "ReadTimeout",
    "RedirectError",
    "ReleaseOnRead",
    "Request",
    "RequestTimeout",
    "Response",
    "SocketStream",
    "StatusError",
    "Strict",
    "TCPWire",
    "TLSConfig",
    "TLSError",
    "Timeout",
    "TooManyRedirects",
    "TransportError",
    "UnixWire",
    "UnknownAdapter",
    "View",
    "Wire",
    "WriteError",
    "WriteTimeout",
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
    "to_async",
]


def __getattr__(name: str) -> object:
    # TLS settings bring nothing with them, but their room is loaded only by who uses it.
    if name in ("TLSConfig", "InsecureRequestWarning"):
        from adieu.transport import tls

        return getattr(tls, name)
    if name == "to_async":
        from adieu.transport.to_async import to_async  # It needs asyncio.

        return to_async
    raise AttributeError(f"module 'adieu' has no attribute {name!r}")
