"""Real servers: uvicorn, aiohttp's and hypercorn in Python, and nginx."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
import servers
from servers import KNOWN_PORTS, free_ports
from support.steering import LOOPS, gather, limited, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from servers import Authority, Nginx
    from support.watch import Watch

_LARGE = 3_000_000


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """`/small`, `/large` without a length, `/echo` the number of received bytes, `/never` half a body, `/close`."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    headers = [(b"content-type", b"text/plain")]
    if path == "/close":
        headers.append((b"connection", b"close"))
    size = 0
    if path == "/echo":
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == "/large":
        for _ in range(_LARGE // 50_000):
            await send({"type": "http.response.body", "body": bytes(50_000), "more_body": True})
    if path == "/never":
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    body = b"small" if path != "/echo" else str(size).encode()
    await send({"type": "http.response.body", "body": body if path != "/large" else b""})


async def _listening(port: int) -> None:
    """Wait until a server listens there."""
    for _ in range(1000):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.005)
        else:
            writer.close()
            return
    raise TimeoutError(f"nobody listens on port {port}")


@contextlib.asynccontextmanager
async def _uvicorn(authority: Authority, tls: bool) -> AsyncIterator[int]:
    import uvicorn

    (port,) = free_ports(1)
    secure: dict[str, Any] = {}
    if tls:
        secure = {"ssl_certfile": str(authority.chain), "ssl_keyfile": str(authority.key)}
    config = uvicorn.Config(
        _application, port=port, log_level="critical", lifespan="off", http="h11", **secure
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    await _listening(port)
    yield port
    server.should_exit = True
    server.force_exit = True
    await serving


@contextlib.asynccontextmanager
async def _hypercorn(authority: Authority, tls: bool) -> AsyncIterator[int]:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    (port,) = free_ports(1)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "critical"
    config.graceful_timeout = 0.1
    if tls:
        config.certfile, config.keyfile = str(authority.chain), str(authority.key)
        config.alpn_protocols = ["http/1.1"]
    over = asyncio.Event()
    application: Any = _application
    serving = asyncio.ensure_future(serve(application, config, shutdown_trigger=over.wait))
    await _listening(port)
    yield port
    over.set()
    await serving


@contextlib.asynccontextmanager
async def _aiohttp(authority: Authority, tls: bool) -> AsyncIterator[int]:
    from aiohttp import web

    async def small(_: web.Request) -> web.Response:
        return web.Response(text="small")

    async def close(_: web.Request) -> web.Response:
        return web.Response(text="small", headers={"connection": "close"})

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(_LARGE // 50_000):
            await response.write(bytes(50_000))
        await response.write_eof()
        return response

    async def never(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(30)
        return response

    async def echo(request: web.Request) -> web.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return web.Response(text=str(size))

    application = web.Application()
    routes = {"/small": small, "/large": large, "/never": never, "/echo": echo, "/close": close}
    for path, handler in routes.items():
        application.router.add_route("*", path, handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    context = authority.server_context() if tls else None
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


SERVERS: dict[str, Callable[..., contextlib.AbstractAsyncContextManager[int]]] = {
    "uvicorn": _uvicorn,
    "hypercorn": _hypercorn,
    "aiohttp": _aiohttp,
}


@contextlib.contextmanager
def _running(
    server: Callable[..., contextlib.AbstractAsyncContextManager[int]], *settings: Any
) -> Iterator[int]:
    """The server in a thread and a loop of its own."""
    started, over = threading.Event(), threading.Event()
    ports: list[int] = []

    async def main() -> None:
        async with server(*settings) as port:
            ports.append(port)
            started.set()
            await asyncio.to_thread(over.wait, 60)

    def serve() -> None:
        logging.disable(logging.CRITICAL)
        try:
            asyncio.run(main())
        finally:
            logging.disable(logging.NOTSET)
            started.set()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(30)
    assert ports
    KNOWN_PORTS.add(ports[0])
    try:
        yield ports[0]
    finally:
        over.set()
        thread.join(30)


# Objects that a server in Python leaves to its collector are not part of the test.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_in_python_answers_every_kind_of_request(
    name: str, tls: bool, loop: str, authority: Authority, census: Watch
) -> None:
    with _running(SERVERS[name], authority, tls) as port:
        url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        run(_ask(url, authority, census), LOOPS[loop])
        assert census.count() == 0


async def _ask(url: str, authority: Authority, census: Watch) -> None:
    limits = adieu.Limits(connections=3)
    verify = authority.client_context()
    async with adieu.AsyncClient(url, limits=limits, verify=verify) as client:
        for _ in range(3):
            assert (await client.get("/small")).text == "small"
        assert census.count() == 1
        assert (await client.head("/small")).content == b""
        assert len((await client.get("/large")).content) == _LARGE
        assert (await client.post("/echo", content=bytes(100_000))).text == "100000"
        assert (await client.post("/echo", content=[bytes(100_000)] * 10)).text == "1000000"
        assert (await client.get("/close")).text == "small"
        async with client.stream("GET", "/large") as response:
            assert len(await anext(aiter(response.iter_bytes(1000)))) == 1000
        async with client.stream("GET", "/never") as response:
            pieces = aiter(response.iter_bytes())
            assert await anext(pieces) == b"half"
            with pytest.raises(asyncio.TimeoutError):
                await limited(anext(pieces), 0.02)
        answers = await gather(*(client.get("/small") for _ in range(30)))
        assert {answer.text for answer in answers} == {"small"}
        async with client.map(["/small"] * 20, limit=5) as outcomes:
            assert [outcome.result().text async for outcome in outcomes] == ["small"] * 20
        assert census.count() <= 3


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_nginx_answers_every_kind_of_request(
    loop: str, tls: bool, nginx: Nginx, census: Watch
) -> None:
    async def main() -> None:
        url = nginx.https_url if tls else nginx.url
        limits = adieu.Limits(connections=2)
        async with adieu.AsyncClient(url, limits=limits, verify=str(nginx.ca_path)) as client:
            assert (await client.get("/small.txt")).content == servers.SMALL
            assert (await client.get("/text.txt")).content == servers.TEXT
            large = await client.get("/megabyte.bin")
            assert large.content == servers.ONE_MEGABYTE
            assert census.count() == 1
            assert (await client.get("/close")).text == "the last one"
            assert census.count() == 0
            assert (await client.get("/nowhere")).status_code == 404
            async with client.stream("GET", "/megabyte.bin") as response:
                await anext(aiter(response.iter_bytes()))
            urls = ["/small.txt", "/megabyte.bin", "/nowhere"] * 5
            async with client.map(urls, limit=4) as outcomes:
                sizes = [len(outcome.result().content) async for outcome in outcomes]
            assert sizes.count(len(servers.ONE_MEGABYTE)) == 5
            if not tls:
                assert len((await client.get("/redirect")).history) == 1
        assert census.count() == 0

    run(main(), LOOPS[loop])
