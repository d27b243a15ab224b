"""An ASGI app as a server, in process: streams in both directions, and a task that always ends."""

from __future__ import annotations

import asyncio
import gc
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu_asgi import AppError, AsyncASGIAdapter, NotASGI
from support.stage import COUNTS_REFERENCES, POLICIES, drop
from support.steering import ASYNCIO_LOOPS, CANCELLATIONS, LOOPS, Cut, outcome, settle
from support.steering import run as run_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

pytestmark = pytest.mark.lifecycle

URL = "http://app.test"
START = {"type": "http.response.start", "status": 200, "headers": []}


class _Oops(Exception):
    pass


def run(main: Coroutine[Any, Any, object]) -> None:
    """As `asyncio.run`; errors that the loop would only log fail the test, and no task may be left."""
    complaints: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        await main
        await settle()

    asyncio.run(watched())
    assert complaints == []


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def giving(*messages: dict[str, Any] | BaseException) -> Any:
    """An app that answers every request with these messages; it raises an exception among them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        for message in messages:
            if isinstance(message, BaseException):
                raise message
            await send(message)

    return app


def hello(data: bytes = b"hello", *headers: tuple[bytes, bytes]) -> Any:
    return giving({**START, "headers": headers}, body(data))


_OWN = ("raise_app_exceptions", "root_path", "client", "lifespan", "grace")


def client_of(app: Any, **options: Any) -> adieu.AsyncClient:
    own = {name: options.pop(name) for name in _OWN if name in options}
    return adieu.AsyncClient(URL, adapter=AsyncASGIAdapter(app, **own), **options)


async def caught(kinds: Any, wish: Awaitable[object]) -> Any:
    """The exception that this raises, with its traceback and without a cycle through this frame."""
    try:
        await wish
    except kinds as error:
        kept: BaseException = error
    else:
        raise AssertionError(f"{wish} raised nothing")
    try:
        return kept
    finally:
        del kept


def scope_for(method: str = "GET", url: str = "/", **options: Any) -> dict[str, Any]:
    """The scope that the app gets for a request."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send(START)
        await send(body())

    own = {name: options.pop(name) for name in _OWN if name in options}

    async def main() -> None:
        async with client_of(app, lifespan="off", **own) as client:
            assert (await client.request(method, url, **options)).status_code == 200

    run(main())
    return seen


# The scope


def test_the_scope_names_the_request_as_the_specification_does() -> None:
    scope = scope_for(
        "POST", "/a/b?x=1&y=%20", content=b"hello", headers=[("X-A", "1"), ("X-A", "2")]
    )
    headers = scope.pop("headers")
    assert headers[0] == (b"host", b"app.test")
    assert (b"content-length", b"5") in headers
    assert [field for field in headers if field[0] == b"x-a"] == [(b"x-a", b"1"), (b"x-a", b"2")]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a/b",
        "raw_path": b"/a/b",
        "query_string": b"x=1&y=%20",
        "root_path": "",
        "client": ("127.0.0.1", 123),
        "server": ("app.test", 80),
    }


def test_the_path_is_decoded_and_the_raw_one_is_not() -> None:
    scope = scope_for(url="/caf%C3%A9/a%2Fb")
    assert (scope["path"], scope["raw_path"]) == ("/café/a/b", b"/caf%C3%A9/a%2Fb")
    assert scope["query_string"] == b""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://app.test/", ("https", ("app.test", 443), b"app.test")),
        ("https://app.test:8443/", ("https", ("app.test", 8443), b"app.test:8443")),
        ("http://[::1]:5000/", ("http", ("::1", 5000), b"[::1]:5000")),
        ("app://inner/", ("app", ("inner", 80), b"inner")),
    ],
)
def test_scheme_host_and_port_are_those_of_the_url(url: str, told: tuple[Any, ...]) -> None:
    scope = scope_for(url=url)
    assert (scope["scheme"], scope["server"], dict(scope["headers"])[b"host"]) == told


def test_a_host_field_of_the_callers_own_is_the_only_one() -> None:
    headers = scope_for(headers={"Host": "shop.example.org"})["headers"]
    assert [field for field in headers if field[0] == b"host"] == [(b"host", b"shop.example.org")]


def test_the_path_has_the_root_path_in_it_and_has_to() -> None:
    scope = scope_for(url="/api/items", root_path="/api/")
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/items")

    async def main() -> None:
        async with client_of(hello(), root_path="/api") as client:
            for path in ("/", "/apix"):
                with pytest.raises(adieu.InvalidURL, match="is not below /api/"):
                    await client.get(path)

    run(main())


def test_the_clients_address_may_be_chosen() -> None:
    assert scope_for(client=("192.0.2.7", 5))["client"] == ("192.0.2.7", 5)
    assert scope_for(client=None)["client"] is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"root_path": "api"}, 'begins with "/"'),
        ({"lifespan": "perhaps"}, '"auto", "on" or "off"'),
        ({"grace": -1}, "grace is a number of seconds"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, text: str) -> None:
    with pytest.raises(adieu.InvalidRequest, match=text):
        AsyncASGIAdapter(hello(), **options)
    with pytest.raises(adieu.InvalidRequest, match="an ASGI app is called with scope"):
        AsyncASGIAdapter("app")  # type: ignore[arg-type]


# The request's content


async def received(receive: Any) -> tuple[bytes, int]:
    """The request's content, and the number of its messages."""
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces), len(pieces)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    content, count = await received(receive)
    await send({**START, "headers": [(b"x-messages", b"%d" % count)]})
    await send(body(content))


async def counting(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def test_the_app_receives_content_of_every_kind() -> None:
    async def main() -> None:
        async with client_of(echo, lifespan="off") as client:
            for content, messages in (
                (None, "1"),
                (b"abc", "1"),
                ([b"a", b"b", b"c"], "4"),
                (iter([b"a", b"b", b"c"]), "4"),
                (counting(b"a", b"b", b"c"), "4"),
            ):
                response = await client.post("/", content=content)
                assert response.content == (b"abc" if content is not None else b"")
                assert response.headers["x-messages"] == messages

    run(main())


def test_content_is_read_when_the_app_asks_and_not_before() -> None:
    given: list[int] = []
    seen: list[list[int]] = []

    async def content() -> AsyncIterator[bytes]:
        for number in range(3):
            given.append(number)
            yield b"%d" % number

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(given.copy())
            await send(body((await receive())["body"], more=True))
        await send(body())

    async def main() -> None:
        async with (
            client_of(app, lifespan="off") as client,
            client.stream("POST", "/", content=content()) as response,
        ):
            chunks = response.iter_raw()
            assert await anext(chunks) == b"0"
            assert await anext(chunks) == b"1"
            assert await anext(chunks) == b"2"
        assert seen == [[], [0], [0, 1]]

    run(main())


def test_an_app_that_stops_waiting_for_a_chunk_does_not_lose_it() -> None:
    go_on = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"a"
        await go_on.wait()
        yield b"b"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first = await receive()
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(receive(), 0.005)
        go_on.set()
        rest, _ = await received(receive)
        await send(START)
        await send(body(first["body"] + rest))

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            assert (await client.post("/", content=content())).content == b"ab"

    run(main())


def test_two_tasks_of_an_app_get_different_chunks() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        one, two = await asyncio.gather(receive(), receive())
        await send(START)
        await send(body(one["body"] + two["body"]))

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            response = await client.post("/", content=counting(b"a", b"b", b"c"))
            assert response.content == b"ab"

    run(main())


def test_the_content_runs_in_the_callers_context() -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")

    async def content() -> AsyncIterator[bytes]:
        yield who.get().encode()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen = who.get().encode()
        who.set("the app")
        content, _ = await received(receive)
        await send(START)
        await send(body(seen + b", " + content))

    async def main() -> None:
        who.set("the caller")
        async with client_of(app, lifespan="off") as client:
            response = await client.post("/", content=content())
        assert response.text == "the caller, the caller"
        assert who.get() == "the caller"

    run(main())


@pytest.mark.parametrize("kind", ["iterator", "async"])
@pytest.mark.parametrize("raising", [False, True])
def test_an_error_of_the_content_is_raised_in_the_client_and_a_disconnect_for_the_app(
    kind: str, raising: bool
) -> None:
    told: list[Any] = []

    def failing() -> Any:
        yield b"first"
        raise _Oops("the disk")

    async def async_failing() -> AsyncIterator[bytes]:
        yield b"first"
        raise _Oops("the disk")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.extend([await receive(), await receive(), await receive()])
        await send(START)

    async def main() -> None:
        content = failing() if kind == "iterator" else async_failing()
        async with client_of(app, lifespan="off", raise_app_exceptions=raising) as client:
            error = await caught(adieu.ContentError, client.post("/", content=content))
        assert "the disk" in str(error)
        assert isinstance(error.__cause__, _Oops)

    run(main())
    assert [message["type"] for message in told[1:]] == ["http.disconnect"] * 2


def test_content_that_is_cancelled_from_within_is_an_error_and_no_end() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"first"
        raise asyncio.CancelledError

    async def main() -> None:
        async with client_of(echo, lifespan="off", grace=0.01) as client:
            with pytest.raises(adieu.ContentError, match="cancelled"):
                await client.post("/", content=content())

    run(main())


@pytest.mark.parametrize(
    ("pieces", "text"), [([b"abc"], "2 bytes shorter"), ([b"abc", b"defgh"], "3 bytes longer")]
)
def test_content_that_is_not_as_long_as_announced_is_refused_as_on_the_wire(
    pieces: list[bytes], text: str
) -> None:
    async def main() -> None:
        async with client_of(echo, lifespan="off", grace=0.01) as client:
            call = client.post("/", content=counting(*pieces), headers={"Content-Length": "5"})
            with pytest.raises(adieu.InvalidRequest, match=text):
                await call

    run(main())


# The response


def test_the_response_is_the_apps() -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    app = giving({**START, "status": 418, "headers": headers}, body(b"a", more=True), body(b"b"))

    async def main() -> None:
        async with client_of(app) as client:
            response = await client.get("/")
        assert (response.status_code, response.content) == (418, b"ab")
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert response.headers["content-type"] == "text/plain"

    run(main())


def test_the_response_streams_while_the_app_runs() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for number in range(3):
            await steps[number].wait()
            await send(body(b"%d" % number, more=True))
        await send(body(b"end"))

    steps = [asyncio.Event() for _ in range(3)]

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            steps[0].set()
            async with client.stream("GET", "/") as response:
                chunks = response.iter_raw()
                assert await anext(chunks) == b"0"
                steps[1].set()
                assert await anext(chunks) == b"1"
                steps[2].set()
                assert [chunk async for chunk in chunks] == [b"2", b"end"]

    run(main())


def test_the_app_is_never_more_than_a_chunk_ahead_of_the_reader() -> None:
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for number in range(100):
            await send(body(b"x" * 10, more=True))
            sent.append(number)
        await send(body())

    async def main() -> None:
        async with client_of(app, lifespan="off") as client, client.stream("GET", "/") as response:
            read = 0
            async for _ in response.iter_raw():
                read += 1
                for _ in range(5):
                    await asyncio.sleep(0)
                assert len(sent) <= read + 1
        assert len(sent) == 100

    run(main())


def test_an_event_stream_is_opened_before_there_is_an_event() -> None:
    """As uvicorn gives the head at once: a test opens the stream, publishes, and reads."""
    published: asyncio.Queue[bytes] = asyncio.Queue()
    events = _start(headers=[(b"content-type", b"text/event-stream")])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(events)
        while (data := await published.get()) != b"end":
            await send(body(b"data: %b\n\n" % data, more=True))
        await send(body())

    async def main() -> None:
        async with (
            client_of(app, lifespan="off") as client,
            client.stream("GET", "/") as response,
        ):
            assert response.headers["content-type"] == "text/event-stream"
            iterated = response.iter_events()
            for word in ("one", "two"):
                published.put_nowait(word.encode())
                assert (await anext(iterated)).data == word
            published.put_nowait(b"end")
            assert [event async for event in iterated] == []

    run(main())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_app_that_fails_while_the_client_has_the_head_fails_in_the_body(method: str) -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await go_on.wait()
        raise _Oops("late")

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            if method == "HEAD":
                assert (await client.head("/")).status_code == 200
                return
            async with client.stream("GET", "/") as response:
                go_on.set()
                error = await caught(AppError, response.read())
            assert (error.phase, error.response_started) == ("body", True)

    run(main())


def test_an_app_that_returns_with_a_head_alone_is_refused() -> None:
    async def main() -> None:
        async with client_of(giving(START)) as client:
            error = await caught(NotASGI, client.get("/"))
        assert "returned without a response" in str(error)

    run(main())


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_reads_the_same(policy: str) -> None:
    async def main() -> None:
        app = giving(START, *[body(b"x" * 700, more=True)] * 5, body())
        async with client_of(app, cleanup=POLICIES[policy]()) as client:
            response = await client.get("/")
            assert await response.read() == b"x" * 3500

    run(main())


def test_redirects_work_as_with_a_server() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        old = scope["path"] == "/old"
        start = {"status": 302, "headers": [(b"location", b"/new")]} if old else {}
        await send({**START, **start})
        await send(body(b"old" if old else b"new"))

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            response = await client.get("/old")
        assert response.text == "new"
        assert [hop.status_code for hop in response.history] == [302]

    run(main())


def test_many_tasks_share_an_app() -> None:
    async def main() -> None:
        async with client_of(echo, lifespan="off") as client:
            calls = [client.post("/", content=counting(b"%d" % n, b"!")) for n in range(200)]
            assert [r.text for r in await asyncio.gather(*calls)] == [f"{n}!" for n in range(200)]

    run(main())


# Every end


class Watched:
    """An app that streams, and records the disconnect and its own end."""

    def __init__(self, *, endless: bool = True, deaf: bool = False) -> None:
        self.endless = endless
        self.deaf = deaf
        self.ends: list[str] = []
        self.running = 0
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        end = "returned"
        try:
            await self._answer(receive, send)
        except asyncio.CancelledError:
            end = "cancelled"
            raise
        except OSError:
            end = "disconnected"
        finally:
            self.running -= 1
            self.ends.append(end)
            self.ended.set()

    async def _answer(self, receive: Any, send: Any) -> None:
        if (await receive())["type"] == "http.disconnect":
            raise ConnectionResetError
        await send(START)
        await send(body(b"first", more=True))
        if self.deaf:
            await asyncio.Event().wait()
        while self.endless:
            await send(body(b"x" * 1000, more=True))
        await send(body(b"last"))


async def _unread(client: adieu.AsyncClient) -> object:
    async with client.stream("GET", "/") as response:
        return response


async def _partly(client: adieu.AsyncClient) -> object:
    async with client.stream("GET", "/") as response:
        async for _ in response.iter_raw():
            return response
    return None


async def _raised(client: adieu.AsyncClient) -> object:
    try:
        async with client.stream("GET", "/"):
            raise _Oops
    except _Oops:
        return None


async def _head(client: adieu.AsyncClient) -> object:
    return await client.head("/")


async def _client_closed(client: adieu.AsyncClient) -> object:
    response = await client.stream("GET", "/")
    await client.close()
    await caught(adieu.ClientClosed, response.read())
    return response


async def _refused(client: adieu.AsyncClient) -> object:
    return await caught(adieu.BodyTooLarge, client.get("/", cleanup=adieu.Prefetch(max_bytes=4)))


async def _timed_out(client: adieu.AsyncClient) -> object:
    return await caught(adieu.RequestTimeout, client.get("/", timeout=adieu.Timeout(total=0.05)))


async def _cancelled(client: adieu.AsyncClient) -> object:
    task = asyncio.ensure_future(client.get("/"))
    await asyncio.sleep(0.02)
    task.cancel()
    return await caught(asyncio.CancelledError, task)


async def _cancelled_at_once(client: adieu.AsyncClient) -> object:
    task = asyncio.ensure_future(client.get("/"))
    await asyncio.sleep(0)
    task.cancel()
    return await caught(asyncio.CancelledError, task)


async def _dropped(client: adieu.AsyncClient) -> object:
    with pytest.warns(ResourceWarning, match=r"dropped unread.*test_asgi\.py"):
        await _drop(client)
    return None


async def _drop(client: adieu.AsyncClient) -> None:
    response = await client.stream("GET", "/")
    del response
    drop()


ENDS = [
    _unread,
    _partly,
    _raised,
    _head,
    _client_closed,
    _refused,
    _timed_out,
    _cancelled,
    _cancelled_at_once,
    _dropped,
]


@pytest.mark.parametrize("end", ENDS)
def test_after_every_end_the_app_notices_the_disconnect(
    end: Callable[[adieu.AsyncClient], Awaitable[object]],
) -> None:
    app = Watched()

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            held = await end(client)
            for _ in range(5):
                await asyncio.sleep(0)
            assert app.running == 0
            assert app.ends == ["disconnected"]
        assert held is None or held

    run(main())


@pytest.mark.parametrize("end", ENDS)
def test_an_app_that_does_not_listen_is_cancelled_when_the_client_is_closed(
    end: Callable[[adieu.AsyncClient], Awaitable[object]],
) -> None:
    app = Watched(deaf=True)

    async def main() -> None:
        client = client_of(app, lifespan="off", grace=30)
        async with client:
            await end(client)
        # `run` fails if a task is left.
        assert app.running == 0
        # An app that has just begun notices when it receives its request.
        assert app.ends == ["cancelled"] or (
            end is _cancelled_at_once and app.ends == ["disconnected"]
        )

    run(main())


def test_an_app_that_does_not_listen_is_cancelled_after_its_grace() -> None:
    app = Watched(deaf=True)

    async def main() -> None:
        client = client_of(app, lifespan="off", grace=0.02)
        await _unread(client)
        assert app.running == 1
        await asyncio.wait_for(app.ended.wait(), 30)
        assert app.ends == ["cancelled"]
        await client.close()

    run(main())


def test_a_disconnect_comes_to_an_app_that_waits_for_it_when_the_body_is_left() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await received(receive)
        await send(START)
        await send(body(b"first", more=True))
        seen.append(await receive())
        seen.append(await receive())
        with pytest.raises(OSError, match="the client has disconnected"):
            await send(body(b"more", more=True))
        seen.append("returned")

    async def main() -> None:
        async with client_of(app, lifespan="off") as client, client.stream("GET", "/"):
            assert seen == []

    run(main())
    assert seen == [{"type": "http.disconnect"}, {"type": "http.disconnect"}, "returned"]


def test_a_disconnect_comes_to_an_app_whose_response_is_complete() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"all"))
        seen.append(await receive())

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            assert (await client.post("/", content=[b"unread"])).content == b"all"
        assert seen == [{"type": "http.disconnect"}]

    run(main())


def test_an_exception_because_of_the_disconnect_is_not_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            while True:
                await send(body(b"x", more=True))
        except OSError as error:
            raise _Oops("disconnected") from error

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            await _unread(client)

    run(main())
    assert capsys.readouterr().err == ""


def test_another_exception_after_the_disconnect_is_written_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await received(receive)
        await send(START)
        await send(body(b"x", more=True))
        await receive()
        raise _Oops("while tidying up")

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            await _unread(client)

    run(main())
    assert "_Oops: while tidying up" in capsys.readouterr().err


def test_a_response_dropped_in_another_thread_ends_the_app() -> None:
    app = Watched()

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            held = [await client.stream("GET", "/")]

            def forget() -> None:
                held.clear()
                drop()

            with pytest.warns(ResourceWarning, match="dropped unread"):
                await asyncio.to_thread(forget)
            await asyncio.wait_for(app.ended.wait(), 30)
            assert app.ends == ["disconnected"]

    run(main())


def _get(client: adieu.AsyncClient) -> Any:
    return client.get("/")


async def _post(client: adieu.AsyncClient) -> None:
    await client.post("/", content=counting(b"a", b"b"))


async def _stream(client: adieu.AsyncClient) -> None:
    async with client.stream("POST", "/", content=counting(b"a")) as response:
        async for _ in response.iter_raw():
            await asyncio.sleep(0)


async def _left(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/") as response:
        await anext(response.iter_raw())


@pytest.mark.parametrize("how", CANCELLATIONS)
@pytest.mark.parametrize("play", [_get, _post, _stream, _left])
@pytest.mark.parametrize("lifespan", ["auto", "off"])
def test_cancelled_at_any_wait_nothing_is_left(
    play: Callable[[adieu.AsyncClient], Any], how: str, lifespan: str
) -> None:
    async def main() -> None:
        for nth in range(1, 200):
            app = Watched(endless=False)
            watched = with_lifespan(app)
            async with client_of(watched, lifespan=lifespan) as client:
                cut = Cut(play(client), nth, how)
                given = await outcome(cut)
                if not cut.happened:
                    assert not isinstance(given, BaseException)
                    return
                assert cut.after == 0
                assert (await client.get("/")).content == b"firstlast"
            assert app.running == 0
        raise AssertionError("there is no end of waits")

    run(main())


def with_lifespan(app: Any) -> Any:
    async def whole(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        assert (await receive())["type"] == "lifespan.startup"
        await asyncio.sleep(0)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await asyncio.sleep(0)
        await send({"type": "lifespan.shutdown.complete"})

    return whole


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references")
@pytest.mark.parametrize("how", ["read", "raise", "refuse", "leave"])
def test_no_cycle_is_left(how: str) -> None:
    import weakref

    class Mark:
        pass

    alive: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mark = Mark()
        alive.append(weakref.ref(mark))
        await received(receive)
        await send(START)
        await send(body(b"a", more=True))
        if how == "raise":
            raise _Oops
        if how == "refuse":
            await send(START)
        await send(body(b"b"))

    async def play(client: adieu.AsyncClient) -> None:
        if how == "read":
            assert (await client.get("/")).content == b"ab"
        elif how == "leave":
            await _unread(client)
        else:
            await caught((AppError, NotASGI), client.get("/"))

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            await play(client)
            for _ in range(5):
                await asyncio.sleep(0)
            assert alive[0]() is None

    gc.collect()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_an_app_that_ignores_cancellation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adieu_asgi.waiting._EACH", 0.01)
    let_go: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"x", more=True))
        while not let_go:
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                pass

    async def main() -> None:
        client = client_of(app, lifespan="off", grace=0.01)
        await _unread(client)
        with pytest.warns(ResourceWarning, match="cancelled 3 times and goes on"):
            await client.close()
        let_go.append(1)
        await asyncio.sleep(0.02)

    run(main())


def test_a_close_that_is_cancelled_cancels_the_apps() -> None:
    app = Watched(deaf=True)

    async def main() -> None:
        client = client_of(with_lifespan(app), grace=30)
        await _unread(client)
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        await caught(asyncio.CancelledError, closing)
        await client.close()
        assert app.ends == ["cancelled"]

    run(main())


def test_an_app_may_ask_itself_and_close_the_client_that_calls_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/outer":
            inner = await client.get("/inner")
            await send(START)
            await send(body(b"outer " + inner.content))
        elif scope["path"] == "/inner":
            await send(START)
            await send(body(b"inner"))
        else:
            await client.close()

    client = client_of(app, lifespan="off", grace=0.01)

    async def main() -> None:
        assert (await client.get("/outer")).content == b"outer inner"
        await caught(adieu.ClientClosed, client.get("/close"))

    run(main())


# Violations of the specification


def _start(**fields: Any) -> dict[str, Any]:
    return {**START, **fields}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ((), "returned without a response"),
        ((START,), "returned without a response"),
        ((body(b"x"),), "http.response.body before http.response.start"),
        ((START, START), "http.response.start twice"),
        ((START, body(b"x"), body(b"y")), "after its response was complete"),
        ((START, body("text")), "bytes, not str"),  # type: ignore[arg-type]
        (({"type": "http.response.push"},), "which no response has"),
        (({},), "which no response has"),
        ((_start(status="200"), body()), "the status must be"),
        ((_start(status=True), body()), "the status must be"),
        ((_start(status=101), body()), "the status must be"),
        ((_start(headers=[("x-a", "1")]), body()), "pair of bytes"),
        ((_start(headers=[(b"x-a",)]), body()), "pair of bytes"),
        ((_start(headers=[(b"x-a", b"1\r\nx-injected: 1")]), body()), "U\\+000D"),
        ((_start(headers=[(b"x-a\r\nx-injected", b"1")]), body()), "header field name"),
        ((_start(headers=[(b":status", b"200")]), body()), "header field name"),
        ((_start(headers=[(b"content-length", b"x")]), body()), "not one number"),
        ((_start(headers=[(b"content-length", b"1"), (b"content-length", b"2")]),), "not one number"),
        ((_start(headers=[(b"content-length", b"2")]), body(b"abc")), "longer than its"),
        ((_start(status=204), body(b"x")), "a 204 has none"),
        ((_start(status=304), body(b"x")), "a 304 has none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("raising", [False, True])
def test_a_violation_of_the_specification_is_a_protocol_error(
    messages: Any, text: str, swallows: bool, raising: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            try:
                await send(message)
            except Exception:
                if not swallows:
                    raise

    async def main() -> None:
        async with client_of(app, lifespan="off", raise_app_exceptions=raising) as client:
            error = await caught(NotASGI, client.get("/"))
        assert text.replace("\\", "") in str(error)
        assert isinstance(error, adieu.ProtocolError)
        assert (error.method, error.url) == ("GET", f"{URL}/")

    run(main())


def test_a_body_that_ends_too_early_is_truncated_as_on_the_wire() -> None:
    start = _start(headers=[(b"content-length", b"7")])

    async def main() -> None:
        for app in (
            giving(start, body(b"abc", more=True), body(b"de")),
            hello(b"abcde", *start["headers"]),
        ):
            async with client_of(app) as client:
                error = await caught(adieu.BodyTruncated, client.get("/"))
            assert (error.received, error.expected) == (5, 7)

    run(main())


def test_an_app_that_returns_before_the_end_of_its_body_truncates_it() -> None:
    async def main() -> None:
        async with client_of(giving(START, body(b"abc", more=True))) as client:
            error = await caught(adieu.BodyTruncated, client.get("/"))
        assert (error.received, error.expected) == (3, None)

    run(main())


def test_a_transfer_coding_of_the_apps_is_ignored() -> None:
    async def main() -> None:
        async with client_of(hello(b"x", (b"transfer-encoding", b"chunked"))) as client:
            response = await client.get("/")
        assert response.content == b"x"
        assert "transfer-encoding" not in response.headers

    run(main())


def test_a_head_has_the_length_and_nothing_of_the_body() -> None:
    async def main() -> None:
        async with client_of(hello(b"x" * 50, (b"content-length", b"50"))) as client:
            response = await client.head("/")
            assert response.is_closed
            assert response.headers["content-length"] == "50"
            assert response.content == b""

    run(main())


# Exceptions of the app


@pytest.mark.parametrize(
    "messages",
    [
        (_Oops("here"),),
        (START, _Oops("here")),
        (START, body(b"x", more=True), _Oops("here")),
        (START, body(b"x"), _Oops("here")),
    ],
)
def test_an_exception_of_the_app_is_raised_from_every_place(messages: Any) -> None:
    async def main() -> None:
        async with client_of(giving(*messages)) as client:
            error = await caught(AppError, client.get("/x"))
        assert str(error) == f"the app raised _Oops while it answered GET {URL}/x: here"
        assert isinstance(error.__cause__, _Oops)
        assert isinstance(error, adieu.TransportError)

    run(main())


def test_an_exception_after_the_last_byte_is_raised_at_the_end_of_a_stream() -> None:
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"all"))
        await done.wait()
        raise _Oops("in the background")

    async def main() -> None:
        async with client_of(app, lifespan="off") as client, client.stream("GET", "/") as response:
            chunks = response.iter_raw()
            assert await anext(chunks) == b"all"
            done.set()
            with pytest.raises(AppError, match="in the background"):
                await anext(chunks)

    run(main())


@pytest.mark.parametrize("begun", [False, True])
def test_an_exception_before_the_head_is_a_500_if_exceptions_are_not_raised(
    begun: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    start = [_start(headers=[(b"x-mine", b"1")])] if begun else []

    async def main() -> None:
        app = giving(*start, _Oops("here"))
        async with client_of(app, raise_app_exceptions=False) as client:
            response = await client.get("/")
            assert (response.status_code, response.text) == (500, "Internal Server Error")
            assert "x-mine" not in response.headers
            assert (await client.head("/")).status_code == 500

    run(main())
    assert "_Oops: here" in capsys.readouterr().err


def test_an_exception_in_the_body_truncates_it_if_exceptions_are_not_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        app = giving(START, body(b"abc", more=True), _Oops("half way"))
        async with client_of(app, raise_app_exceptions=False) as client:
            await caught(adieu.BodyTruncated, client.get("/"))

    run(main())
    assert "_Oops: half way" in capsys.readouterr().err


def test_an_exception_after_the_body_has_no_effect_if_exceptions_are_not_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        app = giving(START, body(b"abc"), _Oops("afterwards"))
        async with client_of(app, raise_app_exceptions=False) as client:
            assert (await client.get("/")).content == b"abc"

    run(main())
    assert "_Oops: afterwards" in capsys.readouterr().err


def test_an_app_that_cancels_itself_has_not_cancelled_the_caller() -> None:
    async def main() -> None:
        async with client_of(giving(asyncio.CancelledError())) as client:
            error = await caught(AppError, client.get("/"))
        assert isinstance(error.__cause__, asyncio.CancelledError)

    run(main())


def test_background_work_is_done_when_the_response_has_been_read() -> None:
    done: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"all"))
        await asyncio.sleep(0.01)
        done.append(1)

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            assert (await client.get("/")).content == b"all"
            assert done == [1]

    run(main())


def test_background_work_goes_on_when_the_client_has_left_and_close_waits_for_it() -> None:
    done: list[int] = []
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"all"))
        await go_on.wait()
        await asyncio.sleep(0.01)
        done.append(1)

    async def main() -> None:
        async with client_of(app, lifespan="off") as client:
            await _unread(client)
            assert done == []
            go_on.set()
        assert done == [1]

    run(main())


# Lifespan


class Living:
    """An app with a lifespan."""

    def __init__(self, **wishes: Any) -> None:
        self.wishes = wishes
        self.events: list[str] = []
        self.tasks: set[Any] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.events.append(f"request {scope['state']}")
            scope["state"]["own"] = True
            await send(START)
            await send(body(b"here"))
            return
        assert scope["asgi"]["version"] == "3.0"
        self.tasks.add(asyncio.current_task())
        assert await receive() == {"type": "lifespan.startup"}
        await asyncio.sleep(0)
        self.events.append("startup")
        scope["state"]["shared"] = 1
        if message := self.wishes.get("startup"):
            await send({"type": "lifespan.startup.failed", "message": message})
            raise _Oops("after the message")
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
        self.tasks.add(asyncio.current_task())
        self.events.append("shutdown")
        if seconds := self.wishes.get("wait"):
            await asyncio.sleep(seconds)
        if error := self.wishes.get("raise"):
            raise error
        if message := self.wishes.get("shutdown"):
            await send({"type": "lifespan.shutdown.failed", "message": message})
        else:
            await send({"type": "lifespan.shutdown.complete"})


def test_the_app_starts_before_its_first_request_and_stops_with_the_client() -> None:
    app = Living()

    async def main() -> None:
        async with client_of(app) as client:
            assert app.events == []
            await asyncio.gather(*(client.get("/") for _ in range(3)))
            assert app.events == ["startup", *["request {'shared': 1}"] * 3]
        assert app.events[-1] == "shutdown"
        assert len(app.tasks) == 1

    run(main())


def test_an_app_that_no_request_came_to_is_not_started() -> None:
    app = Living()

    async def main() -> None:
        async with client_of(app):
            pass

    run(main())
    assert app.events == []


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_an_app_without_a_lifespan_does_without(how: str) -> None:
    asked: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            asked.append(1)
            if how == "raises":
                raise NotImplementedError
            return
        assert "state" not in scope
        await send(START)
        await send(body(b"here"))

    async def main() -> None:
        async with client_of(app) as client:
            for _ in range(3):
                assert (await client.get("/")).content == b"here"
        assert asked == [1]
        async with client_of(app, lifespan="off") as client:
            await client.get("/")
        assert asked == [1]
        async with client_of(app, lifespan="on") as client:
            with pytest.raises(AppError, match="the app did not start"):
                await client.get("/")

    run(main())


def test_a_start_that_failed_is_raised_in_every_call() -> None:
    async def main() -> None:
        async with client_of(Living(startup="no database")) as client:
            for _ in range(2):
                with pytest.raises(AppError, match="the app did not start: no database"):
                    await client.get("/")

    run(main())


@pytest.mark.parametrize(
    ("wishes", "text"),
    [
        ({"shutdown": "still busy"}, "lifespan failed: still busy"),
        ({"raise": _Oops("broken")}, "lifespan failed: _Oops: broken"),
        ({"wait": 30}, "had not shut down after 0.05 s"),
    ],
)
def test_a_shutdown_that_failed_is_raised_by_close_at_its_end(wishes: Any, text: str) -> None:
    async def main() -> None:
        client = client_of(Living(**wishes), grace=0.05 if "wait" in wishes else 30)
        await client.get("/")
        with pytest.raises(AppError, match=text):
            await client.close()
        await client.close()

    run(main())


def test_a_first_caller_that_is_cancelled_does_not_cancel_the_start() -> None:
    go_on = asyncio.Event()
    starts: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            starts.append(1)
            await go_on.wait()
        await with_lifespan(hello())(scope, receive, send)

    async def main() -> None:
        async with client_of(app) as client:
            first, second = (asyncio.ensure_future(client.get("/")) for _ in range(2))
            await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.sleep(0)
            with pytest.raises(adieu.ReadTimeout):
                await client.get("/", timeout=0.01)
            go_on.set()
            assert (await second).content == b"hello"
        assert starts == [1]

    run(main())


def test_a_start_under_way_is_cancelled_by_close() -> None:
    ends: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def main() -> None:
        client = client_of(app)
        call = asyncio.ensure_future(client.get("/"))
        await asyncio.sleep(0.01)
        await client.close()
        assert ends == ["cancelled"]
        await caught(adieu.AdieuError, call)

    run(main())


def test_a_lifespan_message_at_the_wrong_time_is_refused() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.shutdown.complete"})
        await hello()(scope, receive, send)

    async def main() -> None:
        async with client_of(app, lifespan="on") as client:
            with pytest.raises(AppError, match=r"'lifespan\.shutdown\.complete' was sent when"):
                await client.get("/")

    run(main())


# Loops


def test_an_app_that_was_started_in_another_loop_says_so() -> None:
    adapter = AsyncASGIAdapter(Living())
    client = adieu.AsyncClient(URL, adapter=adapter)
    first = asyncio.new_event_loop()
    first.run_until_complete(client.get("/"))

    async def main(state: str) -> None:
        with pytest.raises(adieu.ClientClosed, match=f"first used in, {state}"):
            await client.get("/")

    run(main("which is another one"))
    first.run_until_complete(client.close())
    first.close()


def test_an_app_without_lasting_tasks_may_be_used_in_loop_after_loop() -> None:
    client = adieu.AsyncClient(URL, adapter=AsyncASGIAdapter(hello()))

    async def main() -> None:
        assert (await client.get("/")).content == b"hello"

    run(main())
    run(main())
    run(_close(client))


async def _close(client: adieu.AsyncClient) -> None:
    await client.close()


def test_a_loop_that_ends_ends_the_app_and_logs_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = Watched(deaf=True)
    held: list[Any] = []

    async def main() -> None:
        client = client_of(with_lifespan(app))
        held.extend([client, await client.stream("GET", "/")])

    asyncio.run(main())
    assert app.ends == ["cancelled"]
    held[1].body.abort("test")
    asyncio.run(_close(held[0]))
    held.clear()
    drop()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("loop", ASYNCIO_LOOPS)
def test_the_app_runs_in_every_kind_of_loop(loop: str) -> None:
    app = Watched()

    async def main() -> None:
        async with client_of(with_lifespan(app)) as client:
            await _partly(client)
            await _cancelled(client)
            assert (await client.head("/")).content == b""
        assert app.ends == ["disconnected"] * 3

    run_in(main(), ASYNCIO_LOOPS[loop])


def test_a_closed_adapter_refuses() -> None:
    adapter = AsyncASGIAdapter(hello())

    async def main() -> None:
        async with adieu.AsyncClient(URL, adapter=adapter) as client:
            await client.get("/")
        await adapter.close()
        async with adieu.AsyncClient(URL, adapter=adapter) as client:
            await caught(adieu.ClientClosed, client.get("/"))

    run(main())


@pytest.mark.skipif("trio" not in LOOPS, reason="trio is not installed")
def test_under_trio_it_says_that_its_tasks_are_asyncios() -> None:
    async def main() -> None:
        async with client_of(hello()) as client:
            with pytest.raises(
                adieu.InvalidRequest, match="tasks of asyncio's, and here trio runs"
            ):
                await client.get("/")

    run_in(main(), LOOPS["trio"])
