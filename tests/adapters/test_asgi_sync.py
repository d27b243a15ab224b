"""An ASGI app behind a sync client: started once, streamed in both directions, and ended with its loop.

What the app sees and how its response is read is in test_asgi.py; how the loop ends, in test_to_sync.py.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import proves_clean
from adieu_asgi import AppError, ASGIAdapter, NotASGI

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lifecycle

URL = "http://app.test"
START = {"type": "http.response.start", "status": 200, "headers": []}


class App:
    """Counts its starts, its requests and its ends."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.threads: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.threads.add(threading.current_thread().name)
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path = scope["path"]
        if path == "/error":
            raise LookupError("no such shop")
        await send(START)
        if path == "/endless":
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"x", "more_body": True})
            finally:
                self.log.append("left")
        content = b""
        more = True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": content or path.encode()})
        await asyncio.sleep(0.01)
        self.log.append(f"done {path}")

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.log.append("start")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.log.append("stop")
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture
def app() -> App:
    return App()


def test_an_app_lives_as_long_as_the_client_in_one_thread(app: App) -> None:
    with proves_clean(), adieu.Client(URL, adapter=ASGIAdapter(app)) as client:
        assert app.log == []
        with proves_clean(client):
            for path in ("/a", "/b"):
                assert client.get(path).text == path
        # When a response has been read, the app has also done what it does after its last byte.
        assert app.log == ["start", "done /a", "done /b"]
        assert len(app.threads) == 1
    assert app.log[-1] == "stop"
    assert [t.name for t in threading.enumerate() if t.name in app.threads] == []
    with pytest.raises(adieu.ClientClosed):
        client.get("/")


def test_content_and_responses_are_streamed(app: App) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    with adieu.Client(URL, adapter=ASGIAdapter(app)) as client:
        assert client.post("/", content=pieces()).text == "one two"
        with client.stream("GET", "/endless") as response:
            assert next(response.iter_raw()) == b"x"
    assert app.log[-2:] == ["left", "stop"]


def test_an_exception_of_the_app_is_raised_with_its_cause(app: App) -> None:
    with adieu.Client(URL, adapter=ASGIAdapter(app)) as client:
        with pytest.raises(AppError, match=r"LookupError.*no such shop") as caught:
            client.get("/error")
        assert isinstance(caught.value.__cause__, LookupError)
        assert client.get("/a").text == "/a"


def test_the_options_are_those_of_the_async_adapter(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = ASGIAdapter(app, raise_app_exceptions=False, lifespan="off", root_path="/shop")
    with adieu.Client(f"{URL}/shop", adapter=quiet) as client:
        assert client.get("/a").text == "/shop/a"
        with pytest.raises(adieu.InvalidURL):
            client.get(f"{URL}/other")
    assert app.log == ["done /shop/a"]
    with pytest.raises(adieu.InvalidRequest):
        ASGIAdapter(app, lifespan="maybe")  # type: ignore[arg-type]

    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "nonsense"})

    with (
        adieu.Client(URL, adapter=ASGIAdapter(wrong, lifespan="off")) as client,
        pytest.raises(NotASGI),
    ):
        client.get("/")


def test_threads_share_the_app(app: App) -> None:
    with adieu.Client(URL, adapter=ASGIAdapter(app)) as client:
        requests = [client.build_request("GET", f"/{n}") for n in range(30)]
        with client.map(requests, limit=10) as outcomes:
            texts = {outcome.result().text for outcome in outcomes}
    assert texts == {f"/{n}" for n in range(30)}
    assert (app.log.count("start"), app.log.count("stop")) == (1, 1)


def test_an_app_may_be_mounted_beside_others(app: App) -> None:
    with adieu.Client(adapter=lambda request: adieu.Response(200, body="other")) as client:
        client.mount(f"{URL}/", ASGIAdapter(app))
        assert client.get(f"{URL}/a").text == "/a"
        assert client.get("http://other.test/").text == "other"


async def top_level(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"top"})


def test_a_pickled_client_has_the_app_with_its_options() -> None:
    adapter = ASGIAdapter(top_level, lifespan="off")
    with (
        adieu.Client(URL, adapter=adapter) as client,
        pickle.loads(pickle.dumps(client)) as other,
    ):
        assert client.get("/").text == other.get("/").text == "top"
        assert "top_level" in repr(adapter)


def test_starlette_works_as_with_its_own_test_client() -> None:
    starlette = pytest.importorskip("starlette.applications")
    from starlette.background import BackgroundTask
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    done: list[str] = []

    async def items(request: Any) -> Any:
        body = await request.json() if request.method == "POST" else request.query_params["q"]
        return JSONResponse({"got": body}, background=BackgroundTask(done.append, "background"))

    shop = starlette.Starlette(routes=[Route("/items", items, methods=["GET", "POST"])])
    with adieu.Client("http://shop.test", adapter=ASGIAdapter(shop)) as client:
        assert client.get("/items", params={"q": "vase"}).json() == {"got": "vase"}
        assert client.post("/items", json=[1]).json() == {"got": [1]}
        assert done == ["background"] * 2
        assert client.get("/nowhere").status_code == 404
