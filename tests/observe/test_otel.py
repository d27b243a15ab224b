"""OpenTelemetry, with the real SDK and its exporters in memory: on every adapter, sync and async."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections import defaultdict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.metrics import http_metrics
from opentelemetry.trace import SpanKind, StatusCode

import adieu
from support.stage import drop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from support.stage import Stage


class Telemetry:
    """An `OpenTelemetry` with providers of its own."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._meters = MeterProvider([self._reader])
        self.listener = adieu.OpenTelemetry(
            tracer_provider=self.traces, meter_provider=self._meters
        )

    def spans(self) -> list[ReadableSpan]:
        return [
            span for span in self._exporter.get_finished_spans() if span.kind is SpanKind.CLIENT
        ]

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        points: dict[str, list[Any]] = defaultdict(list)
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points[metric.name] += metric.data.data_points
        return points

    def close(self) -> None:
        self.traces.shutdown()
        self._meters.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.close()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_each_hop_is_a_span_whose_context_goes_with_it(stage: Stage, telemetry: Telemetry) -> None:
    client = stage.client()
    with stage.block(client), telemetry.listener.watch(client):
        answer = stage.get(client, "/redirect?n=1", params={"token": "31d4"})
    first, second = telemetry.spans()
    assert (first.name, first.kind) == ("GET", SpanKind.CLIENT)
    assert attributes(first) == {
        "http.request.method": "GET",
        "url.full": f"{stage.server.url}/redirect?n=1&token=***",
        "server.address": "127.0.0.1",
        "server.port": stage.server.port,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": stage.server.port,
        "network.protocol.version": "1.1",
        "http.response.status_code": 302,
    }
    assert attributes(second)["http.request.resend_count"] == 1
    assert first.status.status_code is StatusCode.UNSET
    for span, message in zip((first, second), (*answer.history, answer), strict=True):
        assert span.context is not None
        sent = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-"
        assert message.request.headers["traceparent"].startswith(sent)
    received = dict(stage.server.requests[-1].headers)
    assert received["traceparent"] == answer.request.headers["traceparent"]


def test_spans_are_children_of_the_callers_span(telemetry: Telemetry, fault_server: Any) -> None:
    tracer = telemetry.traces.get_tracer("app")
    with (
        adieu.Client(fault_server.url) as client,
        telemetry.listener.watch(client),
        tracer.start_as_current_span("work") as parent,
    ):
        client.get("/ok")
    (span,) = telemetry.spans()
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id


@pytest.mark.parametrize(
    ("path", "error", "kind"),
    [
        ("/status/404", None, "404"),
        ("/stall-head", adieu.ReadTimeout, "ReadTimeout"),
        ("/truncated", adieu.BodyTruncated, "BodyTruncated"),
    ],
)
def test_errors_have_a_type(
    fault_server: Any,
    telemetry: Telemetry,
    path: str,
    error: type[Exception] | None,
    kind: str,
) -> None:
    short = adieu.Timeout(read=0.05)
    options: dict[str, Any] = {"timeout": short} if error is adieu.ReadTimeout else {}
    with (
        adieu.Client(fault_server.url) as client,
        telemetry.listener.watch(client),
        nullcontext() if error is None else pytest.raises(error),
    ):
        client.get(path, **options)
    (span,) = telemetry.spans()
    assert attributes(span)["error.type"] == kind
    assert span.status.status_code is StatusCode.ERROR
    (point,) = telemetry.metrics()["http.client.request.duration"]
    assert point.attributes["error.type"] == kind
    assert point.count == 1


def test_counts_of_connections_and_requests_end_at_zero(stage: Stage, telemetry: Telemetry) -> None:
    client = stage.client(cleanup=adieu.ReleaseOnRead())
    with stage.block(client), telemetry.listener.watch(client):
        stage.read(stage.get(client, "/ok"))
        counts = telemetry.metrics()["http.client.open_connections"]
        states = {point.attributes["http.connection.state"]: point.value for point in counts}
        assert states == ({"active": 0} if stage.adapter == "close" else {"active": 0, "idle": 1})
        response = stage.run(
            client.send(client.build_request("GET", "/bytes?n=5000000"), stream=True)
        )
        active = telemetry.metrics()["http.client.active_requests"]
        assert [point.value for point in active] == [1]
        with pytest.warns(ResourceWarning, match="dropped unread"):  # noqa: PT031
            del response
            drop()
            stage.runner.settle()
        with pytest.raises(adieu.ConnectError):
            stage.get(client, "http://127.0.0.1:1/")
    metrics = telemetry.metrics()
    for name in ("http.client.open_connections", "http.client.active_requests"):
        assert {point.value for point in metrics[name]} == {0}
    (lives,) = metrics["http.client.connection.duration"]
    assert lives.count == (2 if stage.adapter == "close" else 1)
    assert len(telemetry.spans()) == 3


def test_the_wait_for_a_connection_is_measured(telemetry: Telemetry, fault_server: Any) -> None:
    limits = adieu.Limits(connections=1)
    with (
        adieu.Client(fault_server.url, limits=limits) as client,
        telemetry.listener.watch(client),
        client.stream("GET", "/bytes?n=5000000"),
        pytest.raises(adieu.PoolTimeout),
    ):
        client.get("/ok", timeout=adieu.Timeout(pool=0.05))
    (point,) = telemetry.metrics()["http.client.request.time_in_queue"]
    assert (point.count, point.attributes["error.type"]) == (1, "PoolTimeout")
    assert point.sum >= 0.04


def test_names_are_those_of_the_conventions(telemetry: Telemetry, fault_server: Any) -> None:
    with adieu.Client(fault_server.url) as client, telemetry.listener.watch(client):
        client.post("/echo", json={"a": 1})
    known = {value for name, value in vars(http_metrics).items() if name.startswith("HTTP_CLIENT_")}
    assert set(telemetry.metrics()) <= known
    (sent,) = telemetry.metrics()["http.client.request.body.size"]
    (received,) = telemetry.metrics()["http.client.response.body.size"]
    assert (sent.sum, sent.explicit_bounds[0]) == (7, 0)
    assert received.sum > 0


def test_an_unknown_method_makes_no_series_of_its_own(
    telemetry: Telemetry, fault_server: Any
) -> None:
    with adieu.Client(fault_server.url) as client, telemetry.listener.watch(client):
        client.request("BREW", "/echo")
    (span,) = telemetry.spans()
    assert span.name == "HTTP"
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == "BREW"
    (point,) = telemetry.metrics()["http.client.request.duration"]
    assert point.attributes["http.request.method"] == "_OTHER"


def test_a_span_ends_although_a_later_hook_raises(stage: Stage, telemetry: Telemetry) -> None:
    def refuse(request: adieu.Request) -> None:
        raise RuntimeError("refused")

    client = stage.client()
    with stage.block(client), telemetry.listener.watch(client):
        client.event_hooks = {"request": [*client.event_hooks["request"], refuse]}
        with pytest.raises(RuntimeError):
            stage.get(client, "/ok")
    (span,) = telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR


def test_it_works_beside_log_events_and_is_taken_off(
    telemetry: Telemetry, fault_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "adieu")
    with adieu.Client(fault_server.url, events=adieu.LogEvents()) as client:
        with telemetry.listener.watch(client):
            client.get("/ok")
        client.get("/ok")
        assert client.event_hooks["request"] == ()
    assert len(telemetry.spans()) == 1
    assert sum(": 200 in" in record.getMessage() for record in caplog.records) == 2
    assert "traceparent" not in dict(fault_server.requests[-1].headers)


def test_it_can_be_given_to_a_client_that_is_made(telemetry: Telemetry, fault_server: Any) -> None:
    listener = telemetry.listener
    options: Any = {"events": listener, "event_hooks": listener.event_hooks}
    with adieu.Client(fault_server.url, **options) as client:
        client.get("/ok")
        copy = pickle.loads(pickle.dumps(client))
    with copy:
        assert [type(each) for each in copy.events] == [adieu.OpenTelemetry]
    assert len(telemetry.spans()) == 1
    with adieu.Client(fault_server.url, events=listener) as client:
        client.get("/ok")
    assert len(telemetry.spans()) == 2
    assert "traceparent" not in dict(fault_server.requests[-1].headers)


def test_without_the_extra_the_error_names_it() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import adieu\n"
        "try: adieu.OpenTelemetry()\n"
        "except adieu.MissingExtra as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "OpenTelemetry needs opentelemetry-api: pip install 'adieu[otel]'\n"
