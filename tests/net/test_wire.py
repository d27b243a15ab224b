"""Wires open a byte stream in time, and close everything that failed on the way."""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import re
import socket
import tempfile
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.http1.adapter import HTTP1Adapter
from adieu.http1.async_adapter import AsyncHTTP1Adapter
from adieu.lifecycle.deadline import Deadline
from adieu.messages.url import Origin
from adieu.net import dial
from adieu.net.async_wire import AsyncTCPWire
from adieu.net.dial import _reason
from adieu.net.lookup import lookup
from adieu.testing.faults import FaultServer
from adieu.testing.faults_net import refused_port
from adieu.testing.socket_table import established
from adieu_close import CloseAdapter
from adieu_native import NativeAdapter
from servers import KNOWN_PORTS, FullHole
from support.clients import ADAPTERS, EventLog, sockets
from support.stage import in_time
from support.threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.net.address import Address
    from support.watch import Watch

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]

V4 = socket.AF_INET


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["raw", "raw without keep-alive"])
def over(request: pytest.FixtureRequest) -> Callable[[adieu.Wire], adieu.Adapter]:
    """Makes an adapter with this wire, limited to one connection."""
    limits = adieu.Limits(connections=1)

    def raw(wire: adieu.Wire) -> adieu.Adapter:
        return NativeAdapter(wire, limits=limits)

    def closing(wire: adieu.Wire) -> adieu.Adapter:
        return CloseAdapter(NativeAdapter(wire, limits=limits))

    return raw if request.param == "raw" else closing


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: Address) -> None:
    """Resolve every name to these addresses."""
    monkeypatch.setattr(adieu.TCPWire, "addresses", lambda *_: list(addresses))


def at(port: int) -> Address:
    return V4, ("127.0.0.1", port)


# TCP, one address


def test_a_refused_connection_says_so_and_that_nothing_was_sent(adapter: str) -> None:
    with refused_port() as port, adieu.Client(adapter=adapter) as client:
        with pytest.raises(adieu.ConnectError, match=f"127.0.0.1:{port}.*refused") as caught:
            client.post(f"http://127.0.0.1:{port}/x", content=b"c")
        error = caught.value
        assert (error.phase, error.request_sent, error.response_started) == ("connect", "no", False)
        assert error.retry_safe
        assert not error.reused
        assert (error.method, error.url) == ("POST", f"http://127.0.0.1:{port}/x")
        assert error.elapsed is not None
        assert error.__cause__ is not None
        assert client.connections() == []


def test_a_connection_that_is_never_answered_is_given_up_in_time(
    adapter: str, census: Watch
) -> None:
    with FullHole() as hole, adieu.Client(adapter=adapter) as client:
        census.also(hole.port)
        before = census.count()
        with pytest.raises(adieu.ConnectTimeout, match=r"0\.2 s") as caught:
            client.get(hole.url, timeout=adieu.Timeout(connect=0.2))
        assert (caught.value.elapsed or 0) >= 0.18
        assert caught.value.limit == 0.2
        assert caught.value.retry_safe
        assert caught.value.phase == "connect"
        assert census.count() == before
        with pytest.raises(adieu.DeadlineExceeded):
            client.get(hole.url, timeout=adieu.Timeout(total=0.2))
        assert census.count() == before
        assert client.connections() == []


@pytest.mark.parametrize("origin", [Origin("mock", "host", None), Origin("mock", "", None)])
def test_an_origin_without_host_and_port_cannot_be_connected_to(origin: Origin) -> None:
    with pytest.raises(adieu.ConnectError, match="no host and port"):
        adieu.TCPWire().open(origin, adieu.ConnectScope(Deadline(adieu.Timeout()), None))


@pytest.mark.parametrize(
    "broken", [(255, ("127.0.0.1", 1)), (V4, ("224.0.0.1", 1)), (V4, ("127.0.0.1", 70_000))]
)
def test_an_address_that_no_socket_accepts_is_an_error_of_adieu(
    adapter: str, monkeypatch: pytest.MonkeyPatch, broken: Address
) -> None:
    resolving(monkeypatch, broken)
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        for _ in range(2):
            with pytest.raises(adieu.TransportError) as caught:
                client.get("http://a.example/", timeout=30)
            assert caught.value.retry_safe
        assert client.connections() == []


def test_setsockopt_that_fails_after_connecting_leaves_nothing_open(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = socket.socket.setsockopt

    def failing(sock: socket.socket, *option: Any) -> None:
        with contextlib.suppress(OSError):
            if sock.getpeername()[1] == fault_server.port:
                option = (socket.IPPROTO_TCP, -1, 1)  # unknown to every kernel
        original(sock, *option)

    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "setsockopt", failing)
            with pytest.raises(adieu.ConnectError) as caught:
                client.get(f"{fault_server.url}/ok")
        fault_server.wait_until(lambda: fault_server.accepted == 1)
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.retry_safe
        assert sockets(fault_server) == 0
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("racing", [False, True])
def test_an_error_after_connecting_leaves_nothing_open(
    fault_server: FaultServer,
    adapter: str,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: type[BaseException],
    racing: bool,
) -> None:
    connect = adieu.TCPWire.connect

    def interrupted(*args: Any) -> Any:
        assert connect(*args).fileno() > 0
        raise interrupt

    resolving(monkeypatch, *[at(fault_server.port)] * (2 if racing else 1))
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(adieu.TCPWire, "connect", interrupted)
            with pytest.raises(BaseException) as caught:  # noqa: PT011
                client.get(f"{fault_server.url}/ok")
            assert interrupt in (type(caught.value), type(caught.value.__cause__))
            assert sockets(fault_server) == 0
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    assert sockets(fault_server) == 0


# TCP, several addresses


def test_the_next_address_is_tried_when_one_refuses(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused_port() as port, adieu.Client(adapter=adapter) as client:
        resolving(monkeypatch, at(port), at(fault_server.port))
        response = client.get("http://a.example/bytes?n=300000")
        assert len(response.content) == 300_000
        # And the socket that won the race has the usual timeouts.
        with pytest.raises(adieu.ReadTimeout):
            client.get("http://a.example/stall-head", timeout=adieu.Timeout(read=0.1))
    assert sockets(fault_server) == 0


def test_the_next_address_is_tried_when_one_does_not_answer(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch, census: Watch
) -> None:
    with FullHole() as hole, adieu.Client(adapter=adapter) as client:
        census.also(hole.port)
        before = census.count()
        resolving(monkeypatch, at(hole.port), at(fault_server.port))
        assert client.get("http://a.example/ok").status_code == 200
        # The loser is closed already, and not only by the collector.
        assert census.count() == before + (0 if adapter == "close" else 1)
    assert sockets(fault_server) == 0


@pytest.mark.parametrize(
    "broken",
    [(V4, ("224.0.0.1", 80)), (255, ("127.0.0.1", 1))],
    ids=["no route", "no such family"],
)
def test_an_address_that_fails_at_once_is_no_winner(
    fault_server: FaultServer,
    adapter: str,
    monkeypatch: pytest.MonkeyPatch,
    broken: Address,
) -> None:
    resolving(monkeypatch, *[broken] * 8, at(fault_server.port))
    monkeypatch.setattr(dial, "_HEAD_START", 60.0)  # A failed address gets none.
    with adieu.Client(adapter=adapter) as client, in_time():
        assert client.get("http://a.example/ok").status_code == 200
    resolving(monkeypatch, broken, broken)
    with adieu.Client(adapter=adapter) as client, pytest.raises(adieu.ConnectError):
        client.get("http://a.example/ok", timeout=30)
    assert sockets(fault_server) == 0


def test_when_every_address_refuses_the_error_names_each(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused_port() as one, refused_port() as other:
        resolving(monkeypatch, at(one), (V4, ("127.0.0.2", other)))
        with adieu.Client(adapter=adapter) as client:
            with pytest.raises(adieu.ConnectError) as caught:
                client.get("http://a.example/")
            text = str(caught.value)
            assert "http://a.example" in text
            assert "127.0.0.1: " in text
            assert "127.0.0.2: " in text
            assert text.count("refused") == 2
            assert client.connections() == []


def test_when_no_address_answers_all_are_given_up_in_time(
    adapter: str, monkeypatch: pytest.MonkeyPatch, census: Watch
) -> None:
    with FullHole() as one, FullHole() as other:
        census.also(one.port)
        census.also(other.port)
        before = census.count()
        resolving(monkeypatch, at(one.port), at(other.port))
        with adieu.Client(adapter=adapter) as client:
            with pytest.raises(adieu.ConnectTimeout) as caught:
                client.get("http://a.example/", timeout=0.4)
            assert (caught.value.elapsed or 0) >= 0.36
            assert census.count() == before


def test_of_two_addresses_that_answer_one_is_used(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, *[at(fault_server.port)] * 3)
    with adieu.Client(adapter=adapter) as client:
        assert client.get("http://a.example/ok").status_code == 200
        assert sockets(fault_server) == (0 if adapter == "close" else 1)
        assert fault_server.accepted == 1
    assert sockets(fault_server) == 0


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


@ipv6
def test_an_ipv6_address_is_connected_to(adapter: str) -> None:
    with FaultServer(host="::1") as server, adieu.Client(adapter=adapter) as client:
        KNOWN_PORTS.add(server.port)
        response = client.get(f"{server.url}/echo")
        sent = {name.lower(): value for name, value in response.json()["headers"]}
        assert sent["host"] == f"[::1]:{server.port}"
        client.close()
        assert sockets(server) == 0


@ipv6
@pytest.mark.parametrize("first", ["IPv6", "IPv4"])
def test_the_other_family_is_tried_when_one_refuses(
    adapter: str, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    host = "127.0.0.1" if first == "IPv6" else "::1"
    with FaultServer(host=host) as server, adieu.Client(adapter=adapter) as client:
        KNOWN_PORTS.add(server.port)
        v4: Address = (V4, ("127.0.0.1", server.port))
        v6: Address = (socket.AF_INET6, ("::1", server.port, 0, 0))
        resolving(monkeypatch, *([v6, v4] if first == "IPv6" else [v4, v6]))
        assert client.get(f"http://a.example:{server.port}/ok").status_code == 200
        client.close()
        assert sockets(server) == 0


# Names


def test_a_name_is_looked_up(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"http://localhost:{fault_server.port}/echo")
        sent = {name.lower(): value for name, value in response.json()["headers"]}
        assert sent["host"] == f"localhost:{fault_server.port}"
    assert sockets(fault_server) == 0


def test_a_name_that_does_not_exist_is_an_error_in_time(adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        with in_time(), pytest.raises((adieu.DNSError, adieu.ConnectTimeout)) as caught:
            client.get("http://nobody.invalid/", timeout=5)
        assert caught.value.retry_safe
        if isinstance(caught.value, adieu.DNSError):
            assert caught.value.phase == "dns"
            assert "'nobody.invalid'" in str(caught.value)
        assert client.connections() == []


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]
)
@pytest.mark.parametrize("timeout", [5, None])
def test_the_error_quotes_the_resolver(
    adapter: str, monkeypatch: pytest.MonkeyPatch, error: Exception, timeout: float | None
) -> None:
    def failing(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    with adieu.Client(adapter=adapter) as client:
        with pytest.raises(adieu.DNSError, match=r"'a\.example'") as caught:
            client.get("http://a.example/", timeout=timeout)
        assert (caught.value.phase, caught.value.request_sent) == ("dns", "no")


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (adieu.Timeout(connect=0.2), adieu.ConnectTimeout),
        (adieu.Timeout(total=0.2), adieu.DeadlineExceeded),
    ],
)
def test_a_resolver_that_stalls_is_given_up_in_time(
    fault_server: FaultServer,
    adapter: str,
    monkeypatch: pytest.MonkeyPatch,
    timeout: adieu.Timeout,
    error: type[Exception],
) -> None:
    go_on = threading.Event()
    resolve = socket.getaddrinfo

    def stalling(*question: Any) -> Any:
        assert go_on.wait(60)
        return resolve(*question)

    monkeypatch.setattr(socket, "getaddrinfo", stalling)
    url = f"http://localhost:{fault_server.port}/ok"
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with in_time(), pytest.raises(error, match=r"0\.2 s"):
            client.get(url, timeout=timeout)
        assert client.connections() == []
        go_on.set()
        assert client.get(url).status_code == 200
        # The abandoned look-up has ended, and its answer was not connected to.
        for thread in threading.enumerate():
            if thread.name.startswith("adieu-dns"):
                thread.join(30)
                assert not thread.is_alive()
        assert fault_server.accepted == 1
    assert sockets(fault_server) == 0


def test_closing_the_client_ends_the_wait_for_a_name(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, asked = threading.Event(), threading.Event()

    def stalling(*question: Any) -> Any:
        asked.set()
        assert go_on.wait(60)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", stalling)
    client = adieu.Client(adapter=adapter)
    closing = threading.Thread(target=lambda: asked.wait(30) and client.close())
    closing.start()
    try:
        with in_time(), pytest.raises(adieu.ClientClosed):
            client.get("http://a.example/")
    finally:
        go_on.set()
        closing.join()
        for thread in threading.enumerate():
            if thread.name.startswith("adieu-dns"):
                thread.join(30)


def test_an_address_needs_no_resolver_thread(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("a thread was started")

    monkeypatch.setattr("adieu.net.lookup_threads.BackgroundThread", never)
    with adieu.Client(adapter=adapter) as client:
        assert client.get(f"{fault_server.url}/ok").status_code == 200


def test_the_families_of_a_name_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    v6, v4, stream = socket.AF_INET6, socket.AF_INET, socket.SOCK_STREAM
    found = [(v6, stream, 6, "", ("::1", 80, 0, 0)), (v6, stream, 6, "", ("::2", 80, 0, 0))]
    found += [(v6, stream, 6, "", ("::1", 80, 0, 0)), (v6, stream, 6, "", ("::3", 80, 0, 0))]
    answers: list[Any] = [*found, (v4, stream, 6, "", ("1.1.1.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answers)
    hosts = [address[0] for _, address in lookup("a.example", 80)]
    assert hosts == ["::1", "1.1.1.1", "::2", "::3"]


# Unix sockets

unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


@pytest.fixture
def path() -> Iterator[str]:
    """A path that is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="adieu-") as folder:
        yield os.path.join(folder, "s")


@unix
def test_a_unix_socket_carries_http(path: str, over: Callable[[adieu.Wire], adieu.Adapter]) -> None:
    event_log = EventLog()
    with FaultServer(unix=path) as server:
        with adieu.Client(
            base_url="http://docker", adapter=over(adieu.UnixWire(path)), events=event_log
        ) as client:
            echoed = client.post("/echo", content=b"x" * 300_000).json()
            assert echoed["length"] == 300_000
            assert ["Host", "docker"] in echoed["headers"]
            for _ in range(3):
                assert client.get("/ok").status_code == 200
            with client.stream("GET", "/bytes?n=300000") as response:
                assert next(response.iter_bytes())
            assert server.accepted <= 5
            with pytest.raises(adieu.ReadTimeout):
                client.get("/stall-head", timeout=adieu.Timeout(read=0.1))
            kept = client.stream("GET", "/bytes?n=300000")
            assert established(to_paths={path}) == 1
        assert established(to_paths={path}) == 0
        assert kept.is_closed
        server.wait_until(lambda: server.open == 0)
    event_log.check()
    assert repr(adieu.UnixWire(path)) == f"UnixWire({path!r})"


@unix
@pytest.mark.parametrize("kind", ["missing", "file", "too long"])
def test_the_error_of_an_invalid_unix_socket_names_its_path(
    path: str, over: Callable[[adieu.Wire], adieu.Adapter], kind: str
) -> None:
    if kind == "file":
        open(path, "w").close()
    elif kind == "too long":
        path += "x" * 200
    with adieu.Client(adapter=over(adieu.UnixWire(path))) as client:
        with pytest.raises(adieu.ConnectError, match=re.escape(path)) as caught:
            client.get("http://docker/")
        assert caught.value.retry_safe
        assert client.connections() == []


@unix
def test_two_origins_over_one_unix_socket_do_not_share_connections(path: str) -> None:
    with (
        FaultServer(unix=path) as server,
        adieu.Client(adapter=NativeAdapter(adieu.UnixWire(path))) as client,
    ):
        client.get("http://one/ok")
        client.get("http://other/ok")
        assert server.accepted == 2


# A wire of the user


class Elsewhere(adieu.Wire):
    """Connects to this server for every URL."""

    def __init__(self, port: int) -> None:
        self.port = port

    def open(self, origin: Origin, scope: adieu.ConnectScope) -> adieu.ByteStream:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=scope.remaining())
        scope.own(sock)
        return adieu.SocketStream(sock)


class Pinned(adieu.TCPWire):
    """Resolves every name to this address."""

    def addresses(self, host: str, port: int, scope: adieu.ConnectScope) -> list[Address]:
        return [(socket.AF_INET, ("127.0.0.1", port))]


@pytest.mark.parametrize("kind", [Elsewhere, Pinned])
def test_a_wire_of_the_user_needs_ten_lines(
    fault_server: FaultServer, over: Callable[[adieu.Wire], adieu.Adapter], kind: Any
) -> None:
    lines = [line for line in inspect.getsource(kind).splitlines() if line.strip()]
    assert len(lines) <= 10
    wire: adieu.Wire = Pinned() if kind is Pinned else Elsewhere(fault_server.port)
    base = f"http://a.example:{fault_server.port}"
    event_log = EventLog()
    with adieu.Client(base_url=base, adapter=over(wire), events=event_log) as client:
        assert client.get("/ok").status_code == 200
        assert len(client.get("/bytes?n=300000").content) == 300_000
        with client.stream("GET", "/bytes?n=300000"):
            assert sockets(fault_server) == 1
        with pytest.raises(adieu.BodyTruncated):
            client.get("/truncated")
    event_log.check()
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("native", [OSError(113, "No route to host"), ZeroDivisionError("wire")])
@pytest.mark.parametrize("owned", [False, True])
def test_the_error_of_a_wire_has_its_cause_and_its_sockets_are_closed(
    fault_server: FaultServer,
    over: Callable[[adieu.Wire], adieu.Adapter],
    native: Exception,
    owned: bool,
) -> None:
    class Failing(Elsewhere):
        def open(self, origin: Origin, scope: adieu.ConnectScope) -> adieu.ByteStream:
            if owned:
                super().open(origin, scope)
            raise native

    with adieu.Client(adapter=over(Failing(fault_server.port))) as client:
        for _ in range(2):
            with pytest.raises(adieu.TransportError) as caught:
                client.get("http://a.example/")
            assert caught.value.__cause__ is native
            assert isinstance(caught.value, adieu.ConnectError) is isinstance(native, OSError)
            assert sockets(fault_server) == 0
        assert client.connections() == []


# A peer in memory


class Paper(adieu.ByteStream):
    """A byte stream without a socket: it records the sent bytes and delivers prepared ones."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = deque(answers)
        self.sent = b""
        self.unasked = False
        self.closings = 0

    def recv(self, max_bytes: int, limit: adieu.TimeLimit) -> bytes:
        if not self.answers:
            return b""
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        if len(answer) > max_bytes:
            self.answers.appendleft(answer[max_bytes:])
        return answer[:max_bytes]

    def send(self, data: bytes, limit: adieu.TimeLimit) -> None:
        assert not self.closings
        self.sent += data

    def readable(self) -> bool:
        return self.unasked

    def close(self) -> None:
        self.closings += 1


class PaperWire(adieu.Wire):
    def __init__(self, *streams: Paper) -> None:
        self.streams = deque(streams)

    def open(self, origin: Origin, scope: adieu.ConnectScope) -> adieu.ByteStream:
        scope.remaining()
        return self.streams.popleft()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_peer_in_memory_answers_and_is_kept_and_closed(
    over: Callable[[adieu.Wire], adieu.Adapter],
) -> None:
    streams = [Paper(OK, OK) for _ in range(2)]
    event_log = EventLog()
    with adieu.Client(adapter=over(PaperWire(*streams)), events=event_log) as client:
        assert client.get("http://paper/1").content == b"ok"
        assert client.post("http://paper/2", content=b"x" * 300_000).content == b"ok"
        used = sum(bool(stream.sent) for stream in streams)
        assert used == event_log.count()["connected"]
    event_log.check()
    assert [bool(stream.closings) for stream in streams[:used]] == [True] * used
    sent = b"".join(stream.sent for stream in streams)
    assert sent.startswith(b"GET /1 HTTP/1.1\r\nHost: paper\r\n")
    assert b"POST /2 HTTP/1.1\r\n" in sent
    assert sent.count(b"x" * 300_000) == 1


@pytest.mark.parametrize(
    ("answers", "error", "cause"),
    [
        ((), adieu.PeerClosed, None),
        ((b"HTTP/1.1 200 OK\r\nConte",), adieu.ProtocolError, None),
        ((OK[:-1],), adieu.BodyTruncated, None),
        ((TimeoutError(),), adieu.ReadTimeout, TimeoutError),
        ((OK[:-1], TimeoutError()), adieu.ReadTimeout, TimeoutError),
        ((ConnectionResetError(104, "reset"),), adieu.ReadError, ConnectionResetError),
        ((OK[:-1], OSError(5, "I/O error")), adieu.ReadError, OSError),
    ],
)
def test_a_peer_in_memory_fails_as_a_socket_does(
    over: Callable[[adieu.Wire], adieu.Adapter],
    answers: tuple[bytes | Exception, ...],
    error: type[Exception],
    cause: type[Exception] | None,
) -> None:
    stream, second = Paper(*answers), Paper(OK)
    with adieu.Client(adapter=over(PaperWire(stream, second))) as client:
        with pytest.raises(error) as caught:
            client.get("http://paper/")
        if cause is not None:
            assert type(caught.value.__cause__) is cause
        assert stream.closings
        assert client.get("http://paper/").content == b"ok"
    assert second.closings


def test_a_peer_in_memory_that_sends_unrequested_bytes_is_not_used_again() -> None:
    first, second = Paper(OK, OK), Paper(OK)
    with adieu.Client(adapter=NativeAdapter(PaperWire(first, second))) as client:
        client.get("http://paper/1")
        first.unasked = True
        client.get("http://paper/2")
        assert first.closings
        assert b"/2" in second.sent
        assert b"/2" not in first.sent


class OnlyOpens:
    """No subclass of `Wire`, so that a misspelt member would not be noticed."""

    def open(self, origin: Origin, scope: adieu.ConnectScope) -> adieu.ByteStream:
        raise AssertionError("never asked")


@pytest.mark.parametrize("wire", [OnlyOpens(), AsyncTCPWire(), AsyncTCPWire, "unix"])
def test_a_sync_adapter_refuses_an_invalid_wire_when_it_is_made(wire: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"opens connections with an adieu\.Wire"):
        HTTP1Adapter(wire)


@pytest.mark.parametrize("wire", [OnlyOpens(), adieu.TCPWire(), adieu.UnixWire("app.sock")])
def test_an_async_adapter_refuses_an_invalid_wire_when_it_is_made(wire: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="opens connections with an AsyncWire"):
        AsyncHTTP1Adapter(wire)


def test_a_wire_that_does_not_open_a_stream_is_named(fault_server: FaultServer) -> None:
    class Wrong(adieu.Wire):
        def open(self, origin: Origin, scope: adieu.ConnectScope) -> Any:
            scope.own(sock := socket.create_connection(("127.0.0.1", fault_server.port)))
            return sock

    with (
        adieu.Client(adapter=HTTP1Adapter(Wrong())) as client,
        pytest.raises(adieu.InvalidRequest, match=r"Wrong object.*neither a ByteStream nor"),
    ):
        client.get("http://anywhere/")


def test_both_ends_of_a_socketpair_make_a_peer_in_this_process(
    over: Callable[[adieu.Wire], adieu.Adapter],
) -> None:
    ours, theirs = socket.socketpair()

    class Pair(adieu.Wire):
        def open(self, origin: Origin, scope: adieu.ConnectScope) -> adieu.ByteStream:
            scope.own(ours)
            return adieu.SocketStream(ours)

    with theirs, adieu.Client(adapter=over(Pair())) as client:
        theirs.settimeout(30)
        call = BackgroundCall(lambda: client.get("http://pair/x").content)
        assert theirs.recv(1000).startswith(b"GET /x HTTP/1.1\r\nHost: pair\r\n")
        theirs.sendall(OK)
        assert call.finished() == b"ok"
        client.close()
        assert theirs.recv(1000) == b""
        assert ours.fileno() == -1


# The scope


class Thing:
    def __init__(self, error: Exception | None = None) -> None:
        self.closings = 0
        self.error = error

    def close(self) -> None:
        self.closings += 1
        if self.error is not None:
            raise self.error


def test_a_scope_closes_all_that_it_owns_whatever_they_raise() -> None:
    scope = adieu.ConnectScope(Deadline(adieu.Timeout()), None)
    things = [Thing(), Thing(OSError()), Thing(ValueError()), Thing()]
    for thing in things:
        scope.own(thing)
    scope.close()
    scope.close()
    assert all(thing.closings >= 1 for thing in things)


def test_a_closed_scope_closes_what_it_gets_later() -> None:
    scope = adieu.ConnectScope(Deadline(adieu.Timeout()), None)
    scope.close()
    late = Thing()
    with pytest.raises(adieu.ClientClosed):
        scope.own(late)
    assert late.closings == 1


@pytest.mark.parametrize(
    ("timeout", "left", "error"),
    [
        (adieu.Timeout(connect=5), 5.0, adieu.ConnectTimeout),
        (adieu.Timeout(connect=5, total=90), 5.0, adieu.ConnectTimeout),
        (adieu.Timeout(connect=5, total=3), 3.0, adieu.DeadlineExceeded),
        (adieu.Timeout(connect=None, total=3), 3.0, adieu.DeadlineExceeded),
        (adieu.Timeout(connect=None), None, None),
    ],
)
def test_a_scope_has_one_clock_for_all_its_steps(
    timeout: adieu.Timeout, left: float | None, error: type[Exception] | None
) -> None:
    now = [100.0]
    scope = adieu.ConnectScope(Deadline(timeout, lambda: now[0]), None)
    assert scope.remaining() == left
    now[0] += 2
    assert scope.remaining() == (None if left is None else left - 2)
    now[0] += 10
    if error is None:
        assert scope.remaining() is None
    else:
        with pytest.raises(error):
            scope.remaining()
        assert type(scope.exceeded()) is error


def test_a_link_local_address_without_its_interface_is_explained() -> None:
    """RFC 4291, section 2.5.6; the system says "Invalid argument" for it."""
    error = _reason(("fe80::1", 80, 0, 0), OSError(errno.EINVAL, "Invalid argument"))
    assert error == (
        "fe80::1: Invalid argument, because a link-local address is one of a network interface: name that by "
        "connect=adieu.Connect(addresses={'[fe80::1]': 'fe80::1%eth0'})"
    )
    for address in (("fe80::1", 80, 0, 2), ("fd00::1", 80, 0, 0), ("127.0.0.1", 80)):
        said = _reason(address, OSError(errno.EINVAL, "Invalid argument"))
        assert said == f"{address[0]}: Invalid argument"
