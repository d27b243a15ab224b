"""adieu: the HTTP client that always says goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu._version import __version__ as __version__
from adieu.api import delete, get, head, options, patch, post, put, query, request, stream
from adieu.client.client import Client
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
    GuardError,
    InvalidHeader,
    InvalidRequest,
    InvalidURL,
    MissingExtra,
    MountError,
    PeerClosed,
    PolicyError,
    PoolTimeout,
    ProtocolError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RedirectError,
    RequestTimeout,
    TLSError,
    TooManyRedirects,
    TransportError,
    UnknownAdapter,
    WebSocketClosed,
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
from adieu.lifecycle.deadline import Deadline, TimeLimit, Timeout
from adieu.lifecycle.events import Events, LeaseInfo
from adieu.lifecycle.lease import AsyncLease, Lease
from adieu.lifecycle.limits import CloseReport, ConnectionInfo, Limits
from adieu.messages.async_response import AsyncResponse
from adieu.messages.headers import Headers
from adieu.messages.request import Request
from adieu.messages.response import Response, StatusError
from adieu.messages.url import URL
from adieu.net.connection_settings import ConnectionSettings
from adieu.net.proxies.proxy import Proxy
from adieu.transport.adapter import (
    Adapter,
    AdapterBase,
    AsyncAdapter,
    AsyncMiddleware,
    Middleware,
)
from adieu.transport.exchange import AsyncExchange, Exchange
from adieu.transport.functions import adapter

if TYPE_CHECKING:
    from adieu.annotations import load_annotations
    from adieu.client.async_client import AsyncClient
    from adieu.client.download import Downloaded, DownloadError
    from adieu.client.event_stream import AsyncEventStream, EventStream
    from adieu.client.log_events import LogEvents
    from adieu.client.map.async_map import AsyncMap
    from adieu.client.map.outcome import Outcome
    from adieu.client.map.sync_map import Map
    from adieu.client.option_types import (
        CallOptions,
        ClientOptions,
        OneShotOptions,
        RequestOptions,
        SendOptions,
        WebSocketOptions,
    )
    from adieu.client.retry_adapter import AsyncRetryAdapter, RetryAdapter
    from adieu.flow.auth import Auth, BasicAuth, BearerAuth, NetrcAuth
    from adieu.flow.digest import DigestAuth
    from adieu.flow.retries import Retry
    from adieu.flow.retry_budget import RetryBudget
    from adieu.messages.cookies.jar import Cookie, Cookies
    from adieu.messages.decoding.sse import ServerSentEvent
    from adieu.messages.fields.links import Link
    from adieu.messages.response_head import ResponseHead
    from adieu.messages.url.origin import Origin
    from adieu.net.connect import Connect
    from adieu.net.scope import ConnectScope
    from adieu.net.socket_stream import SocketStream
    from adieu.net.stream import ByteStream
    from adieu.net.tls.config import InsecureRequestWarning, TLSConfig
    from adieu.net.wire import TCPWire, UnixWire, Wire
    from adieu.observe.har import HAR, har
    from adieu.observe.otel.listener import OpenTelemetry
    from adieu.observe.timeline import Timeline, timeline
    from adieu.transport.guard import AsyncGuard, Guard
    from adieu.transport.to_async import to_async
    from adieu.transport.to_sync import to_sync
    from adieu.websocket.asynchronous import AsyncWebSocket
    from adieu.websocket.sync import WebSocket

__all__ = [
    "CLOSE",
    "HAR",
    "REFUSE",
    "RELEASE",
    "STREAM",
    "URL",
    "Adapter",
    "AdapterBase",
    "AdieuError",
    "AsyncAdapter",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncExchange",
    "AsyncGuard",
    "AsyncLease",
    "AsyncMap",
    "AsyncMiddleware",
    "AsyncResponse",
    "AsyncRetryAdapter",
    "AsyncWebSocket",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "BodyBusy",
    "BodyClosed",
    "BodyTooLarge",
    "BodyTruncated",
    "ByteStream",
    "CallOptions",
    "CleanupPolicy",
    "Client",
    "ClientClosed",
    "ClientOptions",
    "CloseOnExit",
    "CloseReport",
    "Connect",
    "ConnectError",
    "ConnectScope",
    "ConnectTimeout",
    "ConnectionInfo",
    "ConnectionSettings",
    "ContentError",
    "Cookie",
    "Cookies",
    "DNSError",
    "Deadline",
    "DeadlineExceeded",
    "DecodeError",
    "DigestAuth",
    "DownloadError",
    "Downloaded",
    "Drain",
    "EventStream",
    "Events",
    "Exchange",
    "Guard",
    "GuardError",
    "Headers",
    "InsecureRequestWarning",
    "InvalidHeader",
    "InvalidRequest",
    "InvalidURL",
    "Lease",
    "LeaseInfo",
    "Limits",
    "Link",
    "LogEvents",
    "Map",
    "Middleware",
    "MissingExtra",
    "MountError",
    "NetrcAuth",
    "NoKeepAlive",
    "OneShotOptions",
    "OpenTelemetry",
    "Origin",
    "Outcome",
    "PeerClosed",
    "PolicyError",
    "PoolTimeout",
    "Prefetch",
    "PrefetchUpTo",
    "ProtocolError",
    "Proxy",
    "ProxyError",
    "Read",
    "ReadError",
    "ReadTimeout",
    "RedirectError",
    "ReleaseOnRead",
    "Request",
    "RequestOptions",
    "RequestTimeout",
    "Response",
    "ResponseHead",
    "Retry",
    "RetryAdapter",
    "RetryBudget",
    "SendOptions",
    "ServerSentEvent",
    "SocketStream",
    "StatusError",
    "Strict",
    "TCPWire",
    "TLSConfig",
    "TLSError",
    "TimeLimit",
    "Timeline",
    "Timeout",
    "TooManyRedirects",
    "TransportError",
    "UnixWire",
    "UnknownAdapter",
    "View",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketOptions",
    "Wire",
    "WriteError",
    "WriteTimeout",
    "adapter",
    "delete",
    "get",
    "har",
    "head",
    "load_annotations",
    "options",
    "patch",
    "post",
    "put",
    "query",
    "request",
    "stream",
    "timeline",
    "to_async",
    "to_sync",
]


# Loaded at their first use, because most programs need few of them; some import asyncio, or ssl.
_LATER = {
    "AsyncClient": "adieu.client.async_client",
    "AsyncEventStream": "adieu.client.event_stream",
    "AsyncGuard": "adieu.transport.guard",
    "AsyncMap": "adieu.client.map.async_map",
    "AsyncRetryAdapter": "adieu.client.retry_adapter",
    "AsyncWebSocket": "adieu.websocket.asynchronous",
    "Auth": "adieu.flow.auth",
    "BasicAuth": "adieu.flow.auth",
    "BearerAuth": "adieu.flow.auth",
    "ByteStream": "adieu.net.stream",
    "CallOptions": "adieu.client.option_types",
    "ClientOptions": "adieu.client.option_types",
    "Connect": "adieu.net.connect",
    "ConnectScope": "adieu.net.scope",
    "Cookie": "adieu.messages.cookies.jar",
    "Cookies": "adieu.messages.cookies.jar",
    "DigestAuth": "adieu.flow.digest",
    "DownloadError": "adieu.client.download",
    "Downloaded": "adieu.client.download",
    "EventStream": "adieu.client.event_stream",
    "Guard": "adieu.transport.guard",
    "HAR": "adieu.observe.har",
    "InsecureRequestWarning": "adieu.net.tls.config",
    "Link": "adieu.messages.fields.links",
    "LogEvents": "adieu.client.log_events",
    "Map": "adieu.client.map.sync_map",
    "NetrcAuth": "adieu.flow.auth",
    "OneShotOptions": "adieu.client.option_types",
    "OpenTelemetry": "adieu.observe.otel.listener",
    "Origin": "adieu.messages.url.origin",
    "Outcome": "adieu.client.map.outcome",
    "RequestOptions": "adieu.client.option_types",
    "ResponseHead": "adieu.messages.response_head",
    "Retry": "adieu.flow.retries",
    "RetryAdapter": "adieu.client.retry_adapter",
    "RetryBudget": "adieu.flow.retry_budget",
    "SendOptions": "adieu.client.option_types",
    "ServerSentEvent": "adieu.messages.decoding.sse",
    "SocketStream": "adieu.net.socket_stream",
    "TCPWire": "adieu.net.wire",
    "TLSConfig": "adieu.net.tls.config",
    "Timeline": "adieu.observe.timeline",
    "UnixWire": "adieu.net.wire",
    "WebSocket": "adieu.websocket.sync",
    "WebSocketOptions": "adieu.client.option_types",
    "Wire": "adieu.net.wire",
    "har": "adieu.observe.har",
    "load_annotations": "adieu.annotations",
    "timeline": "adieu.observe.timeline",
    "to_async": "adieu.transport.to_async",
    "to_sync": "adieu.transport.to_sync",
}


if not TYPE_CHECKING:
    # Hidden from type checkers, so that they report a name that does not exist.
    def __getattr__(name: str) -> object:
        module = _LATER.get(name)
        if module is None:
            from adieu._elsewhere import MODULE

            meant = f"; in adieu it is {MODULE[name]}" if name in MODULE else ""
            raise AttributeError(f"module 'adieu' has no attribute {name!r}{meant}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(module), name)
        return value
