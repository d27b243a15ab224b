"""`AdieuAdapter`: sessions of requests whose connections are adieu's."""

from __future__ import annotations

import gc
import pickle
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import requests
import urllib3

import adieu
from adieu.testing.faults_net import BlackHole
from adieu_requests import AdieuAdapter
from adieu_requests.errors import BrokenResponse
from adieu_requests.raw import RawResponse
from support.growth import assert_linear
from support.proxies import FaultProxy
from support.stage import drop, growing, with_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request
    from servers import TLSServer
    from support.watch import Watch

PATIENCE = (30, 30)
LONG = "/bytes?n=20000000"


@pytest.fixture(params=["native", "h11", "urllib3", "close"])
def adapter(request: pytest.FixtureRequest) -> AdieuAdapter:
    name: str = request.param
    return AdieuAdapter(name, limits=adieu.Limits(connections=1), pool_timeout=30)


@pytest.fixture
def session(adapter: AdieuAdapter, census: Watch) -> Iterator[requests.Session]:
    """A session with one connection at most; when it is closed, no socket may be open."""
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        yield session


def works(session: requests.Session, server: FaultServer) -> bool:
    """The one connection is free, or can be made."""
    return session.get(f"{server.url}/ok", timeout=PATIENCE).status_code == 200


def idle(adapter: AdieuAdapter) -> bool:
    return [line.state for line in adapter.client.connections()] in ([], ["idle"])


def test_a_response_is_that_of_requests(
    session: requests.Session, fault_server: FaultServer, adapter: AdieuAdapter
) -> None:
    answer = session.post(f"{fault_server.url}/echo?a=b", data={"c": "ä"}, timeout=PATIENCE)
    sent = fault_server.requests[-1]
    assert (sent.method, sent.target, sent.body) == ("POST", "/echo?a=b", b"c=%C3%A4")
    assert sent.header("content-type") == "application/x-www-form-urlencoded"
    assert (answer.status_code, answer.reason, answer.raw.version) == (200, "Scripted", 11)
    assert answer.connection is adapter  # type: ignore[comparison-overlap]
    assert idle(adapter)


def test_redirects_cookies_and_codings_are_those_of_requests(
    session: requests.Session, fault_server: FaultServer
) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /gzip?n=5000\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    fault_server.reply("/start", head + b"Content-Length: 0\r\n\r\n")
    answer = session.get(f"{fault_server.url}/start", timeout=PATIENCE)
    assert [hop.status_code for hop in answer.history] == [302]
    assert len(answer.content) == 5000
    assert fault_server.requests[-1].header("cookie") == "a=1; b=2"
    assert session.cookies.get_dict() == {"a": "1", "b": "2"}


@pytest.mark.parametrize("chunk_size", [1000, None])
def test_a_stream_is_read_to_its_end(
    session: requests.Session, fault_server: FaultServer, adapter: AdieuAdapter, chunk_size: int
) -> None:
    for path in ("/bytes?n=5500", "/chunked?n=5500", "/gzip?n=5500"):
        with session.get(fault_server.url + path, stream=True, timeout=PATIENCE) as answer:
            pieces = list(answer.iter_content(chunk_size))
            assert sum(map(len, pieces)) == 5500
            assert chunk_size is None or max(map(len, pieces)) <= chunk_size
            assert idle(adapter)
    with session.get(f"{fault_server.url}/bytes?n=99", stream=True, timeout=PATIENCE) as answer:
        assert [len(answer.raw.read(size)) for size in (50, 48, 10, 1)] == [50, 48, 1, 0]


def test_prefetched_content_is_read_in_linear_time() -> None:
    def read(size: int) -> None:
        raw = RawResponse(adieu.Response(200, body=bytes(size)), "GET")
        while raw.read(1000):
            pass

    assert_linear(read, 1_000_000)


def test_a_chunk_is_given_when_it_comes(
    session: requests.Session, fault_server: FaultServer
) -> None:
    goes_on = threading.Event()

    def feed(peer: Peer, request: Request) -> Ending:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n")
        goes_on.wait(30)
        peer.send(b"8\r\ndata: 2\n\r\n0\r\n\r\n")
        return "keep"

    fault_server.on("/feed", feed)
    with session.get(f"{fault_server.url}/feed", stream=True, timeout=PATIENCE) as answer:
        pieces = answer.iter_content(512)
        assert next(pieces) == b"data: 1\n"  # It waits for neither 512 bytes nor the end.
        goes_on.set()
        assert list(pieces) == [b"data: 2\n"]


def let_go(answer: requests.Response) -> None:
    del answer
    drop()


def leave(answer: requests.Response) -> None:
    answer.close()


def leave_half_way(answer: requests.Response) -> None:
    with answer:
        next(answer.iter_content(10))


def leave_by_an_error(answer: requests.Response) -> None:
    with pytest.raises(ZeroDivisionError), answer:
        raise ZeroDivisionError


@pytest.mark.parametrize("end", [leave, leave_half_way, leave_by_an_error])
@pytest.mark.parametrize("path", ["/bytes?n=1000", LONG])
def test_a_body_that_is_left_gives_its_connection_back(
    session: requests.Session, fault_server: FaultServer, end: Any, path: str
) -> None:
    for _ in range(2):
        end(session.get(fault_server.url + path, stream=True, timeout=PATIENCE))
    assert works(session, fault_server)


def test_a_dropped_response_is_reported_and_its_connection_closed(
    session: requests.Session, fault_server: FaultServer, adapter: AdieuAdapter
) -> None:
    gc.disable()  # Reference counting alone has to do, where there is one.
    try:
        with pytest.warns(ResourceWarning, match="test_requests_over_adieu"):
            let_go(session.get(fault_server.url + LONG, stream=True, timeout=PATIENCE))
        assert works(session, fault_server)
    finally:
        gc.enable()


def test_a_hook_that_raises_leaves_nothing_open(
    session: requests.Session, fault_server: FaultServer, adapter: AdieuAdapter
) -> None:
    def hook(answer: requests.Response, **options: Any) -> None:
        raise LookupError("the hook")

    with pytest.raises(LookupError):
        session.get(f"{fault_server.url}/bytes", hooks={"response": hook}, timeout=PATIENCE)
    assert idle(adapter)
    assert works(session, fault_server)


def test_closing_the_session_closes_a_stream(
    session: requests.Session, fault_server: FaultServer, census: Watch
) -> None:
    answer = session.get(fault_server.url + LONG, stream=True, timeout=PATIENCE)
    pieces = answer.iter_content(10)
    next(pieces)
    session.close()
    assert census.count() == 0
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="client was closed"):
        list(pieces)
    with pytest.raises(requests.ConnectionError):
        session.get(f"{fault_server.url}/ok", timeout=PATIENCE)


def test_a_full_pool_does_not_hang(session: requests.Session, fault_server: FaultServer) -> None:
    adapter = AdieuAdapter(limits=adieu.Limits(connections=1), pool_timeout=0.01)
    session.mount(fault_server.url, adapter)
    with (
        session.get(fault_server.url + LONG, stream=True),
        pytest.raises(requests.exceptions.ConnectTimeout, match="no connection became free"),
    ):
        session.get(f"{fault_server.url}/ok")  # requests' default: no timeout at all


ERRORS: list[tuple[str, Any, type[requests.RequestException]]] = [
    ("/close", PATIENCE, requests.ConnectionError),
    ("/reset", PATIENCE, requests.ConnectionError),
    ("/garbage?kind=other-protocol", PATIENCE, BrokenResponse),
    ("/truncated", PATIENCE, BrokenResponse),
    ("/broken-gzip", PATIENCE, requests.exceptions.ContentDecodingError),
    ("/stall-head", "read", requests.exceptions.ReadTimeout),
    ("/stall-head", "total", requests.exceptions.ReadTimeout),
    ("/stall-body", "read", requests.ConnectionError),
]


@pytest.mark.parametrize(("path", "timeout", "kind"), ERRORS, ids=str)
def test_errors_are_those_of_requests(
    session: requests.Session,
    fault_server: FaultServer,
    path: str,
    timeout: Any,
    kind: type[requests.RequestException],
) -> None:
    error: Any = None
    for seconds in growing(0.05):
        limits: Any = {"read": (30, seconds), "total": adieu.Timeout(total=seconds)}
        with pytest.raises(requests.RequestException) as caught:
            session.get(fault_server.url + path, timeout=limits.get(timeout, timeout))
        error = caught.value
        if isinstance(error, kind):
            break
    assert isinstance(error, kind)
    # requests' own error of decoding names no request.
    assert (error.request is None) == (path == "/broken-gzip")
    assert works(session, fault_server)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/truncated?n=9000&sent=500", requests.exceptions.ChunkedEncodingError),
        ("/truncated-chunked", requests.exceptions.ChunkedEncodingError),
        ("/stall-body?n=9000&sent=500", requests.ConnectionError),
        ("/broken-gzip", requests.exceptions.ContentDecodingError),
    ],
)
def test_errors_in_a_stream_are_those_of_requests(
    session: requests.Session, fault_server: FaultServer, path: str, kind: type[Exception]
) -> None:
    def begun(seconds: float) -> requests.Response:
        limit = (30, seconds if "stall" in path else 30)
        return session.get(fault_server.url + path, stream=True, timeout=limit)

    with with_head(begun, requests.exceptions.ReadTimeout) as answer, pytest.raises(kind):
        for _ in answer.iter_content(100):
            pass
    assert works(session, fault_server)


def test_no_connection_is_a_connection_error(session: requests.Session) -> None:
    with BlackHole() as hole:
        port = hole.port
    with pytest.raises(requests.ConnectionError) as caught:
        session.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE)
    assert isinstance(caught.value.__cause__, adieu.ConnectError)
    assert isinstance(caught.value.args[0], urllib3.exceptions.HTTPError)


def test_what_the_content_raises_is_what_the_caller_gets(
    session: requests.Session, fault_server: FaultServer, adapter: AdieuAdapter
) -> None:
    closed = []

    def content() -> Iterator[bytes]:
        try:
            yield b"begun"
            raise LookupError("the content")
        finally:
            closed.append(True)

    with pytest.raises(LookupError, match="the content"):
        session.post(f"{fault_server.url}/echo", data=content(), timeout=PATIENCE)
    assert closed == [True]
    assert works(session, fault_server)


def test_timeouts_that_are_none_are_refused_as_requests_does(session: requests.Session) -> None:
    for wrong in ((1, 2, 3), "1", 0):
        with pytest.raises(ValueError, match=r"[tT]imeout"):
            session.get("http://127.0.0.1:9/", timeout=wrong)  # type: ignore[arg-type]


def test_tls_settings_are_those_of_the_call(
    session: requests.Session, tls_server: TLSServer
) -> None:
    url = f"{tls_server.url}/ok"
    assert session.get(url, verify=str(tls_server.ca_path), timeout=PATIENCE).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url, timeout=PATIENCE)
    with pytest.warns(adieu.InsecureRequestWarning, match="verify=False"):
        assert session.get(url, verify=False, timeout=PATIENCE).status_code == 200
    with pytest.raises(OSError, match="invalid path: /no/such/file"):
        session.get(url, verify="/no/such/file")
    with pytest.raises(OSError, match="TLS certificate file, invalid path: /no/such/file"):
        session.get(url, cert="/no/such/file")


def test_a_session_can_be_pickled(session: requests.Session, fault_server: FaultServer) -> None:
    with pickle.loads(pickle.dumps(session)) as copied:
        assert works(copied, fault_server)


def test_the_caller_sees_no_warning(session: requests.Session, fault_server: FaultServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert works(session, fault_server)


def test_a_proxy_of_the_session_is_used(session: requests.Session, tls_server: TLSServer) -> None:
    with FaultProxy(auth="Basic bWU6czNjcmV0") as proxy:
        address = proxy.url.replace("://", "://me:s3cret@")
        session.proxies = {"http": address, "https": address}
        through = session.get("http://any.example/page", timeout=PATIENCE)
        assert through.text == "http://any.example/page"
        inside = session.get(
            f"{tls_server.url}/ok", verify=str(tls_server.ca_path), timeout=PATIENCE
        )
        assert inside.status_code == 200
        assert [request.method for request in proxy.requests] == ["GET", "CONNECT"]
    with pytest.raises(requests.exceptions.ProxyError):
        session.get("http://any.example/", timeout=PATIENCE)
    session.proxies = {"http": "nothing://here"}
    with pytest.raises(requests.exceptions.InvalidProxyURL):
        session.get("http://any.example/", timeout=PATIENCE)
