"""The async twin of `HTTP1Adapter`: the same engine, over a wire whose operations are awaited."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from adieu.errors import ClientClosed
from adieu.http1.connection import AsyncH1Lease
from adieu.http1.engine import Engine
from adieu.lifecycle.pool import Limits
from adieu.lifecycle.steps import adrive
from adieu.messages.async_response import AsyncResponse
from adieu.transport.async_wire import AsyncTCPWire, secured

if TYPE_CHECKING:
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo
    from adieu.messages.request import Request
    from adieu.transport.async_wire import AsyncWire

__all__ = ["AsyncHTTP1Adapter"]


class _Turn:
    """A waiter that suspends its task. May be woken from any thread, by a finalizer too."""

    __slots__ = ("_future", "_loop", "_thread", "wake")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.get_ident()
        self.wake = self._wake

    def _wake(self) -> None:
        if threading.get_ident() == self._thread:
            _resolve(self._future)
            return
        try:
            self._loop.call_soon_threadsafe(_resolve, self._future)
        except RuntimeError:
            pass  # The loop is closed, and nobody waits in it.

    async def wait(self, seconds: float | None) -> None:
        future = self._future
        timer = self._loop.call_later(seconds, _resolve, future) if seconds is not None else None
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            # Another round of waiting, if the turn has not come, needs another future.
            self._future = self._loop.create_future()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class AsyncHTTP1Adapter:
    """HTTP/1.1 over an async wire, pooled: see `HTTP1Adapter`. Belongs to the event loop that used it first."""

    schemes = ("http", "https")

    def __init__(
        self, wire: AsyncWire | None = None, *, limits: Limits | None = None, replay: bool = True
    ) -> None:
        self.wire = wire if wire is not None else AsyncTCPWire()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine[Any] = Engine(
            self.wire, limits or Limits(), AsyncResponse, _Turn, AsyncH1Lease, secured, replay
        )

    async def send(self, request: Request, exchange: Exchange) -> AsyncResponse:
        """Send one request; the response's body is read through the exchange's lease."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        response: AsyncResponse = await adrive(self._engine.send(request, exchange))
        return response

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        former = self._loop
        if former is not None and self.connections():
            state = "which has ended" if former.is_closed() else "which is another one"
            raise ClientClosed(
                f"this client has connections in the event loop it was first used in, {state}: "
                "make a client in each loop, and close it before the loop ends"
            )
        self._loop = loop

    async def close(self) -> tuple[int, int]:
        """Close every connection, at once: how many were idle, how many in use."""
        return self._engine.pool.close()

    def connections(self) -> list[ConnectionInfo]:
        """What every connection of this adapter is doing now."""
        return self._engine.pool.snapshot()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._engine.pool.snapshot())} connections)"
