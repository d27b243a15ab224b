"""A client span for each exchange, whose context goes with its request.

Theory of operation. A request hook begins the span, because the context in the header fields has the number of the
span. The event `exchange_started` comes next, in the same thread or task, and takes the span over; later events end it.
A client that has the listener without the hook gets its spans at that event, and propagates no context.

Invariants. Each span ends once: with the body, with the error, or with its call if no exchange began.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Setter
from opentelemetry.trace import SpanKind, Status, StatusCode

from adieu._version import __version__
from adieu.lifecycle.events import Events
from adieu.observe.otel.names import (
    SCHEMA,
    Attributes,
    known_method,
    peer_of,
    server_of,
    version_of,
)
from adieu.texts import show_url

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, TracerProvider

    from adieu.events import (
        Answered,
        BodyEnded,
        CallEnded,
        Closed,
        Connected,
        Detached,
        Event,
        ExchangeStarted,
        Failed,
        Leased,
    )
    from adieu.messages.headers import Headers
    from adieu.messages.request import Request

__all__ = ["Spans"]


class _FieldSetter(Setter["Headers"]):
    """Writes header fields in place of those of a former exchange."""

    def set(self, carrier: Headers, key: str, value: str) -> None:
        carrier[key] = value


_SETTER = _FieldSetter()


class Spans(Events):
    """Begins and ends spans."""

    def __init__(
        self, provider: TracerProvider | None, propagator: TextMapPropagator | None
    ) -> None:
        self._tracer = trace.get_tracer("adieu", __version__, provider, SCHEMA)
        self._propagator = propagator
        self._spans: dict[int, Span] = {}
        self._peers: dict[int, Attributes] = {}
        # One for each object: two of them on one client must not take each other's spans.
        self._begun: ContextVar[Span | None] = ContextVar("adieu_span", default=None)

    def context_of(self, exchange: int) -> Context | None:
        """The context of the exchange's span while that lasts."""
        span = self._spans.get(exchange)
        return None if span is None else trace.set_span_in_context(span)

    def begin(self, request: Request) -> None:
        """Begin the span of a request, and put its context into the header fields."""
        self._end_begun()
        span = self._new_span(request.method, show_url(request.url))
        self._begun.set(span)
        # The global one may be set after this object was made.
        propagator = self._propagator or propagate.get_global_textmap()
        propagator.inject(request.headers, trace.set_span_in_context(span), _SETTER)

    def exchange_started(self, event: ExchangeStarted) -> None:
        span = self._begun.get()
        if span is None:
            span = self._new_span(event.method, event.url)
        else:
            self._begun.set(None)
        if event.hop:
            span.set_attribute("http.request.resend_count", event.hop)
        self._spans[event.exchange] = span

    def call_ended(self, event: CallEnded) -> None:
        self._end_begun()

    def connected(self, event: Connected) -> None:
        self._peers[event.connection] = peer_of(event.peer)
        self._set(event, self._peers[event.connection])

    def leased(self, event: Leased) -> None:
        self._set(event, self._peers.get(event.connection, {}))

    def closed(self, event: Closed) -> None:
        self._peers.pop(event.connection, None)

    def detached(self, event: Detached) -> None:
        self._peers.pop(event.connection, None)

    def answered(self, event: Answered) -> None:
        attributes: Attributes = {
            "http.response.status_code": event.status,
            "network.protocol.version": version_of(event.http_version),
        }
        if event.status >= 400:
            attributes["error.type"] = str(event.status)
        self._set(event, attributes)
        span = self._spans.get(event.exchange)
        if span is not None and event.status >= 400:
            span.set_status(Status(StatusCode.ERROR))

    def failed(self, event: Failed) -> None:
        self._end(event.exchange, event.error)

    def body_ended(self, event: BodyEnded) -> None:
        self._end(event.exchange, event.error)

    def _new_span(self, method: str, url: str) -> Span:
        known = known_method(method)
        attributes: Attributes = {
            "http.request.method": known,
            "url.full": url,
            **server_of(url),
        }
        if known != method:
            attributes["http.request.method_original"] = method
        name = "HTTP" if known != method else method
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def _set(self, event: Event, attributes: Attributes) -> None:
        span = self._spans.get(event.exchange)
        if span is not None:
            span.set_attributes(attributes)

    def _end(self, exchange: int, error: str | None) -> None:
        span = self._spans.pop(exchange, None)
        if span is None:
            return
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _end_begun(self) -> None:
        """End a span whose exchange never began: a later hook raised, or the URL could not be sent."""
        span = self._begun.get()
        if span is not None:
            self._begun.set(None)
            span.set_status(Status(StatusCode.ERROR))
            span.end()
