"""The async twin of `HTTP1Adapter`: the same engine, over a wire whose operations are awaited."""

from __future__ import annotations

from asyncio.events import _get_running_loop
from functools import partial
from typing import TYPE_CHECKING, ClassVar
from weakref import ref

from adieu.errors import InvalidRequest
from adieu.http1.connection import AsyncH1Lease
from adieu.http1.engine import Engine
from adieu.http1.native_codec import NativeCodec
from adieu.lifecycle.limits import DEFAULT_LIMITS
from adieu.lifecycle.steps import adrive
from adieu.net.async_backend import current_backend
from adieu.net.async_wire import AsyncTCPWire, AsyncWire
from adieu.net.backends.loops import has_ended, wrong_loop
from adieu.net.tls.start import start_tls_async
from adieu.transport.adapter import AdapterBase

if TYPE_CHECKING:
    from adieu.http1.codec import Codec
    from adieu.lifecycle.limits import CloseReport, ConnectionInfo, Limits
    from adieu.lifecycle.pool_report import PoolReport
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.net.backends.contract import PoolWaiter
    from adieu.transport.adapter import Honour
    from adieu.transport.exchange import AsyncExchange

__all__ = ["AsyncHTTP1Adapter"]

_UNGUARDED: frozenset[Honour] = frozenset(("tls", "connect", "route"))
_ALL: frozenset[Honour] = frozenset((*_UNGUARDED, "guard"))

# How often idle connections are looked at while no call is made (seconds): as often as `Limits.idle` is long, between
# these two. A connection that the peer has closed keeps its descriptor for that long, so it is not long.
_SHORTEST_ROUND, _LONGEST_ROUND = 0.05, 1.0


def _waiter() -> PoolWaiter:
    return current_backend().pool_waiter()


class AsyncHTTP1Adapter(AdapterBase):
    """HTTP/1.1 over an async wire, pooled: see `HTTP1Adapter`.

    Belongs to an event loop, of asyncio or of trio, as long as it has connections there. Another loop may use it when
    that one has ended: what is left of its connections is dropped. A timer of the loop closes idle connections that
    are older than `Limits.idle` or that the peer has closed, about once a second, and keeps no loop running.
    """

    schemes = ("http", "https")

    codec: ClassVar[type[Codec]] = NativeCodec
    """Makes the codec of each new connection."""

    def __init__(
        self, wire: AsyncWire | None = None, *, limits: Limits | None = None, replay: bool = True
    ) -> None:
        if wire is not None and not isinstance(wire, AsyncWire):
            raise InvalidRequest(
                f"{type(self).__name__} opens connections with an AsyncWire, which {wire!r} is not: "
                "subclass AsyncWire, or use the sync adapter for a Wire"
            )
        self.wire = wire if wire is not None else AsyncTCPWire()
        self._configure(limits or DEFAULT_LIMITS, replay)

    def _configure(self, limits: Limits, replay: bool) -> None:
        self._home: object = None
        self._limits = limits
        self._replay = replay
        self._engine = Engine(
            self.wire, limits, _waiter, AsyncH1Lease, self.codec, start_tls_async, replay
        )

    def __getstate__(self) -> dict[str, object]:
        return {
            name: value for name, value in vars(self).items() if name not in ("_engine", "_home")
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._configure(self._limits, self._replay)

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Send one request; the response's body is read through the exchange's lease."""
        loop = _get_running_loop()
        if loop is None or loop is not self._home:
            self._bind()
        return await adrive(self._engine.send(request, exchange))

    def _bind(self) -> None:
        backend = current_backend()
        home, former = backend.event_loop(), self._home
        if home is former:
            return
        pool = self._engine.pool
        if former is not None and not pool.closed and self.connections():
            if not has_ended(former):
                raise wrong_loop(former)
            # No task can use them any more, and those that wait in the queue of this pool never go on.
            pool.close("its event loop has ended")
            self._configure(self._limits, self._replay)
        self._home = home
        idle = self._limits.idle
        seconds = (
            _LONGEST_ROUND if idle is None else min(max(idle, _SHORTEST_ROUND), _LONGEST_ROUND)
        )
        backend.repeat(seconds, partial(_tend, ref(self), home))

    def _tend(self, home: object) -> bool:
        """Close what need not stay open of the connections in this loop; whether to do so again."""
        if self._home is not home:
            return False  # The connections of another loop, which has a timer of its own.
        if self._engine.pool.tend():
            return True
        self._home = None
        return False

    @property
    def stranded(self) -> bool:
        """It has connections, and the event loop that could use them has ended."""
        return self._home is not None and bool(self.connections()) and has_ended(self._home)

    async def close(self) -> CloseReport:
        """Close every connection, at once, and report how many were idle and in use."""
        return self._engine.pool.close()

    def connections(self) -> list[ConnectionInfo]:
        """The current state of every connection of this adapter."""
        return self._engine.pool.snapshot()

    def pool_report(self) -> PoolReport:
        """What the pool of this adapter is doing."""
        return self._engine.pool.report()

    @property
    def honours(self) -> frozenset[Honour]:  # type: ignore[override]
        """All settings; "guard" only if the wire asks the guard before it connects."""
        return _ALL if self.wire.guards else _UNGUARDED

    @property
    def on_network(self) -> bool:
        """Unless its wire goes straight to something of this machine, such as a Unix socket."""
        return not self.wire.is_direct

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._engine.pool.snapshot())} connections)"


def _tend(known: ref[AsyncHTTP1Adapter], home: object) -> bool:
    # A reference of the loop's to the adapter would keep a client that was dropped.
    adapter = known()
    return adapter is not None and adapter._tend(home)
