"""Server-sent events over the wire: of one response, and of streams that reconnect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.client import event_stream
from support.stage import growing

if TYPE_CHECKING:
    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage

HEAD = "200 OK"
TYPE = ("content-type", "text/event-stream")


@pytest.fixture(autouse=True)
def _no_minimum_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_MIN_WAIT", 0.001)


class Feed:
    """Serves a list of answers, one for each request: an event stream, a status or a fault. After the last one, 204."""

    def __init__(self, *answers: bytes | str) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def __call__(self, peer: Peer, request: Request) -> Ending:
        self.requests.append(request)
        if not self.answers:
            peer.start(204)
            return "keep"
        answer = self.answers.pop(0)
        if answer == "drop":
            return "drop"
        if answer == "reset":
            peer.start(HEAD, [TYPE, ("transfer-encoding", "chunked")])
            peer.send(b"20\r\ndata: ha")
            return "reset"
        if isinstance(answer, str):
            peer.reply(int(answer), b"data: 1\n\n", [TYPE])
            return "keep"
        peer.start(HEAD, [TYPE, ("transfer-encoding", "chunked")])
        for at in range(0, len(answer), 7):
            piece = answer[at : at + 7]
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.send(b"0\r\n\r\n")
        return "keep"

    def last_ids(self) -> list[str | None]:
        return [request.header("last-event-id") for request in self.requests]


def collected(stage: Stage, events: Any) -> list[str]:
    with stage.block(events):
        return [event.data for event in stage.runner.each(events)]


def feed(stage: Stage, *answers: bytes | str) -> Feed:
    served = Feed(*answers)
    stage.server.on("/feed", served)
    return served


# One response


@pytest.mark.parametrize("streamed", [True, False])
def test_a_response_gives_its_events(stage: Stage, streamed: bool) -> None:
    feed(stage, b"event: a\ndata: 1\n\n: x\n\ndata: 2\nid: 9\n\ndata: lost", b"data: 3\n\n")
    with stage.block(stage.one()) as client:
        if streamed:
            with stage.block(client.stream("GET", "/feed")) as response:
                found = list(stage.runner.each(response.iter_events()))
        else:
            found = list(stage.runner.each(stage.get(client, "/feed").iter_events()))
        assert found == [
            adieu.ServerSentEvent("a", "1", ""),
            adieu.ServerSentEvent("message", "2", "9"),
        ]
        stage.next_works(client)


def test_a_response_of_another_type_is_refused_and_closed(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        response = stage.run(client.stream("GET", "/bytes?n=1000000"))
        with pytest.raises(adieu.DecodeError, match="says nothing about its type"):
            list(stage.runner.each(response.iter_events()))
        assert stage.in_use(client) == []
        stage.next_works(client)


def test_an_event_without_end_is_refused_and_closed(stage: Stage) -> None:
    def endless(peer: Peer, request: Request) -> Ending:
        peer.start(HEAD, [TYPE])
        while True:
            peer.send(b"data: " + b"x" * 60_000 + b"\n")

    stage.server.on("/endless", endless)
    with stage.block(stage.one()) as client:
        response = stage.run(client.stream("GET", "/endless"))
        with pytest.raises(adieu.BodyTooLarge, match="more than 1048576 bytes"):
            list(stage.runner.each(response.iter_events()))
        events = client.event_stream("/endless", max_event=1000)
        with pytest.raises(adieu.BodyTooLarge, match="more than 1000 bytes"):
            collected(stage, events)
        assert stage.in_use(client) == []
        stage.next_works(client)


# A stream over several connections


def test_a_stream_continues_after_the_last_id_until_a_204(stage: Stage) -> None:
    served = feed(
        stage, b"id: 1\ndata: a\n\nid: 2\ndata: half", b"data: b\n\n", b"id: \xc3\xbc\ndata: c\n\n"
    )
    with stage.block(stage.one()) as client:
        events = client.event_stream("/feed", wait=0.001)
        assert collected(stage, events) == ["a", "b", "c"]
        assert events.last_event_id == "ü"
        # Fields are bytes: this one is UTF-8.
        assert served.last_ids() == [None, "1", "1", "ü".encode().decode("latin-1")]
        assert {request.header("accept") for request in served.requests} == {"text/event-stream"}
        assert {request.header("cache-control") for request in served.requests} == {"no-store"}
        stage.next_works(client)


def test_a_stream_sends_its_own_fields_unless_the_call_has_others(stage: Stage) -> None:
    served = feed(stage, b"data: 1\n\n")
    own = {"Cache-Control": None, "x-client": None}
    with stage.block(stage.one(headers={"X-Client": "1"})) as client:
        assert collected(stage, client.event_stream("/feed", headers=own, wait=0.001)) == ["1"]
    for request in served.requests:
        assert request.header("accept") == "text/event-stream"
        assert request.header("cache-control") is None
        assert request.header("x-client") is None


def test_a_stream_survives_broken_connections(stage: Stage) -> None:
    served = feed(stage, b"id: 1\ndata: a\n\n", "reset", "drop", b"data: b\n\n")
    with stage.block(stage.one()) as client:
        assert collected(stage, client.event_stream("/feed", wait=0.001)) == ["a", "b"]
        stage.next_works(client)
    assert len(served.requests) >= 5


def test_a_silent_connection_is_replaced(stage: Stage) -> None:
    turns: list[int] = []

    def silent(peer: Peer, request: Request) -> Ending:
        turns.append(1)
        if len(turns) > 2:
            peer.start(204)
            return "keep"
        peer.start(HEAD, [TYPE])
        peer.send(b"data: %d\n\n" % len(turns))
        peer.pause(60)
        return "drop"

    stage.server.on("/silent", silent)
    got: list[str] = []
    with stage.block(stage.one()) as client:
        for seconds in growing(0.1):
            turns.clear()
            short = adieu.Timeout(read=seconds)
            got = collected(stage, client.event_stream("/silent", wait=0.001, timeout=short))
            if len(turns) == len(got) + 1:  # Each silent answer was heard.
                break
        stage.next_works(client)
    assert got == ["1", "2"]


def test_an_id_with_control_characters_is_not_sent(stage: Stage) -> None:
    served = feed(stage, b"id: a\x01b\ndata: a\n\n")
    with stage.block(stage.one()) as client:
        events = client.event_stream("/feed", wait=0.001, last_event_id="7")
        assert collected(stage, events) == ["a"]
        assert served.last_ids() == ["7", None]


def test_the_server_says_how_long_to_wait(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(stage, b"retry: 10\ndata: a\n\n", b"retry: 3600000\ndata: b\n\n", b"data: c\n\n")
    waits: list[float] = []
    kind = (
        event_stream.EventStream
        if stage.runner.kind is adieu.Client
        else event_stream.AsyncEventStream
    )

    async def awaited() -> None:
        pass

    def pause(self: Any, seconds: float) -> Any:
        waits.append(seconds)
        return awaited() if kind is event_stream.AsyncEventStream else None

    monkeypatch.setattr(kind, "_pause", pause)
    with stage.block(stage.one()) as client:
        assert collected(stage, client.event_stream("/feed")) == ["a", "b", "c"]
    assert 0.01 <= waits[0] <= 0.015
    assert waits[1] == waits[2] == 3600.0


def test_a_stream_fails_after_so_many_connections_in_a_row_without_an_event(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_MAX_BACKOFF", 0.002)
    served = feed(stage, b"data: a\n\n", *[b": nothing\n\n"] * 10)
    with stage.block(stage.one()) as client:
        events = client.event_stream("/feed", wait=0.001, attempts=3)
        with stage.block(events), pytest.raises(adieu.ReadError, match="3 times in a row"):
            list(stage.runner.each(events))
        assert len(served.requests) == 3
        served.answers[:] = [b"data: a\n\n", *["drop"] * 10]
        events = client.event_stream("/feed", wait=0.001, attempts=3)
        with stage.block(events), pytest.raises(adieu.PeerClosed):
            list(stage.runner.each(events))
        with pytest.raises(adieu.BodyClosed, match="failed before, with"):
            next(stage.runner.each(events))  # It never ends cleanly.
        assert stage.in_use(client) == []


def test_the_first_connection_has_one_attempt(stage: Stage) -> None:
    served = feed(stage, "drop", b"data: a\n\n")
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.PeerClosed):
            collected(stage, client.event_stream("/feed"))
        assert len(served.requests) == 1
        stage.next_works(client)


@pytest.mark.parametrize("status", ["404", "500", "206"])
def test_any_other_status_is_an_error_without_a_retry(stage: Stage, status: str) -> None:
    feed(stage, b"data: a\n\n", status)
    with stage.block(stage.one()) as client:
        events = client.event_stream("/feed", wait=0.001)
        with stage.block(events), pytest.raises(adieu.StatusError, match=status) as caught:
            list(stage.runner.each(events))
        assert caught.value.status_code == int(status)
        assert stage.in_use(client) == []
        stage.next_works(client)


def test_a_stream_of_another_type_is_an_error(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.DecodeError, match="'application/json', and is no text/event"):
            collected(stage, client.event_stream("/ok"))
        stage.next_works(client)


def test_leaving_the_block_closes_the_connection(stage: Stage) -> None:
    def ticking(peer: Peer, request: Request) -> Ending:
        peer.start(HEAD, [TYPE])
        while True:
            peer.send(b"data: tick\n\n")

    stage.server.on("/ticks", ticking)
    with stage.block(stage.one()) as client:
        for _ in range(2):
            events = client.event_stream("/ticks")
            with stage.block(events):
                assert next(stage.runner.each(events)).data == "tick"
                assert len(stage.in_use(client)) == 1
            assert stage.nothing_open()
            assert list(stage.runner.each(events)) == []
        stage.next_works(client)


def test_closing_the_client_ends_the_stream_with_an_error(stage: Stage) -> None:
    feed(stage, b"data: a\n\n", b"data: b\n\n")
    client = stage.one()
    events = client.event_stream("/feed", wait=0.001)
    pieces = stage.runner.each(events)
    assert next(pieces).data == "a"
    stage.run(client.close())
    with pytest.raises(adieu.ClientClosed):
        next(pieces)


def test_a_total_timeout_ends_the_stream_without_reconnecting(stage: Stage) -> None:
    def silent(peer: Peer, request: Request) -> Ending:
        peer.start(HEAD, [TYPE])
        peer.send(b"data: 1\n\n")
        peer.pause(5)
        return "drop"

    stage.server.on("/silent", silent)
    with stage.block(stage.one()) as client:
        events = client.event_stream("/silent", wait=0.001, timeout=adieu.Timeout(total=0.2))
        with pytest.raises(adieu.DeadlineExceeded):
            collected(stage, events)
        stage.next_works(client)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"wait": -1}, "wait is a number of seconds"),
        ({"wait": "3"}, "wait is a number of seconds"),
        ({"attempts": 0}, "attempts is a number of at least 1"),
        ({"max_event": 0}, "max_event is a number of bytes"),
        ({"headers": {"a b": "c"}}, "header field name"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_sent(
    options: dict[str, Any], text: str
) -> None:
    with adieu.Client() as client, pytest.raises(adieu.InvalidRequest, match=text):
        client.event_stream("http://127.0.0.1:1/", **options)
