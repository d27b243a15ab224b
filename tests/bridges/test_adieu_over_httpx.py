"""`HttpxAdapter` and `AsyncHttpxAdapter`: transports of httpx and httpx2, under clients of adieu."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import check_adapter
from bridges.libraries import LIBRARIES
from support.runner import RUNNERS
from support.stage import growing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adieu.testing import FaultServer
    from support.runner import Runner
    from support.watch import Watch

# Both leave generators of their own to the collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(x|core):ResourceWarning")

LONG = "/bytes?n=20000000"


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    runner = RUNNERS[request.param]()
    yield runner
    runner.close()


@pytest.fixture(params=LIBRARIES)
def client(
    request: pytest.FixtureRequest, runner: Runner, fault_server: FaultServer, census: Watch
) -> Iterator[Any]:
    """A client over a transport with one connection; when it is closed, no socket may be open."""
    module, bridge = LIBRARIES[request.param]
    limits = module.Limits(max_connections=1)
    if runner.kind is adieu.AsyncClient:
        adapter = bridge.AsyncHttpxAdapter(module.AsyncHTTPTransport(limits=limits))
    else:
        adapter = bridge.HttpxAdapter(module.HTTPTransport(limits=limits))
    client = runner.client(base_url=fault_server.url, adapter=adapter)
    yield client
    runner.run(client.close())
    census.check()


def works(runner: Runner, client: Any) -> bool:
    return bool(runner.run(client.get("/ok")).status_code == 200)


def test_a_request_arrives_as_it_was_made(
    runner: Runner, client: Any, fault_server: FaultServer
) -> None:
    answer = runner.run(client.post("/echo?a=%7E", content=[b"in ", b"pieces"]))
    sent = fault_server.requests[-1]
    assert (sent.method, sent.target, sent.body) == ("POST", "/echo?a=%7E", b"in pieces")
    assert (answer.status_code, answer.reason) == (200, "Scripted")
    assert (
        fault_server.requests[-1].header(
            "user-agent",
        )
        != "python-httpx"
    )


def test_connections_are_kept_and_every_cookie_arrives(
    runner: Runner, client: Any, fault_server: FaultServer
) -> None:
    url = "/ok?header=Set-Cookie:a%3D1&header=Set-Cookie:b%3D2"
    assert runner.run(client.get(url)).headers.get_list("set-cookie") == ["a=1", "b=2"]
    for path in ("/chunked?n=5000", "/gzip?n=5000", "/redirect", "/no-content", "/ok"):
        assert runner.run(client.get(path)).ok
    runner.run(client.head("/ok"))
    assert fault_server.requests[-1].header("cookie") == "a=1; b=2"
    assert {request.connection for request in fault_server.requests} == {1}
    assert works(runner, client)


@pytest.mark.parametrize("path", ["/chunked?n=5000", LONG])
def test_a_stream_that_is_left_gives_its_place_back(runner: Runner, client: Any, path: str) -> None:
    for _ in range(2):
        with runner.block(client.stream("GET", path)) as answer:
            next(iter(runner.each(answer.iter_raw())))
    assert works(runner, client)


def test_closing_the_client_ends_a_stream(runner: Runner, client: Any, census: Watch) -> None:
    answer = runner.run(client.stream("GET", LONG))
    next(iter(runner.each(answer.iter_raw())))
    runner.run(client.close())
    runner.settle()
    assert census.count() == 0


@pytest.mark.parametrize(
    ("path", "kind", "sent"),
    [
        ("/close", adieu.ProtocolError, "wholly"),
        ("/reset", adieu.ReadError, "wholly"),
        ("/stall-head", adieu.ReadTimeout, "wholly"),
        ("/stall-body", adieu.ReadTimeout, "wholly"),
        ("/garbage?kind=coding-and-length", adieu.ProtocolError, "wholly"),
        ("/truncated", adieu.BodyTruncated, "wholly"),
        ("/truncated-chunked", adieu.BodyTruncated, "wholly"),
    ],
)
def test_errors_are_those_of_adieu(
    runner: Runner, client: Any, path: str, kind: type[adieu.TransportError], sent: str
) -> None:
    error: Any = None
    for seconds in growing(0.05):
        timeout = adieu.Timeout(read=seconds if "stall" in path else 30)
        with pytest.raises(kind) as caught:
            runner.run(client.get(path, timeout=timeout))
        error = caught.value
        if error.request_sent == sent:
            break
    assert (error.request_sent, error.method) == (sent, "GET")
    assert works(runner, client)


def test_no_connection_was_no_request(runner: Runner, client: Any) -> None:
    with pytest.raises(adieu.ConnectError) as caught:
        runner.run(client.get("http://127.0.0.1:9/"))
    assert caught.value.retry_safe
    with pytest.raises(adieu.InvalidURL):
        runner.run(client.get("other://127.0.0.1:9/"))


def test_a_full_pool_is_a_pool_timeout(runner: Runner, client: Any) -> None:
    with runner.block(client.stream("GET", LONG)), pytest.raises(adieu.PoolTimeout):
        runner.run(client.get("/ok", timeout=adieu.Timeout(pool=0.01)))


def test_an_error_of_the_content_is_told_apart(runner: Runner, client: Any) -> None:
    def content() -> Iterator[bytes]:
        yield b"begun"
        raise OSError("the disk")

    async def awaited() -> AsyncIterator[bytes]:
        for piece in content():
            yield piece

    given = awaited() if runner.kind is adieu.AsyncClient else content()
    with pytest.raises(adieu.ContentError, match="the disk"):
        runner.run(client.post("/echo", content=given))
    assert works(runner, client)


def test_settings_that_the_transport_was_not_made_with_are_refused(
    runner: Runner, client: Any
) -> None:
    for options in (
        {"proxy": "http://127.0.0.1:9"},
        {"tls": adieu.TLSConfig(trust="certifi", minimum_version="1.3")},
    ):
        with pytest.raises(adieu.InvalidRequest):
            runner.run(client.get("https://127.0.0.1:9/", **options))


@pytest.mark.parametrize("library", LIBRARIES)
def test_closing_the_client_wakes_a_thread_that_reads(
    fault_server: FaultServer, census: Watch, library: str
) -> None:
    module, bridge = LIBRARIES[library]
    client = adieu.Client(fault_server.url, adapter=bridge.HttpxAdapter(module.HTTPTransport()))
    pieces = client.stream("GET", "/stall-body?n=1000&sent=500").iter_raw()
    next(pieces)
    errors: list[BaseException] = []

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


@pytest.mark.parametrize("library", LIBRARIES)
def test_mock_transports_answer(library: str) -> None:
    module, bridge = LIBRARIES[library]

    def answer(request: Any) -> Any:
        return module.Response(200, json={"path": request.url.path})

    adapter = bridge.HttpxAdapter(module.MockTransport(answer))
    assert adapter.is_local
    # Local, so the proxy is no setting of its.
    with adieu.Client("https://api.example.org", adapter=adapter) as client:
        client.proxy = "http://127.0.0.1:9"
        assert client.get("/items").json() == {"path": "/items"}
    with pytest.raises(adieu.InvalidRequest, match="an instance of BaseTransport"):
        bridge.HttpxAdapter(module.MockTransport)


def test_both_bridges_together(fault_server: FaultServer, census: Watch) -> None:
    _, bridge = LIBRARIES["httpx"]
    both = bridge.HttpxAdapter(bridge.AdieuTransport("h11"))
    with adieu.Client(fault_server.url, adapter=both) as client:
        assert client.post("/echo", content=b"there and back").json()["body"] == "there and back"
        with client.stream("GET", LONG) as answer:
            next(answer.iter_raw())
        with pytest.raises(adieu.ReadTimeout):
            client.get("/stall-head", timeout=adieu.Timeout(read=0.05))


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


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_rules_that_httpx_breaks_by_itself_are_kept(name: str, kind: str) -> None:
    module, bridge = LIBRARIES[name]
    factories: dict[str, Any] = {
        "sync": lambda: bridge.HttpxAdapter(module.HTTPTransport()),
        "async": lambda: bridge.AsyncHttpxAdapter(module.AsyncHTTPTransport()),
    }
    report = check_adapter(factories[kind], only=MENDED)
    assert report.ok, str(report)
