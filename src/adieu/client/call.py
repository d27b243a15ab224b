"""One call, from a request to a response that its policy has settled: as steps, for sync and async.

The call is the owner of the exchange that is under way. Whatever raises, in an adapter, a hook, a policy or between two
lines, passes through one `except BaseException`, and the exchange is over before the error is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from adieu.client.error_body import keep_error_body
from adieu.client.live import fit_range
from adieu.errors import (
    AdieuError,
    ClientClosed,
    InvalidURL,
    TransportError,
)
from adieu.flow.cookies import with_cookies
from adieu.flow.expect import EXPECTATION_FAILED, has_failed, without_expectation
from adieu.flow.redirects import REDIRECTS, follow
from adieu.lifecycle.body_state import BodyState
from adieu.lifecycle.deadline import Deadline
from adieu.lifecycle.pinned import Pinned
from adieu.messages.response import ResponseHead
from adieu.net.connection_settings import DEFAULT, ConnectionSettings
from adieu.texts import show_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu.client.call_settings import CallSettings
    from adieu.client.closing import EndsWithClient
    from adieu.client.options import Hook
    from adieu.flow.auth import ScopedAuth
    from adieu.lifecycle.body import AnyBody
    from adieu.lifecycle.cleanup import Why
    from adieu.lifecycle.events import Listeners
    from adieu.lifecycle.reporting import CallReport, ExchangeReport
    from adieu.lifecycle.steps import Steps
    from adieu.messages.cookies.jar import Cookies
    from adieu.messages.request import Request
    from adieu.messages.url import URL
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter
    from adieu.transport.exchange import (
        AnyExchange,
        AnyResponse,
        AsyncPinnedExchange,
        PinnedExchange,
    )
    from adieu.transport.mounts import Mount, Mounts

__all__ = ["Call"]

# How often a backoff checks for a closed client (seconds).
_CLOSE_CHECK_INTERVAL = 0.5
# The states of a body that the user has not had yet.
_UNREAD = (BodyState.OPEN, BodyState.BUFFERED)


class CallOwner(Protocol):
    """The parts of a client that a call uses: the kinds of exchanges, the mounts, and how to wait."""

    exchange: type[AnyExchange]
    pinned_exchange: type[PinnedExchange | AsyncPinnedExchange]

    @property
    def mounts(self) -> Mounts: ...
    @property
    def is_closed(self) -> bool: ...
    def hooked(self, hook: Hook, subject: object) -> object: ...
    def pause(self, seconds: float) -> object: ...
    def watch(self, held: EndsWithClient) -> None: ...


class Call:
    """The state of one call over all its hops, and the current hop.

    The layers, from the outside: redirects (`run`), authentication (`_authenticated`), retries (`_retried`), a failed
    expectation (`_sent`), and one exchange (`_hop`).
    """

    __slots__ = (
        "_exchange",
        "_history",
        "_hops",
        "_kind",
        "client",
        "cookies",
        "credentials",
        "deadline",
        "events",
        "home",
        "settings",
        "stream",
    )

    def __init__(
        self,
        client: CallOwner,
        settings: CallSettings,
        stream: bool,
        credentials: ScopedAuth | None,
        cookies: Cookies | None,
        home: URL,
    ) -> None:
        self.client = client
        self.settings = settings
        self.stream = stream
        # With the one origin that they are for.
        self.credentials = credentials
        # Those of the call, in addition to those of the client.
        self.cookies = cookies
        # The client certificate is for the origin of this URL.
        self.home = home
        self.deadline = Deadline(settings.timeout)
        self._exchange: AnyExchange | None = None
        # The class of its exchanges: a pinned one while an auth flow keeps its connection.
        self._kind: Any = client.exchange
        self._hops = 0
        # The responses that were not the last one.
        self._history: tuple[Any, ...] = ()
        # Tells the listeners: see `reported`.
        self.events: CallReport | None = None

    def reported(self, request: Request, listeners: Listeners) -> Steps[AnyResponse]:
        """The steps of `run`; the listeners are told what happens."""
        from adieu.lifecycle.reporting import CallReport

        self.events = events = CallReport(listeners)
        try:
            events.started(request.method, request.url)
            response = yield from self.run(request)
            events.ended(response.url, response.status_code, self._hops)
        except BaseException as error:
            # Perhaps an interrupt since `run` returned: nothing else would end what the response is read from.
            try:
                if self._exchange is not None:
                    self._exchange.end(False, type(error).__name__)
            finally:
                events.failed(type(error).__name__, self._hops)
            raise
        return response

    def run(self, request: Request) -> Steps[AnyResponse]:
        """Send, follow redirects, and give the final response to its policy."""
        try:
            if self.credentials is None and self.settings.retry is None:
                response = yield from self._hop(request)
                if response.status_code == EXPECTATION_FAILED:
                    response = yield from self._unexpecting(request, response)
            else:
                response = yield from self._authenticated(request)
            max_redirects = self.settings.max_redirects
            if max_redirects is not None and response.status_code in REDIRECTS:
                response = yield from self._follow(request, response, max_redirects)
            if self._history:
                response.history = self._history
            body = response.body
            if body is not None:
                # Once a hook has begun to read in pieces, the rest is a stream: it is not the content.
                stream = self.stream or response.streamed
                is_unread = body.state in _UNREAD  # A hook may have read or closed it.
                if is_unread and body.take_buffered(stream):
                    response.received(body.take(), body.trailers)
                    response.body = None
                else:
                    yield from self._settle(response, body, stream, is_unread)
        except BaseException as error:
            try:
                if (exchange := self._exchange) is not None:
                    exchange.end(False, type(error).__name__)
            except BaseException:
                if (exchange := self._exchange) is not None:
                    exchange.end(False, "interrupted")
                raise
            if self.client.is_closed and isinstance(error, TransportError):
                raise ClientClosed(
                    f"the client was closed during {error.method} {show_url(error.url)}"
                ) from error
            raise
        return response

    @property
    def exchange(self) -> AnyExchange | None:
        """The one that is under way, or the last one."""
        return self._exchange

    def _hand_over(self, exchange: AnyExchange) -> None:
        """The connection of an upgraded response is the user's from now on."""
        exchange.lease = None

    def _settle(
        self, response: AnyResponse, body: AnyBody, stream: bool, is_unread: bool
    ) -> Steps[None]:
        """Give a body that has not come with its head to its policy, and then to the user."""
        if not is_unread:
            if not self.stream and (kept := body.take_error()) is not None:
                raise kept  # It was read for the hooks already.
        elif body.state is BodyState.OPEN and (yield body.apply_policy(stream)):
            response.received(body.take(), body.trailers)
            response.body = None
            yield response.decode_ahead()
        elif body.state in _UNREAD:
            self.client.watch(body)
            if response.status_code >= 400:
                yield from keep_error_body(response)

    def _follow(
        self, request: Request, response: AnyResponse, max_redirects: int
    ) -> Steps[AnyResponse]:
        """The hops after the first."""
        steps = follow(request, max_redirects)
        next(steps)
        while True:
            try:
                request = steps.send(response)
            except StopIteration:
                return response
            self.client.mounts.refuse_redirect(response.url, request.url)
            if self.events is not None:
                self.events.redirected(request.method, request.url, response.status_code)
            yield from self._discard_response(response, "redirect")
            response = yield from self._authenticated(request)

    def _authenticated(self, request: Request) -> Steps[AnyResponse]:
        """The answer to a request, with its credentials if the origin is theirs: see `adieu.flow.auth`."""
        send = self._sent if self.settings.retry is None else self._retried
        credentials = self.credentials
        if credentials is not None and credentials.origin == request.url.origin:
            from adieu.flow.auth_driver import run_auth_flow

            steps = run_auth_flow(
                credentials.auth, request, send, self._discard_response, self.events
            )
            return self._on_one_connection(steps) if credentials.auth.same_connection else steps
        return send(request)

    def _on_one_connection(self, steps: Steps[AnyResponse]) -> Steps[AnyResponse]:
        try:
            self._kind = self.client.pinned_exchange
            response = yield from steps
        finally:
            self._kind = self.client.exchange
        if isinstance(self._exchange, Pinned):
            self._exchange.release()
        return response

    def _retried(self, request: Request) -> Steps[AnyResponse]:
        """One exchange, or as many as it takes within the setting for retries: see `adieu.flow.retries`."""
        from adieu.flow.retries import Attempts, retried

        settings = self.settings
        assert settings.retry is not None
        attempts = Attempts(settings.retry, request, self.deadline, self.events)
        return retried(attempts, lambda: self._sent(request), self._given_up, self._waiting)

    def _sent(self, request: Request) -> Steps[AnyResponse]:
        """The answer to a request, which is sent without an expectation that fails, or has failed before."""
        if self._history and has_failed(request, self._history):
            request = without_expectation(request) or request
        response = yield from self._hop(request)
        if response.status_code == EXPECTATION_FAILED:
            response = yield from self._unexpecting(request, response)
        return response

    def _unexpecting(self, request: Request, response: AnyResponse) -> Steps[AnyResponse]:
        again = without_expectation(request)
        if again is None:
            return response
        yield from self._discard_response(response, "retry")
        return (yield from self._hop(again))

    def _given_up(self, response: AnyResponse | None) -> Steps[None]:
        """An attempt is over, with this response or (None) an error, and there will be another."""
        exchange = self._exchange
        if response is not None:
            yield from self._discard_response(response, "retry")
        elif exchange is not None:
            exchange.end(False, "retry")

    def _waiting(self, seconds: float) -> Steps[None]:
        """Wait in short steps, so that a call notices soon that its client was closed."""
        while not self.client.is_closed:
            if seconds <= 0:
                return
            piece = min(seconds, _CLOSE_CHECK_INTERVAL)
            yield self.client.pause(piece)
            seconds -= piece
        raise ClientClosed("the client was closed while a request was to be sent once more")

    def _discard_response(self, response: AnyResponse, why: Why) -> Steps[None]:
        """End a body that the user will not see: drained within the policy's bound, or its connection closed."""
        if response.body is not None:
            yield response.body.close(why)
        response.history = self._history
        self._history = (*self._history, response)

    def _hop(self, request: Request) -> Steps[AnyResponse]:
        """One exchange: from a request to a response head, whose body the exchange owns."""
        client, settings = self.client, self.settings
        defaults = settings.client
        jar = defaults.cookies.jar
        if jar is not None or self.cookies is not None:
            request = with_cookies(request, jar, self.cookies)
        before, after = defaults.event_hooks
        if before:
            yield from self._prepare(before, request)
        url = request.url
        mount = client.mounts.select(url)
        adapter = mount.made
        if adapter is None or before:
            adapter = yield from self._adapter_of(mount, request)
        exchange = self._kind(
            request.method,
            url,
            self.deadline,
            settings.cleanup or mount.policy or defaults.cleanup,
            self._connection_settings(mount, url),
            None if self.events is None else _begin(self.events, request, self._hops),
            self._hops,
            settings.extras,
            settings.max_body,
        )
        if self._kind is not client.exchange:
            exchange.continue_from(self._exchange)
        self._exchange = exchange
        self._hops += 1
        events = exchange.events
        # The first exchange begins with the call.
        began = 0.0 if self._hops == 1 else self.deadline.elapsed()
        try:
            response: AnyResponse = yield adapter.send(request, exchange)
            if not _is_settled(response, exchange):
                response = yield from exchange.settle(response)
        except BaseException as error:
            _report_failure(exchange, error)
            if isinstance(error, Exception) and not isinstance(error, AdieuError):
                raise _wrap_adapter_error(adapter, exchange, error) from error
            raise
        if events is not None:
            _report_answer(events, exchange, response)
        response.for_request = request
        response.seconds = self.deadline.elapsed() - began
        body = response.body
        if body is not None and (lease := body.lease) is not None and lease.framing == "none":
            # Not even a redirect keeps its connection for a body that it does not have.
            yield from body.complete_empty()
            response.received(body.take(), body.trailers)
        # A cache's stored head has told its cookies when it came: others may have been set since.
        if response.headers.has("set-cookie") and not response.extras.get("from_cache"):
            defaults.cookies.learn(url, response.headers, defaults.base_url)
        if after or response.upgraded is not None:
            yield from self._show(after, exchange, response)
        return response

    def _prepare(self, hooks: Iterable[Hook], request: Request) -> Steps[None]:
        """Give the request to the hooks, which may change it."""
        had_range = request.headers.has("range")
        for hook in hooks:
            yield self.client.hooked(hook, request)
        if not had_range:
            fit_range(request.headers)

    def _show(
        self, hooks: Iterable[Hook], exchange: AnyExchange, response: AnyResponse
    ) -> Steps[None]:
        """Give the response to the hooks, which may read, wrap or close it, and raise for its status; hand it over."""
        if response.status_code >= 400:
            yield from keep_error_body(response)
        for hook in hooks:
            yield self.client.hooked(hook, response)
        if response.source is not None:
            exchange.take_source(response)  # One has wrapped content that was in memory.
        elif response.upgraded is not None:
            self._hand_over(exchange)

    def _adapter_of(self, mount: Mount, request: Request) -> Steps[Adapter]:
        """The adapter of a mount, at its first use or after hooks; both may have taken long."""
        adapter = mount.adapter
        if self.client.is_closed:
            yield adapter.close()
            raise ClientClosed(
                f"the client was closed during {request.method} {show_url(request.url)}"
            )
        return adapter

    def _connection_settings(self, mount: Mount, url: URL) -> ConnectionSettings:
        if mount.schemes and url.scheme not in mount.schemes:
            raise InvalidURL(
                f"{show_url(url)} cannot be sent: {mount.adapter!r} serves {', '.join(mount.schemes)}; "
                f"mount an adapter for {url.scheme}://{_other_way(url.scheme)}"
            )
        settings = self.settings
        routes = settings.routes
        route = None if routes.is_direct else routes.select(url)
        if route is None and settings.default_connection and mount.default_connection:
            return DEFAULT
        connection = settings.connections.get((mount, url.origin))
        if connection is None:
            tls = mount.tls if settings.default_tls else self._tls(mount, url)
            connect = mount.connect or settings.client.connect
            connection = ConnectionSettings(tls, connect, None, route)
            mount.refuse_unhonoured(url, connection)
            given = settings.tls or settings.client.tls
            if (
                given is None or given.cert is None
            ):  # See `_tls`: the rest depends on the origin alone.
                settings.remember_connection(mount, url.origin, connection)
        return connection

    def _tls(self, mount: Mount, url: URL) -> TLSConfig | None:
        """The TLS settings of a hop: the call's own, the mount's, or the client's.

        A certificate of the call or of the client is for one origin, as `auth` is, wherever a redirect leads.
        """
        own = self.settings.tls
        if own is None and mount.tls is not None:
            return mount.tls
        tls = own or self.settings.client.tls
        if tls is None or tls.cert is None or url.origin == self.home.origin:
            return tls
        return tls.without_client_cert()


def _other_way(scheme: str) -> str:
    return ", or open a WebSocket with client.websocket()" if scheme in ("ws", "wss") else ""


def _is_settled(response: object, exchange: AnyExchange) -> bool:
    """Whether this is the exchange's own response, read through the one lease that it has. Most are."""
    if not isinstance(response, ResponseHead):
        raise TypeError(f"it returned {type(response).__name__}, not a Response")
    if response.source is not None:
        return False  # It was wrapped when its content was in memory.
    body = response.body
    if body is None:
        has_owner = exchange.lease is None or response.upgraded is not None
        return has_owner and response.belongs_to(exchange)
    return body.exchange is exchange and body.lease is exchange.lease


def _wrap_adapter_error(adapter: object, exchange: AnyExchange, error: Exception) -> TransportError:
    """An adieu error for one that an adapter raised unmapped."""
    return TransportError(
        f"{adapter!r} failed with {type(error).__name__}: {error}",
        request_sent="partly",  # As far as is known: such a request is not safe to send again.
        method=exchange.method,
        url=str(exchange.url),
    )


# -- what listeners are told -------------------------------------------------------------------------------------------


def _begin(events: CallReport, request: Request, hop: int) -> ExchangeReport:
    body = request.content.body
    size = None if body is None else len(body)
    return events.next_exchange(request.method, request.url, hop, request.headers.raw, size)


def _report_failure(exchange: AnyExchange, error: BaseException) -> None:
    if exchange.events is not None:
        exchange.events.failed(type(error).__name__, *_connection_of(exchange))


def _report_answer(events: ExchangeReport, exchange: AnyExchange, response: AnyResponse) -> None:
    connection, reused = _connection_of(exchange)
    headers = response.headers
    events.answered(
        response.status_code,
        response.reason,
        response.http_version,
        headers.raw,
        headers.has("content-encoding"),
        connection,
        reused,
    )
    response.events = events
    if response.body is None or response.body.lease is None:
        events.no_lease(response.raw_size)


def _connection_of(exchange: AnyExchange) -> tuple[int, bool]:
    lease = exchange.lease
    return (0, False) if lease is None else (lease.connection_id, lease.reused)
