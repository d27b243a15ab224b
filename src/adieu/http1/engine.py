"""The engine: one exchange over one connection, as steps that sync and async run alike.

Theory of operation. The lease is made first and owned by the exchange; then it gets a connection (an idle one that
still lives, or a new one, or a place in the queue); then `round_trip` sends the request and receives the final
head. Whatever raises on the way, the exchange is the owner, and the client ends it. Bodies are read through the lease
afterwards.

Only two things differ between sync and async, and both are passed in: what opens and carries bytes (the wire), and how
a full pool is waited for (the waiter).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, overload

from adieu.errors import ClientClosed, ContentError, InvalidRequest, TransportError
from adieu.http1.connection import Connection
from adieu.http1.conversation import round_trip
from adieu.http1.early_answer import refuse_unasked
from adieu.http1.error_mapping import map_error
from adieu.http1.head import Malformed
from adieu.http1.tunnel import StartTLS, Tunnels
from adieu.lifecycle.pool import Pool
from adieu.lifecycle.waiting import PoolWait
from adieu.messages.headers import Headers
from adieu.net.connection_settings import DEFAULT
from adieu.net.proxies.proxy import ProxiedOrigin
from adieu.net.scope import ConnectScope
from adieu.net.stream import AsyncByteStream, ByteStream
from adieu.texts import show_url
from adieu.transport.pool_key import pool_key, target_of
from adieu.transport.replay import is_safe_to_send_twice, may_replay
from adieu.transport.upgraded_lease import UpgradedLease

if TYPE_CHECKING:
    from adieu.errors import Phase
    from adieu.http1.codec import Codec
    from adieu.http1.connection import AsyncH1Lease, H1Lease, H1LeaseBase
    from adieu.http1.head import Head
    from adieu.lifecycle.limits import Limits
    from adieu.lifecycle.steps import Steps
    from adieu.lifecycle.waiting import Waiter
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.messages.url import Origin
    from adieu.net.async_wire import AsyncWire
    from adieu.net.proxies.proxy import Proxy
    from adieu.net.wire import Wire
    from adieu.transport.exchange import AnyExchange, AsyncExchange, Exchange

__all__ = ["Engine"]


def _origin_and_proxy(target: Origin | ProxiedOrigin) -> tuple[Origin, Proxy | None]:
    return (target.origin, target.proxy) if isinstance(target, ProxiedOrigin) else (target, None)


class Engine:
    """The part of an HTTP/1.1 adapter that sync and async share.

    `waiter()` makes a waiter, `lease` is the lease class, `codec` the one that a new connection gets;
    `secured(stream, hostname, scope)` puts TLS over a stream.
    """

    def __init__(
        self,
        wire: Wire | AsyncWire,
        limits: Limits,
        waiter: Callable[[], Waiter],
        lease: type[H1Lease] | type[AsyncH1Lease],
        codec: type[Codec],
        secured: StartTLS,
        replay: bool,
    ) -> None:
        self.pool: Pool[Connection] = Pool(
            lambda key, number, now: Connection(key, number, now, codec()), limits
        )
        self._wait = PoolWait(self.pool, waiter)
        self._wire = wire
        # A Unix socket, or a peer in memory, is not behind anything.
        self._is_direct = wire.is_direct
        self._does_tls = wire.does_tls
        self._tunnels = Tunnels(wire, secured)
        # A wire may have its own way of TLS, for the streams that tunnels give too.
        self._start_tls: StartTLS = wire.start_tls
        self._lease = lease
        self._replay = replay

    @overload
    def send(
        self, request: Request, exchange: Exchange, *, challenged: bool = ...
    ) -> Steps[Response]: ...
    @overload
    def send(
        self, request: Request, exchange: AsyncExchange, *, challenged: bool = ...
    ) -> Steps[AsyncResponse]: ...
    def send(
        self, request: Request, exchange: AnyExchange, *, challenged: bool = False
    ) -> Steps[Response] | Steps[AsyncResponse]:
        """Send the request and receive the final head. `challenged`: it answers the challenge of a proxy."""
        pool = self.pool
        settings = exchange.connection
        if self._is_direct and settings.route is not None:
            settings = settings._replace(route=None)
        origin = request.url.origin
        lease = self._lease(
            pool, exchange, origin if settings is DEFAULT else pool_key(origin, settings)
        )
        exchange.own(lease)
        if lease.connection is None:  # Otherwise it has inherited one.
            if not pool.checkout(lease):
                yield from self._wait.steps(lease, exchange)
            if challenged and (used := lease.connection) is not None and used.uses:
                self._leave_challenged(lease, request)
        if pool.begin(lease, exchange.events).stream is None:
            yield from self._open(lease, exchange)
        try:
            head = yield from round_trip(lease, request, exchange, self._tunnels)
        except TransportError as error:
            if not (self._replay and may_replay(lease, request, error)):
                raise
            if exchange.events is not None:
                exchange.events.replayed(lease.method, lease.url)
            head = yield from self._resend_fresh(lease, request, exchange, "died while idle")
        if head.status == 407 and not challenged and self._may_answer(lease, request, head):
            # As after a server's challenge: a short body is read, and its connection serves again.
            exchange.status = head.status
            yield exchange.leave("auth")
            return (yield from self.send(request, exchange, challenged=True))
        upgraded = None
        if head.status == 101 or (request.method == "CONNECT" and head.status < 300):
            upgraded = self._detach(lease, exchange)
        response = exchange.respond(
            head.status,
            Headers.from_wire(head.fields, head.by_name),
            None if upgraded is None else b"",  # It has a lease, and yet no body.
            reason=head.reason,
            http_version=head.http_version,
        )
        response.upgraded = upgraded
        return response

    def _leave_challenged(self, lease: H1LeaseBase, request: Request) -> None:
        """Some proxies hang up after a 407 without saying so: then only what is safe to send twice would arrive."""
        if not is_safe_to_send_twice(request):
            self.pool.replace(lease, "the proxy may hang up after its challenge", fresh=True)

    def _resend_fresh(
        self, lease: H1LeaseBase, request: Request, exchange: AnyExchange, why: str
    ) -> Steps[Head]:
        """Send the same request once more, on a connection that was never used, in the place of this one."""
        self.pool.replace(lease, why, fresh=True)
        lease.started = False
        if self.pool.begin(lease, exchange.events).stream is None:
            yield from self._open(lease, exchange)
        return (yield from round_trip(lease, request, exchange, self._tunnels))

    # -- a connection ------------------------------------------------------------------------------------------------

    def _open(self, lease: H1LeaseBase, exchange: AnyExchange) -> Steps[None]:
        connection = lease.connection
        assert connection is not None
        target = target_of(lease.key)
        report = connection.report
        settings = exchange.connection
        scope = connection.scope = ConnectScope(
            exchange.deadline, settings.tls, settings.connect, settings.guard, lease.key
        )
        phase: Phase = "connect"
        try:
            if exchange.events is not None and report is not None:
                scope.events = report.connect_started(*_origin_and_proxy(target))
            if connection.closed:
                # It was closed after it was leased. From here on, closing it closes the scope, with all that it made.
                raise ClientClosed("the client was closed before a connection was opened")
            if isinstance(target, ProxiedOrigin):
                origin = target.origin
                stream, plain = (yield from self._tunnels.open(target, scope)), True
            else:
                origin = target
                stream, plain = (yield self._wire.open(origin, scope)), not self._does_tls
            if not isinstance(stream, (ByteStream, AsyncByteStream)):
                raise InvalidRequest(
                    f"{self._wire!r} opened {stream!r}, which is neither a ByteStream nor an AsyncByteStream"
                )
            connection.stream = stream
            if scope.guard is not None and not scope.checked:
                raise scope.guard.bypassed(origin, self._wire)
            if origin.scheme == "https" and plain:
                phase = "tls"
                connection.stream = yield self._start_tls(stream, origin.host.rstrip("."), scope)
            phase = "head"
            ready = connection.stream
            assert ready is not None
            yield from refuse_unasked(ready)
            if connection.closed:
                connection.close()
                raise ClientClosed("the client was closed while a connection was being opened")
        except BaseException as error:
            scope.close()
            if scope.events is not None:
                scope.events.failed(error)
            if isinstance(error, (OSError, EOFError, Malformed, TransportError)):
                raise map_error(error, phase, lease) from error
            raise
        connection.scope = None
        if scope.events is not None:
            self.pool.report_open(lease, scope.events)

    def _may_answer(self, lease: H1LeaseBase, request: Request, head: Head) -> bool:
        """Whether a proxy that forwards wants Digest credentials, which need its challenge first.

        Raises `ContentError` if it does, and the content was used up for that challenge.
        """
        via = target_of(lease.key)
        if (
            type(via) is not ProxiedOrigin
            or not via.forwards
            or not self._tunnels.challenged(via.proxy, head)
            or self.pool.closed
            or lease.ended
        ):
            return False
        if not request.content.sendable:
            raise ContentError(
                f"the proxy {via.proxy} asks for credentials before it forwards {request.method} "
                f"{show_url(request.url)}, so the content must be sent again, but it was an iterator that has been "
                "used up: pass bytes, a file or a list"
            )
        return True

    def _detach(self, lease: H1LeaseBase, exchange: AnyExchange) -> object:
        """Take an upgraded connection out of the pool. The exchange owns it, until the user has it."""
        connection = lease.connection
        assert connection is not None
        upgraded = lease.upgraded(connection.stream, connection.codec.leftover())
        exchange.wrap(UpgradedLease(upgraded, lease))
        self.pool.detach(lease)
        return upgraded
