"""The adapter: one app, in this process. Requests and responses stream; only iterables of the app are open."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from adieu.errors import ClientClosed, InvalidRequest
from adieu.transport.adapter import AdapterBase
from adieu_wsgi.content import ContentReader
from adieu_wsgi.environ import checked_script_name, environ_of
from adieu_wsgi.lease import AppLease

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.exchange import Exchange

__all__ = ["WSGIAdapter"]


class WSGIAdapter(AdapterBase):
    """Sends requests into a WSGI app, as a server would that follows PEP 3333 exactly.

    An exception of the app is raised as `AppError`, with the exception as its cause. With `raise_app_exceptions=False`
    the client gets what a server would send: a 500, or a body that ends too early; the traceback goes to `wsgi.errors`
    (stderr). `script_name` is the path at which the app is mounted: it is split off the URL's path, and another URL is
    `InvalidURL`. `remote_addr` is the address of the client in the environ.

    The app runs in the thread that reads, and only as far as that reads: the call returns at the first byte of the
    body. (Bytes that the app passes to `write` are kept until its call is over.) No timeout can interrupt the app; if a
    step takes longer than `Timeout.read` or `Timeout.total` allow, the error is raised after it. Threads may share the
    adapter if they may share the app.

    ```python
    with adieu.Client("http://app.test", adapter=WSGIAdapter(app)) as client:
        client.get("/items")
    ```
    """

    is_local = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        raise_app_exceptions: bool = True,
        script_name: str = "",
        remote_addr: str = "127.0.0.1",
    ) -> None:
        if not callable(app):
            raise InvalidRequest(
                f"a WSGI app is called with environ and start_response, not {app!r}"
            )
        self.app = app
        self._raising = raise_app_exceptions
        self._script_name = checked_script_name(script_name)
        self._remote_addr = remote_addr
        self._running: dict[int, AppLease] = {}
        self._closed = False

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Call the app. The response's body is its iterable, which advances as the body is read."""
        content = ContentReader(request)
        body = io.BufferedReader(content)
        environ = environ_of(request, body, self._script_name, self._remote_addr)
        lease = AppLease(exchange, content, self._running, self._raising)
        exchange.own(lease)
        self._running[id(lease)] = lease
        # Checked after the lease is in the table: either `close` sees the lease, or this sees `close`.
        if self._closed:
            raise ClientClosed(f"{self!r} is closed")
        head = lease.begin(self.app, environ, exchange.deadline)
        return exchange.respond(head.status, head.headers, reason=head.reason)

    def close(self) -> None:
        """End every response that is still open: the iterables of the app are closed. Any number of calls."""
        self._closed = True
        for lease in list(self._running.values()):
            lease.finish(False, "client closed")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_running": {}, "_closed": False}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.app!r})"
