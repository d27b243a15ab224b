"""`RequestsAdapter`: adapters that were written for requests, under clients of adieu."""

from __future__ import annotations

import io
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
import requests_mock
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_file import FileAdapter
from urllib3.connection import HTTPConnection

import adieu
from adieu.testing import check_adapter
from adieu_requests import AdieuAdapter, RequestsAdapter
from support.proxies import FaultProxy
from support.stage import growing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adieu.testing import FaultServer
    from servers import TLSServer
    from support.watch import Watch

LONG = "/bytes?n=20000000"


@pytest.fixture
def client(fault_server: FaultServer, census: Watch) -> Iterator[adieu.Client]:
    """A client over requests' own adapter, which keeps one connection; when it is closed, no socket may be open."""
    inner = HTTPAdapter(pool_maxsize=1)
    timeout = adieu.Timeout(connect=30, read=30)
    with adieu.Client(fault_server.url, adapter=RequestsAdapter(inner), timeout=timeout) as client:
        yield client


def works(client: adieu.Client) -> bool:
    return client.get("/ok").status_code == 200


def test_a_request_arrives_as_it_was_made(client: adieu.Client, fault_server: FaultServer) -> None:
    answer = client.post("/echo?a=b%20c", content=iter([b"in ", b"pieces"]), headers={"X-A": "1"})
    sent = fault_server.requests[-1]
    assert (sent.method, sent.target, sent.body) == ("POST", "/echo?a=b%20c", b"in pieces")
    assert (answer.status_code, answer.reason, sent.header("x-a")) == (200, "Scripted", "1")
    client.post("/echo", json={"a": 1})
    assert fault_server.requests[-1].header("content-length") == "7"


def test_connections_are_kept_and_every_cookie_arrives(
    client: adieu.Client, fault_server: FaultServer
) -> None:
    url = "/ok?header=Set-Cookie:a%3D1&header=Set-Cookie:b%3D2"
    assert client.get(url).headers.get_list("set-cookie") == ["a=1", "b=2"]
    for path in ("/chunked?n=5000", "/gzip?n=5000", "/redirect"):
        assert client.get(path).ok
    assert fault_server.requests[-1].header("cookie") == "a=1; b=2"
    assert {request.connection for request in fault_server.requests} == {1}
    assert client.get("/ok", cleanup=adieu.NoKeepAlive()).headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/chunked?n=5000", LONG])
def test_a_stream_that_is_left_gives_its_place_back(client: adieu.Client, path: str) -> None:
    for _ in range(2):
        with client.stream("GET", path) as answer:
            next(answer.iter_raw())
        with pytest.raises(ZeroDivisionError), client.stream("GET", path):
            raise ZeroDivisionError
    assert works(client)


def test_closing_the_client_wakes_a_thread_that_reads(client: adieu.Client) -> None:
    errors: list[BaseException] = []
    answer = client.stream("GET", "/stall-body?n=1000&sent=500")
    pieces = answer.iter_raw()
    next(pieces)

    def read() -> None:
        try:
            list(pieces)
        except adieu.ClientClosed as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    client.close()
    reader.join(30)
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("path", "kind", "sent"),
    [
        ("/close", adieu.ReadError, "wholly"),
        ("/reset", adieu.ReadError, "wholly"),
        ("/stall-head", adieu.ReadTimeout, "wholly"),
        ("/stall-body", adieu.ReadTimeout, "wholly"),
        ("/early-hints", adieu.ProtocolError, "wholly"),
        ("/garbage?kind=coding-and-length", adieu.ProtocolError, "wholly"),
        ("/truncated", adieu.BodyTruncated, "wholly"),
        ("/truncated-chunked", adieu.BodyTruncated, "wholly"),
    ],
)
def test_errors_are_those_of_adieu(
    client: adieu.Client, path: str, kind: type[adieu.TransportError], sent: str
) -> None:
    error: Any = None
    for seconds in growing(0.05):
        timeout = adieu.Timeout(read=seconds if "stall" in path else 30)
        with pytest.raises(kind) as caught:
            client.get(path, timeout=timeout)
        error = caught.value
        if error.request_sent == sent:
            break
    assert (error.request_sent, error.method) == (sent, "GET")
    assert works(client)


def test_no_connection_was_no_request(census: Watch) -> None:
    with adieu.Client(adapter=RequestsAdapter(HTTPAdapter())) as client:
        for url, kind in (
            ("http://127.0.0.1:9/", adieu.ConnectError),
            ("http://no.such.host.invalid/", adieu.DNSError),
        ):
            with pytest.raises(kind) as caught:
                client.get(url)
            assert caught.value.retry_safe


def test_an_error_of_the_content_is_told_apart(client: adieu.Client) -> None:
    def content() -> Iterator[bytes]:
        yield b"begun"
        raise OSError("the disk")

    with pytest.raises(adieu.ContentError, match="the disk"):
        client.post("/echo", content=content())
    assert works(client)


def test_tls_settings_and_proxies_are_passed_on(tls_server: TLSServer, census: Watch) -> None:
    with (
        FaultProxy(auth="Basic bWU6czNjcmV0") as proxy,
        adieu.Client(
            adapter=RequestsAdapter(HTTPAdapter()),
            verify=tls_server.ca_path,
            proxy=adieu.Proxy(proxy.url, auth=("me", "s3cret")),
        ) as client,
    ):
        assert client.get(f"{tls_server.url}/ok").status_code == 200
        assert client.get("http://any.example/page").text == "http://any.example/page"
        assert [request.method for request in proxy.requests] == ["CONNECT", "GET"]
        with pytest.raises(adieu.TLSError):
            client.get(f"{tls_server.url}/ok", verify=True, proxy=None)


def test_settings_that_requests_does_not_know_are_refused() -> None:
    with adieu.Client(adapter=RequestsAdapter(HTTPAdapter())) as client:
        for options in (
            {"tls": adieu.TLSConfig(minimum_version="1.3", server_hostname="other")},
            {"proxy": adieu.Proxy("http://127.0.0.1:9", headers={"x": "y"})},
        ):
            with pytest.raises(adieu.InvalidRequest, match="adapters of requests know"):
                client.get("https://127.0.0.1:9/", **options)
    with pytest.raises(adieu.InvalidRequest, match="an instance"):
        RequestsAdapter(HTTPAdapter)  # type: ignore[arg-type]


def test_mocks_of_requests_answer(census: Watch) -> None:
    mock = requests_mock.Adapter()
    mock.register_uri("GET", "https://api.example.org/items", json=["vase"])
    mock.register_uri(
        "GET", "https://api.example.org/slow", exc=requests.exceptions.ConnectTimeout("slow")
    )
    adapter = RequestsAdapter(mock)
    # Local, so the proxy is no setting of its.
    with adieu.Client(
        "https://api.example.org", adapter=adapter, proxy="http://127.0.0.1:9"
    ) as client:
        assert client.get("/items").json() == ["vase"]
        with pytest.raises(adieu.ConnectTimeout, match="slow"):
            client.get("/slow")
        with pytest.raises(adieu.TransportError, match="NoMockAddress"):
            client.get("/other")


def test_files_are_read(tmp_path: Path) -> None:
    note = tmp_path / "a note.txt"
    note.write_bytes(b"adieu" * 50_000)
    with adieu.Client() as client:
        client.mount("file://", RequestsAdapter(FileAdapter()))
        assert client.get(note.as_uri()).content == note.read_bytes()
        assert client.get((tmp_path / "missing").as_uri()).status_code == 404
        with client.stream("GET", note.as_uri()) as answer:
            next(answer.iter_raw())


class Answers(BaseAdapter):
    """An adapter as people write them for tests: with a file, or with content that is set from outside."""

    def __init__(self, raw: Any) -> None:
        super().__init__()
        self.raw = raw

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        answer = requests.Response()
        answer.status_code = 200
        if isinstance(self.raw, bytes):
            answer._content = self.raw
        else:
            answer.raw = self.raw
        return answer

    def close(self) -> None:
        pass


@pytest.mark.parametrize("raw", [b"content", io.BytesIO(b"content")], ids=["bytes", "file"])
def test_answers_without_urllib3_are_read(raw: Any) -> None:
    with adieu.Client(adapter=RequestsAdapter(Answers(raw))) as client:
        assert client.get("any://host/").content == b"content"
    with pytest.raises(adieu.ClientClosed):
        client.get("any://host/")


def test_both_bridges_together(fault_server: FaultServer, census: Watch) -> None:
    both = RequestsAdapter(AdieuAdapter("h11"), is_local=False)
    with adieu.Client(fault_server.url, adapter=both) as client:
        assert client.post("/echo", content=b"there and back").json()["body"] == "there and back"
        with client.stream("GET", LONG) as answer:
            next(answer.iter_raw())
        with pytest.raises(adieu.ReadTimeout):
            client.get("/stall-head", timeout=adieu.Timeout(read=0.05))


async def in_threads(url: str) -> int:
    async with adieu.AsyncClient(
        url, adapter=adieu.to_async(RequestsAdapter(HTTPAdapter()))
    ) as client:
        return (await client.get("/ok")).status_code


def test_an_async_client_calls_it_in_threads(fault_server: FaultServer, census: Watch) -> None:
    import asyncio

    assert asyncio.run(in_threads(fault_server.url)) == 200


# All scenarios: docs/checked-adapters.md.
MENDED = [
    "errors-tell-how-far-the-call-came",
    "close-ends-a-call-that-waits",
    "a-peer-that-stops-is-a-timeout",
    "a-handshake-that-stops-is-a-timeout",
    "tls-settings-are-honoured-or-refused",
    "a-forked-child-has-its-own-connections",
    "no-text-shows-a-secret",
]


def test_the_rules_that_requests_breaks_by_itself_are_kept() -> None:
    report = check_adapter(lambda: RequestsAdapter(HTTPAdapter()), only=MENDED)
    assert report.ok, str(report)


def test_a_pickled_adapter_is_watched_anew() -> None:
    adapter = pickle.loads(pickle.dumps(RequestsAdapter(HTTPAdapter())))
    report = check_adapter(lambda: adapter, only=["close-ends-a-call-that-waits"])
    assert report.ok, str(report)


def test_connections_of_a_tool_that_replaces_those_of_urllib3_are_left_alone(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Tool:
        """Is no `HTTPConnection`, as that of vcrpy."""

        def __init__(self, *facts: Any, **options: Any) -> None:
            self._real = HTTPConnection(*facts, **options)
            made.append(self)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr("urllib3.connectionpool.HTTPConnectionPool.ConnectionCls", Tool)
    with adieu.Client(fault_server.url, adapter=RequestsAdapter(HTTPAdapter())) as client:
        assert client.get("/ok").status_code == 200
    assert len(made) == 1
