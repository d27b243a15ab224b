"""`Expect: 100-continue`: the content waits until the server wants it (RFC 9110, section 10.1.1)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage

EXPECT = {"expect": "100-continue"}


class Untouched:
    """Content that must not be read."""

    def __iter__(self) -> Any:
        raise AssertionError("the content was read")


def waits_for_100(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long every adapter waits for a 100."""
    monkeypatch.setattr("adieu.http1.upload._CONTINUE_TIMEOUT", seconds)
    monkeypatch.setattr("adieu_urllib3.peer._CONTINUE_TIMEOUT", seconds)


def test_the_content_follows_the_100(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waits_for_100(monkeypatch, 60.0)
    early: list[bytes] = []

    def slow(peer: Peer, request: Request) -> Ending:
        peer.pause(0.1)
        early.append(bytes(peer._buffer))
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        peer.read_body(request, send_continue=False)
        peer.reply(200, request.body)
        return "keep"

    stage.server.on("/slow", slow, early=True)
    with stage.block(stage.one()) as client:
        for content in (b"small", b"large" * 100_000, [b"one", b"two"]):
            response = stage.get(client, "/slow", "PUT", content=content, headers=EXPECT)
            assert response.content == (content if type(content) is bytes else b"onetwo")
        stage.next_works(client)
    assert early == [b"", b"", b""]


def test_a_final_answer_means_that_the_content_is_not_sent(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        for content in (b"small", Untouched()):
            response = stage.get(
                client, "/early?status=413&keep=0", "PUT", content=content, headers=EXPECT
            )
            assert response.status_code == 413
        stage.next_works(client)
    assert [r.body_length for r in stage.server.requests if r.path == "/early"] == [0, 0]


def test_an_interim_answer_before_the_final_one_does_not_hide_it(stage: Stage) -> None:
    def refuses(peer: Peer, request: Request) -> Ending:
        peer.send(
            b"HTTP/1.1 103 Early Hints\r\n\r\n"
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
        )
        return "close"

    stage.server.on("/refuses", refuses, early=True)
    with stage.block(stage.one()) as client:
        response = stage.get(client, "/refuses", "PUT", content=Untouched(), headers=EXPECT)
        assert (response.status_code, response.content) == (401, b"no")
        stage.next_works(client)


def test_an_early_answer_after_a_100_stops_the_upload(stage: Stage) -> None:
    over = threading.Event()

    def changes_its_mind(peer: Peer, request: Request) -> Ending:
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        over.wait(5)
        return "drop"

    stage.server.on("/mind", changes_its_mind, early=True)
    with stage.block(stage.one()) as client:
        try:
            content = (b"x" * 65536 for _ in range(2000))
            assert stage.get(client, "/mind", "PUT", content=content).status_code == 413
        finally:
            over.set()
        stage.next_works(client)


def test_a_server_that_does_not_know_the_expectation_gets_the_content_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_for_100(monkeypatch, 0.01)
    with stage.block(stage.one()) as client:
        response = stage.get(client, "/expect-ignored", "PUT", content=b"abc", headers=EXPECT)
        assert response.status_code == 200
        stage.next_works(client)
    assert stage.server.requests[0].body == b"abc"


def test_the_total_timeout_holds_while_waiting(stage: Stage) -> None:
    timeout = adieu.Timeout(total=0.2)
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.DeadlineExceeded):
            stage.get(
                client, "/expect-ignored", "PUT", content=b"a", headers=EXPECT, timeout=timeout
            )
        stage.next_works(client)


def test_a_server_that_hangs_up_instead_is_an_error(stage: Stage) -> None:
    stage.server.on("/gone", lambda peer, request: "close", early=True)
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.PeerClosed) as caught:
            stage.get(client, "/gone", "PUT", content=Untouched(), headers=EXPECT)
        assert caught.value.request_sent == "partly"
        stage.next_works(client)


def test_endless_interim_answers_are_refused(stage: Stage) -> None:
    def endless(peer: Peer, request: Request) -> Ending:
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
        return "close"

    stage.server.on("/endless", endless, early=True)
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.ProtocolError, match="more than 32 1xx responses"):
            stage.get(client, "/endless", "PUT", content=Untouched(), headers=EXPECT)
        stage.next_works(client)


def test_without_content_nothing_is_expected(stage: Stage) -> None:
    with stage.block(stage.one(headers=EXPECT)) as client:
        facts = stage.get(client, "/echo").json()
        assert "expect" not in {name.lower() for name, _ in facts["headers"]}
        facts = stage.get(client, "/echo", "POST", content=b"abc").json()
        assert facts["body"] == "abc"
        assert ["expect", "100-continue"] in [[n.lower(), v] for n, v in facts["headers"]]
