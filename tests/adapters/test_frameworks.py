"""Real apps in process: Flask and httpbin through WSGI, Starlette through ASGI."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import flask
import httpbin
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

import adieu
import adieu_asgi
import adieu_wsgi
from adieu_asgi import AsyncASGIAdapter
from adieu_wsgi import WSGIAdapter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

URL = "http://app.test"


class _Oops(Exception):
    pass


# Flask


class Shop:
    """A Flask app that records its work."""

    def __init__(self) -> None:
        self.app = app = flask.Flask("shop")
        self.ended = 0

        @app.post("/echo")
        def echo() -> flask.Response:
            return flask.jsonify(
                data=flask.request.get_data(as_text=True), form=flask.request.form.to_dict()
            )

        @app.post("/pipe")
        def pipe() -> flask.Response:
            def each() -> Iterator[bytes]:
                try:
                    yield from iter(flask.request.stream.readline, b"")
                finally:
                    self.ended += 1

            return flask.Response(flask.stream_with_context(each()), mimetype="text/plain")

        @app.get("/numbers")
        def numbers() -> flask.Response:
            def each() -> Iterator[str]:
                try:
                    for number in range(500):
                        yield f"{number} {flask.request.path}\n"
                finally:
                    self.ended += 1

            return flask.Response(flask.stream_with_context(each()))

        @app.get("/where")
        def where() -> str:
            return flask.url_for("where", _external=True)

        @app.get("/boom")
        def boom() -> str:
            raise _Oops


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_flask_reads_and_answers(shop: Shop) -> None:
    with adieu.Client(URL, adapter=WSGIAdapter(shop.app)) as client:
        assert client.post("/echo", data={"a": "ü"}).json() == {
            "data": "a=%C3%BC",
            "form": {"a": "ü"},
        }
        assert client.post("/echo", content=iter([b"a", b"b"])).json()["data"] == "ab"
        assert client.get("/missing").status_code == 404
        assert client.get("/where").text == f"{URL}/where"
        assert client.head("/where").headers["content-length"] == str(len(f"{URL}/where"))


def test_flask_streams_in_both_directions(shop: Shop) -> None:
    read: list[int] = []

    def lines() -> Iterator[bytes]:
        for number in range(5):
            read.append(number)
            yield b"line %d\n" % number

    with adieu.Client(URL, adapter=WSGIAdapter(shop.app)) as client:
        with client.stream("POST", "/pipe", content=lines()) as response:
            assert next(response.iter_lines()) == "line 0"
            assert len(read) < 5
            assert shop.ended == 0
        assert shop.ended == 1


def test_a_stream_of_flask_that_is_left_early_ends(shop: Shop) -> None:
    with adieu.Client(URL, adapter=WSGIAdapter(shop.app)) as client:
        with client.stream("GET", "/numbers") as response:
            assert next(response.iter_lines()) == "0 /numbers"
        assert shop.ended == 1
        assert len(client.get("/numbers").text.splitlines()) == 500
    assert shop.ended == 2


def test_an_exception_that_flask_does_not_handle_is_raised(shop: Shop) -> None:
    with adieu.Client(URL, adapter=WSGIAdapter(shop.app)) as client:
        assert client.get("/boom").status_code == 500
        shop.app.testing = True
        with pytest.raises(adieu_wsgi.AppError) as error:
            client.get("/boom")
        assert isinstance(error.value.__cause__, _Oops)


def test_flask_below_a_script_name_makes_right_urls(shop: Shop) -> None:
    with adieu.Client() as client:
        client.mount(f"{URL}/shop/", WSGIAdapter(shop.app, script_name="/shop"))
        assert client.get(f"{URL}/shop/where").text == f"{URL}/shop/where"


def test_flask_in_threads_keeps_its_contexts(shop: Shop) -> None:
    async def main() -> None:
        adapter = adieu.to_async(WSGIAdapter(shop.app), threads=4)
        async with adieu.AsyncClient(URL, adapter=adapter) as client:
            texts = await asyncio.gather(*(client.get("/numbers") for _ in range(12)))
            assert {len(response.text.splitlines()) for response in texts} == {500}
            async with client.stream("GET", "/numbers") as response:
                assert (await anext(response.iter_lines())) == "0 /numbers"
            assert shop.ended == 13
            response = await client.post("/pipe", content=iter([b"a\n", b"b\n"]))
            assert response.text == "a\nb\n"

    asyncio.run(main())


# httpbin


@pytest.fixture
def bin_client() -> Iterator[adieu.Client]:
    with adieu.Client("http://httpbin.test", adapter=WSGIAdapter(httpbin.app)) as client:
        yield client


def test_httpbin_receives_the_request(bin_client: adieu.Client) -> None:
    got = bin_client.get("/get", params={"a": ["1", "2"]}, headers={"X-Mine": "yes"}).json()
    assert got["args"] == {"a": ["1", "2"]}
    assert got["headers"]["X-Mine"] == "yes"
    assert got["headers"]["Host"] == "httpbin.test"
    assert got["origin"] == "127.0.0.1"
    assert got["url"] == "http://httpbin.test/get?a=1&a=2"
    posted = bin_client.post("/post", json={"b": [1, None]}).json()
    assert posted["json"] == {"b": [1, None]}
    assert bin_client.put("/put", content=iter([b"in ", b"pieces"])).json()["data"] == "in pieces"
    assert bin_client.delete("/delete").status_code == 200


def test_httpbin_codes_and_streams(bin_client: adieu.Client) -> None:
    for coding in ("gzip", "deflate", "brotli"):
        assert bin_client.get(f"/{coding}").json()["method"] == "GET"
    assert len(bin_client.get("/stream/20").text.splitlines()) == 20
    assert len(bin_client.get("/stream-bytes/5000?seed=1&chunk_size=100").content) == 5000
    assert len(bin_client.get("/bytes/5000?seed=1").content) == 5000
    assert bin_client.get("/drip?numbytes=5&duration=0&delay=0").content == b"*" * 5
    ranged = bin_client.get("/range/1000", headers={"Range": "bytes=10-19"})
    assert (ranged.status_code, len(ranged.content)) == (206, 10)
    assert bin_client.get("/encoding/utf8").text.count("∮") == 1


def test_httpbin_redirects_authenticates_and_has_every_status(bin_client: adieu.Client) -> None:
    assert len(bin_client.get("/redirect/3").history) == 3
    assert len(bin_client.get("/absolute-redirect/2").history) == 2
    with pytest.raises(adieu.TooManyRedirects):
        bin_client.get("/redirect/30")
    assert bin_client.get("http://user:pass@httpbin.test/basic-auth/user/pass").status_code == 200
    assert bin_client.get("/basic-auth/user/pass").status_code == 401
    for status in (200, 201, 204, 206, 304, 400, 404, 418, 429, 500, 503):
        assert bin_client.get(f"/status/{status}").status_code == status
        assert bin_client.head(f"/status/{status}").status_code == status


def test_httpbin_may_be_left_early(bin_client: adieu.Client) -> None:
    with bin_client.stream("GET", "/stream-bytes/100000?chunk_size=10") as response:
        assert len(next(response.iter_bytes())) == 10
    assert bin_client.get("/get").status_code == 200


# Starlette


class Works:
    """A Starlette app that records its work."""

    def __init__(self) -> None:
        self.events: list[str] = []
        routes = [
            Route("/echo", self.echo, methods=["POST"]),
            Route("/pipe", self.pipe, methods=["POST"]),
            Route("/endless", self.endless),
            Route("/watching", self.watching),
            Route("/later", self.later),
            Route("/boom", self.boom),
            Mount("/sub", routes=[Route("/where", self.where, name="where")], name="sub"),
        ]
        self.app = Starlette(routes=routes, lifespan=self.lifespan)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[dict[str, Any]]:
        self.events.append("up")
        yield {"database": "open"}
        self.events.append("down")

    async def echo(self, request: Request) -> Response:
        data = (await request.body()).decode()
        return JSONResponse({"data": data, "database": request.state.database})

    async def pipe(self, request: Request) -> Response:
        return StreamingResponse(request.stream())

    async def endless(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 100
            finally:
                self.events.append("left")

        return StreamingResponse(pieces())

    async def watching(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun"
            # As people write it.
            while not await request.is_disconnected():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            self.events.append("saw it")

        return StreamingResponse(pieces())

    async def later(self, request: Request) -> Response:
        async def work() -> None:
            await asyncio.sleep(0.005)
            self.events.append("worked")

        return Response("soon", background=BackgroundTask(work))

    async def boom(self, request: Request) -> Response:
        raise _Oops("in Starlette")

    async def where(self, request: Request) -> Response:
        return Response(str(request.url_for("sub:where")))


def play(scenario: Any, **options: Any) -> Works:
    works = Works()

    async def main() -> None:
        adapter = AsyncASGIAdapter(works.app, **options)
        async with adieu.AsyncClient(URL, adapter=adapter) as client:
            await scenario(client, works)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert (works.events[:1], works.events[-1:]) == (["up"], ["down"])
    return works


def test_starlette_reads_and_answers() -> None:
    async def scenario(client: adieu.AsyncClient, works: Works) -> None:
        for content in (b"ab", iter([b"a", b"b"])):
            got = await client.post("/echo", content=content)
            assert got.json() == {"data": "ab", "database": "open"}
        assert (await client.get("/missing")).status_code == 404
        assert (await client.get("/sub/where")).text == f"{URL}/sub/where"
        assert (await client.head("/sub/where")).content == b""

    play(scenario)


def test_starlette_streams_in_both_directions() -> None:
    given: list[int] = []

    async def lines() -> AsyncIterator[bytes]:
        for number in range(10):
            given.append(number)
            yield b"line %d\n" % number

    async def scenario(client: adieu.AsyncClient, works: Works) -> None:
        async with client.stream("POST", "/pipe", content=lines()) as response:
            assert await anext(response.iter_lines()) == "line 0"
            assert len(given) <= 3
        assert (await client.post("/pipe", content=lines())).text.count("\n") == 10

    play(scenario)


def test_a_stream_of_starlette_that_is_left_early_ends() -> None:
    async def scenario(client: adieu.AsyncClient, works: Works) -> None:
        async with client.stream("GET", "/endless") as response:
            await anext(response.iter_bytes())
        assert (await client.head("/endless")).content == b""
        async with client.stream("GET", "/watching") as response:
            assert await anext(response.iter_bytes()) == b"begun"

    assert play(scenario).events == ["up", "left", "left", "saw it", "down"]


def test_background_tasks_of_starlette_are_done_when_the_call_returns() -> None:
    async def scenario(client: adieu.AsyncClient, works: Works) -> None:
        assert (await client.get("/later")).text == "soon"
        assert works.events == ["up", "worked"]

    play(scenario)


def test_an_exception_that_starlette_does_not_handle_is_raised_or_is_a_500() -> None:
    async def raised(client: adieu.AsyncClient, works: Works) -> None:
        with pytest.raises(adieu_asgi.AppError, match="in Starlette") as error:
            await client.get("/boom")
        assert isinstance(error.value.__cause__, _Oops)

    async def answered(client: adieu.AsyncClient, works: Works) -> None:
        assert (await client.get("/boom")).status_code == 500

    play(raised)
    play(answered, raise_app_exceptions=False)


def test_starlette_below_a_root_path_makes_right_urls() -> None:
    async def scenario(client: adieu.AsyncClient, works: Works) -> None:
        assert (await client.get("/api/sub/where")).text == f"{URL}/api/sub/where"

    play(scenario, root_path="/api")
