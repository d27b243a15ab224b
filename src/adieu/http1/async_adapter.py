"""The async twin of `HTTP1Adapter`: the same engine, over a wire whose operations are awaited."""

from __future__ import annotations

from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.http1.connection import AsyncH1Lease
from adieu.http1.engine import Engine
from adieu.lifecycle.limits import Limits
from adieu.lifecycle.steps import adrive
from adieu.net.async_backend import current_backend, running
from adieu.net.async_wire import AsyncTCPWire, AsyncWire
from adieu.net.backends.loops import has_ended, wrong_loop
from adieu.net.tls.start import start_tls_async
from adieu.transport.adapter import AdapterBase

if TYPE_CHECKING:
    from adieu.lifecycle.limits import CloseReport, ConnectionInfo
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.net.backends.contract import PoolWaiter
    from adieu.transport.adapter import Honour
    from adieu.transport.exchange import AsyncExchange

__all__ = ["AsyncHTTP1Adapter"]

_UNGUARDED: frozenset[Honour] = frozenset(("tls", "connect", "route"))
_ALL: frozenset[Honour] = frozenset((*_UNGUARDED, "guard"))


def _waiter() -> PoolWaiter:
    return current_backend().pool_waiter()


class AsyncHTTP1Adapter(AdapterBase):
    """HTTP/1.1 over an async wire, pooled: see `HTTP1Adapter`.

    Belongs to the event loop that used it first, of asyncio or of trio.
    """

    schemes = ("http", "https")

    def __init__(
        self, wire: AsyncWire | None = None, *, limits: Limits | None = None, replay: bool = True
    ) -> None:
        if wire is not None and not isinstance(wire, AsyncWire):
            raise InvalidRequest(
                f"{type(self).__name__} opens connections with an AsyncWire, which {wire!r} is not: "
                "subclass AsyncWire, or use the sync adapter for a Wire"
            )
        self.wire = wire if wire is not None else AsyncTCPWire()
        self._configure(limits or Limits(), replay)

    def _configure(self, limits: Limits, replay: bool) -> None:
        self._home: object = None
        self._limits = limits
        self._replay = replay
        self._engine = Engine(self.wire, limits, _waiter, AsyncH1Lease, start_tls_async, replay)

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
        home = running()
        if home is not self._home:
            if self._home is not None and self.connections():
                raise wrong_loop(self._home)
            self._home = home

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

    @property
    def honours(self) -> frozenset[Honour]:  # type: ignore[override]
        """All settings; "guard" only if the wire asks the guard before it connects."""
        return _ALL if self.wire.guards else _UNGUARDED

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._engine.pool.snapshot())} connections)"
