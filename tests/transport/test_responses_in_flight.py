"""A response inside an adapter is a response: it can be read, closed, replaced, kept and wrapped, and nothing leaks.

A middleware of these tests is a script, written once: steps that call `send` and the methods of a response, and yield
what these return, which is awaited where the place is async.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import pickle
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.steps import adrive, drive
from adieu.net.async_backend import current_backend, in_trio
from adieu_close import AsyncCloseAdapter
from adieu_native import AsyncNativeAdapter
from support.alarm import HAS_ALARMS, Alarm
from support.site import LARGE, PLACES, POLICIES, SMALL, Pair
from support.stage import caught, drop, eventually, with_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from adieu.testing import FaultServer
    from support.site import Place
    from support.watch import Watch


class _Scripted(adieu.Middleware):
    def __init__(self, inner: Any, script: Any) -> None:
        super().__init__(inner)
        self._script = script

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        if request.url.path == "/done":  # By which the tests see that no slot is lost.
            return self.inner.send(request, exchange)
        response: adieu.Response = drive(self._script(self.inner.send, request, exchange))
        return response


class _AsyncScripted(adieu.AsyncMiddleware):
    def __init__(self, inner: Any, script: Any) -> None:
        super().__init__(inner)
        self._script = script

    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        if request.url.path == "/done":
            return await self.inner.send(request, exchange)
        response: adieu.AsyncResponse = await adrive(
            self._script(self.inner.send, request, exchange)
        )
        return response


_SOCKETS = ("native", "h11", "urllib3", "close")


def _only(which: Callable[[str, str], bool]) -> pytest.MarkDecorator:
    """For a test of a rule that does not hold, or says nothing, at the other places."""
    places = [place for place in PLACES if which(*place)]
    return pytest.mark.parametrize("place", places, indirect=True, ids="-".join)


def scripted(script: Any) -> Pair:
    return Pair(lambda inner: _Scripted(inner, script), lambda inner: _AsyncScripted(inner, script))


class Passing:
    """A function for `wrap` that changes nothing, and records what happens to it."""

    def __init__(self, change: Callable[[bytes], Any] = lambda chunk: chunk) -> None:
        self.log: list[str] = []
        self._change = change

    def sync(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                yield self._change(chunk)
            self.log.append("end")
        except GeneratorExit:
            self.log.append("closed")
            raise
        except BaseException as error:
            self.log.append(type(error).__name__)
            raise

    async def awaited(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield self._change(chunk)
            self.log.append("end")
        except GeneratorExit:
            self.log.append("closed")
            raise
        except BaseException as error:
            self.log.append(type(error).__name__)
            raise

    def around(self, response: Any, **options: Any) -> Any:
        is_async = isinstance(response, adieu.AsyncResponse)
        return response.wrap(self.awaited if is_async else self.sync, **options)


def wrapping(function: Passing, **options: Any) -> Pair:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        return function.around((yield send(request, exchange)), **options)

    return scripted(script)


def _opened(place: Place) -> int:
    """How many connections the server has accepted."""
    return place.server.accepted


# Reading


def _read(send: Any, request: Any, exchange: Any) -> Any:
    response = yield send(request, exchange)
    yield response.read()
    return response


_EXPECTED = {
    "/small": SMALL,
    "/large": LARGE,
    "/chunked": SMALL,
    "/gzip": LARGE,
    "/empty": b"",
    "/none": b"",
    "/moved": SMALL,
}


def test_a_body_that_a_middleware_has_read_is_kept_for_the_user(place: Place) -> None:
    with place.block(place.client(scripted(_read))) as client:
        for (path, right), policy in itertools.product(_EXPECTED.items(), POLICIES):
            response = place.get(client, path, cleanup=policy)
            assert response.is_closed
            assert place.read(response) == right
            assert b"".join(place.each(response.iter_bytes())) == right
            assert b"".join(place.each(response.iter_bytes())) == right
            assert response.text == right.decode("utf-8", "replace")
            with place.block(client.stream("GET", path, cleanup=policy)) as streamed:
                assert b"".join(place.each(streamed.iter_bytes())) == right
            place.is_free(client)


def test_trailers_encoding_and_extras_of_a_response_that_was_read_are_kept(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = yield from _read(send, request, exchange)
        response.encoding = "latin-1"
        response.extras["seen"] = len(response.content)
        return response

    for pair in (scripted(script), scripted(_wrapped_after(script))):
        with place.block(place.client(pair)) as client:
            response = place.get(client, "/chunked")
            assert place.read(response) == SMALL
            assert response.encoding == "latin-1"
            assert response.extras == {"seen": len(SMALL)}
            assert dict(response.trailers) == ({} if place.is_local else {"x-end": "reached"})


def _wrapped_after(script: Any) -> Any:
    def wrapped(send: Any, request: Any, exchange: Any) -> Any:
        return Passing().around((yield from script(send, request, exchange)))

    return wrapped


def test_what_a_middleware_has_read_in_pieces_is_never_taken_for_the_content(
    place: Place,
) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = yield send(request, exchange)
        pieces = response.iter_bytes()
        yield anext(pieces) if place.pair_is_async else next(pieces)
        return response

    with place.block(place.client(scripted(script))) as client:
        cases = itertools.product(("/small", "/large"), POLICIES, (False, True))
        for path, policy, streaming in cases:
            if streaming:
                caught(adieu.BodyClosed, place.content, client, path, streaming, cleanup=policy)
            else:
                response = place.get(client, path, cleanup=policy)
                caught(adieu.BodyClosed, place.read, response)
                place.run(response.close())
            place.is_free(client)


def test_a_response_that_a_middleware_has_closed_says_so(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = yield send(request, exchange)
        yield response.close()
        return response

    with place.block(place.client(scripted(script))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            with pytest.raises(adieu.BodyClosed):
                place.content(client, "/large", streaming, cleanup=policy)
            place.is_free(client)


@pytest.mark.parametrize("middleware", [True, False], ids=["wrapped", "plain"])
def test_reading_again_does_not_depend_on_packets(place: Place, middleware: bool) -> None:
    pairs = [wrapping(Passing())] if middleware else []
    again: list[Callable[[Any], object]] = [
        lambda response: list(place.each(response.iter_bytes())),
        lambda response: list(place.each(response.iter_raw())),
        lambda response: list(place.each(response.iter_lines())),
        place.read,
    ]
    with place.block(place.client(*pairs)) as client:
        for second, path in itertools.product(again, ("/small", "/chunked", "/large")):
            with place.block(client.stream("GET", path)) as response:
                assert b"".join(place.each(response.iter_bytes())) == _EXPECTED[path]
                caught(adieu.BodyClosed, second, response)
            caught(adieu.BodyClosed, second, response)
            with place.block(client.stream("GET", path)) as response:
                pass
            caught(adieu.BodyClosed, second, response)
        left = place.stream(client, "/large")
    for second in again:
        caught(adieu.ClientClosed, second, left)


_ITERATIONS = ("iter_raw", "iter_bytes", "iter_text", "iter_lines", "iter_events")


@pytest.mark.parametrize("middleware", [True, False], ids=["wrapped", "plain"])
def test_after_an_error_the_next_piece_is_an_error(place: Place, middleware: bool) -> None:
    cut = "/cut" if place.is_local else "/cut-events"
    pairs = [wrapping(Passing())] if middleware else []
    place.server.reply(
        "/cut-events",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: 1\n\n",
        close=True,
    )
    with place.block(place.client(*pairs)) as client:
        for name in _ITERATIONS[: 4 if place.is_local else 5]:
            with place.block(client.stream("GET", cut)) as response:
                pieces = place.each(getattr(response, name)())
                caught((adieu.TransportError, adieu.DecodeError), list, pieces)
                for _ in range(2):
                    caught(adieu.BodyClosed, next, pieces)
                caught(adieu.BodyClosed, place.read, response)
                caught(adieu.BodyClosed, list, place.each(getattr(response, name)()))
            place.is_free(client)


@_only(lambda mode, kind: kind in {"native", "urllib3"})
def test_after_a_timeout_the_next_piece_is_an_error(place: Place) -> None:
    stalled = "/stall-body?n=1000&sent=9&seconds=60"
    for pairs in ([], [wrapping(Passing())]):
        with (
            place.block(place.client(*pairs)) as client,
            place.block(
                with_head(lambda limit: place.stream(client, stalled, timeout=limit))
            ) as response,
        ):
            pieces = place.each(response.iter_lines())
            caught(adieu.ReadTimeout, list, pieces)
            caught(adieu.BodyClosed, next, pieces)
            caught(adieu.BodyClosed, place.read, response)


# Replacing


class _Asked(adieu.ReleaseOnRead):
    """Records what it is asked about bodies that are left."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int, bool]] = []

    def on_close(self, view: adieu.View, why: Any) -> Any:
        self.asked.append((why, view.status, view.reusable))
        return super().on_close(view, why)


class _Counted(io.BytesIO):
    """A file whose end is counted."""

    ended = 0

    def close(self) -> None:
        self.ended += not self.closed
        super().close()


def _made(place: Place, body: Any) -> Any:
    return (adieu.AsyncResponse if place.pair_is_async else adieu.Response)(200, body=body)


def test_what_is_left_for_another_response_is_drained_as_the_policy_says(place: Place) -> None:
    files: list[_Counted] = []

    def script(send: Any, request: Any, exchange: Any) -> Any:
        yield send(request, exchange)
        files.append(_Counted(SMALL))
        return _made(place, files[-1])

    with place.block(place.client(scripted(script), cleanup=(policy := _Asked()))) as client:
        for _ in range(3):
            assert place.read(place.get(client, "/500")) == SMALL
            with place.block(client.stream("GET", "/500")) as response:
                next(place.each(response.iter_bytes()))
        opened = _opened(place)
    if place.keeps_connections:
        assert opened == 1
        assert policy.asked[0] == ("replaced", 500, True)
    assert [file.ended for file in files] == [1] * 6


class _ByHand(adieu.AdapterBase):
    """Answers with responses that it makes itself, each of a file."""

    is_local = True

    def __init__(self) -> None:
        self.files: list[_Counted] = []

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(503, body=self._file())

    def close(self) -> Any:
        """Nothing is open."""

    def _file(self) -> _Counted:
        self.files.append(_Counted(SMALL))
        return self.files[-1]


class _AsyncByHand(_ByHand):
    async def send(self, request: adieu.Request, exchange: Any) -> Any:  # type: ignore[override]
        return adieu.AsyncResponse(503, body=self._file())

    async def close(self) -> None:
        """Nothing is open."""


@_only(lambda mode, kind: kind in {"function", "to_async", "to_sync"})
@pytest.mark.parametrize("how", ["replaced", "raised", "nothing"])
def test_a_body_made_by_hand_is_ended_although_the_user_does_not_get_its_response(
    place: Place, how: str
) -> None:
    awaits = place.pair_is_async or place.kind == "to_sync"

    def script(send: Any, request: Any, exchange: Any) -> Any:
        yield send(request, exchange)
        if how == "raised":
            raise adieu.InvalidRequest("refused")
        kind = adieu.AsyncResponse if awaits else adieu.Response
        return kind(200, body=SMALL) if how == "replaced" else None

    made = _AsyncByHand() if awaits else _ByHand()
    adapter = scripted(script)[awaits](made)
    if place.kind != "function":
        adapter = adieu.to_async(adapter) if place.is_async else adieu.to_sync(adapter)
    with place.block(place.client(adapter=adapter)) as client:
        for _ in range(2):
            if how == "replaced":
                assert place.read(place.get(client, "/small")) == SMALL
            else:
                caught(adieu.AdieuError, place.get, client, "/small")
        place.runner.settle()
        assert [file.ended for file in made.files] == [1, 1]


def test_every_form_of_a_body_is_read_and_ended(place: Place) -> None:
    ended: list[str] = []

    def generator() -> Iterator[bytes]:
        try:
            yield SMALL[:4]
            yield b""
            yield memoryview(SMALL[4:])  # type: ignore[misc]
        finally:
            ended.append("generator")

    async def asynchronous() -> AsyncIterator[bytes]:
        try:
            yield SMALL[:4]
            yield SMALL[4:]
        finally:
            ended.append("async generator")

    forms: list[Callable[[], Any]] = [
        lambda: SMALL,
        lambda: bytearray(SMALL),
        SMALL.decode,
        lambda: _Counted(SMALL),
        lambda: [SMALL[:4], SMALL[4:]],
        lambda: (SMALL[:4], SMALL[4:]),
        generator,
    ]
    if place.pair_is_async:
        forms.append(asynchronous)
    chosen: list[Callable[[], Any]] = []

    def script(send: Any, request: Any, exchange: Any) -> Any:
        yield from ()
        return _made(place, chosen[0]())

    with place.block(place.client(scripted(script))) as client:
        for form, policy in itertools.product(forms, POLICIES):
            chosen[:] = [form]
            for streaming in (False, True):
                assert place.content(client, "/small", streaming, cleanup=policy) == SMALL
            with place.block(client.stream("GET", "/small", cleanup=policy)) as response:
                next(place.each(response.iter_bytes()))
    assert ended.count("generator") == 3 * len(POLICIES)
    assert ended.count("async generator") == 3 * len(POLICIES) * place.pair_is_async


def test_the_first_of_two_attempts_may_be_returned(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        first = yield from _read(send, request, exchange)
        yield send(request, exchange)
        return first

    with place.block(place.client(scripted(script))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            assert place.content(client, "/large", streaming, cleanup=policy) == LARGE
            place.is_free(client)


def test_the_first_of_two_attempts_is_over_unless_it_was_read(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        first = yield send(request, exchange)
        yield send(request, exchange)
        return first

    with place.block(place.client(scripted(script))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            with pytest.raises(adieu.BodyClosed):
                place.content(client, "/large", streaming, cleanup=policy)
            place.is_free(client)


@_only(lambda mode, kind: kind == "function")
def test_one_response_may_be_returned_for_many_calls(place: Place) -> None:
    kind = adieu.AsyncResponse if place.is_async else adieu.Response
    moved = kind(302, {"location": "/small"})
    ready = kind(200, body=SMALL)

    def answer(request: adieu.Request) -> Any:
        return moved if request.url.path == "/moved" else ready

    async def async_answer(request: adieu.Request) -> Any:
        return answer(request)

    place.site.function = answer  # type: ignore[method-assign]
    place.site.async_function = async_answer  # type: ignore[method-assign]
    with place.block(place.client(scripted(_marked))) as client:
        first = place.get(client, "/moved")
        second = place.get(client, "/large")
        assert [str(response.url.path) for response in (first, second)] == ["/small", "/large"]
        assert [len(response.history) for response in (first, second)] == [1, 0]
        assert first.headers["x-marked"] == "once"
        assert place.read(first) == place.read(second) == SMALL
        busy = place.get(client, "/small", retry=adieu.Retry(2, backoff=0, statuses=[200]))
        assert len({id(response) for response in (*busy.history, busy)}) == 3
        pickle.loads(pickle.dumps(busy))
    for made in (moved, ready):
        with pytest.raises(adieu.BodyClosed, match="no request, and so no URL: it was made by h"):
            _ = made.request
        assert made.history == ()
        assert "x-marked" not in made.headers
        assert made.extras == {}


def _marked(send: Any, request: Any, exchange: Any) -> Any:
    response = yield send(request, exchange)
    response.headers["x-marked"] = "once"
    response.extras["marked"] = True
    return response


def test_a_body_that_can_be_read_once_is_not_given_to_two_calls(place: Place) -> None:
    kept = _made(place, iter([SMALL]))

    def script(send: Any, request: Any, exchange: Any) -> Any:
        yield from ()
        return kept

    with place.block(place.client(scripted(script))) as client:
        assert place.read(place.get(client, "/small")) == SMALL
        with pytest.raises(adieu.InvalidRequest, match="was returned before"):
            place.get(client, "/small")


def test_a_response_that_was_kept_may_be_returned_for_a_later_call(place: Place) -> None:
    kept: list[Any] = []

    def script(send: Any, request: Any, exchange: Any) -> Any:
        if not kept:
            kept.append((yield from _read(send, request, exchange)))
        return kept[0]

    with place.block(place.client(scripted(script))) as client:
        responses = [place.get(client, path) for path in ("/gzip", "/small", "/large")]
        assert [place.read(response) for response in responses] == [LARGE] * 3
        paths = [response.url.path for response in responses]
        assert paths == ["/gzip", "/small", "/large"]


@pytest.mark.parametrize("how", ["read", "left", "dropped"])
def test_an_open_stream_of_another_client_may_be_returned(place: Place, how: str) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = yield send(request, exchange)
        yield response.read()
        return (yield other.stream("GET", "/large", cleanup=adieu.ReleaseOnRead()))

    in_thread = place.kind == "to_async"
    other = adieu.Client(place.server.url, adapter=place.adapter()) if in_thread else place.client()
    with place.block(place.client(scripted(script))) as client:
        for policy in POLICIES[:3]:
            if how == "read":
                for streaming in (False, True):
                    assert place.content(client, "/small", streaming, cleanup=policy) == LARGE
            elif how == "left":
                with place.block(client.stream("GET", "/small", cleanup=policy)) as response:
                    next(place.each(response.iter_bytes()))
            else:
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    place.stream(client, "/small", cleanup=policy)
                    drop()
                    place.runner.settle()
                assert {line.category for line in warned} == {ResourceWarning}
            place.is_free(client)
            assert [str(line) for line in other.connections() if line.state != "idle"] == []
    place.run(other.close())


def test_a_middleware_may_answer_for_a_server_that_fails(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        try:
            response = yield from _read(send, request, exchange)
        except adieu.TransportError:
            return _made(place, b"stale")
        return response

    paths = ["/cut", "/cut-chunked"]
    if not place.is_local:
        paths += [
            "/reset",
            "/close",
            "/reset-body",
            "/stall-head?seconds=20",
            "/stall-body?seconds=20",
        ]
    timeout = adieu.Timeout(connect=30, read=0.02, write=30, pool=30)
    with place.block(place.client(scripted(script))) as client:
        for path, streaming in itertools.product(paths, (False, True)):
            for policy in POLICIES[:3]:
                content = place.content(client, path, streaming, cleanup=policy, timeout=timeout)
                assert content == b"stale"
            place.is_free(client)


@_only(lambda mode, kind: kind in {*_SOCKETS, "to_async"})
@pytest.mark.parametrize("back", [True, False])
def test_a_middleware_may_send_through_two_adapters(place: Place, back: bool) -> None:
    other = place.adapter()

    def script(send: Any, request: Any, exchange: Any) -> Any:
        first = yield from _read(send, request, exchange)
        second = yield other.send(request, exchange)
        return first if back else second

    with place.block(place.client(scripted(script))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            assert place.content(client, "/large", streaming, cleanup=policy) == LARGE
            place.is_free(client)
            assert [str(line) for line in other.connections() if line.state != "idle"] == []
    place.run(other.close())


class _OnOneConnection(adieu.Auth):
    """Asks three times, as NTLM does."""

    same_connection = True

    def flow(self, request: adieu.Request) -> Any:
        request.headers["x-step"] = "1"
        for _ in range(3):
            response = yield request
            if response.status_code != 401:
                return


@_only(lambda mode, kind: kind in {"native", "h11", "urllib3", "to_async"})
def test_a_wrapped_body_leaves_its_connection_to_the_next_exchange(place: Place) -> None:
    steps: list[int] = []

    def serve(peer: Any, request: Any) -> Any:
        steps.append(request.connection)
        if len(steps) % 3:
            peer.reply(401, b"x" * request.count("size", 0))
        else:
            peer.reply(200, SMALL)
        return "keep"

    place.server.on("/steps", serve)
    wrapped, decoded = wrapping(Passing()), wrapping(Passing(), decoded=True)
    drain = 200_000
    for pairs in ([wrapped], [wrapped, decoded], [scripted(_read)], [scripted(_read_and_wrapped)]):
        with place.block(place.client(*pairs)) as client:
            policies = (adieu.Prefetch(drain=drain), adieu.ReleaseOnRead(drain=drain))
            for size, policy in itertools.product((0, 10, 100_000), policies):
                for streaming in (False, True):
                    del steps[:]
                    path, asked = f"/steps?size={size}", {"auth": _OnOneConnection()}
                    content = place.content(client, path, streaming, cleanup=policy, **asked)
                    assert content == SMALL
                    assert len(steps) == 3
                    assert len(set(steps)) == 1
                    place.is_free(client)


def test_an_exchange_that_keeps_its_connection_may_be_sent_again(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        yield from _read(send, request, exchange)
        return (yield send(request, exchange))

    with place.block(place.client(scripted(script))) as client:
        for streaming in (False, True):
            content = place.content(client, "/large", streaming, auth=_OnOneConnection())
            assert content == LARGE
            place.is_free(client)


# Wrapping


def _read_and_wrapped(send: Any, request: Any, exchange: Any) -> Any:
    return Passing().around((yield from _read(send, request, exchange)))


def test_a_wrapped_body_that_is_left_early_is_drained_and_its_connection_used_again(
    place: Place,
) -> None:
    functions = [Passing(), Passing()]
    with place.block(place.client(*map(wrapping, functions))) as client:
        for _ in range(3):
            with place.block(client.stream("GET", "/chunked", cleanup=adieu.ReleaseOnRead())) as r:
                next(place.each(r.iter_bytes()))
            place.is_free(client)
        if place.keeps_connections:
            assert _opened(place) == 1
    for function in functions:
        assert function.log == ["closed"] * 3


@pytest.mark.parametrize("how", ["read", "left", "dropped", "closed", "client closed"])
def test_every_generator_around_a_body_is_closed_at_once(place: Place, how: str) -> None:
    functions = [Passing(), Passing(), Passing()]
    decoded = (True, False, True)
    client = place.client(*map(lambda f, d: wrapping(f, decoded=d), functions, decoded))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        response = place.stream(client, "/gzip")
        pieces = place.each(response.iter_bytes())
        next(pieces)
        if how == "read":
            list(pieces)
        elif how == "dropped":
            del response, pieces
            drop()
        elif how == "closed":
            place.run(response.close())
        elif how == "left":
            with place.block(response):
                pass
        else:
            place.run(client.close())
        place.runner.settle()
        assert [function.log for function in functions] == [
            [["end"], ["closed"]][how != "read"]
        ] * 3
        place.run(client.close())
    leaks = [str(line.message) for line in warned]
    assert len(leaks) == (how == "dropped"), leaks


def test_a_user_may_wrap_what_a_call_returned_although_some_of_it_was_read_ahead(
    place: Place,
) -> None:
    def first_and_later(peer: Any, request: Any) -> Any:
        head = peer.head(200, [("transfer-encoding", "chunked")])
        peer.send(head + b"5\r\nabcde\r\n")
        assert go_on.wait(30)
        peer.send(b"5\r\nfghij\r\n0\r\n\r\n")
        return "keep"

    go_on = threading.Event()
    place.server.on("/later", first_and_later)
    with place.block(place.client()) as client:
        for policy in POLICIES:
            response = Passing(bytes.upper).around(
                place.get(client, "/gzip", cleanup=policy), decoded=True
            )
            assert b"".join(place.each(response.iter_bytes())) == LARGE.upper()
            caught(adieu.BodyClosed, place.read, response)
            response = Passing(bytes.upper).around(place.get(client, "/small", cleanup=policy))
            assert place.read(response) == place.read(response) == SMALL
            place.is_free(client)
            if not place.is_local:
                go_on.clear()
                response = Passing(bytes.upper).around(
                    place.stream(client, "/later", cleanup=policy)
                )
                go_on.set()
                assert place.read(response) == b"ABCDEFGHIJ"
                place.is_free(client)


@pytest.mark.parametrize("inner", ["small", "iterator"])
def test_content_that_is_in_memory_or_made_by_hand_can_be_wrapped(place: Place, inner: str) -> None:
    functions = [Passing(bytes.upper), Passing(lambda chunk: chunk + b"!")]

    def script(send: Any, request: Any, exchange: Any) -> Any:
        if inner == "small":
            response = yield from _read(send, request, exchange)
        else:
            response = _made(place, iter([b"0123", b"456789"]))
        for function in functions:
            function.around(response)
        return response

    right = b"0123456789!" if inner == "small" else b"0123!456789!"
    with place.block(place.client(scripted(script), scripted(_marked))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            assert place.content(client, "/small", streaming, cleanup=policy) == right
            with place.block(client.stream("GET", "/small", cleanup=policy)) as response:
                next(place.each(response.iter_bytes()))
            place.is_free(client)
    assert [log.count("end") for log in (function.log for function in functions)] == [14, 14]
    assert [log.count("closed") for log in (function.log for function in functions)] == [14, 14]


def test_a_read_response_that_was_prefetched_is_there_at_once_although_it_was_wrapped(
    place: Place,
) -> None:
    with place.block(place.client(scripted(_wrapped_after(_read)))) as client:
        assert place.get(client, "/small").content == SMALL


class _Odd:
    """Functions for `wrap` that do not give each chunk as it comes, sync and async."""

    @staticmethod
    def nothing(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for _ in chunks:
            yield b""

    @staticmethod
    async def async_nothing(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in chunks:
            yield b""

    @staticmethod
    def ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from list(chunks)

    @staticmethod
    async def async_ahead(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        for chunk in [chunk async for chunk in chunks]:
            yield chunk

    @staticmethod
    def eager(chunks: Iterator[bytes]) -> list[bytes]:
        return [b"".join(chunks)]

    @staticmethod
    def async_eager(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return _Odd.async_ahead(chunks)

    @staticmethod
    def stopped(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)[:1]

    @staticmethod
    async def async_stopped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield (await anext(chunks))[:1]

    @staticmethod
    def endless(chunks: Iterator[bytes]) -> Iterator[bytes]:
        return itertools.repeat(SMALL)

    @staticmethod
    async def async_endless(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            yield SMALL

    @staticmethod
    def views(chunks: Iterator[bytes]) -> Iterator[Any]:
        return map(memoryview, map(bytearray, chunks))

    @staticmethod
    async def async_views(chunks: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for chunk in chunks:
            yield memoryview(bytearray(chunk))

    @staticmethod
    def framed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield b"<"
        yield from chunks
        yield b">"

    @staticmethod
    async def async_framed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield b"<"
        async for chunk in chunks:
            yield chunk
        yield b">"


def odd(place: Place, name: str) -> Pair:
    function = getattr(_Odd, f"async_{name}" if place.pair_is_async else name)

    def script(send: Any, request: Any, exchange: Any) -> Any:
        return (yield send(request, exchange)).wrap(function)

    return scripted(script)


@pytest.mark.parametrize("name", ["nothing", "ahead", "eager", "views", "framed"])
def test_a_function_may_give_its_bytes_as_it_likes(place: Place, name: str) -> None:
    def right(body: bytes) -> bytes:
        return {"nothing": b"", "framed": b"<%b>" % body}.get(name, body)

    with place.block(place.client(odd(place, name))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            assert place.content(client, "/large", streaming, cleanup=policy) == right(LARGE)
            assert place.content(client, "/empty", streaming, cleanup=policy) == right(b"")
            assert place.content(client, "/moved-empty", streaming, cleanup=policy) == right(SMALL)
            place.is_free(client)
        if place.keeps_connections:
            # Three policies end every connection; else it is used again.
            opened = _opened(place)
            for _ in range(3):
                assert place.content(client, "/large", True) == right(LARGE)
            assert _opened(place) <= opened + 1


def test_a_function_that_stops_early_ends_the_body_and_its_connection(place: Place) -> None:
    with place.block(place.client(odd(place, "stopped"))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            for path in ("/large", "/chunked"):
                content = place.content(client, path, streaming, cleanup=policy)
                assert len(content) == 1
                place.is_free(client)


def test_a_function_that_gives_no_bytes_is_an_error(place: Place) -> None:
    for piece in ("text", None, 3, "", 0):
        function: Any = Passing(lambda chunk, piece=piece: piece)  # type: ignore[misc]
        with place.block(place.client(wrapping(function))) as client:
            for policy, streaming in itertools.product(POLICIES[:3], (False, True)):
                with pytest.raises(adieu.InvalidRequest, match="has to give bytes, not"):
                    place.content(client, "/large", streaming, cleanup=policy)
                place.is_free(client)


async def _coroutine(chunks: Any) -> bytes:
    return b""


def test_a_function_that_returns_no_iterable_is_an_error(place: Place) -> None:
    other_kind = Passing().sync if place.pair_is_async else Passing().awaited
    functions: list[Any] = [lambda chunks: None, _coroutine, other_kind]

    def script(send: Any, request: Any, exchange: Any) -> Any:
        return (yield send(request, exchange)).wrap(functions[0])

    with place.block(place.client(scripted(script))) as client:
        while functions:
            for streaming in (False, True):
                with pytest.raises(adieu.InvalidRequest, match=r"wrap\(\) has to return an"):
                    place.content(client, "/large", streaming)
                place.is_free(client)
            del functions[0]


def test_what_gives_no_bytes_any_more_cannot_be_wrapped(place: Place) -> None:
    refused: list[BaseException] = []
    ways = ["closed", "pickled", "begun"]

    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = yield send(request, exchange)
        way = ways[len(refused)]
        if way == "closed":
            yield response.close()
        elif way == "pickled":
            response = pickle.loads(pickle.dumps(response))
        else:
            pieces = response.iter_raw()
            yield anext(pieces) if place.pair_is_async else next(pieces)
        refused.append(caught(adieu.BodyClosed, Passing().around, response))
        return _made(place, SMALL)

    with place.block(place.client(scripted(script))) as client:
        for _ in ways:
            assert place.content(client, "/large", False) == SMALL
            place.is_free(client)
    assert len(refused) == 3


def test_a_pickled_response_that_was_read_can_be_wrapped(place: Place) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = pickle.loads(pickle.dumps((yield from _read(send, request, exchange))))
        return Passing(bytes.upper).around(response)

    with place.block(place.client(scripted(script))) as client:
        assert place.content(client, "/500", False) == b"IT IS BROKEN"


def test_an_empty_body_ends_with_its_head_and_the_function_runs(place: Place) -> None:
    for path, method in (("/empty", "GET"), ("/none", "GET"), ("/large", "HEAD")):
        function = Passing()
        with place.block(place.client(wrapping(function))) as client:
            for policy in POLICIES:
                response = place.get(client, path, method, cleanup=policy)
                assert response.is_closed
                assert place.read(response) == b""
        assert function.log == ["end"] * len(POLICIES)


def test_an_empty_redirect_keeps_its_connection(place: Place) -> None:
    for pairs in ([], [wrapping(Passing())], [scripted(_read)]):
        opened = _opened(place)
        with place.block(place.client(*pairs)) as client:
            for policy in (adieu.CleanupPolicy(), adieu.ReleaseOnRead(drain=0)):
                for _ in range(3):
                    assert place.content(client, "/moved-empty", True, cleanup=policy) == SMALL
            if place.keeps_connections:
                assert _opened(place) == opened + 1


@pytest.mark.needs("upgrades")
@_only(lambda mode, kind: kind in {"native", "h11", "urllib3", "to_async"})
def test_an_upgraded_connection_is_the_users_although_its_response_was_wrapped(
    place: Place,
) -> None:
    upgrade = {"upgrade": "shout", "connection": "upgrade"}
    with place.block(place.client(wrapping(Passing()))) as client:
        response = place.get(client, "/upgrade", headers=upgrade)
        assert response.status_code == 101
        assert place.read(response) == b""
        upgraded = response.upgraded
        place.run(upgraded.send(b"hello"))
        assert place.run(upgraded.recv()) == b"HELLO"
        place.run(upgraded.close())


@pytest.mark.parametrize("decoded", [True, False])
def test_a_download_goes_through_the_function(place: Place, tmp_path: Path, decoded: bool) -> None:
    function = Passing(bytes.swapcase if decoded else bytes)
    files = {"/large": LARGE, "/gzip": LARGE, "/chunked": SMALL, "/empty": b""}
    with place.block(place.client(wrapping(function, decoded=decoded))) as client:
        for path, content in files.items():
            target = tmp_path / path[1:]
            place.run(client.download(path, target, decode=True))
            assert target.read_bytes() == (content.swapcase() if decoded else content)
        place.is_free(client)


def test_a_download_that_a_function_decodes_is_not_resumed(place: Place, tmp_path: Path) -> None:
    def stop(received: int, total: int | None) -> None:
        if received:
            raise InterruptedError

    function = Passing()
    with place.block(place.client(wrapping(function, decoded=True))) as client:
        with pytest.raises(InterruptedError):
            place.run(client.download("/gzip", tmp_path / "file", progress=stop))
        assert list(tmp_path.iterdir()) == []
        place.is_free(client)


@_only(lambda mode, kind: mode != "sync" and kind != "to_async")
@pytest.mark.parametrize("decoded", [True, False])
def test_an_async_generator_that_waits_on_its_way_out_delays_no_end(
    place: Place, decoded: bool
) -> None:
    async def slow(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await current_backend().sleep(0)

    def script(send: Any, request: Any, exchange: Any) -> Any:
        return (yield send(request, exchange)).wrap(slow, decoded=decoded)

    with place.block(place.client(scripted(script))) as client:
        for policy in POLICIES:
            assert place.content(client, "/gzip", True, cleanup=policy)
            with place.block(client.stream("GET", "/large", cleanup=policy)) as response:
                next(place.each(response.iter_bytes()))
            place.is_free(client)


class _Patient(adieu.ReleaseOnRead):
    """Reads a little while, then hands out the rest as a stream."""

    __slots__ = ()

    def on_headers(self, view: adieu.View) -> Any:
        return adieu.Read(None, 0.02)


@_only(lambda mode, kind: kind in {*_SOCKETS, "to_async"})
def test_the_patience_of_a_policy_does_not_cut_a_wrapped_body(place: Place) -> None:
    go_on = threading.Event()

    def slow(peer: Any, request: Any) -> Any:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        assert go_on.wait(30)
        peer.send(b"56789")
        return "keep"

    place.server.on("/slow", slow)
    for pairs in ([], [wrapping(Passing())]):
        go_on.clear()
        with place.block(place.client(*pairs, cleanup=_Patient())) as client:
            response = place.get(client, "/slow")
            go_on.set()
            assert place.read(response) == SMALL
            place.is_free(client)


# Several adapters around one another


def test_middlewares_and_adapters_of_adieu_go_around_one_another(place: Place) -> None:
    inner, outer = Passing(), Passing()
    guards = Pair(
        lambda adapter: adieu.Guard(adapter, allow="127.0.0.0/8"),
        lambda adapter: adieu.AsyncGuard(adapter, allow="127.0.0.0/8"),
    )
    retries = Pair(
        lambda adapter: adieu.RetryAdapter(adapter, adieu.Retry(2, backoff=0, statuses=[500])),
        lambda adapter: adieu.AsyncRetryAdapter(adapter, adieu.Retry(2, backoff=0, statuses=[500])),
    )
    pairs = [wrapping(inner), retries, wrapping(outer), scripted(_read)]
    if not place.is_local and place.kind != "urllib3":
        pairs.insert(1, guards)
    with place.block(place.client(*pairs)) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            for path, right in (("/gzip", LARGE), ("/500", b"it is broken"), ("/moved", SMALL)):
                served = place.site.served
                assert place.content(client, path, streaming, cleanup=policy) == right
                assert place.site.served - served == {"/500": 3, "/moved": 2}.get(path, 1)
            place.is_free(client)


def test_a_function_without_an_end_is_bounded(place: Place) -> None:
    with place.block(place.client(odd(place, "endless"), max_body=10_000)) as client:
        for policy, path in itertools.product(POLICIES, ("/small", "/empty", "/moved-empty")):
            with pytest.raises(adieu.BodyTooLarge):
                place.content(client, path, False, cleanup=policy)
            place.is_free(client)


class _Survives(adieu.ReleaseOnRead):
    """Lets a body be read to its end after its client was closed."""

    __slots__ = ()

    def on_client_close(self, view: adieu.View) -> Any:
        return adieu.STREAM


@_only(lambda mode, kind: kind in {*_SOCKETS, "to_async"})
def test_a_wrapped_body_may_survive_its_client(place: Place) -> None:
    for pairs in ([], [wrapping(Passing())], [wrapping(Passing(), decoded=True)] * 2):
        client = place.client(*pairs, cleanup=_Survives())
        pieces = place.each(place.stream(client, "/large").iter_bytes())
        begun = next(pieces)
        place.run(client.close())
        assert begun + b"".join(pieces) == LARGE


def test_a_limit_on_bodies_holds_through_every_adapter(place: Place) -> None:
    for pairs in ([], [wrapping(Passing())], [scripted(_read)]):
        with place.block(place.client(*pairs, max_body=1000)) as client:
            for policy in POLICIES[:3]:
                for path in ("/large", "/gzip"):
                    with pytest.raises(adieu.AdieuError) as error:
                        place.content(client, path, False, cleanup=policy)
                    assert isinstance(error.value, (adieu.BodyTooLarge, adieu.DecodeError))
                    del error
                    place.is_free(client)


def test_hooks_may_read_and_wrap_and_close(place: Place) -> None:
    function = Passing(bytes.upper)
    how: str

    def hook(response: Any) -> Any:
        if response.request.url.path == "/done":
            return None
        if how == "wrap":
            function.around(response)
            return None
        return response.close() if how == "close" else response.read()

    async def async_hook(response: Any) -> None:
        if (wish := hook(response)) is not None:
            await wish

    chosen = async_hook if place.is_async else lambda response: hook(response) and None
    with place.block(place.client(event_hooks={"response": [chosen]})) as client:
        for how, policy, streaming in itertools.product(
            ("read", "wrap", "close"), POLICIES, (False, True)
        ):
            for path in ("/500", "/empty", "/moved"):
                if how == "close" and path == "/moved":
                    with pytest.raises(adieu.BodyClosed):
                        place.content(client, path, streaming, cleanup=policy)
                else:
                    # The content of an error was read before the hook saw it, so there is nothing to close.
                    body = {"/500": b"it is broken", "/moved": SMALL}.get(path, b"")
                    right = body.upper() if how == "wrap" else body
                    assert place.content(client, path, streaming, cleanup=policy) == right
            place.is_free(client)


# Ends from elsewhere


@_only(lambda mode, kind: kind in {*_SOCKETS, "to_async"})
@pytest.mark.parametrize("by", ["response", "client"])
def test_a_wrapped_body_that_is_closed_by_another_thread_ends_its_reader(
    place: Place, by: str
) -> None:
    functions = [Passing(), Passing()]
    sent = threading.Event()

    def stalled(peer: Any, request: Any) -> Any:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n01234")
        sent.set()
        peer.pause(20)
        return "close"

    place.server.on("/stalled", stalled)
    results: list[BaseException] = []
    with place.block(place.client(*map(wrapping, functions))) as client:
        response = place.stream(client, "/stalled")
        pieces = place.each(response.iter_bytes())
        assert next(pieces) == b"01234"

        def read() -> None:
            results.append(caught(adieu.AdieuError, next, pieces))

        reader = threading.Thread(target=read)
        reader.start()
        body = response.body
        eventually(lambda: body._reading)
        place.run(response.close() if by == "response" else client.close())
        reader.join(30)
        assert not reader.is_alive()
        assert isinstance(results[0], adieu.BodyClosed if by == "response" else adieu.ClientClosed)
        caught(adieu.AdieuError, next, pieces)
        if by == "response":
            place.is_free(client)
    place.runner.settle()
    # The generator that waited gets the error of the read; it must not be left suspended.
    eventually(lambda: all(len(function.log) == 1 for function in functions))


@_only(lambda mode, kind: mode == "sync")  # An interrupt would end the event loop.
@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, ValueError])
def test_whatever_a_function_raises_ends_the_body(place: Place, error: type[BaseException]) -> None:
    def fail(chunk: bytes) -> bytes:
        raise error

    with place.block(place.client(wrapping(Passing(fail)))) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            with pytest.raises(adieu.TransportError if error is ValueError else error):
                place.content(client, "/large", streaming, cleanup=policy)
            place.is_free(client)


@_only(lambda mode, kind: mode == "sync" and kind != "function")
@pytest.mark.skipif(not HAS_ALARMS, reason="no alarms on this platform")
@pytest.mark.parametrize("streaming", [False, True])
def test_an_interrupt_anywhere_in_a_wrapped_body_loses_nothing(
    place: Place, streaming: bool
) -> None:
    pair = wrapping(Passing(), decoded=True)
    with place.block(place.client(pair, pair, cleanup=adieu.ReleaseOnRead())) as client:

        def play() -> None:
            with client.stream("GET", "/gzip") as response:
                pieces = response.iter_bytes()
                if not streaming:
                    next(pieces)
                else:
                    list(pieces)

        with Alarm(8) as alarm, warnings.catch_warnings():
            # An interrupt may drop a response before it is assigned.
            warnings.simplefilter("ignore", ResourceWarning)
            for _ in alarm.rounds(60):
                interrupt = alarm.call(play)
                del interrupt
                drop()
                place.is_free(client)


@_only(lambda mode, kind: mode != "sync" and kind in _SOCKETS)
def test_an_async_function_that_is_cancelled_ends_the_body(place: Place) -> None:
    function = Passing()

    async def main(client: Any) -> None:

        async with client.stream("GET", "/stall-body?n=1000&sent=5&seconds=20") as response:
            pieces = response.iter_bytes()
            assert len(await anext(pieces)) == 5
            await _cancelled(pieces)
            with pytest.raises(adieu.BodyClosed):
                await anext(pieces)
            with pytest.raises(adieu.BodyClosed):
                await response.read()

    with place.block(place.client(wrapping(function), cleanup=adieu.ReleaseOnRead())) as client:
        place.run(main(client))
        place.is_free(client)
    assert len(function.log) == 1


async def _cancelled(pieces: Any) -> None:
    """Wait for the next piece, and be cancelled meanwhile."""
    if in_trio():
        import trio

        with trio.move_on_after(0.01):
            await anext(pieces)
    else:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(pieces), 0.01)


# By hand, without a client


def test_a_response_made_by_hand_that_failed_once_never_ends_cleanly() -> None:
    def failing() -> Iterator[bytes]:
        yield SMALL
        raise OSError("the disk is gone")

    for wrapped in (False, True):
        response = adieu.Response(200, body=failing())
        if wrapped:
            response.wrap(Passing().sync)
        caught(adieu.ReadError, response.read)
        caught(adieu.BodyClosed, response.read)
        caught(adieu.BodyClosed, list, response.iter_bytes())


def test_a_response_made_by_hand_that_a_middleware_has_read_is_kept_for_the_user(
    place: Place,
) -> None:
    def script(send: Any, request: Any, exchange: Any) -> Any:
        response = _made(place, _Counted(SMALL))
        assert (yield response.read()) == SMALL
        return response

    with place.block(place.client(scripted(script))) as client:
        for streaming in (False, True):
            assert place.content(client, "/small", streaming) == SMALL


def test_a_response_made_by_hand_can_be_wrapped_and_read_without_a_client() -> None:
    response = adieu.Response(200, {"content-length": "10"}, body=SMALL)
    assert response.wrap(Passing(bytes.upper).sync).read() == SMALL
    assert response.wrap(Passing(lambda chunk: chunk * 2).sync).read() == SMALL * 2

    async def main() -> None:
        made = adieu.AsyncResponse(200, body=_Counted(SMALL)).wrap(Passing().awaited)
        assert await made.read() == SMALL

    asyncio.run(main())


def test_a_wrapped_empty_body_with_a_coding_is_empty() -> None:
    response = adieu.Response(200, {"content-encoding": "gzip"})
    assert response.wrap(Passing().sync, decoded=True).read() == b""


def test_codings_that_are_refused_change_nothing() -> None:
    response = adieu.Response(200, {"content-encoding": "gzip, " * 20}, b"data")
    with pytest.raises(adieu.DecodeError, match="more than"):
        response.wrap(Passing().sync, decoded=True)
    assert "content-encoding" in response.headers


# Closing adapters


def test_a_client_whose_loop_has_ended_is_stranded_under_every_middleware(
    fault_server: FaultServer, census: Watch
) -> None:
    passing: list[Callable[[Any], Any]] = [
        lambda adapter: adapter,
        adieu.AsyncMiddleware,
        wrapping(Passing()).awaited,
        AsyncCloseAdapter,
        lambda adapter: adieu.AsyncRetryAdapter(adapter, 1),
        lambda adapter: adieu.AsyncGuard(adapter, allow="127.0.0.0/8"),
    ]
    for make in passing:
        adapter = make(AsyncNativeAdapter())
        client = adieu.AsyncClient(adapter=adapter)
        assert not adapter.stranded

        async def main(client: adieu.AsyncClient) -> adieu.AsyncResponse:
            return await client.stream("GET", fault_server.url + "/bytes?n=100000")

        response = asyncio.run(main(client))
        assert adapter.stranded
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            del client, adapter, response
            drop()
        assert {line.category for line in warned} == {ResourceWarning}


def test_an_adapter_whose_close_returns_anything_does_not_keep_the_others_open(
    place: Place,
) -> None:
    class Odd:
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            return adieu.Response(200)

        def close(self) -> Any:
            return ()

    class AsyncOdd:
        async def send(self, request: Any, exchange: Any) -> adieu.AsyncResponse:
            return adieu.AsyncResponse(200)

        async def close(self) -> Any:
            return ()

    client = place.client()
    odd: Any = AsyncOdd() if place.is_async else Odd()
    client.mount("odd://", odd)
    place.get(client, "odd://a/")
    place.is_free(client)
    report = place.run(client.close())
    assert report.in_use == 0
    assert client.connections() == []
