"""The async twin of `HTTP1Adapter`: the same engine, over a wire whose operations are awaited."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING, Any

from adieu.http1.connection import AsyncH1Lease
from adieu.http1.engine import Engine
from adieu.lifecycle.pool import Limits
from adieu.lifecycle.steps import adrive
from adieu.messages.async_response import AsyncResponse
from adieu.transport.async_stream import wrong_loop
from adieu.transport.async_wait import Wait
from adieu.transport.async_wire import AsyncTCPWire, secured

if TYPE_CHECKING:
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo
    from adieu.messages.request import Request
    from adieu.transport.async_wire import AsyncWire

__all__ = ["AsyncHTTP1Adapter"]


class _Turn:
    """A waiter that suspends its task. May be woken from any thread, by a finalizer too."""

    __slots__ = ("_loop", "_wait")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wait = Wait(self._loop)

    def wake(self) -> None:
        # Not at once: it is the running task, or a finalizer anywhere, that gives its connection away.
        loop = self._loop
        here = _get_running_loop() is loop
        try:
            (loop.call_soon if here else loop.call_soon_threadsafe)(self._wait.resume)
        except RuntimeError:
            pass  # The loop is closed, and nobody waits in it.

    async def wait(self, seconds: float | None) -> None:
        wait = self._wait
        wait.begin(seconds)
        try:
            await wait
        except TimeoutError:
            pass  # The caller looks whether its turn has come, whatever ended the wait.
        finally:
            wait.over()
            wait.close()


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
        if self._loop is not None and self.connections():
            raise wrong_loop(self._loop)
        self._loop = loop

    @property
    def stranded(self) -> bool:
        """It has connections, and the event loop that could use them has ended."""
        return self._loop is not None and self._loop.is_closed() and bool(self.connections())

    async def close(self) -> tuple[int, int]:
        """Close every connection, at once: how many were idle, how many in use."""
        return self._engine.pool.close()

    def connections(self) -> list[ConnectionInfo]:
        """What every connection of this adapter is doing now."""
        return self._engine.pool.snapshot()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._engine.pool.snapshot())} connections)"
