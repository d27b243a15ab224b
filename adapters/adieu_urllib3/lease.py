"""The lease of one connection for one exchange, whose response urllib3 makes.

A response can come over a connection that is not adieu's: a tool that patches urllib3 made it, or the user's own
manager. Such a connection is `foreign`: it is given back to where it came from, or closed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from adieu.errors import BodyClosed, ClientClosed
from adieu.lifecycle.exchange_lease import ExchangeLease
from adieu.lifecycle.lease import Lease
from adieu.lifecycle.pool import LeaseState
from adieu_urllib3.errors import translated
from adieu_urllib3.foreign import ForeignConnection, connection_of
from adieu_urllib3.pooled import Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

    from urllib3.response import BaseHTTPResponse

    from adieu.errors import Phase, Sent
    from adieu.http1.head import Head
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.lease import LeaseBase
    from adieu.lifecycle.pool import Pool
    from adieu.lifecycle.reporting import ExchangeReport
    from adieu.messages.url import Origin
    from adieu.net.connection_settings import ConnectionSettings
    from adieu.transport.exchange import Exchange
    from adieu.transport.pool_key import PoolKey
    from adieu_urllib3.request import Outgoing

__all__ = ["Urllib3Lease"]

_SMALL_READ = 64 * 1024
# Beyond 128 KiB the allocator maps fresh pages for every read, which only large transfers earn back.
_LARGE_READ = 256 * 1024

_ENDED = LeaseState.ENDED


# An `ExchangeLease` has slots where a `Lease` has properties.
class Urllib3Lease(  # pyright: ignore[reportIncompatibleVariableOverride]
    ExchangeLease[Connection], Lease
):
    """The right to use one connection for one exchange."""

    __slots__ = (
        "__weakref__",
        "body_bytes",
        "events",
        "fields",
        "handed_out",
        "head_bytes",
        "keep_alive",
        "origin",
        "original",
        "out",
        "phase",
        "response",
        "settings",
    )

    key: Origin | PoolKey
    sent: Sent

    def __init__(self, pool: Pool[Connection], exchange: Exchange, key: Origin | PoolKey) -> None:
        super().__init__(pool, exchange, key)
        self.origin: Origin = exchange.url.origin
        self.settings: ConnectionSettings = exchange.connection
        self.events: ExchangeReport | None = exchange.events
        # The request as it is sent.
        self.out: Outgoing | None = None
        # What was sent so far: of its head, and of its body as it is framed.
        self.head_bytes = self.body_bytes = 0
        self.response: BaseHTTPResponse | None = None
        # The header fields of the response.
        self.fields: list[tuple[str, str]] = []
        # The response of http.client below that of urllib3.
        self.original: HTTPResponse | None = None
        self.keep_alive = False
        self.phase: Phase = "pool"
        # urllib3's pool has got the connection of this lease.
        self.handed_out = False

    def begin(self, out: Outgoing) -> None:
        """The request is about to be sent, for the first or the second time."""
        self.out = out
        self.phase = "head"  # Until a connection is opened.
        self.sent = "no"
        self.started = False
        self.handed_out = False
        self.head_bytes = self.body_bytes = 0
        sock = self.held.sock
        if sock is not None:
            sock.begin(self.since, None if self.events is None else self.on_first_byte())

    def on_first_byte(self) -> Callable[[], object] | None:
        """What tells the listeners that the response begins; it does not refer to this lease."""
        return None if self.events is None else partial(self.events.first_byte, self.held.id)

    @property
    def held(self) -> Connection:
        """Its connection, from when the pool has given it one."""
        assert self.connection is not None
        return self.connection

    @property
    def is_tunnelled(self) -> bool:
        """urllib3 asks a proxy for a tunnel to the origin."""
        proxy = self.settings.route
        return proxy is not None and not proxy.is_socks and self.origin.scheme == "https"

    @property
    def reusable(self) -> bool:
        connection = self.connection
        if not self.keep_alive or self.state is _ENDED or connection is None:
            return False
        return self.sent == "wholly" and self.out is not None and not self.out.closes

    @property
    def is_foreign(self) -> bool:
        """No connection of adieu's was made for it: one of a tool, or of the user's manager, carries the exchange."""
        return self.connection is not None and self.connection.conn is None

    @property
    def trailers(self) -> list[tuple[str, str]] | None:
        """The fields after the body, once it has ended (RFC 9112, section 7.1.2)."""
        sock = self.connection.sock if self.connection is not None else None
        return sock.trailers if sock is not None else None

    def inherit(self, former: LeaseBase) -> None:
        """Take over the connection of a lease whose message is complete, if this one could have got it."""
        if isinstance(former, Urllib3Lease) and former.reusable and former._released(former.held):
            super().inherit(former)

    # -- the response ------------------------------------------------------------------------------------------------

    def learn(self, facts: Head, original: HTTPResponse) -> None:
        """The final head has come: its fields, how the body is framed, and whether the connection can stay."""
        self.original = original
        # Before urllib3 puts all fields of a name together.
        self.fields = original.msg.items()
        self.framing = facts.framing
        self.remaining = facts.length
        self.keep_alive = facts.keep_alive
        if self.connection is not None:
            self.connection.keep_for = facts.keep_for

    def take(self, response: BaseHTTPResponse) -> None:
        """The response that urllib3 made. If it came over a connection that is not adieu's, so does its body."""
        connection = self.held
        if connection.conn is None or connection_of(response) is not connection.conn:
            connection.foreign = ForeignConnection(response)
            if connection.closed:
                connection.close()
            self.fields = list(response.headers.items())
            self.framing, self.remaining = connection.foreign.framing(self.method)
            self.keep_alive = True
            self.sent = "wholly"
        self.response = response
        self.started = True
        self.phase = "body"

    def peek(self) -> bytes | None:
        connection, response = self.connection, self.response
        sock = connection.sock if connection is not None else None
        if self.state is _ENDED or response is None or sock is None:
            return None
        if self.remaining == 0:
            return b""
        return self._read_now(self.since) if sock.has_body(self.received) else None

    def read(self, deadline: Deadline) -> bytes:
        if self.state is _ENDED or self.connection is None or self.response is None:
            raise BodyClosed("this body was closed before it was read to its end")
        return self._read_now(deadline)

    def _read_now(self, deadline: Deadline) -> bytes:
        connection, response = self.held, self.response
        assert response is not None
        left = self.remaining
        size = _LARGE_READ if left is not None and left > _LARGE_READ else _SMALL_READ
        failure: Exception | None = None
        data = b""
        try:
            if connection.foreign is not None:
                data = connection.foreign.read(size, deadline)
            elif left != 0:
                sock = connection.sock
                if sock is not None:
                    sock.limit = deadline
                    # Out of urllib3, which closes a response that was waited for in vain: it may be read again later.
                    while not sock.has_body(self.received) and sock.fill(size):
                        pass
                    size = max(size, sock.buffered)
                data = response.read1(size, decode_content=False)
        except Exception as error:
            failure = translated(error, self, deadline)
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # Its traceback refers to this frame.
        if not data and self.framing == "close" and not self.pool.holds(self):
            # Not the peer's end, which would be a proper end for a body without a length.
            raise ClientClosed("the connection was closed while this body was being read")
        self.received += len(data)
        if left is not None:
            self.remaining = left - len(data)
        return data

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, reuse: bool, why: str) -> None:
        connection = self.connection
        if reuse and connection is not None and self.state is not _ENDED:
            if connection.foreign is not None:
                connection.foreign.release()
                reuse, why = False, "given back"
            elif not self._released(connection):
                # RFC 9112, section 9.3: what came after the end is no answer to the next request.
                reuse, why = False, "surplus bytes"
        super().finish(reuse, why)

    def _released(self, connection: Connection) -> bool:
        """Whether urllib3 has no more to do with the connection, and not one byte came after the end."""
        response, sock = self.response, connection.sock
        if (
            response is None
            or sock is None
            or connection.conn is None
            or sock.buffered
            or not sock.is_sound
        ):
            return False
        if self.original is not None:
            self.original.close()  # http.client refuses the next request while a response is open.
        response.release_conn()
        return connection.conn.sock is sock
