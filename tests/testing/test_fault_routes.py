from __future__ import annotations

import http.client
import json
import threading
import time
import zlib
from typing import TYPE_CHECKING

import pytest

from adieu.testing.corpus import BY_NAME
from adieu.testing.faults import FaultServer, payload
from support import raw

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

pytestmark = pytest.mark.lifecycle


def test_a_broken_gzip_fails_in_the_middle_and_after_the_first_read(
    fault_server: FaultServer,
) -> None:
    _, fields, body = raw.split(raw.whole(fault_server, "/broken-gzip"))
    assert int(fields["content-length"]) == len(body) > 2 * 65_536
    decoder = zlib.decompressobj(31)
    assert decoder.decompress(body[:65_536])
    with pytest.raises(zlib.error, match="invalid block type"):
        decoder.decompress(body[65_536:])


def test_a_truncated_body_has_fewer_bytes_than_promised(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/truncated?n=10&sent=4"))
        _, fields, body = raw.split(raw.read_to_end(sock))
    assert (fields["content-length"], body) == ("10", payload(4))


@pytest.mark.parametrize(
    ("where", "end"),
    [("size", b"\r\n1"), ("data", b"\r\nwor"), ("end", b"hello\r\n"), ("trailer", b"checksum: 1")],
)
def test_a_chunked_body_can_be_truncated_in_each_of_its_parts(
    fault_server: FaultServer, where: str, end: bytes
) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request(f"/truncated-chunked?where={where}"))
        assert raw.read_to_end(sock).endswith(end)


def test_surplus_comes_in_one_write_with_the_reply_and_the_connection_stays_open(
    fault_server: FaultServer,
) -> None:
    for path, surplus in (
        ("/surplus?extra=3", b"\x00\x01\x02"),
        ("/second-response", b"HTTP/1.1 200 Scripted\r\ncontent-length: 5\r\n\r\nstray"),
    ):
        with raw.connect(fault_server) as sock:
            sock.sendall(raw.request(path))
            assert raw.split(raw.read_until(sock, surplus[-3:]))[2] == b"complete" + surplus
            sock.sendall(raw.request("/connection-close"))
            assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")


def test_late_surplus_comes_while_the_connection_is_idle(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/late-surplus?extra=3&ms=50"))
        assert raw.read_until(sock, b"complete").endswith(b"complete")
        assert raw.read_until(sock, b"\x02") == b"\x00\x01\x02"
        sock.sendall(raw.request("/connection-close"))
        assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")


def test_an_idle_connection_gets_a_408_and_is_closed(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/idle-408"))
        assert raw.read_until(sock, b"complete").endswith(b"complete")
        assert raw.read_to_end(sock).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize(
    ("path", "end"),
    [("/drip?n=10&seconds=0.2", payload(10)), ("/drip-head?n=10&seconds=0.2", b"\r\n\r\n")],
)
def test_dripping_lasts_as_long_as_asked_without_a_long_pause(
    fault_server: FaultServer, path: str, end: bytes
) -> None:
    start = time.monotonic()
    with raw.connect(fault_server) as sock:
        sock.settimeout(30)
        sock.sendall(raw.request(path))
        assert raw.read_until(sock, end).endswith(end)
    assert time.monotonic() - start >= 0.15


def test_the_head_and_the_body_can_stall(fault_server: FaultServer) -> None:
    for path, before in (
        ("/stall-head", b""),
        ("/stall-body?n=10&sent=3", payload(3)),
    ):
        for seconds in (60, 0.01):
            with raw.connect(fault_server) as sock:
                separator = "&" if "?" in path else "?"
                sock.sendall(raw.request(f"{path}{separator}seconds={seconds}"))
                if before:
                    assert raw.read_until(sock, before).endswith(before)
                if seconds == 60:
                    sock.settimeout(0.05)
                    with pytest.raises(TimeoutError):
                        sock.recv(1)
                else:
                    assert sock.recv(1)


def test_a_client_that_closes_ends_a_stalling_route(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/stall-head?seconds=60"))
        fault_server.wait_until(lambda: fault_server.served == 1)
    fault_server.wait_until(lambda: fault_server.open == 0)


def test_a_body_that_is_never_read_blocks_its_sender(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/stall-read", "Content-Length: 99999999", method="PUT"))
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.sendall(b"x" * 99_999_999)
    fault_server.hang_up()


def test_a_slow_reader_reads_everything(fault_server: FaultServer) -> None:
    start = time.monotonic()
    answer = raw.whole(
        fault_server, "/slow-read?piece=1000&seconds=0.01", method="PUT", body=b"x" * 10_000
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert time.monotonic() - start >= 0.1
    assert fault_server.requests[0].body_length == 10_000


def test_a_reset_is_sent_instead_of_the_reply_or_in_its_body(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/reset"))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/reset-body?n=10&sent=4"))
        with pytest.raises(ConnectionResetError):
            raw.read_to_end(sock)


def test_a_connection_can_be_closed_instead_of_answered(fault_server: FaultServer) -> None:
    assert raw.whole(fault_server, "/close") == b""


def test_a_connection_can_be_closed_after_a_keep_alive_reply(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/close-after"))
        _, fields, body = raw.split(raw.read_to_end(sock))
    assert "connection" not in fields
    assert json.loads(body)["nth"] == 1


def test_a_server_can_hang_up_after_so_many_requests(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        for nth in (1, 2, 3):
            sock.sendall(raw.request("/hang-up-after?n=3"))
            assert b'"nth": %d}' % nth in raw.read_until(sock, b"}")
        assert sock.recv(1) == b""


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_race_route_fails_on_a_reused_connection_only(
    fault_server: FaultServer, how: str
) -> None:
    client = http.client.HTTPConnection("127.0.0.1", fault_server.port, timeout=30)
    client.request("GET", f"/race?how={how}")
    assert client.getresponse().read()
    client.request("GET", f"/race?how={how}")
    lost = http.client.RemoteDisconnected if how == "close" else ConnectionResetError
    with pytest.raises(lost):
        client.getresponse()
    client.request("GET", f"/race?how={how}")
    assert json.loads(client.getresponse().read())["connection"] == 2
    client.close()


def _upload(sock: socket.socket, size: int) -> Callable[[], None]:
    def send() -> None:
        try:
            sock.sendall(b"x" * size)
        except OSError:
            pass

    thread = threading.Thread(target=send)
    thread.start()
    return thread.join


def test_an_early_answer_arrives_while_the_body_is_still_being_sent(
    fault_server: FaultServer,
) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/early?status=401", "Content-Length: 5000000", method="PUT"))
        finish = _upload(sock, 5_000_000)
        status, fields, body = raw.split(raw.read_to_end(sock))
        finish()
    assert (status, fields["connection"], body) == ("HTTP/1.1 401 Scripted", "close", b"early")


def test_an_early_answer_without_lingering_ends_in_a_reset(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        head = raw.request("/early?linger=0", "Content-Length: 5000000", method="PUT")
        sock.sendall(head + b"x" * 1000)
        fault_server.wait_until(lambda: fault_server.accepted == 1 and fault_server.open == 0)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            sock.sendall(b"x" * 50_000_000)


def test_an_early_answer_can_keep_the_connection(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/early?keep=1", "Content-Length: 100000", method="PUT"))
        assert b"connection" not in raw.read_until(sock, b"early")
        sock.sendall(b"x" * 100_000 + raw.request("/ok", "Connection: close"))
        assert b'"nth": 2' in raw.read_to_end(sock)


def test_an_expectation_can_be_ignored(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/expect-ignored", "Expect: 100-continue", "Content-Length: 5"))
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(30)
        sock.sendall(b"hello")
        assert raw.read_until(sock, b"}").startswith(b"HTTP/1.1 200")


def test_thousands_of_interim_responses_can_be_sent(fault_server: FaultServer) -> None:
    answer = raw.whole(fault_server, "/endless-1xx")
    assert answer.count(b"HTTP/1.1 103 ") == 10_000


@pytest.mark.parametrize("kind", ["length", "chunked", "ssh-banner", "tls-alert", "nothing"])
def test_garbage_is_served_exactly_as_in_the_corpus(fault_server: FaultServer, kind: str) -> None:
    assert raw.whole(fault_server, f"/garbage?kind={kind}") == BY_NAME[kind].raw
