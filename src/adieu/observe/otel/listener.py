"""`OpenTelemetry`: spans and metrics as one listener, which can be put on clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import MissingExtra
from adieu.observe.watcher import Watcher

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

    from adieu.client.async_client import AsyncClient
    from adieu.client.client import Client
    from adieu.client.options import Hook
    from adieu.events import Event
    from adieu.messages.request import Request

__all__ = ["OpenTelemetry"]


class OpenTelemetry(Watcher):
    """A listener that makes spans and metrics of what it is told, by OpenTelemetry's semantic conventions for HTTP.

    ```python
    with adieu.Client("https://api.example.org") as client:
        adieu.OpenTelemetry().watch(client)
        client.get("/items")
    ```

    Spans: one of the kind CLIENT for each exchange, and so for each redirect, login and retry; it ends with the body.
    Its context goes with the request (`traceparent`). Metrics: `http.client.request.duration`,
    `http.client.active_requests`, `http.client.request.body.size`, `http.client.response.body.size`,
    `http.client.open_connections` (idle and active), `http.client.connection.duration`, and
    `http.client.request.time_in_queue`, the wait for a connection of the pool.

    The providers and the propagator are the global ones, unless others are given. To give it to a client that is made,
    give both: `Client(events=telemetry, event_hooks=telemetry.event_hooks)`; without the hooks, no context is
    propagated. Raises `MissingExtra` without the extra `otel`.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        try:
            from adieu.observe.otel.metrics import Metrics
            from adieu.observe.otel.spans import Spans
        except ImportError:
            raise MissingExtra(
                "OpenTelemetry needs opentelemetry-api: pip install 'adieu[otel]'"
            ) from None
        super().__init__()
        self._spans = Spans(tracer_provider, propagator)
        self._metrics = Metrics(meter_provider, self._spans.context_of)

    @property
    def event_hooks(self) -> dict[str, list[Hook]]:
        """The hook that propagates the context of spans: for `Client(event_hooks=...)`."""
        return {"request": [self.propagate]}

    def propagate(self, request: Request) -> None:
        """Begin the span of a request, and put its context into the header fields."""
        self._spans.begin(request)

    def on_event(self, event: Event) -> None:
        # The metrics come first: they refer to the span, which ends with the same event.
        self._metrics.on_event(event)
        self._spans.on_event(event)

    def _attach(self, client: Client | AsyncClient) -> None:
        super()._attach(client)
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks["request"], self.propagate]}

    def _detach(self, client: Client | AsyncClient) -> None:
        super()._detach(client)
        hooks = client.event_hooks
        rest = [hook for hook in hooks["request"] if hook != self.propagate]
        client.event_hooks = {**hooks, "request": rest}

    def __reduce__(self) -> tuple[object, ...]:
        # A client may be pickled with its listeners: in another process it is a new one, of that process's providers.
        return OpenTelemetry, ()
