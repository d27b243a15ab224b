"""One-shot functions: a call in a client of its own, and no open socket after it has returned or raised."""

from __future__ import annotations

import gc
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults_net import BlackHole, refused_port
from support.clients import ADAPTERS, EventLog, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    """The tests here must not rely on the cyclic collector."""
    gc.disable()
    yield
    gc.enable()


METHODS = ["get", "head", "options", "post", "put", "patch", "delete", "query"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_function(fault_server: FaultServer, adapter: str, method: str) -> None:
    response = getattr(adieu, method)(f"{fault_server.url}/echo", adapter=adapter)
    assert response.status_code == 200
    assert fault_server.requests[-1].method == method.upper()
    assert sockets(fault_server) == 0


def test_any_other_method_goes_through_request(fault_server: FaultServer, adapter: str) -> None:
    response = adieu.request("PURGE", f"{fault_server.url}/echo", adapter=adapter)
    assert response.json()["method"] == "PURGE"
    assert sockets(fault_server) == 0


def test_the_default_adapter_is_the_clients(fault_server: FaultServer) -> None:
    assert adieu.get(f"{fault_server.url}/ok").json()["request"] == 1
    with adieu.stream("GET", f"{fault_server.url}/ok") as response:
        assert response.json()["request"] == 2
    assert sockets(fault_server) == 0


PATHS = [
    "/ok",
    "/bytes?n=300000",
    "/chunked?n=3000&trailers=1",
    "/until-close",
    "/empty",
    "/no-content",
    "/not-modified",
    "/status/404?body=1000",
    "/status/503?body=300000",
    "/redirect?n=3&body=1000",
    "/redirect?n=3&body=300000",
    "/gzip",
    "/connection-close",
    "/http10",
    "/early-hints",
    "/surplus",
]


@pytest.mark.parametrize(
    ("method", "path"),
    # Bytes after a head without a body are surplus.
    [*(("GET", path) for path in PATHS), *(("HEAD", path) for path in PATHS if path != "/surplus")],
)
def test_twenty_calls_leave_no_socket_while_their_answers_are_kept(
    fault_server: FaultServer, adapter: str, method: str, path: str
) -> None:
    kept = []
    for _ in range(20):
        kept.append(adieu.request(method, fault_server.url + path, adapter=adapter))
        assert sockets(fault_server) == 0
    assert all(response.is_closed for response in kept)
    assert len({response.content for response in kept}) in (1, 20)
    fault_server.wait_until(lambda: fault_server.open == 0)


@pytest.mark.parametrize(
    ("path", "options", "error"),
    [
        ("/stall-head", {"timeout": adieu.Timeout(read=0.1)}, adieu.ReadTimeout),
        ("/stall-body", {"timeout": adieu.Timeout(read=0.1)}, adieu.ReadTimeout),
        ("/drip?seconds=30", {"timeout": adieu.Timeout(total=0.1)}, adieu.DeadlineExceeded),
        ("/truncated", {}, adieu.BodyTruncated),
        ("/reset", {}, adieu.ReadError),
        ("/reset-body", {}, adieu.TransportError),
        ("/close", {}, adieu.PeerClosed),
        ("/redirect?n=9", {"max_redirects": 3}, adieu.TooManyRedirects),
        ("/redirect?to=ftp://x/", {}, adieu.RedirectError),
        ("/ok", {"event_hooks": {"response": [lambda response: 1 / 0]}}, ZeroDivisionError),
        ("/ok", {"event_hooks": {"request": [lambda request: 1 / 0]}}, ZeroDivisionError),
        ("/ok", {"timeout": -1}, adieu.InvalidRequest),
        ("/ok", {"headers": {"a b": "c"}}, adieu.InvalidHeader),
        ("/ok", {"json": {}, "data": {}}, adieu.InvalidRequest),
        ("/ok", {"verify": "/no/such/file.pem"}, adieu.InvalidRequest),
    ],
)
def test_a_call_that_raises_leaves_no_socket_while_its_error_is_kept(
    fault_server: FaultServer,
    adapter: str,
    path: str,
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    event_log = EventLog()
    with pytest.raises(error) as caught:
        adieu.get(fault_server.url + path, adapter=adapter, events=event_log, **options)
    assert sockets(fault_server) == 0
    event_log.check()
    assert caught.value.__traceback__ is not None
    fault_server.wait_until(lambda: fault_server.open == 0)


def test_a_call_that_cannot_connect_leaves_no_socket(adapter: str) -> None:
    with refused_port() as port, pytest.raises(adieu.ConnectError):
        adieu.get(f"http://127.0.0.1:{port}/", adapter=adapter)
    with BlackHole() as hole, pytest.raises(adieu.ReadTimeout):
        adieu.get(hole.url, adapter=adapter, timeout=adieu.Timeout(read=0.1))


def test_a_decode_error_comes_with_no_socket_open(fault_server: FaultServer, adapter: str) -> None:
    response = adieu.get(f"{fault_server.url}/broken-gzip", adapter=adapter)
    assert sockets(fault_server) == 0
    with pytest.raises(adieu.DecodeError):
        response.content  # noqa: B018
    assert sockets(fault_server) == 0


def test_a_call_takes_the_options_of_a_client_and_of_a_request(
    fault_server: FaultServer, adapter: str
) -> None:
    seen: list[object] = []
    event_log = EventLog()
    response = adieu.post(
        f"{fault_server.url}/redirect?status=308&to=/echo",
        adapter=adapter,
        params={"a": 1},
        headers={"x-a": "1"},
        json={"n": 1},
        timeout=30,
        follow_redirects=True,
        max_redirects=1,
        extras={},
        events=event_log,
        event_hooks={"request": [seen.append]},
    )
    echoed = response.json()
    assert echoed["method"] == "POST"
    assert echoed["body"] == '{"n":1}'
    assert len(seen) == 2
    assert len(response.history) == 1
    event_log.check()
    assert sockets(fault_server) == 0


def test_a_chain_within_one_call_keeps_its_connection(fault_server: FaultServer) -> None:
    adieu.get(f"{fault_server.url}/redirect?n=5", adapter="native")
    assert fault_server.accepted == 1
    assert sockets(fault_server) == 0


def test_a_policy_makes_no_sense_for_a_call_that_keeps_nothing(fault_server: FaultServer) -> None:
    with pytest.raises(TypeError, match=r"adieu\.stream\(\) or a Client"):
        adieu.get(f"{fault_server.url}/ok", cleanup=adieu.ReleaseOnRead())
    assert fault_server.accepted == 0


@pytest.mark.parametrize("option", ["base_url", "limits", "stream", "allow_redirects"])
def test_an_unknown_option_is_refused(fault_server: FaultServer, option: str) -> None:
    with pytest.raises(TypeError, match=f"'{option}'"):
        adieu.get(f"{fault_server.url}/ok", **{option: 1})  # type: ignore[arg-type]
    assert fault_server.accepted == 0


def test_an_unknown_adapter_is_named() -> None:
    with pytest.raises(adieu.UnknownAdapter, match="pigeon"):
        adieu.get("http://127.0.0.1/", adapter="pigeon")


def test_twenty_threads_make_calls_of_their_own(fault_server: FaultServer, adapter: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for nth in range(10):
                mark = f"{number}-{nth}"
                response = adieu.get(
                    f"{fault_server.url}/echo", params={"mark": mark}, adapter=adapter, timeout=30
                )
                assert response.json()["target"] == f"/echo?mark={mark}"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert failures == []
    assert fault_server.served == 200
    assert sockets(fault_server) == 0


# Streams


@pytest.mark.parametrize("path", ["/bytes?n=300000", "/chunked?n=3000", "/until-close?n=300000"])
@pytest.mark.parametrize("way", ["read", "partly", "unread", "exception", "closed"])
def test_no_socket_is_open_after_the_block_of_a_stream(
    fault_server: FaultServer, adapter: str, path: str, way: str
) -> None:
    kept = []
    for _ in range(5):
        try:
            with adieu.stream("GET", fault_server.url + path, adapter=adapter) as response:
                kept.append(response)
                if way == "read":
                    assert len(response.read()) >= 3000
                elif way == "partly":
                    assert next(response.iter_bytes(10))
                    assert sockets(fault_server) <= 1
                elif way == "closed":
                    response.close()
                elif way == "exception":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        assert sockets(fault_server) == 0
    assert all(response.is_closed for response in kept)
    if way == "read":
        assert len({response.content for response in kept}) == 1


class Outliving(adieu.ReleaseOnRead):
    def on_client_close(self, view: adieu.View) -> Any:
        return adieu.STREAM


@pytest.mark.parametrize(
    "policy", [adieu.ReleaseOnRead(), adieu.CloseOnExit(), adieu.Prefetch(), Outliving()], ids=repr
)
def test_a_stream_ends_with_its_block_under_every_policy(
    fault_server: FaultServer, adapter: str, policy: adieu.CleanupPolicy
) -> None:
    url = f"{fault_server.url}/bytes?n=300000"
    with adieu.stream("GET", url, adapter=adapter, cleanup=policy) as response:
        assert next(response.iter_bytes())
        assert sockets(fault_server) == 1
    assert sockets(fault_server) == 0
    with pytest.raises((adieu.ClientClosed, adieu.BodyClosed)):
        response.read()


@pytest.mark.parametrize(
    ("path", "options", "error"),
    [
        ("/stall-head", {"timeout": adieu.Timeout(read=0.1)}, adieu.ReadTimeout),
        ("/close", {}, adieu.PeerClosed),
        ("/redirect?n=9", {"max_redirects": 3}, adieu.TooManyRedirects),
        ("/ok", {"event_hooks": {"response": [lambda response: 1 / 0]}}, ZeroDivisionError),
        ("/ok", {"nonsense": 1}, TypeError),
    ],
)
def test_a_stream_that_cannot_begin_leaves_nothing_open(
    fault_server: FaultServer,
    adapter: str,
    path: str,
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    with (
        pytest.raises(error),
        adieu.stream("GET", fault_server.url + path, adapter=adapter, **options),
    ):
        raise AssertionError("the block was entered")
    assert sockets(fault_server) == 0


def test_a_stream_sends_nothing_before_its_block_is_entered(fault_server: FaultServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waiting = adieu.stream("GET", f"{fault_server.url}/ok")
        assert fault_server.accepted == 0
        del waiting


def test_a_stream_can_be_entered_once(fault_server: FaultServer) -> None:
    once = adieu.stream("GET", f"{fault_server.url}/ok")
    with once as response:
        assert response.status_code == 200
    with pytest.raises(adieu.ClientClosed), once:
        raise AssertionError("the block was entered")
    assert fault_server.served == 1
    assert sockets(fault_server) == 0


def test_a_stream_reads_events_line_by_line(fault_server: FaultServer, adapter: str) -> None:
    fault_server.reply(
        "/events",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"8\r\ndata: 1\n\r\n9\r\ndata: 2\r\n\r\n4\r\nlast\r\n0\r\n\r\n",
    )
    with adieu.stream("GET", f"{fault_server.url}/events", adapter=adapter) as response:
        assert list(response.iter_lines()) == ["data: 1", "data: 2", "last"]
    assert sockets(fault_server) == 0
