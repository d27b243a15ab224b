"""A peer that gives or takes one byte after the other makes no call longer than its `total`, whatever the phase.

Each wait is short then, so no limit for a single wait helps. Every wait, in every layer of every stack, has to ask the
deadline anew: see `support.drip` for the server and the clock that show whether it does.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.deadline import Deadline
from support.drip import DripClock, DripServer
from support.places import PLACES, Place, placed
from support.stage import caught

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing import FaultServer
    from servers import Authority
    from support.drip import Conversation
    from support.watch import Watch

    Talk = Callable[[Conversation], object]

# By the clock of these tests, where each look takes a second.
TOTAL = 12
# Fewer, because a wait for the peer to take something may end with kilobytes that it took.
TOTAL_OF_SENDING = 4
LONG = 1000
BODY = b"x" * 60
# More than the socket buffers of both ends have room for, and no more than is sent in one piece.
REQUEST = 60_000

TO_PROXY: dict[str, str] = {
    "tls in tls": "https",
    "connect": "http",
    "socks5h": "socks5h",
    "socks4a": "socks4a",
}


def reach(road: str, talk: Conversation) -> None:
    """All that is before the TLS of the origin."""
    if road == "tls in tls":
        talk.secure()
        talk.head()
        talk.stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def reach_origin(road: str, talk: Conversation) -> None:
    """All that is before the first request to the origin."""
    reach(road, talk)
    if road != "plain":
        talk.secure()


def dripping(before: bytes, dripped: bytes) -> Callable[[str, Conversation], object]:
    """Answers a request, from some byte on in drips."""

    def answer(road: str, talk: Conversation) -> None:
        reach_origin(road, talk)
        if b"GET /end " in talk.head():
            talk.stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        if before:
            talk.stream.sendall(before)
        talk.drip()
        talk.stream.sendall(dripped)

    return answer


def handshake(road: str, talk: Conversation) -> None:
    reach(road, talk)
    talk.drip()
    talk.secure()


def proxy_handshake(road: str, talk: Conversation) -> None:
    talk.drip()
    talk.secure()


def tickets(road: str, talk: Conversation) -> None:
    reach(road, talk)
    talk.secure(before_tickets=talk.drip)


def proxy_answer(road: str, talk: Conversation) -> None:
    if road == "tls in tls":
        talk.secure()
    talk.head()
    talk.drip()
    talk.stream.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")


def socks_replies(road: str, talk: Conversation) -> None:
    talk.drip()
    talk.stream.recv(100)
    if road == "socks4a":
        talk.stream.sendall(b"\0\x5a" + b"\0" * 6)
        return
    talk.stream.sendall(b"\5\0")
    talk.stream.recv(100)
    talk.stream.sendall(b"\5\0\0\3\x20" + b"a" * 32 + b"\0\0")


def taking(road: str, talk: Conversation) -> bool:
    reach_origin(road, talk)
    return talk.take(REQUEST)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "head": dripping(b"", b"HTTP/1.1 200 OK\r\nX-Long: " + BODY),
    "body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n", BODY),
    "chunk lines": dripping(CHUNKED, b"1\r\nx\r\n" * 20),
    "trailers": dripping(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: " + BODY),
}
OPENINGS = {
    ("tls", "handshake"): handshake,
    ("tls in tls", "handshake"): handshake,
    ("tls in tls", "handshake with the proxy"): proxy_handshake,
    ("tls", "tickets"): tickets,
    ("tls in tls", "tickets"): tickets,
    ("connect", "answer of the proxy"): proxy_answer,
    ("tls in tls", "answer of the proxy"): proxy_answer,
    ("socks5h", "answer of the proxy"): socks_replies,
    ("socks4a", "answer of the proxy"): socks_replies,
}
ROADS = ("plain", "tls", "tls in tls")
READING = OPENINGS | {(road, phase): ANSWERS[phase] for road in ROADS for phase in ANSWERS}


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> DripClock:
    """The clock of every call."""
    clock = DripClock()
    monkeypatch.setattr("adieu.client.call.Deadline", partial(Deadline, clock=clock))
    return clock


@pytest.fixture
def serve(clock: DripClock, authority: Authority) -> Iterator[Callable[[Talk], DripServer]]:
    servers: list[DripServer] = []

    def serve(script: Talk) -> DripServer:
        servers.append(DripServer(clock, authority.server_context(), script))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


Serve = "Callable[[Talk], DripServer]"


def client_for(
    place: Place, road: str, server: DripServer, authority: Authority, total: float | None = TOTAL
) -> Any:
    scheme = "https" if "tls" in road else "http"
    proxy = TO_PROXY.get(road)
    return place.client(
        base_url=f"{scheme}://localhost:{9 if proxy else server.port}",
        proxy=None if proxy is None else f"{proxy}://localhost:{server.port}",
        verify=authority.pem,
        timeout=adieu.Timeout(connect=LONG, read=LONG, write=LONG, pool=LONG, total=total),
        connect=adieu.Connect(
            addresses={"localhost": "127.0.0.1"},
            socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)],
        ),
    )


@pytest.mark.parametrize(("road", "phase"), READING, ids=lambda name: name.replace(" ", "_"))
def test_a_peer_that_gives_one_byte_after_the_other_does_not_outlast_the_total(
    place: Place, road: str, phase: str, serve: Any, authority: Authority
) -> None:
    server = serve(partial(READING[road, phase], road))
    with place.block(client_for(place, road, server, authority)) as client:
        url = "/" if road != "connect" else "https://localhost:9/"
        caught(adieu.DeadlineExceeded, place.get, client, url)
        assert server.dripped > 1
        assert server.finished == 0
    assert place.nothing_open()


@pytest.mark.parametrize("content", ["head", "small content", "large content", "iterator"])
@pytest.mark.parametrize("road", ROADS)
def test_a_peer_that_takes_the_request_slowly_does_not_outlast_the_total(
    place: Place, road: str, content: str, serve: Any, authority: Authority
) -> None:
    server = serve(partial(taking, road))
    requests: dict[str, dict[str, Any]] = {
        "head": {"headers": {"X-Long": "x" * REQUEST}},
        "small content": {"method": "POST", "content": b"x" * REQUEST},
        "large content": {"method": "POST", "content": b"x" * 4 * REQUEST},
        "iterator": {"method": "POST", "content": [b"x" * 1000] * (REQUEST // 1000)},
    }
    options = requests[content]
    with place.block(client_for(place, road, server, authority, TOTAL_OF_SENDING)) as client:
        caught(adieu.DeadlineExceeded, place.get, client, "/", **options)
        assert server.finished == 0
    assert place.nothing_open()


# The adapter "close" keeps no connection that would be worth it.
@pytest.mark.parametrize(
    "place", [name for name in PLACES if not name.endswith("close")], indirect=True
)
@pytest.mark.parametrize("end", ["redirect", "close"])
@pytest.mark.parametrize("road", ROADS)
def test_the_bound_of_a_drain_holds_for_a_peer_that_drips(
    place: Place, road: str, end: str, serve: Any, authority: Authority
) -> None:
    """Of a redirect's body that is not wanted, and of one that is left in the middle."""
    status = b"HTTP/1.1 302 Found\r\nLocation: /end" if end == "redirect" else b"HTTP/1.1 200 OK"
    answer = dripping(status + b"\r\nContent-Length: 60\r\n\r\n", BODY)
    server = serve(partial(answer, road))
    policy = adieu.ReleaseOnRead(within=TOTAL)
    with place.block(client_for(place, road, server, authority, total=None)) as client:
        with place.block(client.stream("GET", "/", cleanup=policy)) as response:
            assert response.url.path == ("/end" if end == "redirect" else "/")
        assert 1 < server.dripped < len(BODY)
    assert place.nothing_open()


# The others switch to no other protocol.
@pytest.mark.parametrize(
    "place", [name for name in PLACES if name.endswith("native")], indirect=True
)
@pytest.mark.parametrize("direction", ["recv", "send"])
@pytest.mark.parametrize("road", ROADS)
def test_the_timeout_of_an_upgraded_connection_is_for_the_whole_call(
    place: Place,
    road: str,
    direction: str,
    serve: Any,
    clock: DripClock,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adieu.lifecycle.deadline.monotonic", clock)

    def switches(talk: Conversation) -> bool:
        reach_origin(road, talk)
        talk.head()
        talk.stream.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        )
        if direction == "send":
            return talk.take(REQUEST)
        talk.drip()
        talk.stream.sendall(BODY)
        return True

    server = serve(switches)
    fields = {"connection": "upgrade", "upgrade": "x"}
    with place.block(client_for(place, road, server, authority)) as client:
        response = place.get(client, "/", headers=fields, timeout=None)
        stream = response.upgraded
        if direction == "recv":
            # A plain byte is data, and a byte of a record is none.
            if road == "plain":
                assert place.run(stream.recv(1, timeout=TOTAL)) == BODY[:1]
            else:
                caught(TimeoutError, lambda: place.run(stream.recv(timeout=TOTAL)))
                assert 1 < server.dripped < len(BODY)
        else:
            data = b"x" * REQUEST
            caught(TimeoutError, lambda: place.run(stream.send(data, TOTAL_OF_SENDING)))
        assert server.finished == 0
        place.run(stream.close())
    assert place.nothing_open()
