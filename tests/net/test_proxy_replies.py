"""Every reply of a proxy, in every split, gives a stream or an error, soon, and no byte too many is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu import Proxy, ProxyError, Wire
from support.replay import ReplayWire, tunnel

PROXIES = {
    "CONNECT": Proxy("http://proxy"),
    "digest": Proxy("http://proxy", auth=("me", "s3cret"), digest=True),
    "socks5h": Proxy("socks5h://me:s3cret@proxy"),
    "socks5": Proxy("socks5://proxy"),
    "socks4a": Proxy("socks4a://proxy"),
    "socks4": Proxy("socks4://proxy"),
}
LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 407 Who\r\n",
        b"HTTP/1.1 100 \r\n",
        b"HTTP/1.0 503 \xff\x1b[1m\r\n",
        b"HTTP/1.1 101 \r\n",
        b'Proxy-Authenticate: Digest realm="a", nonce="b"\r\n',
        b"Content-Length: 9\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"\x05\x00",
        b"\x05\x02\x01\x00",
        b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50",
        b"\x05\x00\x00\x03\x02ab\x00\x50",
        b"\x05\x05\x00\x01",
        b"\x00\x5a\x00\x00\x00\x00\x00\x00",
        b"\x00\x5b",
    ]
)
WORDS = st.lists(LINES | st.binary(max_size=20), max_size=12).map(b"".join)


def check(error: ProxyError) -> None:
    """Check that it is short, printable, and without the secret."""
    assert len(str(error).encode()) < 1500
    assert len(error.answer) <= 1024
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("kind", PROXIES)
@given(said=WORDS, piece=st.integers(1, 50))
def test_any_answer_is_a_tunnel_or_a_proxy_error(kind: str, said: bytes, piece: int) -> None:
    wire = ReplayWire(said, piece)
    try:
        stream = tunnel(wire, PROXIES[kind])
    except ProxyError as error:
        check(error)
    else:
        assert not stream.closed
    assert len(wire.streams) <= 2
    assert all(b"s3cret" not in one.heard for one in wire.streams if kind != "socks5h")


def test_bytes_after_a_socks_answer_belong_to_the_origin() -> None:
    said = b"\x05\x00" + b"\x05\x00\x00\x03\x02ab\x00\x50" + b"hello from the origin"
    for piece in (1, 3, 100):
        stream = tunnel(ReplayWire(said, piece), Proxy("socks5h://proxy"))
        assert stream.rest == b"hello from the origin"
    said = b"\x00\x5a\x00\x00\x00\x00\x00\x00" + b"hello"
    assert tunnel(ReplayWire(said), Proxy("socks4a://proxy")).rest == b"hello"


def test_the_messages_to_proxies_are_those_of_the_specifications() -> None:
    wire = ReplayWire(b"HTTP/1.1 200 OK\r\n\r\n")
    tunnel(wire, Proxy("http://me:pw@proxy", headers={"X-A": "b"}), "https://[::1]:8443/path?query")
    assert wire.streams[0].heard == (
        b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nX-A: b\r\n"
        b"Proxy-Authorization: Basic bWU6cHc=\r\n\r\n"
    )
    wire = ReplayWire(b"\x05\x02\x01\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    tunnel(wire, Proxy("socks5h://me:pw@proxy"))
    assert wire.streams[0].heard == (
        b"\x05\x02\x00\x02" + b"\x01\x02me\x02pw" + b"\x05\x01\x00\x03\x0bexample.org\x01\xbb"
    )
    wire = ReplayWire(b"\x00\x5a\x00\x00\x00\x00\x00\x00")
    tunnel(wire, Proxy("socks4a://me@proxy"))
    assert wire.streams[0].heard == b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00example.org\x00"


def test_a_resolved_name_is_tried_once_in_each_family() -> None:
    wire = ReplayWire(b"\x05\x00\x05\x03\x00\x01")
    with pytest.raises(ProxyError, match="the network cannot be reached"):
        tunnel(wire, Proxy("socks5://proxy"))
    asked = [stream.heard[3:] for stream in wire.streams]
    six = b"\xfd" + bytes(14) + b"\x01"
    assert asked == [
        b"\x05\x01\x00\x04" + six + b"\x01\xbb",
        b"\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb",
    ]
    assert wire.streams[0].closed
    wire = ReplayWire(b"\x00\x5a\x00\x00\x00\x00\x00\x00")
    tunnel(wire, Proxy("socks4://proxy"))
    assert wire.streams[0].heard == b"\x04\x01\x01\xbb\x0a\x00\x00\x01\x00"


def test_a_wire_without_name_resolution_leaves_names_to_the_proxy() -> None:
    class Bare(Wire):
        streams: tuple[Any, ...] = ()

        def open(self, origin: Any, scope: Any) -> Any:
            raise AssertionError("never asked")

    with pytest.raises(ProxyError, match="let the proxy do it, with socks5h://"):
        tunnel(Bare(), Proxy("socks5://proxy"))


def test_the_error_of_a_long_refusal_is_short() -> None:
    said = b"HTTP/1.1 403 " + b"n" * 5000 + b"\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    with pytest.raises(ProxyError) as caught:
        tunnel(ReplayWire(said), Proxy("http://proxy"))
    assert len(str(caught.value)) < 600
    assert caught.value.answer == b"x" * 1024
    many = b"".join(b"Proxy-Authenticate: S%d\r\n" % n for n in range(900))
    with pytest.raises(ProxyError) as caught:
        tunnel(ReplayWire(b"HTTP/1.1 407 No\r\n" + many + b"\r\n"), Proxy("http://proxy"))
    assert len(str(caught.value)) < 600
    assert isinstance(caught.value, adieu.ConnectError)
