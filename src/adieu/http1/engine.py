"""The engine: one exchange over one connection, as steps that sync and async run alike.

Theory of operation. The lease is made first and owned by the exchange; then it gets a connection (an idle one that
still lives, or a new one, or a place in the queue); then the request goes out, in one write if it is small, and the
final head comes in. Whatever raises on the way, the exchange is the owner, and the client ends it. Bodies are read
through the lease afterwards.

Only two things differ between sync and async, and both are passed in: what opens and carries bytes (the wire), and how
a full pool is waited for (the waiter).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from adieu.errors import (
    AdieuError,
    ClientClosed,
    ContentError,
    InvalidRequest,
    PoolTimeout,
    TransportError,
)
from adieu.http1.codec import Head, Malformed
from adieu.http1.connection import Connection, H1Lease
from adieu.http1.error_mapping import attach_facts, is_alert, map_error
from adieu.http1.tunnel import Tunnels
from adieu.lifecycle.events import notify
from adieu.lifecycle.pool import Limits, Pool
from adieu.messages.fields.trailers import sent_trailers
from adieu.messages.headers import Headers
from adieu.messages.request import tunnel_target
from adieu.net.proxies.proxy import ProxiedOrigin
from adieu.net.wire import ConnectScope
from adieu.transport.pool_key import pool_key, target_of

if TYPE_CHECKING:
    from adieu.errors import Phase
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request

__all__ = ["Engine", "Waiter"]

_READ = 64 * 1024
_ONE_WRITE = 64 * 1024
_POLL_TIMEOUT = 0.001
_MAX_INFORMATIONAL = 32
# How long a peer that was asked whether it wants the content may keep silent (seconds): many do not know the question.
_CONTINUE_TIMEOUT = 1.0
# RFC 9110, section 9.2.2: sent twice, these do what they do when sent once.
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"))
# How long a full pool is waited for before the collector is asked (seconds).
_PATIENCE = 0.05
# How long it is not asked again, at least (seconds), and how many times as long as it took.
_COLLECT_REST = 0.5
_COLLECT_PART = 20

R = TypeVar("R")


class Waiter(Protocol):
    """How one exchange waits for its turn."""

    def wake(self) -> object:
        """The turn has come. Called from any thread, perhaps twice; never raises."""
        ...

    def wait(self, seconds: float | None) -> Any:
        """Wait until `wake`, at most so long (async: an awaitable)."""
        ...


class Engine(Generic[R]):
    """The colour-blind part of an HTTP/1.1 adapter.

    `respond(status, headers, reason, http_version)` makes the response, `waiter()` a waiter, `lease` the lease class;
    `secured(stream, hostname, scope)` puts TLS over a stream.
    """

    def __init__(
        self,
        wire: Any,
        limits: Limits,
        respond: Callable[..., R],
        waiter: Callable[[], Waiter],
        lease: type[H1Lease],
        secured: Callable[[Any, str, ConnectScope], Any],
        replay: bool,
    ) -> None:
        self.pool: Pool[Connection] = Pool(Connection, limits)
        self._wire = wire
        # A Unix socket, or a peer in memory, is not behind anything.
        self._is_direct = getattr(wire, "is_direct", False)
        self._does_tls = getattr(wire, "does_tls", False)
        self._tunnels = Tunnels(wire, secured)
        # What a wire that does TLS itself does with the stream that a tunnel gave, it does as it does with its own.
        self._secured = getattr(wire, "secured", secured)
        self._respond = respond
        self._waiter = waiter
        self._lease = lease
        self._replay = replay
        self._collect_at = 0.0

    def send(self, request: Request, exchange: Exchange) -> Steps[R]:
        """Send the request and receive the final head."""
        pool = self.pool
        target: Any = request.url.origin
        if exchange.route is not None and not self._is_direct:
            target = ProxiedOrigin(exchange.route, target)
        lease = self._lease(pool, exchange, pool_key(target, exchange))
        exchange.own(lease)
        if lease.connection is None and not pool.checkout(lease):  # It may have inherited one.
            yield from self._queue(lease, exchange)
        if not self._take_live(lease, exchange):
            yield from self._open(lease, exchange)
        try:
            head = yield from self._round_trip(lease, request, exchange)
        except TransportError as error:
            if not self._may_replay(lease, request, error):
                raise
            if exchange.events is not None:
                notify(exchange.events.replayed, lease.method, str(lease.url))
            head = yield from self._resend_fresh(lease, request, exchange, "died while idle")
        if head.status == 407 and self._may_answer(lease, request, head):
            head = yield from self._resend_fresh(lease, request, exchange, "proxy authentication")
        response = self._respond(
            head.status,
            Headers.from_wire(head.fields),
            reason=head.reason,
            http_version=head.http_version,
        )
        if head.status == 101 or (request.method == "CONNECT" and head.status < 300):
            self._detach(response, lease, exchange)
        return response

    def _resend_fresh(
        self, lease: H1Lease, request: Request, exchange: Exchange, why: str
    ) -> Steps[Head]:
        """The same request on a connection that nobody has used, in the place of this one."""
        self.pool.replace(lease, why, fresh=True)
        lease.started = False
        if not self._take_live(lease, exchange):
            yield from self._open(lease, exchange)
        return (yield from self._round_trip(lease, request, exchange))

    # -- a connection ------------------------------------------------------------------------------------------------

    def _queue(self, lease: H1Lease, exchange: Exchange) -> Steps[None]:
        """Wait until somebody ends a lease, which hands its place over to the one that has waited longest."""
        waiter = self._waiter()
        lease.wake = waiter.wake
        limit = exchange.deadline.remaining("pool")
        ends_at = None if limit is None else monotonic() + limit
        pool = self.pool
        patience = _PATIENCE
        while not pool.served(lease):
            if lease.ended:
                # From outside: whoever asked for it has gone, and has nobody to be told but this thread.
                raise ClientClosed(
                    f"{exchange.method} {exchange.url} was ended while it waited for a connection"
                )
            left = patience if ends_at is None else max(ends_at - monotonic(), 0.0)
            yield waiter.wait(min(patience, left))
            if pool.served(lease):
                break
            patience = self._collect_abandoned()
            if ends_at is not None and monotonic() >= ends_at and not pool.served(lease):
                raise self._exhausted(lease, exchange)

    def _collect_abandoned(self) -> float:
        """Responses dropped in a reference cycle are found by the collector alone, which may be far or switched off.

        So before a pool of streams is called full, it is asked; but it may not take more than its part of the time.
        Gives the seconds until it is worth asking again.
        """
        now = monotonic()
        if now >= self._collect_at and any(
            line.lease is not None and line.lease.opened_at for line in self.pool.snapshot()
        ):
            self._collect_at = now + _COLLECT_REST  # First: of many who wait, one asks.
            try:
                gc.collect()
            except ValueError:
                pass  # PyPy's refuses while it is at work already, in another thread.
            started, now = now, monotonic()
            self._collect_at = now + max((now - started) * _COLLECT_PART, _COLLECT_REST)
        return max(self._collect_at - now, _COLLECT_REST)

    def _exhausted(self, lease: H1Lease, exchange: Exchange) -> TransportError:
        error = exchange.deadline.exceeded("pool")
        if isinstance(error, PoolTimeout):
            held = sorted(
                (line.lease for line in self.pool.snapshot() if line.lease is not None),
                key=lambda info: -info.seconds,
            )
            error.holders = tuple(map(str, held))
            shown = "; ".join(error.holders[:3])
            more = f"; and {len(held) - 3} more" if len(held) > 3 else ""
            error.args = (f"{error.args[0]}. All {len(held)} are in use: {shown}{more}",)
        return attach_facts(error, lease)

    def _take_live(self, lease: H1Lease, exchange: Exchange) -> bool:
        """Whether the lease's connection is open; one that has died meanwhile is replaced."""
        connection = lease.connection
        assert connection is not None
        while connection.stream is not None and connection.stream.readable():
            # Idle and readable: the peer has closed, or says something that nobody asked for. Neither can be used.
            self.pool.replace(lease, "stale")
            connection = lease.connection
            assert connection is not None
        events = exchange.events
        connection.events = events
        lease.reused = connection.uses > 0
        connection.uses += 1
        if events is not None:
            notify(events.leased, connection.id, lease.method, str(lease.url), lease.reused)
        return connection.stream is not None

    def _open(self, lease: H1Lease, exchange: Exchange) -> Steps[None]:
        connection = lease.connection
        assert connection is not None
        origin: Any = target_of(lease.key)
        events = exchange.events
        scope = connection.scope = ConnectScope(
            exchange.deadline, exchange.tls, exchange.connect, exchange.guard
        )
        phase: Phase = "connect"
        try:
            if events is not None:
                notify(events.connect_started, connection.id, str(origin))
            if connection.closed:
                # Since it was leased. From here on the one who closes it closes the scope, and so what it makes.
                raise ClientClosed("the client was closed before a connection was opened")
            if type(origin) is ProxiedOrigin:
                stream, plain = (yield from self._tunnels.open(origin, scope)), True
                origin = origin.origin
            else:
                stream, plain = (yield self._wire.open(origin, scope)), not self._does_tls
            connection.stream = stream
            if scope.guard is not None and not scope.checked:
                raise scope.guard.unasked(origin, self._wire)
            if origin.scheme == "https" and plain:
                phase = "tls"
                connection.stream = yield self._secured(stream, origin.host.rstrip("."), scope)
            if connection.closed:
                connection.close()
                raise ClientClosed("the client was closed while a connection was being opened")
        except BaseException as error:
            scope.close()
            if events is not None:
                notify(events.connect_failed, connection.id, str(error) or type(error).__name__)
            if isinstance(error, (OSError, TransportError)):
                raise map_error(error, phase, lease) from error
            raise
        connection.scope = None
        if events is not None:
            notify(events.connected, connection.id, exchange.deadline.now() - connection.opened_at)

    # -- one exchange ------------------------------------------------------------------------------------------------

    def _round_trip(self, lease: H1Lease, request: Request, exchange: Exchange) -> Steps[Head]:
        connection = lease.connection
        assert connection is not None
        codec, stream, deadline = connection.codec, connection.stream, exchange.deadline
        content = request.content
        target, fields = request.url.target, _fields(request, exchange)
        if exchange.route is not None or request.method == "CONNECT":
            target, fields = self._addressed(lease, request, fields)
        out = codec.request(request.method, target, fields)
        phase: Phase = "write"
        try:
            lease.sent = "partly"
            body = content.body
            if body is not None and len(body) <= _ONE_WRITE and not (body and codec.expects()):
                if body:
                    out += codec.data(body)
                yield stream.send(out + codec.end(), deadline.remaining("write"))
                lease.sent = "wholly"
            else:
                yield from self._upload(lease, out, request, exchange)
            phase = "head"
            while True:
                head = codec.head()
                if head is None:
                    data = yield stream.recv(_READ, deadline.remaining("read"))
                    if not data:
                        if codec.started():
                            raise Malformed("it closed the connection in the middle of a head")
                        raise EOFError
                    lease.started = True
                    codec.feed(data)
                elif head.status >= 200 or head.status == 101:
                    break
                else:
                    self._interim(lease, head, exchange)
        except (Malformed, OSError, EOFError) as error:
            if phase == "write" and lease.sent == "partly" and getattr(stream, "tls", None):
                said = yield from _pending_tls_alert(stream, error)
                raise map_error(said, phase, lease, deadline) from said
            raise map_error(error, phase, lease, deadline) from error
        lease.take(head)
        return head

    def _addressed(
        self, lease: H1Lease, request: Request, fields: list[tuple[str, str]]
    ) -> tuple[str, list[tuple[str, str]]]:
        """Target and fields of what a proxy is asked: to forward this, or, by the user's own CONNECT, for a tunnel."""
        via = target_of(lease.key)
        forwards = type(via) is ProxiedOrigin and via.forwards
        if request.method == "CONNECT":
            if forwards:
                raise InvalidRequest(
                    f"no proxy forwards a CONNECT to another one ({via.proxy}): pass proxy=None"
                )
            return tunnel_target(request.headers, request.content), fields
        if forwards:
            return self._tunnels.forwarded(via.proxy, request.method, request.url, fields)
        return request.url.target, fields

    def _upload(
        self, lease: H1Lease, head: bytes, request: Request, exchange: Exchange
    ) -> Steps[None]:
        """Send a body of any length, and stop when the peer answers before it has all of it (RFC 9112, section 9.5)."""
        connection = lease.connection
        assert connection is not None
        codec, stream, deadline = connection.codec, connection.stream, exchange.deadline
        content: Any = request.content
        yield stream.send(head, deadline.remaining("write"))
        if codec.expects() and not (yield from self._await_continue(lease, exchange)):
            return
        reading = _Reading(request)
        trailers: list[tuple[str, str]] = []
        with reading:
            chunks = content.async_chunks() if content.is_async else content.chunks()
        while True:
            with reading:
                chunk = (yield anext(chunks, None)) if content.is_async else next(chunks, None)
                if chunk is None and content.trailers is not None:
                    trailers = sent_trailers(content.trailers)
            if chunk == b"":
                continue  # An empty chunk would end a chunked body.
            rest = memoryview(codec.end(trailers) if chunk is None else codec.data(bytes(chunk)))
            while rest:
                try:
                    done = yield from self._send_or_recv(stream, rest, deadline)
                except (BrokenPipeError, ConnectionResetError):
                    return  # It has hung up; what it said before that may still be read.
                if isinstance(done, int):
                    rest = rest[done:]
                    continue
                if not done:
                    return
                lease.started = True
                codec.feed(done)
                if self._final_head_begun(lease, exchange):
                    return
            if chunk is None:
                break
        lease.sent = "wholly"

    def _await_continue(self, lease: H1Lease, exchange: Exchange) -> Steps[bool]:
        """Whether to send the content that the peer was asked about: not if it answers without it, or has hung up."""
        connection = lease.connection
        assert connection is not None
        codec, stream, deadline = connection.codec, connection.stream, exchange.deadline
        lease.got_continue = False
        until = monotonic() + _CONTINUE_TIMEOUT
        while (left := until - monotonic()) > 0:
            limit = deadline.remaining("read")
            try:
                data = yield stream.recv(_READ, left if limit is None else min(left, limit))
            except TimeoutError:
                continue
            if not data:
                return False
            lease.started = True
            codec.feed(data)
            if self._final_head_begun(lease, exchange):
                return False
            if lease.got_continue:
                return True
        return True

    def _final_head_begun(self, lease: H1Lease, exchange: Exchange) -> bool:
        """Whether a final head has begun to arrive; interim ones that came before it are told, and done with."""
        connection = lease.connection
        assert connection is not None
        codec = connection.codec
        while not codec.final_head_begun():
            head = codec.head()
            if head is None:
                return False
            self._interim(lease, head, exchange)
        return True

    def _interim(self, lease: H1Lease, head: Head, exchange: Exchange) -> None:
        """A 1xx (RFC 9110, section 15.2)."""
        lease.interim += 1
        if lease.interim > _MAX_INFORMATIONAL:
            raise Malformed(f"it sent more than {_MAX_INFORMATIONAL} 1xx responses")
        lease.got_continue = lease.got_continue or head.status == 100
        if exchange.events is not None:
            notify(exchange.events.informational, lease.connection_id, head.status)

    def _send_or_recv(
        self, stream: Any, rest: memoryview, deadline: Deadline
    ) -> Steps[int | bytes]:
        """The number of bytes of `rest` that the peer took, or the bytes that it said instead."""
        both = getattr(stream, "send_or_recv", None)
        if both is not None:
            return (yield both(rest, deadline.remaining("write")))  # type: ignore[no-any-return]
        if stream.readable():
            try:
                return (yield stream.recv(_READ, _POLL_TIMEOUT))  # type: ignore[no-any-return]
            except TimeoutError:
                pass  # A TLS record without data in it.
        yield stream.send(bytes(rest), deadline.remaining("write"))
        return len(rest)

    def _may_replay(self, lease: H1Lease, request: Request, error: TransportError) -> bool:
        """A kept-alive connection may die at the very moment it is used again, and that is nobody's fault.

        RFC 9110, section 9.2.2: replay only what is safe to send twice, only when nothing of an answer came, once.
        """
        return (
            self._replay
            and lease.reused
            and not lease.started
            and not isinstance(error, TimeoutError)
            and request.content.replayable
            and (request.method in _IDEMPOTENT or "idempotency-key" in request.headers)
            and not self.pool.closed
            and not lease.ended
        )

    def _may_answer(self, lease: H1Lease, request: Request, head: Head) -> bool:
        """Whether a proxy that forwards wants Digest credentials, which nobody can know before it has asked."""
        via = target_of(lease.key)
        return (
            type(via) is ProxiedOrigin
            and via.forwards
            and self._tunnels.challenged(via.proxy, head)
            and request.content.replayable
            and not self.pool.closed
            and not lease.ended
        )

    def _detach(self, response: R, lease: H1Lease, exchange: Exchange) -> None:
        connection = lease.connection
        assert connection is not None
        response.upgraded = lease.upgraded(connection.stream, connection.codec.leftover())  # type: ignore[attr-defined]
        self.pool.detach(lease)
        exchange.lease = None


class _Reading:
    """What the user's content raises while it is read is no fault of the connection, even if it is an OSError."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, AdieuError):
            raise ContentError(
                f"the content of {self._request.method} {self._request.url} could not be read: {error!r}"
            ) from error


def _pending_tls_alert(stream: Any, error: Exception) -> Steps[Exception]:
    """What a TLS peer said before it hung up, if it did; else the error of the write.

    In TLS 1.3 a server judges the client's certificate after the client has done its part (RFC 8446, section 4.4.2), so
    its alert is found where the first answer is expected, and the request may be cut off before that.
    """
    try:
        yield stream.recv(_READ, _POLL_TIMEOUT)
    except OSError as said:
        if is_alert(said):
            return said
    return error


def _fields(request: Request, exchange: Exchange) -> list[tuple[str, str]]:
    """The header fields as sent: Host first (RFC 9110, section 7.2), then the request's, then what the policy adds."""
    headers = request.headers
    fields = headers.multi_items()
    if "host" not in headers:
        fields = [("Host", request.url.authority), *fields]
    if not exchange.policy.keep_alive and "connection" not in headers:
        fields = [*fields, ("Connection", "close")]
    return fields
