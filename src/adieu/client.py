"""The sync client: thin. It owns settings and mounts; it makes an exchange, lets an adapter fill it, and sees it ended.

The client never keeps a response and is never referred to by one. What is still open is known through weak references
alone, so that `close()` can end it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.client_base import Call, ClientBase, CloseReport, as_policy
from adieu.errors import AdieuError, ClientClosed, TransportError
from adieu.flow.redirects import follow
from adieu.lifecycle.body import Body
from adieu.lifecycle.cleanup import STREAM
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.lifecycle.exchange import Exchange
from adieu.messages.request import NOT_GIVEN, Request
from adieu.messages.source import SourceLease

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from adieu.client_base import CallOptions
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.messages.response import Response
    from adieu.messages.url import URL

__all__ = ["Client"]


class Client(ClientBase):
    """Sends requests over the adapter that is mounted for their URL.

    `base_url` is put before relative URLs; `params` and `headers` go with every request. `adapter` is a name ("urllib3",
    "h11", "close", or any installed one) or an object; `cleanup` the policy for how connections end; `limits` bounds the
    pool of an adapter chosen by name. `timeout` is a `Timeout`, seconds for each wait, or None for no limit at all.
    `verify` is True (certifi's authorities), False, a CA file or directory, or an `ssl.SSLContext`; `cert` a client
    certificate. `events` listens to what happens to connections; `event_hooks` holds lists of functions that get every
    "request" before it is sent and every "response" before it is returned.

    A client may be shared between threads. Use it in a `with` block or call `close()`: then nothing of it stays open.
    """

    # -- calls -------------------------------------------------------------------------------------------------------

    def get(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """GET: ask for a representation."""
        return self.request("GET", url, **options)

    def head(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """HEAD: as GET, without the content."""
        return self.request("HEAD", url, **options)

    def options(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """OPTIONS: ask what can be asked."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """POST: let the resource process the content."""
        return self.request("POST", url, **options)

    def put(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """PUT: create or replace."""
        return self.request("PUT", url, **options)

    def patch(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """PATCH: change partly."""
        return self.request("PATCH", url, **options)

    def delete(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """DELETE: remove."""
        return self.request("DELETE", url, **options)

    def query(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """QUERY: a safe, idempotent question whose details are in the content."""
        return self.request("QUERY", url, **options)

    def request(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """Send a request of any method and return the response, read as the cleanup policy says.

        Raises `InvalidRequest` (and `InvalidURL`, `InvalidHeader`) before anything is sent, `TransportError` and what
        is below it when the exchange fails, `TooManyRedirects`, `ClientClosed`. A 4xx or 5xx is no error.
        """
        return self._begin(method, url, options, False)

    def stream(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """As `request`, but the body is handed out as a stream, whatever the policy prefetches.

        Use it in a `with` block: at its end the connection is released, or drained or closed if the body was left early.
        """
        return self._begin(method, url, options, True)

    def build_request(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> Request:
        """The request that `request()` would send: with the client's base URL, parameters and headers."""
        return self._build(method, url, options)

    def send(
        self,
        request: Request,
        *,
        stream: bool = False,
        timeout: Timeout | float | None | object = NOT_GIVEN,
        cleanup: CleanupPolicy | None = None,
        follow_redirects: bool | None = None,
        extras: Mapping[str, object] | None = None,
    ) -> Response:
        """Send a request that was built before, any number of times if its content can be read again."""
        if self._closed:
            raise ClientClosed("this client is closed")
        setting = self._timeout if timeout is NOT_GIVEN else Timeout.of(timeout)  # type: ignore[arg-type]
        call = Call(Deadline(setting), as_policy(cleanup), stream, extras)
        following = self._follow_redirects if follow_redirects is None else follow_redirects
        if not following:
            response = self._exchange(request, call, 0)
            self._settle(response, call)
            return response
        return self._follow(request, call)

    # -- one call ----------------------------------------------------------------------------------------------------

    def _begin(self, method: str, url: URL | str, options: Any, stream: bool) -> Response:
        request = self._build(method, url, options)
        if not options:
            return self.send(request, stream=stream)
        return self.send(
            request,
            stream=stream,
            timeout=options.get("timeout", NOT_GIVEN),
            cleanup=options.get("cleanup"),
            follow_redirects=options.get("follow_redirects"),
            extras=options.get("extras"),
        )

    def _follow(self, request: Request, call: Call) -> Response:
        steps = follow(request, self._max_redirects)
        request = next(steps)
        history: tuple[Response, ...] = ()
        while True:
            response = self._exchange(request, call, len(history))
            try:
                following = steps.send(response)
            except StopIteration:
                break
            except BaseException:
                self._discard(response)
                raise
            self._discard(response)
            response.history = history
            history = (*history, response)
            request = following
        if history:
            response.history = history
        self._settle(response, call)
        return response

    def _exchange(self, request: Request, call: Call, hop: int) -> Response:
        """One hop: from the request to a response head, whose body the exchange owns."""
        hooks = self._hooks
        if hooks is not None:
            for hook in hooks[0]:
                hook(request)
        mount = self.mounts.select(request.url)
        adapter = mount.adapter
        exchange = Exchange(
            request.method,
            request.url,
            call.deadline,
            call.cleanup or mount.policy or self._cleanup,
            tls=self._tls,
            events=self._events,
            hop=hop,
            extras=call.extras,
        )
        try:
            response = adapter.send(request, exchange)
            response.request = request
            response.seconds = call.deadline.elapsed()
            if response.source is not None:
                SourceLease.adopt(response, exchange)
            if exchange.lease is not None:
                response.attach(Body(exchange, response.status_code))
            if hooks is not None:
                for hook in hooks[1]:
                    hook(response)
        except BaseException as error:
            exchange.end(False, type(error).__name__)
            if isinstance(error, AdieuError) and not (self._closed and isinstance(error, TransportError)):
                raise
            if isinstance(error, Exception):
                raise self._wrapped(error, request, adapter) from error
            raise
        return response

    def _settle(self, response: Response, call: Call) -> None:
        """The final response: let the policy do what it does after the headers."""
        body = response.body
        if body is None:
            return
        try:
            body.opened(call.stream)
        except BaseException:
            body.abort("error")  # Whatever failed, a policy's own code included: it must not hold the connection.
            raise
        if body.state == "ENDED":
            response.received(body.take())
            response.body = None
        elif body.state == "OPEN":
            self._open.add(body)
            if self._closed:
                body.cut()

    def _discard(self, response: Response) -> None:
        """A response that nobody will see: its body is drained within the policy's bound, or its connection closed."""
        if response.body is not None:
            try:
                response.body.close("redirect")
            except BaseException:
                response.body.abort("error")
                raise

    def close(self) -> CloseReport:
        """Close every connection, also those in use: whoever reads from one gets `ClientClosed`. Any number of calls.

        Bodies whose policy says so (`on_client_close`) may be read to their end; their connections close then. Adapters
        given to the client are closed with it.
        """
        self._closed = True
        holders = []
        for body in list(self._open):
            if body.state != "OPEN":
                continue
            holders.append(str(body.exchange.info()))
            lease = body.exchange.lease
            if body.exchange.policy.on_client_close(body.view()) is STREAM and hasattr(lease, "outlives"):
                lease.outlives = True
            else:
                body.cut()
        idle = in_use = 0
        for adapter in self._adapters():
            counts = adapter.close()
            if isinstance(counts, tuple):
                idle, in_use = idle + counts[0], in_use + counts[1]
        return CloseReport(idle, in_use + len(holders), tuple(holders))

    def __enter__(self) -> Self:
        if self._closed:
            raise ClientClosed("this client is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.connections())} connections"
        return f"<Client {self._base or ''} {state}>".replace("  ", " ")
