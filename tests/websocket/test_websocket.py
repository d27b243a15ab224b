"""WebSockets sync and async: messages, the handshake, refusals, the end."""

from __future__ import annotations

import gc
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.stage import caught, drop, eventually
from support.websockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_frame,
    deflated,
    frame,
    unmasked,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage
    from support.websockets import Sockets


def opened(stage: Stage, client: Any, path: str = "/ws", **options: Any) -> Any:
    """An open WebSocket."""
    return stage.run(client.websocket(path, **options))


def test_messages_come_back_as_they_were_sent(stage: Stage, sockets: Sockets) -> None:
    with stage.block(stage.client()) as client:
        with stage.block(client.websocket("/ws")) as ws:
            for message in ("", "hé", "x" * 200_000, b"", b"\x00\xff", bytes(70_000)):
                stage.run(ws.send(message))
                assert stage.run(ws.receive()) == message
            stage.run(ws.send(bytearray(b"ab")))
            assert stage.run(ws.receive()) == b"ab"
            stage.run(ws.send_json({"a": [1, "é"]}))
            assert stage.run(ws.receive_json()) == {"a": [1, "é"]}
            assert (ws.state, ws.close_code, ws.close_reason) == ("open", None, "")
        assert (ws.state, ws.close_code) == ("closed", 1000)
        assert sockets.closed == [(1000, "")]
        assert stage.nothing_open()


def test_without_compression_too(stage: Stage, sockets: Sockets) -> None:
    with (
        stage.block(stage.client()) as client,
        stage.block(client.websocket("/ws", compression=False)) as ws,
    ):
        stage.run(ws.send("x" * 70_000))
        assert stage.run(ws.receive()) == "x" * 70_000
        (protocol,) = sockets.agreed
        assert protocol.extensions == []
        assert stage.server.requests[0].header("sec-websocket-extensions") is None


def test_fragments_are_one_message(stage: Stage, sockets: Sockets, is_async: bool) -> None:
    closed = []

    def fragments() -> Iterator[str]:
        try:
            yield "a"
            yield ""
            yield "é"
        finally:
            closed.append(True)

    async def awaited() -> AsyncIterator[bytes]:
        for piece in (b"x", b"y"):
            yield piece

    with stage.block(stage.client()) as client, stage.block(client.websocket("/ws")) as ws:
        stage.run(ws.send(fragments()))
        assert stage.run(ws.receive()) == "aé"
        assert closed == [True]
        stage.run(ws.send([b"1", b"2"]))
        assert stage.run(ws.receive()) == b"12"
        stage.run(ws.send([]))
        assert stage.run(ws.receive()) == b""
        if is_async:
            stage.run(ws.send(awaited()))
            assert stage.run(ws.receive()) == b"xy"
        for wrong in (5, None, object()):
            caught(adieu.InvalidRequest, lambda wrong=wrong: stage.run(ws.send(wrong)))
        mapping = caught(adieu.InvalidRequest, lambda: stage.run(ws.send({"a": "b"})))
        assert "send_json" in str(mapping)
        caught(adieu.InvalidRequest, lambda: stage.run(ws.send("\ud800")))
        stage.run(ws.send("still open"))
        assert stage.run(ws.receive()) == "still open"


def test_a_message_that_is_cut_short_ends_the_websocket(stage: Stage, sockets: Sockets) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        yield "b"
        raise ValueError("no more")

    sockets.says("/silent")
    with stage.block(stage.client()) as client:
        for fragments, error in ((broken(), ValueError), (["a", "b", b"c"], adieu.InvalidRequest)):
            with stage.block(client.websocket("/silent", compression=False)) as ws:
                caught(error, lambda ws=ws, fragments=fragments: stage.run(ws.send(fragments)))
                caught(adieu.WebSocketClosed, lambda ws=ws: stage.run(ws.send("more")))
    assert stage.nothing_open()
    close = (CLOSE, b"\x03\xf3a message was cut short")
    expected = [(TEXT, b"a"), close, (TEXT, b"a"), (CONT, b"b"), close]
    eventually(
        lambda: len(b"".join(sockets.received)) >= sum(6 + len(data) for _, data in expected)
    )
    assert sorted(unmasked(b"".join(sockets.received))) == sorted(expected)


def test_iteration_ends_when_the_server_says_goodbye(stage: Stage, sockets: Sockets) -> None:
    sockets.says(
        "/three", *(frame(TEXT, text) for text in (b"1", b"2", b"3")), close_frame(1001, "bye")
    )
    sockets.says("/bad", frame(TEXT, b"1"), close_frame(1008, "not you"))
    with stage.block(stage.client()) as client:
        ws = opened(stage, client, "/three")
        assert list(stage.runner.each(ws)) == ["1", "2", "3"]
        # The connection has ended with the last message.
        assert stage.nothing_open()
        assert (ws.close_code, ws.close_reason, ws.state) == (1001, "bye", "closed")
        error = caught(adieu.WebSocketClosed, lambda: stage.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.reason, error.sent_code, error.is_clean) == (
            1001,
            "bye",
            1001,
            True,
        )
        assert "the server closed the WebSocket: 1001 (going away) 'bye'" in str(error)
        ws = opened(stage, client, "/bad")
        messages = stage.runner.each(ws)
        assert next(messages) == "1"
        error = caught(adieu.WebSocketClosed, next, messages)
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.reason, error.is_clean) == (1008, "not you", False)
        assert error.method == "GET"
        assert error.url == f"ws{stage.server.url[4:]}/bad"
    closes = [(CLOSE, b"\x03\xe9bye"), (CLOSE, b"\x03\xf0not you")]
    eventually(lambda: unmasked(b"".join(sockets.received)) == closes)


def test_a_connection_that_ends_without_goodbye_is_an_error(stage: Stage, sockets: Sockets) -> None:
    sockets.says("/gone", frame(TEXT, b"1"), then="close")
    sockets.says("/reset", frame(TEXT, b"1"), then="reset")
    with stage.block(stage.client()) as client:
        for path in ("/gone", "/reset"):
            with stage.block(client.websocket(path)) as ws:
                try:
                    assert stage.run(ws.receive()) == "1"
                except adieu.WebSocketClosed:
                    assert path == "/reset"  # An RST may overtake the data.
                error = caught(adieu.WebSocketClosed, lambda ws=ws: stage.run(ws.receive()))
                assert isinstance(error, adieu.WebSocketClosed)
                assert (error.code, error.is_clean, error.sent_code) == (1006, False, None)
                assert "without a Close frame" in str(error)
                assert ws.close_code == 1006
                assert stage.nothing_open()


def test_subprotocols(stage: Stage, sockets: Sockets) -> None:
    sockets.says("/other", fields=[("Sec-WebSocket-Protocol", "other")])
    with stage.block(stage.client()) as client:
        with stage.block(client.websocket("/ws", subprotocols=["chat", "x"])) as ws:
            assert ws.subprotocol == "chat"
            assert ws.response.status_code == 101
        with stage.block(client.websocket("/ws")) as ws:
            assert ws.subprotocol is None
        error = caught(adieu.ProtocolError, opened, stage, client, "/other", subprotocols=["chat"])
        assert "opens no WebSocket: unsupported subprotocol: other" in str(error)
        for wrong in ("chat", ["a b"], [5], [""]):
            caught(adieu.InvalidRequest, opened, stage, client, subprotocols=wrong)
    assert stage.nothing_open()


def test_the_fields_of_the_handshake(stage: Stage, sockets: Sockets) -> None:
    headers = {"Origin": "https://example.org", "Upgrade": "other", "X-Mine": "1"}
    with (
        stage.block(stage.client(headers={"X-Client": "2"}, params={"a": "1"})) as client,
        stage.block(
            client.websocket("/ws", headers=headers, params={"b": "2"}, cookies={"c": "3"})
        ),
    ):
        pass
    (request,) = stage.server.requests
    assert (request.method, request.target) == ("GET", "/ws?a=1&b=2")
    fields = {
        name: request.header(name)
        for name in ("upgrade", "connection", "origin", "x-mine", "x-client")
    }
    assert fields == {
        "upgrade": "websocket", "connection": "Upgrade", "origin": "https://example.org", "x-mine": "1",
        "x-client": "2",
    }  # fmt: skip
    assert request.header("sec-websocket-version") == "13"
    assert request.header("cookie") == "c=3"


@pytest.mark.parametrize("status", [200, 204, 302, 401, 426, 503])
def test_a_refusal_is_a_response(stage: Stage, status: int) -> None:
    body = b"" if status == 204 else b"no"
    head = f"HTTP/1.1 {status} No\r\nLocation: /ok\r\nSet-Cookie: a=1\r\n"
    length = "\r\n" if status == 204 else f"Content-Length: {len(body)}\r\n\r\n"
    stage.server.reply("/no", (head + length).encode() + body)
    with stage.block(stage.one()) as client:
        error = caught(adieu.StatusError, opened, stage, client, "/no")
        assert isinstance(error, adieu.StatusError)
        assert error.status_code == status
        response: Any = error.response
        if status >= 400:
            assert response.content == b"no"
        assert response.headers["location"] == "/ok"
        assert f"{status} No for GET" in str(error)
        assert client.cookies["a"] == "1"
        stage.next_works(client)
        assert len(stage.server.requests) == 2
    assert stage.nothing_open()


@pytest.mark.parametrize(
    "fields",
    [
        [("Upgrade", "shout")],
        [("Connection", "close")],
        [("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
        [("Sec-WebSocket-Extensions", "x-mux")],
        [("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99")],
        [("Sec-WebSocket-Protocol", "unasked")],
    ],
    ids=lambda fields: fields[0][1][:20],
)
def test_a_101_that_is_no_answer_is_an_error(stage: Stage, fields: list[tuple[str, str]]) -> None:
    from support.websockets import accept_key

    def wrong(peer: Peer, request: Request) -> Ending:
        given = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_key(request.header("sec-websocket-key") or ""),
        }
        peer.start("101 Switching Protocols", list({**given, **dict(fields)}.items()))
        return "keep"

    stage.server.on("/wrong", wrong)
    with stage.block(stage.one()) as client:
        error = caught(adieu.ProtocolError, opened, stage, client, "/wrong")
        assert isinstance(error, adieu.ProtocolError)
        assert (error.request_sent, error.response_started) == ("wholly", True)
        assert stage.nothing_open()
        stage.next_works(client)


def test_urls(stage: Stage, sockets: Sockets) -> None:
    port = stage.server.port
    with stage.block(stage.client(base_url=f"ws://127.0.0.1:{port}/ws")) as client:
        for url in (
            "",
            f"ws://127.0.0.1:{port}/ws",
            f"WS://127.0.0.1:{port}/ws",
            adieu.URL(f"ws://127.0.0.1:{port}/ws"),
        ):
            with stage.block(client.websocket(url)) as ws:
                assert repr(ws).endswith(f"WebSocket ws://127.0.0.1:{port}/ws: open>")
        error = caught(adieu.InvalidURL, stage.get, client, f"ws://127.0.0.1:{port}/ws")
        assert "client.websocket()" in str(error)
    with (
        stage.block(stage.client(base_url=f"http://127.0.0.1:{port}")) as client,
        stage.block(client.websocket("ws")) as ws,
    ):
        assert ws.state == "open"


def test_options_that_make_no_sense_are_refused(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        for options in (
            {"max_message": 0}, {"max_message": True}, {"max_message": "1"}, {"ping_interval": 0},
            {"ping_timeout": -1}, {"ping_interval": True},
        ):  # fmt: skip
            caught(adieu.InvalidRequest, opened, stage, client, **options)
        for name in ("content", "follow_redirects", "json"):
            caught(TypeError, opened, stage, client, **{name: True})
        assert not stage.server.requests


# Limits


def test_a_message_that_is_too_long_is_refused(stage: Stage, sockets: Sockets) -> None:
    sockets.says("/long", frame(BINARY, bytes(101)))
    sockets.says("/parts", frame(BINARY, bytes(60), fin=False), frame(0, bytes(41)))
    with stage.block(stage.client()) as client:
        for path in ("/long", "/parts"):
            with stage.block(client.websocket(path, max_message=100)) as ws:
                error = caught(adieu.WebSocketClosed, lambda ws=ws: stage.run(ws.receive()))
                assert isinstance(error, adieu.WebSocketClosed)
                assert (error.code, error.sent_code) == (1006, 1009)
                assert "max_message=100" in str(error)
                assert stage.nothing_open()
        with stage.block(client.websocket("/ws", max_message=None, compression=False)) as ws:
            stage.run(ws.send(bytes(17 * 1024 * 1024)))
            assert len(stage.run(ws.receive())) == 17 * 1024 * 1024


@cache
def _bomb() -> bytes:
    return deflated(bytes(200 * 1024 * 1024))


def test_a_bomb_is_refused(stage: Stage, sockets: Sockets) -> None:
    bomb = _bomb()
    assert len(bomb) < 300_000
    fields = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    sockets.says("/bomb", frame(BINARY, bomb, rsv=4), fields=fields)
    with stage.block(stage.client()) as client, stage.block(client.websocket("/bomb")) as ws:
        error = caught(adieu.WebSocketClosed, lambda: stage.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert error.sent_code == 1009
        assert stage.nothing_open()


# Time


def test_receive_waits_no_longer_than_its_timeout(stage: Stage, sockets: Sockets) -> None:
    with stage.block(stage.client()) as client, stage.block(client.websocket("/ws")) as ws:
        for seconds in (0.02, 0):
            error = caught(adieu.ReadTimeout, lambda s=seconds: stage.run(ws.receive(timeout=s)))
            assert isinstance(error, adieu.ReadTimeout)
            assert error.limit == seconds
        stage.run(ws.send("a"))
        assert stage.run(ws.receive()) == "a"


def test_pings_are_answered_and_sent(stage: Stage, sockets: Sockets) -> None:
    sockets.says(
        "/pings", frame(PING, b"one"), frame(TEXT, b"a"), frame(PONG, b"unasked"), frame(TEXT, b"b")
    )
    with stage.block(stage.client()) as client:
        with stage.block(client.websocket("/pings", cleanup=adieu.CloseOnExit())) as ws:
            assert [stage.run(ws.receive()), stage.run(ws.receive())] == ["a", "b"]
            stage.run(ws.ping(b"p"))
            stage.run(ws.pong(b"q"))
            caught(adieu.InvalidRequest, lambda: stage.run(ws.ping(bytes(126))))
            stage.run(ws.close(4000, "done"))
        eventually(lambda: len(b"".join(sockets.received)) >= 34)
        frames = unmasked(b"".join(sockets.received))
        assert frames == [(PONG, b"one"), (PING, b"p"), (PONG, b"q"), (CLOSE, b"\x0f\xa0done")]
        with stage.block(client.websocket("/ws", ping_interval=0.02)) as ws:
            for _ in range(100):  # The first answer to a ping may take long.
                caught(adieu.ReadTimeout, lambda: stage.run(ws.receive(timeout=0.05)))
                if ws.latency is not None:
                    break
            assert 0 < ws.latency < 30
    assert stage.nothing_open()


def test_a_peer_that_answers_no_ping_is_given_up(stage: Stage, sockets: Sockets) -> None:
    sockets.says("/dead")
    with (
        stage.block(stage.client()) as client,
        stage.block(client.websocket("/dead", ping_interval=0.02, ping_timeout=0.02)) as ws,
    ):
        error = caught(adieu.WebSocketClosed, lambda: stage.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.sent_code) == (1006, 1011)
        assert "nothing came for 0.02 s after a ping" in str(error)
        assert stage.nothing_open()


# The end


def test_close_says_what_it_is_told_to(stage: Stage, sockets: Sockets) -> None:
    with stage.block(stage.client()) as client:
        ws = opened(stage, client)
        for code, reason in (
            (999, ""),
            (1005, ""),
            (1006, ""),
            (5000, ""),
            (True, ""),
            (1000, "x" * 124),
        ):
            caught(adieu.InvalidRequest, lambda c=code, r=reason: stage.run(ws.close(c, r)))
        stage.run(ws.close(3001, "gé"))
        stage.run(ws.close(1000))
        assert sockets.closed == [(3001, "gé")]
        assert (ws.close_code, ws.state) == (3001, "closed")
        for call in (lambda: ws.send("a"), ws.receive, ws.ping):
            error = caught(adieu.WebSocketClosed, lambda call=call: stage.run(call()))
            assert "was closed here" in str(error)
    assert stage.nothing_open()


def test_messages_that_are_still_on_their_way_are_dropped_at_the_end(
    stage: Stage, sockets: Sockets
) -> None:
    with stage.block(stage.client()) as client:
        with stage.block(client.websocket("/ws")) as ws:
            for _ in range(20):
                stage.run(ws.send(bytes(10_000)))
        assert sockets.closed == [(1000, "")]
        assert ws.close_code == 1000


def test_the_policy_bounds_the_handshake_of_the_end(stage: Stage, sockets: Sockets) -> None:
    sockets.says("/silent")

    class Hurried(adieu.CleanupPolicy):
        __slots__ = ("answer",)

        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def on_websocket_close(self, view: adieu.View, why: Any) -> Any:
            asked.append((view.method, view.status, why))
            return self.answer

    asked: list[Any] = []
    with stage.block(stage.client()) as client:
        for answer in (adieu.Drain(1000, 0.01), adieu.CLOSE):
            with stage.block(client.websocket("/silent", cleanup=Hurried(answer))) as ws:
                pass
            assert stage.nothing_open()
            assert (ws.state, ws.close_code) == ("closed", 1006)
        with (
            pytest.raises(ValueError, match="mine"),
            stage.block(client.websocket("/silent", cleanup=Hurried(adieu.CLOSE))),
        ):
            raise ValueError("mine")
        ws = opened(stage, client, "/silent", cleanup=Hurried(5))
        caught(adieu.PolicyError, lambda: stage.run(ws.close()))
        assert stage.nothing_open()
    assert asked == [("GET", 101, why) for why in ("exit", "exit", "error", "exit")]
    eventually(lambda: len(b"".join(sockets.received)) >= 3 * 8)
    assert unmasked(b"".join(sockets.received)) == [(CLOSE, b"\x03\xe8")] * 2 + [
        (CLOSE, b"\x03\xf3")
    ]


def test_a_peer_that_sends_without_end_does_not_hold_the_end_up(
    stage: Stage, sockets: Sockets
) -> None:
    def flood(peer: Peer) -> Ending:
        while True:
            peer.send(frame(BINARY, bytes(50_000)))

    sockets.does("/flood", flood)
    with stage.block(stage.client()) as client:
        with stage.block(client.websocket("/flood")):
            pass
        assert stage.nothing_open()


def test_closing_the_client_ends_it(stage: Stage, sockets: Sockets) -> None:
    with stage.block(stage.client()) as client:
        ws = opened(stage, client)
        report = stage.run(client.close())
        (holder,) = report.holders
        assert f"GET ws{stage.server.url[4:]}/ws holds connection" in holder
        for call in (lambda: ws.send("a"), ws.receive):
            error = caught(adieu.ClientClosed, lambda call=call: stage.run(call()))
            assert str(error) == "the client was closed while this WebSocket was open"
        stage.run(ws.close())
    assert stage.nothing_open()
    sockets.wait_closed(1001)


def test_one_that_is_dropped_is_closed_and_reported(stage: Stage, sockets: Sockets) -> None:
    with stage.block(stage.client()) as client:
        ws = opened(stage, client)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            del ws
            gc.collect()
            drop()
        (warning,) = warned
        assert warning.category is ResourceWarning
        assert (
            "a WebSocket was dropped open, and its connection had to be closed: GET ws://"
            in str(warning.message)
        )
        assert stage.nothing_open()
    sockets.wait_closed(1006)


def test_a_hook_that_raises_after_the_101_leaves_nothing_open(
    stage: Stage, sockets: Sockets
) -> None:
    def refuse(response: Any) -> None:
        raise ValueError("no")

    with stage.block(stage.client(event_hooks={"response": [refuse]})) as client:
        caught(ValueError, opened, stage, client)
        caught(
            ValueError,
            stage.get,
            client,
            "/upgrade",
            headers={"Upgrade": "shout", "Connection": "upgrade"},
        )
        assert stage.nothing_open()


def test_the_pool_has_its_place_back(stage: Stage, sockets: Sockets) -> None:
    with stage.block(stage.one()) as client, stage.block(client.websocket("/ws")) as ws:
        stage.next_works(client)
        stage.run(ws.send("a"))
        assert stage.run(ws.receive()) == "a"
