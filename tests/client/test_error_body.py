"""The content of an error: `raise_for_status()` has it however it came, and no stream waits for it for long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle import body_steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from adieu.events import Answered
    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage

WORDS = b'{"error": "no such model"}'


class AfterHead(adieu.Events):
    """The server sends the body when the client has the head: never in the same packet."""

    def __init__(self) -> None:
        self.answered_once = threading.Event()

    def answered(self, event: Answered) -> None:
        self.answered_once.set()


def late_body(stage: Stage, events: AfterHead, status: int, *, location: str = "") -> None:
    def route(peer: Peer, request: Request) -> Ending:
        fields = [("content-length", str(len(WORDS)))]
        peer.start(status, [*fields, ("location", location)] if location else fields)
        assert events.answered_once.wait(30)
        peer.body(WORDS)
        return "keep"

    stage.server.on("/late", route)


def refused(stage: Stage, client: Any, url: str, **options: Any) -> adieu.StatusError:
    """The error of `raise_for_status()` on a stream."""
    with (
        pytest.raises(adieu.StatusError) as caught,
        stage.block(client.stream("POST", url, **options)) as response,
    ):
        response.raise_for_status()
    return caught.value


def said(error: adieu.StatusError) -> bytes:
    response = error.response
    assert isinstance(response, (adieu.Response, adieu.AsyncResponse))
    return response.content


@pytest.fixture(params=["400 Bad Request", "503 Later"])
def at_once(request: pytest.FixtureRequest, stage: Stage) -> str:
    """A path whose answer comes in one write."""
    head = f"HTTP/1.1 {request.param}\r\nContent-Length: {len(WORDS)}\r\n\r\n"
    stage.server.reply("/at-once", head.encode() + WORDS)
    return "/at-once"


def test_a_stream_has_the_content_of_an_error_that_came_with_its_head(
    stage: Stage, at_once: str
) -> None:
    with stage.block(stage.one()) as client:
        assert said(refused(stage, client, at_once)) == WORDS
        stage.next_works(client)


def test_a_stream_has_the_content_of_an_error_that_came_after_its_head(stage: Stage) -> None:
    events = AfterHead()
    late_body(stage, events, 400)
    with stage.block(stage.one(events=events)) as client:
        assert said(refused(stage, client, "/late")) == WORDS
        stage.next_works(client)


@pytest.mark.parametrize("status", [404, 206])
def test_a_stream_of_events_has_the_content_of_an_error(stage: Stage, status: int) -> None:
    events = AfterHead()
    late_body(stage, events, status)
    with stage.block(stage.one(events=events)) as client:
        with (
            pytest.raises(adieu.StatusError) as caught,
            stage.block(client.event_stream("/late")) as stream,
        ):
            list(stage.runner.each(stream))
        assert said(caught.value) == WORDS
        stage.next_works(client)


@pytest.mark.parametrize("status", [404, 302])
def test_a_download_has_the_content_of_an_error(stage: Stage, tmp_path: Path, status: int) -> None:
    events = AfterHead()
    late_body(stage, events, status, location="/elsewhere" if status == 302 else "")
    with stage.block(stage.one(events=events)) as client:
        with pytest.raises(adieu.StatusError) as caught:
            stage.run(client.download("/late", tmp_path / "file", follow_redirects=False))
        assert said(caught.value) == WORDS
        stage.next_works(client)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("policy", [adieu.Prefetch(), adieu.ReleaseOnRead(), adieu.NoKeepAlive()])
def test_a_hook_has_the_content_of_an_error(
    stage: Stage, policy: adieu.CleanupPolicy, streamed: bool
) -> None:
    events = AfterHead()
    late_body(stage, events, 500)
    hooks = {"response": [lambda response: response.raise_for_status()]}
    with stage.block(stage.client(events=events, event_hooks=hooks, cleanup=policy)) as client:
        request = client.build_request("GET", "/late")
        with pytest.raises(adieu.StatusError) as caught:
            stage.run(client.send(request, stream=streamed))
        assert said(caught.value) == WORDS
        stage.next_works(client)


def test_a_response_that_a_policy_hands_out_open_has_the_content_of_an_error(
    stage: Stage,
) -> None:
    events = AfterHead()
    late_body(stage, events, 500)
    with stage.block(stage.one(events=events, cleanup=adieu.ReleaseOnRead())) as client:
        response = stage.get(client, "/late")
        with pytest.raises(adieu.StatusError) as caught:
            response.raise_for_status()
        assert said(caught.value) == WORDS
        stage.next_works(client)


@pytest.mark.parametrize("framing", ["content-length", "transfer-encoding"])
def test_a_long_error_stays_a_stream_from_its_first_byte(stage: Stage, framing: str) -> None:
    size = 3 * body_steps._AHEAD_BYTES

    def route(peer: Peer, request: Request) -> Ending:
        chunked = framing == "transfer-encoding"
        peer.start(500, [(framing, "chunked" if chunked else str(size))])
        peer.send(b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size)
        return "keep"

    stage.server.on("/long", route)
    with stage.block(stage.one()) as client:
        with stage.block(client.stream("GET", "/long")) as response:
            assert b"".join(stage.runner.each(response.iter_bytes())) == b"x" * size
        error = refused(stage, client, "/long")
        with pytest.raises(adieu.BodyClosed):
            said(error)
        assert stage.in_use(client) == []
        stage.next_works(client)


def test_a_slow_error_is_given_out_as_far_as_it_came(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_steps, "_AHEAD_SECONDS", 0.02)
    go_on = threading.Event()

    def route(peer: Peer, request: Request) -> Ending:
        peer.start(500, [("content-length", str(2 * len(WORDS)))])
        peer.send(WORDS)
        assert go_on.wait(30)
        peer.send(WORDS)
        return "keep"

    stage.server.on("/slow", route)
    with stage.block(stage.one()) as client:
        with stage.block(client.stream("GET", "/slow")) as response:
            go_on.set()
            assert b"".join(stage.runner.each(response.iter_bytes())) == 2 * WORDS
        stage.next_works(client)


def test_an_error_whose_content_never_comes_is_still_that_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_steps, "_AHEAD_SECONDS", 0.02)

    def route(peer: Peer, request: Request) -> Ending:
        peer.start(500, [("content-length", "5")])
        peer.pause(30)
        return "drop"

    stage.server.on("/never", route)
    with stage.block(stage.one()) as client:
        assert refused(stage, client, "/never").status_code == 500
        assert stage.in_use(client) == []
        stage.next_works(client)


def _cut(stage: Stage) -> None:
    def route(peer: Peer, request: Request) -> Ending:
        peer.start(500, [("content-length", "1000")])
        peer.send(WORDS)
        return "drop"

    stage.server.on("/cut", route)


def test_an_error_that_breaks_off_gives_what_came_and_then_the_error_of_the_read(
    stage: Stage,
) -> None:
    _cut(stage)
    with stage.block(stage.one()) as client:
        with stage.block(client.stream("GET", "/cut")) as response:
            pieces = stage.runner.each(response.iter_raw())
            assert next(pieces) == WORDS
            with pytest.raises(adieu.BodyTruncated):
                next(pieces)
            # And never a clean end.
            with pytest.raises(adieu.BodyClosed, match="BodyTruncated"):
                list(stage.runner.each(response.iter_raw()))
            with pytest.raises(adieu.StatusError):
                response.raise_for_status()
        response = stage.run(client.stream("GET", "/cut"))
        with pytest.raises(adieu.BodyTruncated):
            stage.read(response)
        stage.next_works(client)


def test_a_call_whose_hook_saw_a_broken_error_fails_as_it_would_without_the_hook(
    stage: Stage,
) -> None:
    _cut(stage)
    seen: list[int] = []
    hooks = {"response": [lambda response: seen.append(response.status_code)]}
    with stage.block(stage.one(event_hooks=hooks)) as client:
        with pytest.raises(adieu.BodyTruncated):
            stage.get(client, "/cut")
        assert seen == [500]
        stage.next_works(client)


def test_what_a_hook_sees_of_an_error_is_not_longer_than_max_body(stage: Stage) -> None:
    head = b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n"
    stage.server.reply("/until-close", head + b"x" * 101, close=True)
    hooks = {"response": [lambda response: None]}
    with stage.block(stage.one(event_hooks=hooks, max_body=100)) as client:
        for path in ("/status/500?body=101", "/until-close"):
            with pytest.raises(adieu.BodyTooLarge):
                stage.get(client, path)
        assert len(stage.read(stage.get(client, "/status/500?body=100"))) == 100
        stage.next_works(client)


def test_a_body_that_goes_through_a_function_is_read_ahead_through_it(stage: Stage) -> None:
    def upper(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk.upper()

    async def async_upper(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk.upper()

    class Upper(adieu.Middleware):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            return self.inner.send(request, exchange).wrap(upper)

    class AsyncUpper(adieu.AsyncMiddleware):
        async def send(
            self, request: adieu.Request, exchange: adieu.AsyncExchange
        ) -> adieu.AsyncResponse:
            return (await self.inner.send(request, exchange)).wrap(async_upper)

    events = AfterHead()
    late_body(stage, events, 500)
    with stage.block(stage.client(events=events)) as client:
        inner = client.mounts.select(adieu.URL(stage.server.url)).adapter
        kind = Upper if stage.runner.kind is adieu.Client else AsyncUpper
        client.mount(f"{stage.server.url}/late", kind(inner))
        assert said(refused(stage, client, "/late")) == WORDS.upper()
        stage.next_works(client)
