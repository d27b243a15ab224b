"""An iterator that was given as content is closed, whichever way the call ends; files and lists are left alone."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.messages.content.convert import as_content
from adieu.testing import refused_port
from support.site import Pair
from support.stage import caught
from support.steering import LOOPS, run, sleep, spawn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request as ServerRequest
    from support.site import Place
    from support.stage import Stage

_PIECE = b"x" * 1000


def _endless() -> Iterator[bytes]:
    while True:
        yield _PIECE


async def _async_endless() -> AsyncIterator[bytes]:
    while True:
        yield _PIECE


class Closable:
    """An iterator that is no generator, with the `close` that the protocol of generators has."""

    def __init__(self) -> None:
        self.is_open = True

    def __iter__(self) -> Closable:
        return self

    def __next__(self) -> bytes:
        return _PIECE

    def close(self) -> None:
        self.is_open = False


class Restartable:
    """An iterable that can be restarted. `begun` are its iterators; a call closes them, but not this."""

    def __init__(self, begin: Callable[[], Iterator[bytes]] = _endless) -> None:
        self._begin = begin
        self.begun: list[Iterator[bytes]] = []

    def __iter__(self) -> Iterator[bytes]:
        self.begun.append(self._begin())
        return self.begun[-1]

    def close(self) -> None:
        raise AssertionError("the user has not given this to be closed")


def _is_open(content: Any) -> bool:
    if isinstance(content, Closable):
        return content.is_open
    frame = content.ag_frame if hasattr(content, "ag_frame") else content.gi_frame
    return frame is not None


def _kinds(place: Place | Stage) -> list[Callable[[], Any]]:
    """What to give, for this client: each gives pieces for ever, so its end is never its own."""
    if place.runner.kind is adieu.Client or getattr(place, "kind", "") == "to_async":
        return [_endless, Closable]
    return [_endless, Closable, _async_endless]


def _begun(place: Place, content: Any) -> Any:
    """The same content, of which the user has read the first piece."""
    place.run(anext(content)) if hasattr(content, "__anext__") else next(content)
    return content


def _send(place: Place, client: Any, request: adieu.Request, **options: Any) -> Any:
    return place.run(client.send(request, **options))


def _refusing(place: Place) -> str:
    """A path whose peer answers before it has read the content; local ones never read it."""
    return "/small" if place.is_local else "/early"


# Over every adapter, sync and async


def test_after_an_early_answer(place: Place) -> None:
    with place.block(place.client()) as client:
        for kind in _kinds(place):
            content = kind()
            place.get(client, _refusing(place), "POST", content=content)
            assert not _is_open(content)


def test_in_a_stream_at_its_head_or_in_this_process_with_its_end(place: Place) -> None:
    with place.block(place.client()) as client:
        for kind in _kinds(place):
            content = kind()
            with place.block(client.stream("POST", _refusing(place), content=content)):
                assert _is_open(content) == place.is_local
            place.runner.settle()
            assert not _is_open(content)


def test_parts_of_a_form(place: Place) -> None:
    with place.block(place.client()) as client:
        for kind in _kinds(place):
            parts = [kind(), kind()]
            files = {"a": parts[0], "b": ("b.txt", parts[1])}
            place.get(client, _refusing(place), "POST", data={"f": "1"}, files=files)
            assert not any(map(_is_open, parts))


def test_a_request_that_was_built_before(place: Place) -> None:
    with place.block(place.client()) as client:
        for kind in _kinds(place):
            content = kind()
            request = client.build_request("POST", _refusing(place), content=content)
            assert _is_open(content)
            place.run(client.send(request))
            assert not _is_open(content)
            if not place.is_local:  # That site does not read what it is sent.
                error = caught(adieu.InvalidRequest, _send, place, client, request)
                assert "has been read" in str(error)


def test_every_content_of_a_map(place: Place) -> None:
    with place.block(place.client()) as client:
        contents = [kind() for kind in _kinds(place)]
        path = _refusing(place)
        requests = [client.build_request("POST", path, content=content) for content in contents]
        outcomes = place.run((_async_mapped if place.is_async else _mapped)(client, requests))
        assert [one.error for one in outcomes] == [None] * len(contents)
        assert not any(map(_is_open, contents))


def _mapped(client: Any, requests: list[adieu.Request]) -> list[Any]:
    with client.map(requests, limit=1) as outcomes:
        return list(outcomes)


async def _async_mapped(client: Any, requests: list[adieu.Request]) -> list[Any]:
    async with client.map(requests, limit=1) as outcomes:
        return [one async for one in outcomes]


def test_when_a_hook_raises(place: Place) -> None:
    def refuse(subject: object) -> None:
        raise LookupError("refused by a hook")

    for when in ("request", "response"):
        for kind in _kinds(place):
            with place.block(place.client(event_hooks={when: [refuse]})) as client:
                content = _begun(place, kind())
                options = {"content": content}
                caught(LookupError, place.get, client, _refusing(place), "POST", **options)
                assert not _is_open(content)


def test_when_the_call_is_refused(place: Place) -> None:
    with place.block(place.client()) as client:
        refusals: list[tuple[Any, str, dict[str, Any]]] = [
            (adieu.InvalidURL, "http://[", {}),
            (TypeError, "/small", {"no_such_option": 1}),
            (adieu.InvalidRequest, "/small", {"timeout": "soon"}),
            (adieu.InvalidRequest, "/small", {"json": 1}),
            (adieu.InvalidRequest, "/small", {"cookies": 1}),
        ]
        for kinds, url, options in refusals:
            for kind in _kinds(place):
                content = _begun(place, kind())
                caught(kinds, place.get, client, url, "POST", content=content, **options)
                assert not _is_open(content)
                part = _begun(place, kind())
                for files in ({"a": part}, [("a", ("name", part))]):
                    caught(kinds, place.get, client, url, "POST", files=files, **options)
                    assert not _is_open(part)


def test_when_a_call_with_a_built_request_is_refused(place: Place) -> None:
    with place.block(place.client()) as client:
        for kind in _kinds(place):
            content = _begun(place, kind())
            request = client.build_request("POST", "/small", content=content)
            caught(adieu.InvalidRequest, _send, place, client, request, timeout="soon")
            assert not _is_open(content)


def test_when_the_client_is_closed(place: Place) -> None:
    with place.block(place.client()) as client:
        built = _begun(place, _endless())
        request = client.build_request("POST", "/small", content=built)
    contents = [_begun(place, kind()) for kind in _kinds(place)]
    for content in contents:
        caught(adieu.ClientClosed, place.get, client, "/small", "POST", content=content)
    caught(adieu.ClientClosed, _send, place, client, request)
    assert not any(map(_is_open, [*contents, built]))


def test_async_content_that_cannot_be_sent_is_closed_too(place: Place) -> None:
    if place.is_async and place.kind != "to_async":
        return  # It can.
    with place.block(place.client()) as client:
        content = _async_endless()
        options = {"content": content}
        caught(adieu.InvalidRequest, place.get, client, "/small", "POST", **options)
        assert not _is_open(content)


def test_files_and_lists_are_not_closed_but_iterators_of_an_iterable_are(place: Place) -> None:
    file, restartable = io.BytesIO(_PIECE), Restartable()
    with place.block(place.client()) as client:
        for content in (file, [_PIECE, _PIECE], restartable, restartable):
            place.get(client, _refusing(place), "POST", content=content)
            place.get(client, _refusing(place), "POST", files={"a": content})
        assert not file.closed
        assert not any(map(_is_open, restartable.begun))
        assert restartable.begun or place.is_local


def test_an_error_of_the_clean_up_is_reported_and_changes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> Iterator[bytes]:
        try:
            yield from _endless()
        finally:
            raise ValueError("the clean-up failed")

    async def async_failing() -> AsyncIterator[bytes]:
        try:
            while True:
                yield _PIECE
        finally:
            await sleep(0)
            raise ValueError("the clean-up failed")

    kinds: list[Any] = [failing]
    if _async_endless in _kinds(place):
        kinds.append(async_failing)
    reported: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: reported.append(report.exc_value))
    with place.block(place.client()) as client:
        for kind in kinds:
            content = _begun(place, kind())
            answer = place.get(client, _refusing(place), "POST", content=content)
            assert answer.status_code == (200 if place.is_local else 413)
            content = _begun(place, kind())
            options = {"content": content, "auth": lambda request: 1 / 0}
            caught(ZeroDivisionError, place.get, client, _refusing(place), "POST", **options)
    assert [str(error) for error in reported] == ["the clean-up failed"] * 2 * len(kinds)


def test_after_the_attempts_of_a_retry_adapter(place: Place) -> None:
    retry = adieu.Retry(2, backoff=0, budget=None)
    retrying = Pair(
        lambda inner: adieu.RetryAdapter(inner, retry),
        lambda inner: adieu.AsyncRetryAdapter(inner, retry),
    )
    with place.block(place.client(retrying)) as client:
        again = Restartable()
        path = "/small" if place.is_local else "/early?status=503"
        place.get(client, path, "PUT", content=again)
        assert len(again.begun) == 3 or place.is_local
        assert not any(map(_is_open, again.begun))


# Over connections


def test_when_no_connection_is_made(stage: Stage) -> None:
    with refused_port() as port, stage.block(stage.client()) as client:
        for kind in _kinds(stage):
            content = kind()
            url = f"http://127.0.0.1:{port}/"
            caught(adieu.ConnectError, stage.get, client, url, "POST", content=content, retry=1)
            assert not _is_open(content)


def test_after_a_timeout_and_after_a_reset(stage: Stage) -> None:
    stage.server.on("/reset-at-once", lambda peer, request: "reset", early=True)
    short = adieu.Timeout(total=0.2)
    with stage.block(stage.client()) as client:
        for kind in _kinds(stage):
            content = kind()
            options = {"content": content, "timeout": short}
            caught(adieu.RequestTimeout, stage.get, client, "/stall-read", "POST", **options)
            assert not _is_open(content)
            content = kind()
            caught(
                adieu.TransportError, stage.get, client, "/reset-at-once", "POST", content=content
            )
            assert not _is_open(content)


def test_after_an_item_that_cannot_be_sent(stage: Stage) -> None:
    def pieces() -> Iterator[object]:
        yield b"a"
        while True:
            yield 7

    with stage.block(stage.one()) as client:
        content: Any = pieces()
        error = caught(adieu.InvalidRequest, stage.get, client, "/ok", "POST", content=content)
        assert "item 1 is int" in str(error)
        assert not _is_open(content)
        stage.next_works(client)


def test_with_an_interrupt(stage: Stage) -> None:
    def interrupt(subject: object) -> None:
        raise KeyboardInterrupt

    with stage.block(stage.client(event_hooks={"response": [interrupt]})) as client:
        for kind in _kinds(stage):
            content = kind()
            caught(KeyboardInterrupt, stage.get, client, "/early", "POST", content=content)
            assert not _is_open(content)


def test_after_redirects_that_keep_the_content_and_that_drop_it(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        content = (_PIECE for _ in range(3))
        answer = stage.get(client, "/redirect?status=303", "POST", content=content)
        assert [hop.status_code for hop in answer.history] == [303]
        assert not _is_open(content)
        early: Any = _endless()
        options = {"content": early}
        stage.server.on("/away", _away, early=True)
        caught(adieu.RedirectError, stage.get, client, "/away", "POST", **options)
        assert not _is_open(early)
        again = Restartable()
        stage.server.on("/away", _away, early=True)
        answer = stage.get(client, "/away", "POST", content=again)
        assert answer.status_code == 413
        assert len(again.begun) == 2
        assert not any(map(_is_open, again.begun))


def _away(peer: Peer, request: ServerRequest) -> Ending:
    peer.reply(307, b"", [("location", "/early"), ("connection", "close")])
    peer.linger()
    return "drop"


def test_after_the_last_retry(stage: Stage) -> None:
    retry = adieu.Retry(2, backoff=0, budget=None)
    with stage.block(stage.client(retry=retry)) as client:
        again = Restartable()
        answer = stage.get(client, "/early?status=503", "PUT", content=again)
        assert answer.status_code == 503
        assert len(again.begun) == 3
        assert not any(map(_is_open, again.begun))


def test_after_an_auth_flow(stage: Stage) -> None:
    with stage.block(stage.client(auth=("user", "password"))) as client:
        for kind in _kinds(stage):
            content = kind()
            stage.get(client, "/early", "POST", content=content)
            assert not _is_open(content)
        content = _endless()
        options = {"content": content, "auth": adieu.DigestAuth("user", "password")}
        answer = stage.get(client, "/early?status=401", "POST", **options)
        assert answer.status_code == 401
        assert not _is_open(content)


def test_in_a_call_without_a_client_of_the_users(stage: Stage) -> None:
    url = f"{stage.server.url}/early"
    for kind in _kinds(stage):
        content = kind()
        stage.run(stage.runner.one_shot("POST", url, content=content))
        assert not _is_open(content)
        content = kind()
        with stage.runner.one_stream("POST", url, content=content):
            assert not _is_open(content)


def test_a_one_shot_that_is_refused_closes_it_too() -> None:
    refusals: list[dict[str, Any]] = [
        {"cleanup": adieu.Prefetch()},
        {"no_such_option": 1},
        {"max_redirects": -1},
    ]
    for options in refusals:
        content = _endless()
        caught((TypeError, adieu.InvalidRequest), adieu.post, "/", content=content, **options)
        assert not _is_open(content)
    content = _endless()
    caught(TypeError, adieu.stream, "POST", "/", content=content, no_such_option=1)
    assert not _is_open(content)


def test_a_second_call_with_the_same_content_does_not_close_it_for_the_first(stage: Stage) -> None:
    errors: list[BaseException] = []

    def pieces() -> Iterator[bytes]:
        yield b"first, "
        errors.append(caught(adieu.InvalidRequest, second))
        yield b"second"

    def second() -> None:
        with adieu.Client() as other:
            other.send(request)

    with stage.block(stage.one()) as client:
        request = client.build_request("POST", "/echo", content=pieces())
        answer = stage.run(client.send(request))
        assert answer.json()["body"] == "first, second"
        assert len(errors) == 1


def test_an_upstream_that_the_content_relays_is_given_back(stage: Stage) -> None:
    with stage.block(stage.one()) as upstream, stage.block(stage.one()) as client:
        content: Any = _relay(upstream)
        if stage.runner.kind is adieu.AsyncClient:
            content = _async_relay(upstream)
        answer = stage.get(client, "/early", "POST", content=content)
        assert answer.status_code == 413
        assert stage.in_use(upstream) == []
        stage.next_works(upstream)
        again = Restartable(lambda: _relay(upstream))
        if stage.runner.kind is adieu.Client:
            stage.get(client, "/early", "POST", content=again)
            assert stage.in_use(upstream) == []
    assert stage.nothing_open()


def _relay(upstream: Any) -> Iterator[bytes]:
    with upstream.stream("GET", "/bytes?n=100000000") as response:
        yield from response.iter_bytes()


async def _async_relay(upstream: Any) -> AsyncIterator[bytes]:
    async with upstream.stream("GET", "/bytes?n=100000000") as response:
        async for piece in response.iter_bytes():
            yield piece


# In event loops


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_an_async_clean_up_is_awaited_but_not_after_a_cancellation(
    loop: Any, fault_server: FaultServer
) -> None:
    log: list[str] = []

    async def pieces(tasks: list[Any]) -> AsyncIterator[bytes]:
        try:
            yield _PIECE
            for task in tasks:
                task.cancel()
            while True:
                yield _PIECE
        finally:
            log.append("begun")
            await sleep(0)
            log.append("complete")

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            content: Any = pieces([])
            await client.post("/early", content=content)
            assert not _is_open(content)
            assert log == ["begun", "complete"]
            tasks: list[Any] = []
            content = pieces(tasks)
            tasks.append(spawn(_post(client, content)))
            assert await _cancelled(tasks[0])
            assert not _is_open(content)
            assert log == ["begun", "complete", "begun"]
            assert [line for line in client.connections() if line.state != "idle"] == []

    run(main(), loop)


async def _post(client: adieu.AsyncClient, content: Any) -> None:
    await client.post("/stall-read", content=content)


async def _cancelled(task: Any) -> bool:
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_a_cancelled_clean_up_ends_the_response_too(loop: Any, fault_server: FaultServer) -> None:
    async def pieces(tasks: list[Any]) -> AsyncIterator[bytes]:
        try:
            while True:
                yield _PIECE
        finally:
            tasks[0].cancel()
            await sleep(0)

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            tasks: list[Any] = []
            content: Any = pieces(tasks)

            async def call() -> None:
                await client.stream("POST", "/early", content=content)

            tasks.append(spawn(call()))
            assert await _cancelled(tasks[0])
            assert not _is_open(content)
            assert [line for line in client.connections() if line.state != "idle"] == []

    run(main(), loop)


# In this process


def test_an_answer_that_is_made_of_the_content_is_whole_and_ends_it(place: Place) -> None:
    if place.kind != "function":
        return
    adapter: Any = adieu.adapter(_async_echo if place.is_async else _echo)
    for kind in _kinds(place):
        with place.block(place.client(adapter=adapter)) as client:
            answer = place.get(client, "/", "POST", content=(b"a", b"b"))
            assert place.read(answer) == b"ab"
            content = kind()
            with place.block(client.stream("POST", "/", content=content)) as response:
                assert next(iter(place.each(response.iter_bytes()))) == _PIECE
                assert _is_open(content)
            assert not _is_open(content)


def _echo(request: adieu.Request) -> adieu.Response:
    return adieu.Response(200, body=request.content.chunks())


async def _async_echo(request: adieu.Request) -> adieu.AsyncResponse:
    return adieu.AsyncResponse(200, body=request.content.async_chunks())


def test_a_generator_that_runs_in_another_thread_is_left() -> None:
    inside, go_on = threading.Event(), threading.Event()
    got: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        inside.set()
        assert go_on.wait(30)
        yield b"late"

    generator: Any = pieces()
    content = as_content(generator).owned()
    reader = threading.Thread(target=lambda: got.append(next(content.chunks())))
    reader.start()
    assert inside.wait(30)
    content.end_now()
    go_on.set()
    reader.join(30)
    assert got == [b"late"]
    generator.close()


class _Interrupted:
    """Content whose first `close()` is interrupted before it did anything."""

    def __init__(self) -> None:
        self.closes = 0

    def __iter__(self) -> _Interrupted:
        return self

    def __next__(self) -> bytes:
        return b"x" * 1000

    def close(self) -> None:
        self.closes += 1
        if self.closes == 1:
            raise KeyboardInterrupt


def test_an_end_of_the_content_that_an_interrupt_cut_short_is_tried_again() -> None:
    @adieu.adapter
    def answer(request: adieu.Request) -> adieu.Response:
        return adieu.Response(413)

    content = _Interrupted()
    with (
        adieu.Client("http://app.test", adapter=answer) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.post("/", content=content)
    assert content.closes == 2
