"""`Expect: 100-continue`: the content waits until the server wants it (RFC 9110, section 10.1.1)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults import FaultServer

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
        over.wait(30)
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


def picky(peer: Peer, request: Request) -> Ending:
    """A server that knows no expectations."""
    if request.header("expect"):
        peer.reply(417, b"no")
    else:
        peer.read_body(request)
        peer.reply(200, request.body)
    return "keep"


@pytest.mark.parametrize("kind", ["bytes", "iterator", "form"])
def test_a_417_is_followed_by_the_same_request_without_the_expectation(
    stage: Stage, kind: str
) -> None:
    """RFC 9110, section 10.1.1. Nothing of the content has been read by then, so an iterator can be sent."""
    stage.server.on("/picky", picky, early=True)
    content: dict[str, dict[str, Any]] = {
        "bytes": {"content": b"x" * 100_000},
        "iterator": {"content": iter([b"one", b"two"])},
        "form": {"files": {"file": iter([b"one", b"two"])}},
    }
    with stage.block(stage.one()) as client:
        response = stage.get(client, "/picky", "PUT", headers=EXPECT, **content[kind])
        assert response.status_code == 200
        assert [earlier.status_code for earlier in response.history] == [417]
        assert "expect" not in response.request.headers
        wanted = b"x" * 100_000 if kind == "bytes" else b"onetwo"
        assert wanted in response.content if kind == "form" else wanted == response.content
        stage.next_works(client)
    first, second = [r for r in stage.server.requests if r.path == "/picky"]
    assert first.body_length == 0
    assert second.header("expect") is None


def test_an_iterator_is_untouched_before_a_417_with_the_codec_of_h11_too(stage: Stage) -> None:
    if stage.adapter != "native":
        pytest.skip("the h11 adapter is the engine of the native one with another codec")
    stage.server.on("/picky", picky, early=True)
    with stage.block(stage.one(adapter="h11")) as client:
        content = iter([b"one", b"two"])
        response = stage.get(client, "/picky", "PUT", headers=EXPECT, content=content)
        assert (response.status_code, response.content) == (200, b"onetwo")
        assert [earlier.status_code for earlier in response.history] == [417]
        stage.next_works(client)


def test_a_417_is_an_answer_where_it_cannot_be_helped(stage: Stage) -> None:
    def always(peer: Peer, request: Request) -> Ending:
        peer.read_body(request)
        peer.reply(417, b"no")
        return "keep"

    stage.server.on("/always", always)
    stage.server.on("/picky", picky, early=True)
    with stage.block(stage.one()) as client:
        # No expectation; content that has been read; and a second 417 in a row.
        for content, headers, hops in (
            (b"a", {}, 1),
            (iter([b"a"]), EXPECT, 1),
            (b"a", EXPECT, 2),
        ):
            response = stage.get(client, "/always", "PUT", content=content, headers=headers)
            assert response.status_code == 417
            assert len(response.history) == hops - 1
        response = stage.get(client, "/picky", "PUT", content=b"", headers=EXPECT)
        assert response.status_code == 200  # Without content nothing is expected.
        stage.next_works(client)


def test_a_417_may_come_in_any_layer_of_a_call(stage: Stage) -> None:
    attempts: list[str] = []

    def hard(peer: Peer, request: Request) -> Ending:
        """Wants no expectation, then credentials, is busy once, and then redirects."""
        if request.header("expect"):
            status, fields = 417, []
        elif not request.header("authorization"):
            status, fields = 401, [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')]
        elif attempts.count("503") == 0:
            status, fields = 503, [("Retry-After", "0")]
        else:
            status, fields = 307, [("Location", "/picky")]
        attempts.append(str(status))
        if status != 417:
            peer.read_body(request)
        peer.reply(status, b"", fields)
        return "keep"

    stage.server.on("/hard", hard, early=True)
    stage.server.on("/picky", picky, early=True)
    with stage.block(stage.one(auth=adieu.DigestAuth("me", "pw"), retry=3)) as client:
        response = stage.get(client, "/hard", "PUT", content=b"data", headers=EXPECT)
        assert response.content == b"data"
        stage.next_works(client)
        assert [earlier.status_code for earlier in response.history] == [417, 401, 503, 307]
    assert attempts == ["417", "401", "503", "307"]  # The origin is not asked twice in one call.


def test_another_origin_is_asked_again(stage: Stage) -> None:
    def away(peer: Peer, request: Request) -> Ending:
        if request.header("expect"):
            peer.reply(417, b"no")
        else:
            peer.read_body(request)
            peer.reply(307, b"", [("Location", f"{other.url}/echo")])
        return "keep"

    stage.server.on("/away", away, early=True)
    with FaultServer() as other, stage.block(stage.client()) as client:
        response = stage.get(client, "/away", "PUT", content=b"data", headers=EXPECT)
        assert [earlier.status_code for earlier in response.history] == [417, 307]
        assert ["expect", "100-continue"] in [
            [name.lower(), value] for name, value in response.json()["headers"]
        ]
        assert response.json()["body"] == "data"


@pytest.mark.parametrize("status", [307, 401, 503])
def test_content_that_was_not_read_can_be_sent_after_another_answer(
    stage: Stage, status: int
) -> None:
    """An iterator is read once. What was answered before the content was sent has not read it."""
    fields = {
        307: ("Location", "/early-once"),
        401: ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),
        503: ("Retry-After", "0"),
    }
    turns: list[int] = []

    def once(peer: Peer, request: Request) -> Ending:
        turns.append(1)
        if len(turns) == 1:
            peer.reply(status, b"", [fields[status]])
            return "close"
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.read_body(request, send_continue=False)
        peer.reply(200, request.body)
        return "keep"

    stage.server.on("/early-once", once, early=True)
    with stage.block(stage.one(auth=adieu.DigestAuth("me", "pw"), retry=1)) as client:
        content = iter([b"one", b"two"])
        response = stage.get(client, "/early-once", "PUT", content=content, headers=EXPECT)
        assert response.content == b"onetwo"
        stage.next_works(client)
