"""The metrics of HTTP clients, from events.

Invariants. Each change of a connection's state changes the counts once, so they are zero when all connections have
ended; the same holds for active requests. What was not seen to begin is not counted down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import metrics

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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider

    from adieu.events import (
        Answered,
        BodyEnded,
        Closed,
        Connected,
        ConnectFailed,
        ConnectStarted,
        Detached,
        ExchangeStarted,
        Failed,
        Leased,
        PoolWaitEnded,
        Released,
        RequestSent,
    )

__all__ = ["Metrics"]

# The conventions name these boundaries for the duration of requests.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LONG_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_BYTES = (0, 128, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

_Number = float | int


class _Request:
    """An active request: its attributes, and those that end with it."""

    __slots__ = ("attributes", "sent", "server")

    def __init__(self, server: Attributes, method: str) -> None:
        self.server = {**server, "http.request.method": method}
        self.attributes = dict(self.server)
        self.sent = 0


class _Connection(NamedTuple):
    """An open connection, the state in which it is counted ("active" or "idle"), and its last exchange."""

    attributes: Attributes
    state: str
    exchange: int

    def counted(self) -> Attributes:
        return {**self.attributes, "http.connection.state": self.state}


class Metrics(Events):
    """Records metrics. `context_of`: the context of an exchange's span, by its number."""

    def __init__(
        self, provider: MeterProvider | None, context_of: Callable[[int], Context | None]
    ) -> None:
        self._context_of = context_of
        self._requests: dict[int, _Request] = {}
        self._origins: dict[int, Attributes] = {}
        self._connections: dict[int, _Connection] = {}
        meter = metrics.get_meter("adieu", __version__, provider, SCHEMA)
        seconds, many = "s", "By"
        self._duration = _histogram(
            meter, "request.duration", seconds, _SECONDS, "Duration of HTTP client requests."
        )
        self._request_size = _histogram(
            meter, "request.body.size", many, _BYTES, "Size of HTTP client request bodies."
        )
        self._response_size = _histogram(
            meter, "response.body.size", many, _BYTES, "Size of HTTP client response bodies."
        )
        self._queue_time = _histogram(
            meter,
            "request.time_in_queue",
            seconds,
            _SECONDS,
            "The time that requests waited for a connection of the pool.",
        )
        self._connection_duration = _histogram(
            meter,
            "connection.duration",
            seconds,
            _LONG_SECONDS,
            "The duration of the successfully established outbound HTTP connections.",
        )
        self._open = meter.create_up_down_counter(
            "http.client.open_connections",
            "{connection}",
            "Number of outbound HTTP connections that are currently active or idle on the client.",
        )
        self._active = meter.create_up_down_counter(
            "http.client.active_requests", "{request}", "Number of active HTTP requests."
        )

    # -- requests ------------------------------------------------------------------------------------------------------

    def exchange_started(self, event: ExchangeStarted) -> None:
        request = _Request(server_of(event.url), known_method(event.method))
        self._requests[event.exchange] = request
        self._active.add(1, request.server)

    def pool_wait_ended(self, event: PoolWaitEnded) -> None:
        request = self._requests.get(event.exchange)
        if request is not None:
            attributes = dict(request.server)
            if event.error is not None:
                attributes["error.type"] = event.error
            self._queue_time.record(event.seconds, attributes, self._context_of(event.exchange))

    def request_sent(self, event: RequestSent) -> None:
        request = self._requests.get(event.exchange)
        if request is not None:
            request.sent = event.body

    def answered(self, event: Answered) -> None:
        request = self._requests.get(event.exchange)
        if request is not None:
            request.attributes["http.response.status_code"] = event.status
            request.attributes["network.protocol.version"] = version_of(event.http_version)
            if event.status >= 400:
                request.attributes["error.type"] = str(event.status)

    def failed(self, event: Failed) -> None:
        self._end_request(event.exchange, event.seconds, event.error, None)

    def body_ended(self, event: BodyEnded) -> None:
        self._end_request(event.exchange, event.seconds, event.error, event.raw)

    def _end_request(
        self, exchange: int, seconds: float, error: str | None, received: int | None
    ) -> None:
        request = self._requests.pop(exchange, None)
        if request is None:
            return
        self._active.add(-1, request.server)
        if error is not None:
            request.attributes["error.type"] = error
        context = self._context_of(exchange)
        self._duration.record(seconds, request.attributes, context)
        if request.sent:
            self._request_size.record(request.sent, request.attributes, context)
        if received is not None:
            self._response_size.record(received, request.attributes, context)

    # -- connections ---------------------------------------------------------------------------------------------------

    def connect_started(self, event: ConnectStarted) -> None:
        self._origins[event.connection] = server_of(event.origin)

    def connect_failed(self, event: ConnectFailed) -> None:
        self._origins.pop(event.connection, None)

    def connected(self, event: Connected) -> None:
        attributes = self._origins.pop(event.connection, {})
        address = peer_of(event.peer).get("network.peer.address")
        if address is not None:
            attributes["network.peer.address"] = address
        # The exchange that opened it has it.
        connection = _Connection(attributes, "active", event.exchange)
        self._connections[event.connection] = connection
        self._open.add(1, connection.counted())

    def leased(self, event: Leased) -> None:
        self._change(event, "active")

    def released(self, event: Released) -> None:
        connection = self._connections.get(event.connection)
        # Another thread may have told of the next lease already.
        if connection is not None and connection.exchange == event.exchange:
            self._change(event, "idle")

    def closed(self, event: Closed) -> None:
        self._end_connection(event)

    def detached(self, event: Detached) -> None:
        self._end_connection(event)

    def _change(self, event: Leased | Released, state: str) -> None:
        connection = self._connections.get(event.connection)
        if connection is not None:
            changed = connection._replace(state=state, exchange=event.exchange)
            self._connections[event.connection] = changed
            if changed.state != connection.state:
                self._open.add(-1, connection.counted())
                self._open.add(1, changed.counted())

    def _end_connection(self, event: Closed | Detached) -> None:
        connection = self._connections.pop(event.connection, None)
        if connection is not None:
            self._open.add(-1, connection.counted())
            self._connection_duration.record(event.seconds, connection.attributes)


def _histogram(
    meter: Meter, name: str, unit: str, boundaries: Sequence[_Number], description: str
) -> Histogram:
    return meter.create_histogram(
        f"http.client.{name}",
        unit,
        description,
        explicit_bucket_boundaries_advisory=boundaries,
    )
