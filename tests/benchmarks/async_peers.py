"""The clients in event loops, each written as its users write it. Any number of tasks share one client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from benchmarks.calls import PIECE, AsyncCalls

if TYPE_CHECKING:
    from benchmarks.surroundings import Site

__all__ = ["ASYNC_PEERS", "AsyncPeer"]

_LIMIT: Final = 100
"""Most clients have at most so many connections; the reference has too."""


class AsyncPeer(NamedTuple):
    """A client: how it is made for a site, in its loop, and the module that it needs."""

    make: Callable[[Site], Awaitable[AsyncCalls]]
    needs: str
    tasks: int = 0
    """The number of tasks that share it, if the case does not say."""

    def installed(self) -> bool:
        return find_spec(self.needs) is not None


async def _h11(site: Site) -> AsyncCalls:
    """h11 over the loop's own socket operations, with a stack of idle connections. Without timeouts."""
    import h11

    address = urlsplit(site.url)
    loop = asyncio.get_running_loop()
    fields = [
        ("Host", address.netloc),
        ("User-Agent", "benchmark/1"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    idle: list[tuple[socket.socket, h11.Connection]] = []
    places = asyncio.Semaphore(_LIMIT)

    async def connected() -> tuple[socket.socket, h11.Connection]:
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", address.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, h11.Connection(h11.CLIENT)

    async def get() -> bytes:
        async with places:
            sock, parser = idle.pop() if idle else await connected()
            data = parser.send(h11.Request(method="GET", target="/items", headers=fields))
            assert data is not None
            await loop.sock_sendall(sock, data + (parser.send(h11.EndOfMessage()) or b""))
            body = []
            while not isinstance(event := parser.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    parser.receive_data(await loop.sock_recv(sock, PIECE))
                elif isinstance(event, h11.Data):
                    body.append(event.data)
            parser.start_next_cycle()
            idle.append((sock, parser))
        return b"".join(body)

    async def close() -> None:
        for sock, _ in idle:
            sock.close()

    return AsyncCalls(close, get)


async def _aiohttp(site: Site) -> AsyncCalls:
    session, url = import_module("aiohttp").ClientSession(), f"{site.url}/items"

    async def get() -> object:
        async with session.get(url) as response:
            return await response.read()

    return AsyncCalls(session.close, get)


async def _httpx(site: Site, name: str = "httpx") -> AsyncCalls:
    client, url = import_module(name).AsyncClient(), f"{site.url}/items"

    async def get() -> object:
        return (await client.get(url)).content

    return AsyncCalls(client.aclose, get)


async def _pyreqwest(site: Site) -> AsyncCalls:
    client: Any = import_module("pyreqwest.client").ClientBuilder().build()
    url = f"{site.url}/items"

    async def get() -> object:
        return bytes(await (await client.get(url).build().send()).bytes())

    return AsyncCalls(client.close, get)


async def _wreq(site: Site) -> AsyncCalls:
    client, url = import_module("wreq").Client(), f"{site.url}/items"

    async def get() -> object:
        return bytes(await (await client.get(url)).bytes())

    async def close() -> None:
        pass

    return AsyncCalls(close, get)


async def _adieu(site: Site) -> AsyncCalls:
    import adieu

    client, url = adieu.AsyncClient(), f"{site.url}/items"

    async def get() -> object:
        return (await client.get(url)).content

    return AsyncCalls(client.close, get)


ASYNC_PEERS: Final = {
    "h11 loop": AsyncPeer(_h11, "h11"),
    "adieu": AsyncPeer(_adieu, "adieu"),
    "adieu, 32 tasks": AsyncPeer(_adieu, "adieu", 32),
    "adieu, 256 tasks": AsyncPeer(_adieu, "adieu", 256),
    "adieu, 1000 tasks": AsyncPeer(_adieu, "adieu", 1000),
    "wreq": AsyncPeer(_wreq, "wreq"),
    "pyreqwest": AsyncPeer(_pyreqwest, "pyreqwest"),
    "aiohttp": AsyncPeer(_aiohttp, "aiohttp"),
    "httpx2": AsyncPeer(lambda site: _httpx(site, "httpx2"), "httpx2"),
    "httpx": AsyncPeer(_httpx, "httpx"),
}
