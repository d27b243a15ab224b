from __future__ import annotations

import gc
import http.client
import json
import os
import socket
import threading
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from adieu.testing.faults import FaultServer
from support import raw

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request

pytestmark = pytest.mark.lifecycle


def test_requests_of_a_connection_are_served_one_after_the_other(fault_server: FaultServer) -> None:
    client = http.client.HTTPConnection("127.0.0.1", fault_server.port, timeout=30)
    for expected in range(1, 4):
        client.request("GET", "/ok")
        answer = client.getresponse()
        assert json.loads(answer.read()) == {"request": expected, "connection": 1, "nth": expected}
        assert answer.headers["x-request-number"] == str(expected)
    client.close()
    assert fault_server.accepted == 1
    assert fault_server.served == 3


def test_the_server_counts_accepted_and_open_connections(fault_server: FaultServer) -> None:
    with raw.connect(fault_server):
        with raw.connect(fault_server):
            fault_server.wait_until(lambda: fault_server.open == 2)
        fault_server.wait_until(lambda: fault_server.open == 1)
    fault_server.wait_until(lambda: fault_server.open == 0)
    assert fault_server.accepted == 2


def test_a_request_is_recorded_as_it_was_received(fault_server: FaultServer) -> None:
    body = bytes(range(256))
    raw.whole(fault_server, "/echo?a=1&a=2", "X-A: one", "x-a:  two ", method="PUT", body=body)
    (request,) = fault_server.requests
    assert (request.method, request.target, request.version) == ("PUT", "/echo?a=1&a=2", "HTTP/1.1")
    assert [pair for pair in request.headers if pair[0].lower() == "x-a"] == [
        ("X-A", "one"),
        ("x-a", "two"),
    ]
    assert request.header("X-a") == "one"
    assert request.query == {"a": ["1", "2"]}
    assert (request.body, request.body_length, request.body_read) == (body, 256, True)
    assert (request.connection, request.nth, request.number) == (1, 1, 1)
    assert repr(request) == "<Request 1: PUT /echo?a=1&a=2 on 1/1>"


def test_a_long_body_is_counted_in_full_and_kept_in_part(fault_server: FaultServer) -> None:
    answer = raw.whole(fault_server, "/ok", method="POST", body=b"x" * 3_000_000)
    assert answer.startswith(b"HTTP/1.1 200")
    (request,) = fault_server.requests
    assert (request.body_length, len(request.body)) == (3_000_000, 1 << 20)


def test_a_chunked_body_is_read_with_its_extensions_and_trailers(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/ok", "Transfer-Encoding: chunked", "Connection: close"))
        sock.sendall(b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n")
        raw.read_to_end(sock)
    assert fault_server.requests[0].body == b"hello0123456789"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET\r\n\r\n",
        b"GET /ok HTTP/2.0\r\n\r\n",
        b"GET  /ok HTTP/1.1\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nspace : x\r\n\r\n",
        b"GET /ok HTTP/1.1\nhost: x\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nx: a\r\n b\r\n\r\n",
        b"POST /ok HTTP/1.1\r\ncontent-length: +5\r\n\r\nhello",
        b"POST /ok HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        b"POST /ok HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        b"POST /ok HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello",
        b"POST /ok HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nx: " + b"x" * (2 << 20),
    ],
)
def test_a_request_with_wrong_framing_is_answered_with_400(
    fault_server: FaultServer, sent: bytes
) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(sent)
        assert raw.read_to_end(sock).startswith(b"HTTP/1.1 400 ")
    fault_server.wait_until(lambda: fault_server.open == 0)


def test_an_unknown_path_is_answered_with_404_and_the_connection_kept(
    fault_server: FaultServer,
) -> None:
    with raw.connect(fault_server) as sock:
        for _ in range(2):
            sock.sendall(raw.request("/nowhere"))
            assert b"no route /nowhere" in raw.read_until(sock, b"nowhere\n")
    assert fault_server.accepted == 1


def test_connection_close_of_the_client_is_answered_and_obeyed(fault_server: FaultServer) -> None:
    for answer in (
        raw.whole(fault_server, "/ok"),
        raw.whole(fault_server, "/ok", "Connection: x, CLOSE"),
    ):
        assert b"\r\nconnection: close\r\n" in answer
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/ok", version="1.0"))
        assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")


def test_a_target_may_be_absolute_as_in_a_request_to_a_proxy(fault_server: FaultServer) -> None:
    answer = raw.whole(fault_server, "http://example.org:81/bytes?n=3")
    assert raw.split(answer)[2] == b"\x00\x01\x02"


def test_a_reply_can_be_given_as_exact_bytes(fault_server: FaultServer) -> None:
    fault_server.reply("/mine", b"anything\r\nat all")
    fault_server.reply("/ok", b"bye", close=True)
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/mine"))
        assert raw.read_until(sock, b"all") == b"anything\r\nat all"
        sock.sendall(raw.request("/ok?x=1"))
        assert raw.read_to_end(sock) == b"bye"


def test_a_route_of_ones_own_is_called(fault_server: FaultServer) -> None:
    def teapot(peer: Peer, request: Request) -> Ending:
        peer.reply(418, request.method.encode())
        return "close"

    fault_server.on("/tea", teapot)
    status, fields, body = raw.split(raw.whole(fault_server, "/tea"))
    assert (status, fields["content-length"], body) == ("HTTP/1.1 418 Scripted", "3", b"GET")


def test_hang_up_ends_idle_and_busy_connections(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as idle, raw.connect(fault_server) as busy:
        busy.sendall(raw.request("/stall-head?seconds=60"))
        fault_server.wait_until(lambda: fault_server.served == 1 and fault_server.open == 2)
        fault_server.hang_up()
        assert raw.read_to_end(idle) == raw.read_to_end(busy) == b""
    fault_server.wait_until(lambda: fault_server.open == 0)
    assert raw.whole(fault_server, "/ok").startswith(b"HTTP/1.1 200")


def test_wait_until_fails_with_the_counts_of_the_server(
    fault_server: FaultServer,
) -> None:
    raw.whole(fault_server, "/empty")
    with pytest.raises(AssertionError, match=r"not true after 0.05 s; .* had 1 requests.*/empty"):
        fault_server.wait_until(lambda: fault_server.accepted == 2, timeout=0.05)


@pytest.mark.parametrize(
    "busy",
    [
        b"",
        b"GET /o",
        raw.request("/stall-head?seconds=60"),
        raw.request("/stall-read?seconds=60"),
        raw.request("/drip?seconds=60"),
        raw.request("/bytes?n=100000000"),
        raw.request("/upgrade", "Upgrade: x", "Connection: upgrade"),
        raw.request("/ok", "Content-Length: 10", method="POST"),
        raw.request("/early?linger=1", "Content-Length: 10", method="POST"),
    ],
)
def test_closing_ends_every_connection_and_every_thread_(busy: bytes) -> None:
    threads = set(threading.enumerate())
    server = FaultServer()
    with ExitStack() as stack:
        for _ in range(5):
            sock = stack.enter_context(raw.connect(server))
            sock.sendall(busy)
        server.wait_until(lambda: server.open == 5 and (b"\r\n\r\n" not in busy or server.served))
        server.close()
        assert set(threading.enumerate()) == threads
        assert server.open == 0
        server.close()
    with pytest.raises(ConnectionRefusedError):
        raw.connect(server)


def test_a_route_that_does_not_end_is_named_when_the_server_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adieu.testing.faults.GRACE", 0.1)
    release = threading.Event()

    def stubborn(peer: Peer, request: Request) -> Ending:
        release.wait(30)
        return "close"

    server = FaultServer()
    server.on("/stubborn", stubborn)
    with raw.connect(server) as sock:
        sock.sendall(raw.request("/stubborn"))
        server.wait_until(lambda: server.served == 1)
        with pytest.raises(RuntimeError, match=r"still running 0.1 s after .* serves 1"):
            server.close()
        release.set()
        server.wait_until(lambda: server.open == 0)


def test_a_closed_server_leaves_no_socket_to_the_collector() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with FaultServer() as server:
            raw.whole(server, "/ok")
            with raw.connect(server) as sock:
                sock.sendall(raw.request("/reset"))
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
        del server
        gc.collect()
    assert not caught


def test_a_server_on_a_unix_socket_removes_its_path(tmp_path: Path) -> None:
    path = tmp_path / "server"
    with FaultServer(unix=path) as server, socket.socket(socket.AF_UNIX) as sock:
        assert (server.url, server.port) == ("http://localhost", 0)
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(raw.request("/bytes?n=3", "Connection: close"))
        assert raw.read_to_end(sock).endswith(b"\r\n\r\n\x00\x01\x02")
    assert not os.path.lexists(path)


def test_the_url_of_a_server_on_ipv6_has_brackets() -> None:
    with FaultServer(host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        with socket.create_connection(("::1", server.port), timeout=30) as sock:
            sock.sendall(raw.request("/ok", "Connection: close"))
            assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")


def test_two_servers_cannot_share_a_path(tmp_path: Path) -> None:
    with FaultServer(unix=tmp_path / "s"), pytest.raises(OSError, match="in use"):
        FaultServer(unix=tmp_path / "s")


def test_clients_are_served_concurrently(fault_server: FaultServer) -> None:
    all_are_served = threading.Barrier(20)

    def route(peer: Peer, request: Request) -> Ending:
        all_are_served.wait(30)
        peer.reply(200, b"")
        return "close"

    fault_server.on("/at-once", route)
    with ExitStack() as stack:
        socks = [stack.enter_context(raw.connect(fault_server)) for _ in range(20)]
        for sock in socks:
            sock.sendall(raw.request("/at-once", "Connection: close"))
        for sock in socks:
            assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")
