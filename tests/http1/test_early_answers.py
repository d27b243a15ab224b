"""Answers that come before the server has the whole request: over TCP, TLS, and TLS in the TLS of a proxy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.ways import Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage

PIECE = b"x" * 50_000
PIECES = 40
SIZE = len(PIECE) * PIECES


def pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE


def endless() -> Iterator[bytes]:
    while True:
        yield PIECE


CONTENTS: dict[str, Callable[[], Any]] = {
    "iterator": pieces,
    "bytes": lambda: PIECE * PIECES,
}


@pytest.mark.parametrize("kind", list(CONTENTS))
@pytest.mark.parametrize("complete", [False, True])
def test_a_success_that_begins_early_stops_nothing(
    stage: Stage, way: Way, kind: str, complete: bool
) -> None:
    def begins(peer: Peer, request: Request) -> Ending:
        """RFC 9110, section 10.1.1: without `Connection: close` it goes on to read."""
        if complete:
            peer.reply(202, b"taken")
        else:
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
            peer.send(b"Transfer-Encoding: chunked\r\n\r\n2\r\nta\r\n")
        peer.read_body(request)
        if not complete:
            peer.send(b"3\r\nken\r\n0\r\n\r\n")
        return "keep"

    way.server.on("/begins", begins, early=True)
    with stage.block(stage.one(**way.options)) as client:
        for _ in range(2):
            response = stage.get(client, f"{way.url}/begins", "POST", content=CONTENTS[kind]())
            assert response.content == b"taken"
    way.got_all(2, SIZE)
    if stage.adapter != "close":
        assert [one.connection for one in way.server.requests] == [1, 1]


def test_an_echo_is_read_while_the_content_is_sent(stage: Stage, way: Way) -> None:
    def echoes(peer: Peer, request: Request) -> Ending:
        """The first part of what comes: more than the buffers of the system hold in both directions."""
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(100):
            peer.send(b"y" * 10_000)
        peer.read_body(request)
        return "keep"

    way.server.on("/echoes", echoes, early=True)
    with stage.block(stage.one(**way.options)) as client:
        response = stage.get(client, f"{way.url}/echoes", "POST", content=pieces())
        assert response.content == b"y" * 1_000_000
    way.got_all(1, SIZE)


def test_an_answer_longer_than_what_is_held_waits_in_the_buffers(stage: Stage) -> None:
    length, piece = 12_000_000, b"y" * 10_000

    def writes(peer: Peer, request: Request) -> Ending:
        """It writes in a thread of its own, however long that takes, and reads meanwhile."""
        peer.start(200, [("content-length", str(length))])

        def write() -> None:
            for _ in range(length // len(piece)):
                peer.sock.sendall(piece)

        peer.sock.settimeout(None)
        thread = threading.Thread(target=write)
        thread.start()
        peer.read_body(request)
        thread.join()
        return "keep"

    stage.server.on("/writes", writes, early=True)
    with stage.block(stage.one()) as client:
        response = stage.get(client, "/writes", "POST", content=pieces())
        assert len(response.content) == length
        Way(stage.server).got_all(1, SIZE)
        stage.next_works(client)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n",
    ],
)
def test_a_refusal_stops_the_upload(stage: Stage, way: Way, head: bytes) -> None:
    if stage.adapter == "close" and head.startswith(b"HTTP/1.1 200"):
        pytest.skip("this adapter asks for the close itself, so that it is no refusal")
    over = threading.Event()

    def refuses(peer: Peer, request: Request) -> Ending:
        peer.send(head + b"Content-Length: 2\r\n\r\nno")
        over.wait(30)
        return "drop"

    way.server.on("/refuses", refuses, early=True)
    with stage.block(stage.one(**way.options)) as client:
        try:
            response = stage.get(client, f"{way.url}/refuses", "POST", content=endless())
            assert (response.status_code, response.content) == (int(head[9:12]), b"no")
        finally:
            over.set()
        way.next_works(stage, client)


def test_a_refusal_is_noticed_between_two_pieces(stage: Stage, way: Way) -> None:
    """A sync iterator that waits is not interrupted. It gives its next piece, and is asked for no more."""
    if "proxy" in way.options:
        pytest.skip("when an answer has passed the proxy, its server does not know")
    answered, over = threading.Event(), threading.Event()
    given: list[int] = []

    def refuses(peer: Peer, request: Request) -> Ending:
        peer.read_raw()
        peer.reply(401, b"no", [("Connection", "close")])
        answered.set()
        over.wait(30)
        return "drop"

    def silent() -> Iterator[bytes]:
        yield b"first"
        assert answered.wait(30)
        for number in range(10):
            given.append(number)
            yield b"more"

    way.server.on("/silent", refuses, early=True)
    with stage.block(stage.one(**way.options)) as client:
        try:
            response = stage.get(client, f"{way.url}/silent", "POST", content=silent())
            assert (response.status_code, response.content) == (401, b"no")
            assert given == [0]
        finally:
            over.set()
        way.next_works(stage, client)


CUT_OFF = {
    "one write": lambda: b"x" * 60_000,
    "bytes": lambda: b"x" * 4_000_000,
    "iterator": pieces,
    "endless": endless,
}


@pytest.mark.parametrize("ending", ["close", "drop"])
@pytest.mark.parametrize("kind", list(CUT_OFF))
def test_an_answer_is_heard_although_the_server_hung_up(
    stage: Stage, way: Way, kind: str, ending: Any
) -> None:
    def refuses(peer: Peer, request: Request) -> Ending:
        """It closes with unread bytes, at which the system sends a reset."""
        peer.read_raw()
        peer.send(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
            b"Content-Length: 7\r\n\r\ntoo big"
        )
        end: Ending = ending
        return end

    way.server.on("/too-big", refuses, early=True)
    with stage.block(stage.one(**way.options)) as client:
        for _ in range(5):
            response = stage.get(client, f"{way.url}/too-big", "POST", content=CUT_OFF[kind]())
            assert (response.status_code, response.content) == (413, b"too big")
        way.next_works(stage, client)


def test_a_server_that_hangs_up_without_an_answer_is_an_error(stage: Stage, way: Way) -> None:
    def hangs_up(peer: Peer, request: Request) -> Ending:
        peer.read_raw()
        return "reset"

    way.server.on("/gone", hangs_up, early=True)
    with stage.block(stage.one(**way.options)) as client:
        for content in (b"x" * 60_000, endless()):
            with pytest.raises(adieu.TransportError) as caught:
                stage.get(client, f"{way.url}/gone", "POST", content=content)
            assert not caught.value.response_started
        way.next_works(stage, client)
