"""The adapter: one app, in tasks of this event loop. Requests and responses stream; `close` ends all tasks."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from adieu.errors import ClientClosed, InvalidRequest
from adieu.net.async_backend import in_trio
from adieu.transport.adapter import AdapterBase
from adieu.transport.async_upgrade import AsyncUpgraded
from adieu.transport.upgraded_lease import UpgradedLease
from adieu_asgi.lease import AppLease
from adieu_asgi.lifespan import Lifespan, Mode
from adieu_asgi.scope import checked_root_path, scope_of, websocket_scope
from adieu_asgi.waiting import Tasks

if TYPE_CHECKING:
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.transport.exchange import AsyncExchange
    from adieu_asgi.scope import ASGIApp
    from adieu_asgi.websocket import AppWebSocket

__all__ = ["AsyncASGIAdapter"]

# Seconds for an app to notice that `close` disconnected its client, before it is cancelled.
_MOMENT = 0.1


class AsyncASGIAdapter(AdapterBase):
    """Sends requests into an ASGI 3 app, as a server would.

    An exception of the app is raised as `AppError`, with the exception as its cause, even if the app raises after its
    last byte. With `raise_app_exceptions=False` the client gets what a server would send: a 500, or a body that ends
    too early; the traceback goes to stderr. `root_path` is the path at which the app is mounted; another URL is
    `InvalidURL`. `client` is the address of the client in the scope.

    `lifespan`: with "auto" the app is started before its first request and shut down by `close`, if it supports
    lifespan; with "on" it must; with "off" it gets no lifespan. `grace`: the seconds for which an app may go on after
    its client disconnected or after `close`; then it is cancelled.

    The app runs in a task of its own, with a copy of the caller's context variables. The body ends when the call of the
    app ends, so background tasks are complete when a response has been read. An adapter belongs to the event loop that
    used it first. For asyncio.

    `client.websocket()` calls the app with a scope of the type "websocket" (extra `ws`). The client's Close frame, or
    the end of its connection, is the app's disconnect.

    ```python
    async with adieu.AsyncClient("http://app.test", adapter=AsyncASGIAdapter(app)) as client:
        await client.get("/items")
    ```
    """

    is_local = True

    def __init__(
        self,
        app: ASGIApp,
        *,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] | None = ("127.0.0.1", 123),
        lifespan: Mode = "auto",
        grace: float = 5.0,
    ) -> None:
        if not callable(app):
            raise InvalidRequest(f"an ASGI app is called with scope, receive and send, not {app!r}")
        if lifespan not in ("auto", "on", "off"):
            raise InvalidRequest(f'lifespan is "auto", "on" or "off", not {lifespan!r}')
        if not grace >= 0:
            raise InvalidRequest(f"grace is a number of seconds, not {grace!r}")
        self.app = app
        self._raising = raise_app_exceptions
        self._root_path = checked_root_path(root_path)
        self._client = client
        self._mode: Mode = lifespan
        self._grace = grace
        self._tasks = Tasks()
        self._leases: WeakSet[AppLease | AppWebSocket] = WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lifespan: Lifespan | None = None
        self._closed = False

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Start the app in a task, and return the head of its response while the app goes on."""
        if self._closed:
            raise ClientClosed(f"{self!r} is closed")
        lifespan = self._bound()
        values = await lifespan.started(exchange.deadline)
        scope = scope_of(request, self._root_path, self._client, values)
        if (request.headers.get("upgrade") or "").lower() == "websocket":
            return await self._open_websocket(request, exchange, scope)
        lease = AppLease(request, exchange, self._tasks, self._raising, self._grace)
        exchange.own(lease)
        self._leases.add(lease)
        if self._closed:
            raise ClientClosed(f"{self!r} was closed")
        lease.start(self.app, scope)
        head = await lease.begin(exchange.deadline)
        return exchange.respond(head.status, head.headers)

    async def _open_websocket(
        self, request: Request, exchange: AsyncExchange, scope: dict[str, Any]
    ) -> AsyncResponse:
        """Call the app with a WebSocket scope. A 101 has the app's end as `upgraded`."""
        from adieu_asgi.websocket import AppStream, AppWebSocket

        lease = AppWebSocket(request, exchange, self._tasks, self._raising, self._grace)
        exchange.own(lease)
        self._leases.add(lease)
        if self._closed:
            raise ClientClosed(f"{self!r} was closed")
        lease.start(self.app, websocket_scope(scope, request.headers.get("sec-websocket-protocol")))
        answer = await lease.begin(exchange.deadline)
        if answer.status != 101:
            return exchange.respond(answer.status, answer.headers, answer.body)
        upgraded = AsyncUpgraded(AppStream(lease), b"")
        exchange.wrap(UpgradedLease(upgraded, lease))
        response = exchange.respond(101, answer.headers, b"")
        response.upgraded = upgraded
        return response

    def _bound(self) -> Lifespan:
        """The lifespan in this loop."""
        if in_trio():
            raise InvalidRequest(
                f"{self!r} runs its app in tasks of asyncio's, and here trio runs: use it in an asyncio event loop"
            )
        loop, former = asyncio.get_running_loop(), self._loop
        lifespan = self._lifespan
        if lifespan is not None and loop is former:
            return lifespan
        if former is not None and lifespan is not None and (self._tasks or lifespan.tasks):
            state = "which has ended" if former.is_closed() else "which is another one"
            raise ClientClosed(
                f"the app of {self!r} runs in the event loop it was first used in, {state}: "
                "make an adapter in each loop, and close it before the loop ends"
            )
        self._loop = loop
        self._lifespan = Lifespan(self.app, self._mode)
        return self._lifespan

    async def close(self) -> None:
        """End every call of the app and shut the app down. Any number of calls.

        Apps whose client has disconnected are cancelled; others (in background tasks) may go on for `grace` seconds,
        and so may the shutdown. Raises `AppError` at the end if the shutdown failed.
        """
        self._closed = True
        loop, lifespan = self._loop, self._lifespan
        if loop is None or lifespan is None:
            return
        if loop is not asyncio.get_running_loop():
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._tasks.cancel)
                loop.call_soon_threadsafe(lifespan.tasks.cancel)
            return
        leases = list(self._leases)
        for lease in leases:
            lease.finish(False, "client closed")
        try:
            await self._tasks.wait(_MOMENT)
            for lease in leases:
                lease.abort()
            await self._tasks.end(self._grace)
            await lifespan.stopped(self._grace)
        finally:
            self._tasks.cancel()
            lifespan.tasks.cancel()

    def __reduce__(self) -> tuple[Any, ...]:
        settings: dict[str, Any] = {
            "raise_app_exceptions": self._raising,
            "root_path": self._root_path,
            "client": self._client,
            "lifespan": self._mode,
            "grace": self._grace,
        }
        return partial(type(self), **settings), (self.app,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.app!r})"
