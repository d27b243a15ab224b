"""WebSockets of real servers: `websockets`, and uvicorn with each of its implementations; and a thousand at once."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from websockets.asyncio.server import serve

import adieu
from servers import KNOWN_PORTS
from support.stage import caught, eventually
from support.steering import ASYNCIO_LOOPS, gather, run
from support.websockets import CLOSE, TEXT, accept_key, frame, unmasked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.stage import Stage
    from support.watch import Watch


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "go":
            await send({"type": "websocket.close", "code": 4000, "reason": "gone"})
            return
        await send({**message, "type": "websocket.send"})


@contextmanager
def uvicorn_of(implementation: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        KNOWN_PORTS.add(port)
        config = uvicorn.Config(app, ws=implementation, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        eventually(lambda: server.started)
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
def test_uvicorn(stage: Stage, implementation: str) -> None:
    with (
        uvicorn_of(implementation) as port,
        stage.block(stage.client(base_url=f"ws://127.0.0.1:{port}")) as client,
    ):
        with stage.block(client.websocket("/", subprotocols=["chat"])) as ws:
            assert ws.subprotocol == "chat"
            for message in ("hé" * 1000, bytes(300_000), ""):
                stage.run(ws.send(message))
                assert stage.run(ws.receive()) == message
            stage.run(ws.send(["a", "b", "c"]))
            assert stage.run(ws.receive()) == "abc"
            stage.run(ws.ping())
        assert ws.close_code == 1000
        ws = stage.run(client.websocket("/"))
        stage.run(ws.send("go"))
        error = caught(adieu.WebSocketClosed, lambda: stage.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.reason) == (4000, "gone")
        error = caught(adieu.StatusError, lambda: stage.run(client.websocket("/refused")))
        assert isinstance(error, adieu.StatusError)
        assert error.status_code == 403
    assert stage.nothing_open()


async def _echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


class WebSocketsServer(threading.Thread):
    """The server of `websockets`, in an event loop of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end: Any = None

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._end = self._loop.create_future()
        # Its own pings would only add noise.
        async with serve(_echo, "127.0.0.1", 0, ping_interval=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            KNOWN_PORTS.add(self.port)
            self._ready.set()
            await self._end

    def __enter__(self) -> WebSocketsServer:
        self.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set_result, None)
        self.join(30)


def test_websockets(stage: Stage) -> None:
    with (
        WebSocketsServer() as server,
        stage.block(stage.client(base_url=f"ws://127.0.0.1:{server.port}")) as client,
        stage.block(client.websocket("/")) as ws,
    ):
        for message in ("hé" * 1000, bytes(300_000), ""):
            stage.run(ws.send(message))
            assert stage.run(ws.receive()) == message


async def _plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send short messages back, with so little work that a thousand clients are the test."""
    head = await reader.readuntil(b"\r\n\r\n")
    (key,) = (
        line[18:].strip()
        for line in head.split(b"\r\n")
        if line[:18].lower() == b"sec-websocket-key:"
    )
    accepted = accept_key(key.decode())
    writer.write(
        b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n\r\n" % accepted.encode()
    )
    opcode = TEXT
    while opcode != CLOSE:
        start = await reader.readexactly(2)
        ((opcode, data),) = unmasked(start + await reader.readexactly(4 + (start[1] & 127)))
        writer.write(frame(opcode, data))
    writer.close()


def test_a_thousand_at_once(census: Watch) -> None:
    count = 1000
    opened: list[int] = []

    async def talk(client: adieu.AsyncClient, nth: int, all_open: asyncio.Event) -> None:
        async with client.websocket("/", compression=False) as ws:
            opened.append(nth)
            if len(opened) == count:
                all_open.set()
            await all_open.wait()
            await ws.send(f"{nth}")
            assert await ws.receive() == f"{nth}"
        assert ws.close_code == 1000

    async def main() -> None:
        async with await asyncio.start_server(_plain, "127.0.0.1", 0, backlog=count) as server:
            port = server.sockets[0].getsockname()[1]
            KNOWN_PORTS.add(port)
            timeout = adieu.Timeout(connect=60, read=60, write=60)
            all_open = asyncio.Event()
            async with adieu.AsyncClient(f"ws://127.0.0.1:{port}", timeout=timeout) as client:
                await gather(*(talk(client, nth, all_open) for nth in range(count)))
                assert client.connections() == []
                census.check()

    run(main(), ASYNCIO_LOOPS["asyncio"])
    assert len(opened) == count
