"""urllib3 is in the path, so the tools that patch urllib3 work on the adapter over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pook
import pytest
import urllib3
import vcr
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from urllib3.connectionpool import HTTPConnectionPool

import adieu
from adieu.testing.faults import FaultServer, payload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import TLSServer
    from support.watch import Watch

pytestmark = pytest.mark.usefixtures("census")


@pytest.fixture
def client(fault_server: FaultServer) -> Iterator[adieu.Client]:
    """A client over urllib3."""
    with adieu.Client(fault_server.url, adapter="urllib3") as client:
        yield client


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Method and URL of each call of urllib3's `urlopen`."""
    calls: list[tuple[str, str]] = []
    urlopen = HTTPConnectionPool.urlopen

    def counted(self: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        calls.append((method, url))
        return urlopen(self, method, url, *args, **options)

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", counted)
    return calls


def test_each_request_is_one_call_of_urlopen(
    client: adieu.Client, opened: list[tuple[str, str]]
) -> None:
    client.get("/ok")
    opened.clear()
    assert client.get("/ok").json()["nth"] == 2  # on the same connection
    assert opened == [("GET", "/ok")]


def test_over_tls_too(tls_server: TLSServer, opened: list[tuple[str, str]]) -> None:
    with adieu.Client(
        tls_server.url, adapter="urllib3", verify=tls_server.client_context
    ) as client:
        client.get("/ok")
        client.get("/ok?again=1")
    assert opened == [("GET", "/ok"), ("GET", "/ok?again=1")]


def test_the_response_is_read_through_urllib3(
    client: adieu.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[bytes] = []
    read1 = urllib3.HTTPResponse.read1

    def kept(self: Any, *args: Any, **options: Any) -> bytes:
        pieces.append(read1(self, *args, **options))
        return pieces[-1]

    monkeypatch.setattr(urllib3.HTTPResponse, "read1", kept)
    with client.stream("GET", "/bytes?n=300000") as response:
        assert response.read() == payload(300_000)
    assert b"".join(pieces) == payload(300_000)


def test_vcrpy_records_a_call_and_replays_it_without_a_server(
    tmp_path: Path, census: Watch
) -> None:
    cassette = str(tmp_path / "calls.yaml")
    with FaultServer() as server:
        census.also(server.port)
        url = server.url
        with adieu.Client(url, adapter="urllib3") as client:
            assert client.get("/ok").json()["request"] == 1
            with vcr.use_cassette(cassette):
                first = client.get("/ok?x=1")
                with client.stream("GET", "/chunked?n=1000") as response:
                    body = response.read()
            assert client.get("/ok").json()["request"] == 4
    with adieu.Client(url, adapter="urllib3") as client:
        with vcr.use_cassette(cassette, record_mode="none") as tape:
            again = client.get("/ok?x=1")
            assert (again.json(), again.headers["x-request-number"]) == (first.json(), "2")
            assert client.get("/chunked?n=1000").content == body == payload(1000)
            assert tape.play_count == 2
        with pytest.raises(adieu.ConnectError):
            client.get("/ok")


def test_an_error_inside_a_cassette_is_adieus(client: adieu.Client, tmp_path: Path) -> None:
    with vcr.use_cassette(str(tmp_path / "calls.yaml")):
        with pytest.raises(adieu.ReadError) as caught:
            client.get("/reset")
        assert (caught.value.phase, caught.value.retry_safe) == ("head", False)
    assert client.get("/ok").status_code == 200


def test_pook_answers_in_the_place_of_a_server(
    client: adieu.Client, fault_server: FaultServer
) -> None:
    with pook.use():
        mock = pook.get(f"{fault_server.url}/made-up", reply=201, response_json={"a": 1})
        response = client.get("/made-up")
        assert (response.status_code, response.json()) == (201, {"a": 1})
        assert mock.calls == 1
    assert fault_server.served == 0
    assert client.get("/ok").status_code == 200


def test_opentelemetry_makes_a_span_of_each_request(
    client: adieu.Client, fault_server: FaultServer
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    URLLib3Instrumentor().instrument(tracer_provider=provider)
    try:
        fields = [name for name, _ in client.get("/echo").json()["headers"]]
        assert client.get("/ok").json()["nth"] == 2
    finally:
        URLLib3Instrumentor().uninstrument()
        provider.shutdown()
    # Its own field comes after those of the request, which keep their order.
    assert fields == ["Host", "User-Agent", "Accept", "Accept-Encoding", "traceparent"]
    found = [
        (span.name, (span.attributes or {})["http.url"]) for span in spans.get_finished_spans()
    ]
    assert found == [("GET", f"{fault_server.url}/echo"), ("GET", f"{fault_server.url}/ok")]
