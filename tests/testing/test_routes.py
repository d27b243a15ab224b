from __future__ import annotations

import http.client
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from adieu.testing.faults import FaultServer, payload
from adieu.testing.routing import ROUTES, first_segment, pieces
from support import raw

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lifecycle


@pytest.fixture
def client(fault_server: FaultServer) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection("127.0.0.1", fault_server.port, timeout=30)
    yield client
    client.close()


def get(
    client: http.client.HTTPConnection, path: str, method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    client.request(method, path)
    answer = client.getresponse()
    return answer, answer.read()


def test_every_route_says_how_it_is_used_and_what_it_does() -> None:
    for path, entry in ROUTES.items():
        assert path in [first_segment(usage) for usage in entry.usages]
        assert entry.does


def test_the_payload_is_the_same_in_pieces_of_any_size() -> None:
    assert payload(0) == b""
    whole = payload(200_000)
    assert len(whole) == 200_000
    assert whole[:3] == b"\x00\x01\x02"
    for size in (1000, 65_536, 1 << 20):
        assert b"".join(pieces(200_000, size=size)) == whole
    assert b"".join(pieces(200_000, 70_001)) == whole[70_001:]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/bytes?n=-1", "n=-1 is not between 0 and 100000000"),
        ("/bytes?n=100000001", "n=100000001 is not between"),
        ("/bytes?n=many", "n='many' is not a number"),
        ("/stall-head?seconds=61", "seconds=61 is not between 0 and 60"),
        ("/stall-head?seconds=nan", "seconds=nan is not between 0 and 60"),
        ("/redirect?n=51", "n=51 is not between 0 and 50"),
        ("/status/99", "'99' is not a final status"),
        ("/status/100", "'100' is not a final status"),
        ("/status/xyz", "'xyz' is not a final status"),
        ("/garbage?kind=none", "kind='none' is no name"),
        ("/race?how=why", "how='why' is neither"),
        ("/truncated-chunked?where=here", "where='here' is none of size, data"),
        ("/endless-1xx?n=10001", "n=10001 is not between"),
    ],
)
def test_a_bad_parameter_is_refused_with_a_sentence(
    fault_server: FaultServer, path: str, problem: str
) -> None:
    status, _, body = raw.split(raw.whole(fault_server, path))
    assert status == "HTTP/1.1 400 Scripted"
    assert problem in body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/ok", "/bytes", "/head", "/chunked", "/until-close", "/empty", "/status/404?body=9",
        "/not-modified", "/no-content", "/echo", "/redirect?body=9", "/gzip", "/deflate",
        "/continue", "/early-hints", "/http10", "/keep-alive", "/connection-close", "/big-head",
        "/many-headers?n=9", "/nowhere", "/truncated", "/drip", "/stall-body?seconds=0",
        "/stall-head?seconds=0", "/broken-gzip?n=100", "/early", "/close-after", "/race",
    ],
)  # fmt: skip
def test_head_is_answered_with_the_head_alone(fault_server: FaultServer, path: str) -> None:
    answer = raw.whole(fault_server, path, method="HEAD")
    while answer.startswith(b"HTTP/1.1 1"):
        answer = answer.partition(b"\r\n\r\n")[2]
    _, fields, rest = raw.split(answer)
    assert rest == b""
    if path == "/head":
        assert fields["content-length"] == "1000"


def test_lengths_and_chunks_frame_the_same_payload(client: http.client.HTTPConnection) -> None:
    for path in ("/bytes?n=", "/head?n=", "/chunked?size=7000&n=", "/chunked?trailers=1&n="):
        for n in (0, 1, 70_000):
            answer, body = get(client, f"{path}{n}")
            assert (answer.status, body) == (200, payload(n))


def test_chunks_have_the_size_that_was_asked_for_and_trailers_if_asked(
    fault_server: FaultServer,
) -> None:
    _, fields, body = raw.split(raw.whole(fault_server, "/chunked?n=5&size=3&trailers=1"))
    assert fields["trailer"] == "x-checksum"
    checksum = zlib.crc32(payload(5))
    trailers = b"x-checksum: %d\r\nx-second: 2\r\n" % checksum
    assert body == b"3\r\n\x00\x01\x02\r\n2\r\n\x03\x04\r\n0\r\n" + trailers + b"\r\n"


def test_the_end_of_the_stream_ends_a_body_without_a_length(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/until-close?n=70000"))
        _, fields, body = raw.split(raw.read_to_end(sock))
    assert "content-length" not in fields
    assert body == payload(70_000)


def test_replies_without_a_body_keep_the_connection(client: http.client.HTTPConnection) -> None:
    for path, status, length in (
        ("/empty", 200, "0"),
        ("/no-content", 204, None),
        ("/not-modified", 304, "1000"),
        ("/status/204", 204, None),
        ("/status/304", 304, None),
    ):
        answer, body = get(client, path)
        assert (answer.status, answer.headers["content-length"], body) == (status, length, b"")
    answer, body = get(client, "/ok")
    assert json.loads(body)["nth"] == 6


def test_any_final_status_can_be_sent_with_a_body_and_fields(
    client: http.client.HTTPConnection,
) -> None:
    answer, body = get(client, "/status/503?body=4&header=Retry-After:1&header=X-A:%20b")
    assert (answer.status, body) == (503, payload(4))
    assert (answer.headers["retry-after"], answer.headers["x-a"]) == ("1", "b")


def test_echo_answers_with_the_request(client: http.client.HTTPConnection) -> None:
    client.request("PATCH", "/echo?q", b"\xff\x00", {"X-A": "b"})
    facts = json.loads(client.getresponse().read())
    assert (facts["method"], facts["target"], facts["length"]) == ("PATCH", "/echo?q", 2)
    assert facts["body"].encode("latin-1") == b"\xff\x00"
    assert ["X-A", "b"] in facts["headers"]


def test_redirects_form_a_chain_with_bodies(client: http.client.HTTPConnection) -> None:
    path, hops = "/redirect?n=3&to=%2Fbytes%3Fn%3D5%26x%3D%2525&status=307&body=70001", 0
    while path.startswith("/redirect"):
        answer, body = get(client, path)
        assert (answer.status, len(body)) == (307, 70_001)
        path, hops = answer.headers["location"], hops + 1
    assert (path, hops) == ("/bytes?n=5&x=%25", 3)


def test_the_body_of_a_redirect_can_stall(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/redirect?body=100&stall=60"))
        assert raw.read_until(sock, payload(50)).endswith(payload(50))
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_a_fifty_megabyte_redirect_is_streamed(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/redirect?body=50000000"))
        assert b"content-length: 50000000\r\n" in raw.read_until(sock, b"\r\n\r\n")
    fault_server.wait_until(lambda: fault_server.open == 0)


def test_codings_decode_to_the_payload(client: http.client.HTTPConnection) -> None:
    for path, coding, wbits in (
        ("/gzip?n=70000", "gzip", 31),
        ("/deflate?n=70000", "deflate", 15),
        ("/deflate?n=70000&raw=1", "deflate", -15),
    ):
        answer, body = get(client, path)
        assert answer.headers["content-encoding"] == coding
        assert zlib.decompress(body, wbits) == payload(70_000)


def test_100_continue_is_sent_before_the_body_is_read(fault_server: FaultServer) -> None:
    for path, expectation in (("/continue", "X: y"), ("/ok", "Expect: 100-continue")):
        with raw.connect(fault_server) as sock:
            sock.sendall(raw.request(path, "Content-Length: 5", "Connection: close", expectation))
            assert raw.read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(b"hello")
            assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")
        assert fault_server.requests[-1].body == b"hello"


def test_early_hints_come_before_the_answer(fault_server: FaultServer) -> None:
    answer = raw.whole(fault_server, "/early-hints?n=3")
    assert answer.count(b"HTTP/1.1 103 Early Hints\r\nlink: <") == 3
    assert answer.count(b"HTTP/1.1 200 ") == 1


def test_an_upgraded_connection_answers_in_upper_case(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/upgrade", "Upgrade: shout", "Connection: upgrade") + b"early ")
        status, fields, rest = raw.split(raw.read_until(sock, b"EARLY "))
        assert status == "HTTP/1.1 101 Switching Protocols"
        assert (fields["upgrade"], fields["connection"], rest) == ("shout", "upgrade", b"EARLY ")
        sock.sendall(b"hello")
        assert raw.read_until(sock, b"HELLO") == b"HELLO"
    assert raw.whole(fault_server, "/upgrade").startswith(b"HTTP/1.1 426")


def test_http_1_0_replies_close(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/http10?n=5"))
        status, _, body = raw.split(raw.read_to_end(sock))
    assert (status, body) == ("HTTP/1.0 200 Scripted", payload(5))


def test_the_timeout_of_a_keep_alive_hint_is_applied(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/keep-alive?timeout=0.05&max=7"))
        _, fields, body = raw.split(raw.read_to_end(sock))
    assert (fields["keep-alive"], body) == ("timeout=0.05, max=7", b"kept")


def test_connection_close_is_sent_and_the_connection_closed(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/connection-close"))
        _, fields, body = raw.split(raw.read_to_end(sock))
    assert (fields["connection"], body) == ("close", b"the last one")


def test_heads_can_be_large(fault_server: FaultServer) -> None:
    _, fields, body = raw.split(raw.whole(fault_server, "/big-head?n=100000"))
    assert (len(fields["x-big"]), body) == (100_000, b"big")
    _, fields, body = raw.split(raw.whole(fault_server, "/many-headers?n=1000"))
    assert (fields["x-999"], body) == ("999", b"many")
