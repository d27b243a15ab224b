"""WebSockets of an ASGI app in this process, for sync and async clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu_asgi import AppError, ASGIAdapter, AsyncASGIAdapter, NotASGI
from support.runner import RUNNERS
from support.stage import caught, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.runner import Runner


@pytest.fixture(params=["sync", "async"])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    made = RUNNERS[request.param]()
    yield made
    made.close()


def client_of(runner: Runner, app: Any, **options: Any) -> Any:
    kind: Any = ASGIAdapter if runner.kind is adieu.Client else AsyncASGIAdapter
    return runner.client(adapter=kind(app, grace=0.1, **options), base_url="ws://app.test")


class App:
    """Accepts, sends each message back, and remembers what happened to it."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.ends: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-a", b"1")]})
        try:
            while (message := await receive())["type"] == "websocket.receive":
                if message.get("text") == "close":
                    await send({"type": "websocket.close", "code": 4001, "reason": "asked to"})
                elif message.get("text") == "raise":
                    raise ValueError("mine")
                else:
                    await send({**message, "type": "websocket.send"})
            self.ends.append(message)
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise


def test_messages(runner: Runner) -> None:
    app = App()
    with runner.block(client_of(runner, app)) as client:
        url = "wss://app.test/a%20b?q=1"
        with runner.block(client.websocket(url, subprotocols=["chat"], headers={"X-B": "2"})) as ws:
            assert ws.subprotocol == "chat"
            assert ws.response.headers["x-a"] == "1"
            for message in ("hé", b"\x00\xff", "x" * 200_000, ""):
                runner.run(ws.send(message))
                assert runner.run(ws.receive()) == message
            runner.run(ws.send(["a", "b"]))
            assert runner.run(ws.receive()) == "ab"
        assert (ws.close_code, ws.state) == (1000, "closed")
        eventually(lambda: app.ends)
    assert app.ends == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]
    (scope,) = app.scopes
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "wss", "/a b")
    assert (scope["query_string"], scope["subprotocols"]) == (b"q=1", ["chat"])
    assert (b"x-b", b"2") in scope["headers"]
    assert "method" not in scope


def test_the_app_closes(runner: Runner) -> None:
    with runner.block(client_of(runner, App())) as client:
        ws = runner.run(client.websocket("/", subprotocols=["chat"]))
        runner.run(ws.send("close"))
        error = caught(adieu.WebSocketClosed, lambda: runner.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.reason) == (4001, "asked to")


def test_an_exception_of_the_app_is_raised(runner: Runner, capsys: Any) -> None:
    with runner.block(client_of(runner, App())) as client:
        ws = runner.run(client.websocket("/", subprotocols=["chat"]))
        runner.run(ws.send("raise"))
        error = caught(adieu.AdieuError, lambda: [runner.run(ws.receive()) for _ in range(2)])
        assert isinstance(error, (AppError, adieu.WebSocketClosed))
        runner.run(ws.close())
    with runner.block(client_of(runner, App(), raise_app_exceptions=False)) as client:
        ws = runner.run(client.websocket("/", subprotocols=["chat"]))
        runner.run(ws.send("raise"))
        error = caught(adieu.WebSocketClosed, lambda: runner.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert error.code == 1011
    assert "ValueError: mine" in capsys.readouterr().err


async def denies(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    await receive()
    if scope["path"] == "/closes":
        await send({"type": "websocket.close", "code": 1000})
    elif scope["path"] == "/answers":
        fields = [(b"www-authenticate", b"Basic")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": fields})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you?"})
    elif scope["path"] == "/breaks":
        await send({"type": "websocket.send", "text": "too soon"})
    elif scope["path"] == "/raises":
        raise ValueError("mine")


def test_refusals(runner: Runner) -> None:
    with runner.block(client_of(runner, denies)) as client:
        for path, status, content in (("/closes", 403, b""), ("/answers", 401, b"who are you?")):
            error = caught(adieu.StatusError, lambda path=path: runner.run(client.websocket(path)))
            assert isinstance(error, adieu.StatusError)
            response: Any = error.response
            assert (error.status_code, response.content) == (status, content)
        for path, kind in (("/breaks", NotASGI), ("/returns", NotASGI), ("/raises", AppError)):
            caught(kind, lambda path=path: runner.run(client.websocket(path)))


def test_the_app_notices_that_its_client_has_gone(runner: Runner) -> None:
    app = App()
    with runner.block(client_of(runner, app)) as client:
        ws = runner.run(client.websocket("/", subprotocols=["chat"], cleanup=adieu.CloseOnExit()))
        ws._end("as an interrupt does")
        eventually(lambda: app.ends)
        assert app.ends == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        open_one = runner.run(client.websocket("/", subprotocols=["chat"]))
        runner.run(client.close())
        caught(adieu.ClientClosed, lambda: runner.run(open_one.receive()))
    assert len(app.ends) == 2
    assert app.ends[1]["code"] == 1001


def test_neither_side_runs_ahead(runner: Runner) -> None:
    sent = []

    async def floods(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "websocket.accept"})
        for nth in range(100):
            await send({"type": "websocket.send", "bytes": bytes(50_000)})
            sent.append(nth)

    with (
        runner.block(client_of(runner, floods)) as client,
        runner.block(client.websocket("/")) as ws,
    ):
        assert len(runner.run(ws.receive())) == 50_000
        assert len(sent) < 10
        assert [len(message) for message in runner.each(ws)] == [50_000] * 99


def test_starlette(runner: Runner) -> None:
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    async def chat(websocket: Any) -> None:
        await websocket.accept()
        while True:
            await websocket.send_json({"got": await websocket.receive_json()})

    app = Starlette(routes=[WebSocketRoute("/chat", chat)])
    with runner.block(client_of(runner, app)) as client:
        with runner.block(client.websocket("/chat")) as ws:
            runner.run(ws.send_json([1]))
            assert runner.run(ws.receive_json()) == {"got": [1]}
        caught(adieu.StatusError, lambda: runner.run(client.websocket("/nothing")))
