"""One HTTP/1.1 connection, which the pool keeps, and the lease of it, which an exchange holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from enum import Enum
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, ClientClosed
from adieu.http1.error_mapping import map_error
from adieu.http1.head import Malformed
from adieu.lifecycle.exchange_lease import ExchangeLease
from adieu.lifecycle.lease import AsyncLease, Lease
from adieu.lifecycle.pool import LeaseState, Pool, PooledConnection
from adieu.lifecycle.steps import Steps, adrive, drive
from adieu.transport.async_upgrade import AsyncUpgraded
from adieu.transport.upgrade import Upgraded

if TYPE_CHECKING:
    from adieu.http1.codec import Codec
    from adieu.http1.head import Head
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.lease import LeaseBase
    from adieu.messages.url import Origin
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AnyStream
    from adieu.transport.exchange import ExchangeCore
    from adieu.transport.pool_key import PoolKey

__all__ = ["AsyncH1Lease", "Connection", "ConnectionState", "H1Lease", "H1LeaseBase"]

_ENDED = LeaseState.ENDED
_SMALL_READ = 64 * 1024
# Beyond 128 KiB the allocator maps fresh pages for every read, which only large transfers earn back.
_LARGE_READ = 256 * 1024


class ConnectionState(Enum):
    """Where a connection stands."""

    NEW = "new"
    OPENING = "being opened"
    OPEN = "open"
    CLOSED = "closed"


class Connection(PooledConnection):
    """A stream with its protocol state. Born without a stream, in the pool's table, so that it is never unowned."""

    __slots__ = ("closed", "codec", "scope", "stream")

    def __init__(self, key: Hashable, number: int, now: float, codec: Codec) -> None:
        super().__init__(key, number, now)
        self.codec = codec
        self.stream: AnyStream | None = None
        self.scope: ConnectScope | None = None
        # Any thread may close it, also while another one opens it: so this is not a value of one attribute that both
        # would write. `state` puts the two together.
        self.closed = False

    def close(self) -> None:
        self.closed = True
        scope = self.scope
        if scope is not None:
            scope.close()
        if self.stream is not None:
            self.stream.close()

    def is_stale(self) -> bool:
        # Readable while idle: the peer has closed, or sent bytes that answer no request. Neither can be used.
        return self.stream is not None and self.stream.readable()

    def forget(self) -> None:
        stream = self.stream
        if stream is not None:
            stream.forget()

    @property
    def state(self) -> ConnectionState:
        """Where it stands. Closed wins: a connection that was closed while it was being opened is never open."""
        if self.closed:
            return ConnectionState.CLOSED
        if self.stream is not None and self.scope is None:
            return ConnectionState.OPEN
        return ConnectionState.NEW if self.scope is None else ConnectionState.OPENING

    def __repr__(self) -> str:
        return f"<connection {self.id} to {self.key}: {self.state.value}, {self.uses} requests>"


class H1LeaseBase(ExchangeLease[Connection]):
    """A connection for one exchange. Its facts are those that errors tell and policies see."""

    __slots__ = ("_is_flowing", "got_continue", "interim", "keep_alive")

    key: Origin | PoolKey

    upgraded: Callable[[Any, bytes], Upgraded | AsyncUpgraded] = Upgraded
    """Makes the object that a user gets for an upgraded connection."""

    def __init__(
        self, pool: Pool[Connection], exchange: ExchangeCore, key: Origin | PoolKey
    ) -> None:
        ExchangeLease.__init__(self, pool, exchange, key)
        # How many 1xx came, and whether a 100 was among them.
        self.interim = 0
        self.got_continue = False
        self.keep_alive = False
        # The latest read of the body got as much as it asked for, so there is probably more.
        self._is_flowing = False

    @property
    def reusable(self) -> bool:
        connection = self.connection
        return (
            self.keep_alive
            and self.state is not _ENDED
            and connection is not None
            and connection.codec.sent_all
        )

    @property
    def trailers(self) -> list[tuple[str, str]] | None:
        """The fields after the body, once it has ended (RFC 9112, section 7.1.2)."""
        connection = self.connection
        return connection.codec.trailers if connection is not None else None

    def take(self, head: Head) -> None:
        """Learn from the final head how the body is framed and whether the connection can stay."""
        self.framing = head.framing
        self.remaining = head.length
        self.keep_alive = head.keep_alive
        connection = self.connection
        if head.keep_for is not None and connection is not None:
            connection.keep_for = head.keep_for

    def finish(self, reuse: bool, why: str) -> None:
        connection = self.connection
        if reuse and connection is not None and not connection.codec.is_reusable():
            # RFC 9112, section 9.3: bytes after the end belong to no message, least of all to the next response.
            reuse, why = False, "surplus bytes"
        self.pool.finish(self, reuse, why)

    def inherit(self, former: LeaseBase) -> None:
        connection = former.connection if isinstance(former, H1LeaseBase) else None
        if connection is not None and connection.codec.is_reusable():
            super().inherit(former)

    def peek(self) -> bytes | None:
        """Body bytes that are here already; None: none are."""
        connection = self.connection
        if self.state is _ENDED or connection is None:
            return None
        try:
            return self._count(connection.codec.body())
        except Malformed as error:
            raise map_error(error, "body", self) from error

    def take_rest(self) -> bytes | None:
        connection = self.connection
        if self.state is _ENDED or connection is None:
            return None
        rest = connection.codec.rest()
        if rest is not None:
            self.received += len(rest)
            self.remaining = 0
        return rest

    def _count(self, chunk: bytes | None) -> bytes | None:
        if chunk:
            size = len(chunk)
            self.received += size
            if self.remaining is not None:
                self.remaining -= size
        return chunk

    def _read(self, deadline: Deadline) -> Steps[bytes]:
        connection = self.connection
        if self.state is _ENDED or connection is None:
            raise BodyClosed("this body was closed before it was read to its end")
        codec = connection.codec
        try:
            while (chunk := self._count(codec.body())) is None:
                large = self._is_flowing or (self.remaining or 0) > _LARGE_READ
                size = _LARGE_READ if large else _SMALL_READ
                assert connection.stream is not None
                data = yield connection.stream.recv(size, deadline)
                if not data and not self.pool.holds(self):
                    # Not the peer's end, which would be a proper end for a body without a length.
                    raise ClientClosed("the connection was closed while this body was being read")
                self._is_flowing = len(data) >= _SMALL_READ
                codec.feed(data)
        except (Malformed, OSError) as error:
            raise map_error(error, "body", self, deadline) from error
        return chunk


# An `ExchangeLease` has slots where a `Lease` has properties.
class H1Lease(H1LeaseBase, Lease):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The lease of a sync exchange."""

    __slots__ = ()

    def read(self, deadline: Deadline) -> bytes:
        return drive(self._read(deadline))


class AsyncH1Lease(H1LeaseBase, AsyncLease):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The lease of an async exchange."""

    __slots__ = ()

    upgraded = AsyncUpgraded

    def read(self, deadline: Deadline) -> Awaitable[bytes]:
        return adrive(self._read(deadline))
