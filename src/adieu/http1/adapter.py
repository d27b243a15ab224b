"""The second level of writing an adapter: bring a wire, get pooling, policies, framing, replay and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from adieu.errors import InvalidRequest
from adieu.http1.connection import H1Lease
from adieu.http1.engine import Engine
from adieu.http1.native_codec import NativeCodec
from adieu.lifecycle.limits import DEFAULT_LIMITS
from adieu.lifecycle.steps import drive
from adieu.lifecycle.waiting import ThreadWaiter
from adieu.net.tls.start import start_tls
from adieu.net.wire import TCPWire, Wire
from adieu.transport.adapter import AdapterBase

if TYPE_CHECKING:
    from adieu.http1.codec import Codec
    from adieu.lifecycle.limits import CloseReport, ConnectionInfo, Limits
    from adieu.lifecycle.pool_report import PoolReport
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.adapter import Honour
    from adieu.transport.exchange import Exchange

__all__ = ["HTTP1Adapter"]

_UNGUARDED: frozenset[Honour] = frozenset(("tls", "connect", "route"))
_ALL: frozenset[Honour] = frozenset((*_UNGUARDED, "guard"))


class HTTP1Adapter(AdapterBase):
    """HTTP/1.1 over a wire, pooled.

    `wire` opens byte streams (default: TCP). `limits` bounds the pool. `replay=False` switches off the single replay of
    a safe request whose kept-alive connection turned out to be dead.
    """

    schemes = ("http", "https")

    codec: ClassVar[type[Codec]] = NativeCodec
    """Makes the codec of each new connection."""

    def __init__(
        self, wire: Wire | None = None, *, limits: Limits | None = None, replay: bool = True
    ) -> None:
        if wire is not None and not isinstance(wire, Wire):
            raise InvalidRequest(
                f"{type(self).__name__} opens connections with an adieu.Wire, which {wire!r} is not: "
                "subclass Wire, or use the async adapter for an AsyncWire"
            )
        self.wire = wire if wire is not None else TCPWire()
        self._configure(limits or DEFAULT_LIMITS, replay)

    def _configure(self, limits: Limits, replay: bool) -> None:
        self._limits = limits
        self._replay = replay
        self._engine = Engine(
            self.wire, limits, ThreadWaiter, H1Lease, self.codec, start_tls, replay
        )

    def __getstate__(self) -> dict[str, object]:
        return {
            name: value for name, value in vars(self).items() if name not in ("_engine", "_home")
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._configure(self._limits, self._replay)

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send one request; the response's body is read through the exchange's lease."""
        return drive(self._engine.send(request, exchange))

    def close(self) -> CloseReport:
        """Close every connection, and report how many were idle and in use."""
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
