"""Opening the connection of a lease: urllib3's `connect`, over a stream that adieu's wire makes.

What is opened belongs to a scope until it stands, so whatever fails or interrupts in between, the scope closes it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from adieu.errors import ClientClosed, ConnectError, ProxyError, RequestTimeout
from adieu.http1.early_answer import refuse_unasked
from adieu.http1.tunnel import Tunnels
from adieu.lifecycle.steps import drive
from adieu.messages.url import Origin
from adieu.net.scope import ConnectScope
from adieu.net.tls.handshake import describe_tls_error
from adieu.net.tls.start import start_tls
from adieu.net.wire import TCPWire
from adieu.transport.pool_key import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.net.proxies.proxy import Proxy
    from adieu_urllib3.lease import Urllib3Lease

__all__ = ["open_connection", "reach"]


def open_connection(lease: Urllib3Lease, connect: Callable[[], None]) -> None:
    """Open the connection of a lease by urllib3's own `connect`."""
    connection, settings = lease.held, lease.settings
    scope = connection.scope = ConnectScope(
        lease.since, settings.tls, settings.connect, settings.guard, lease.key
    )
    lease.phase = "connect"
    try:
        if lease.events is not None and connection.report is not None:
            scope.events = connection.report.connect_started(lease.origin, settings.route)
        if connection.closed:
            # Since it was leased. From here on closing it closes the scope, and all that the scope owns.
            raise ClientClosed("the client was closed before a connection was opened")
        connect()
        if connection.sock is not None:
            lease.phase = "head"
            drive(refuse_unasked(connection.sock.stream))
        if connection.closed:
            connection.close()
            raise ClientClosed("the client was closed while a connection was being opened")
    except BaseException as error:
        scope.close()
        if scope.events is not None:
            scope.events.failed(error)
        raise
    connection.scope = None
    if connection.sock is not None:
        connection.sock.begin(lease.since, lease.on_first_byte())
    lease.phase = "write"
    if scope.events is not None:
        lease.pool.report_open(lease, scope.events)


def reach(lease: Urllib3Lease, scope: ConnectScope) -> Any:
    """A stream to the origin, or to the proxy that the request goes through."""
    proxy, wire = lease.settings.route, TCPWire()
    via: Any = target_of(lease.key)
    if proxy is None:
        return wire.open(lease.origin, scope)
    if proxy.is_socks:
        return drive(Tunnels(wire, start_tls).open(via, scope))
    if scope.guard is not None:
        # A guard judges the origin; the user chose the address of the proxy.
        scope.guard.behind_proxy(via)
        scope.guard = None
    try:
        return _through(proxy, wire, scope)
    except RequestTimeout as error:
        error.args = (f"{error.args[0]}, on the way through the proxy {proxy}",)
        raise
    except TimeoutError:
        late = scope.exceeded()
        late.args = (f"{late.args[0]}, on the way through the proxy {proxy}",)
        raise late from None
    except (OSError, ConnectError) as error:
        raise _unreachable(error, proxy) from error


def _through(proxy: Proxy, wire: TCPWire, scope: ConnectScope) -> Any:
    place = proxy.url.origin
    stream: Any = wire.open(Origin("tcp", place.host, place.port), scope)
    scope.own(stream)
    if place.scheme == "https":
        for_origins, peer = scope.tls, scope.peer
        scope.tls = proxy.tls or (for_origins.for_proxy() if for_origins is not None else None)
        scope.peer = proxy
        stream = start_tls(stream, place.host.rstrip("."), scope)
        scope.own(stream)
        scope.tls, scope.peer = for_origins, peer
    return stream


def _unreachable(error: Exception, proxy: Proxy) -> ProxyError:
    phase = error.phase if isinstance(error, ConnectError) else "connect"
    why = str(getattr(error, "strerror", None) or error)
    if isinstance(error, ssl.SSLError):
        phase, why = "tls", describe_tls_error(error, proxy.url.host)
    return ProxyError(f"the proxy {proxy} cannot be reached: {why}", phase=phase)
