"""The clients in event loops: the same calls as in `peers`, awaited, each written as its users write it.

A peer is one client that any number of tasks share. Each has the default limits, which are a hundred connections
for all of them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

import adieu
from benchmarks.server import DOWNLOAD

if TYPE_CHECKING:
    from typing_extensions import Self

    from benchmarks.peers import Site

__all__ = ["ASYNC_PEERS", "AsyncPeer", "speaks_c"]

_PIECE: Final = 64 * 1024
_LIMIT: Final = 100


class AsyncPeer:
    """An async client for a site. `opened` makes it in its loop."""

    name: ClassVar[str]
    needs: ClassVar[str]
    """The module that the peer needs."""
    tasks: ClassVar[int] = 0
    """The number of tasks that share it, if the case has none."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.url = f"{site.url}/items"
        self.large = f"{site.url}{DOWNLOAD}"

    @classmethod
    async def opened(cls, site: Site) -> Self:
        """Make the client in a running loop, which some clients need."""
        return cls(site)

    @classmethod
    def installed(cls) -> bool:
        return find_spec(cls.needs) is not None

    async def get(self) -> bytes:
        raise NotImplementedError

    async def download(self) -> int:
        raise NotImplementedError

    async def unread(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class _Plain:
    """A socket with the loop's own operations, which are faster than its streams."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def recv(self) -> bytes:
        return await self._loop.sock_recv(self._sock, _PIECE)

    def close(self) -> None:
        self._sock.close()


class _Secure:
    """TLS, which the loop has for streams only."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def recv(self) -> bytes:
        return await self._reader.read(_PIECE)

    def close(self) -> None:
        self._writer.close()


class BareAsyncH11(AsyncPeer):
    """h11 as its documentation uses it, over a stack of idle connections. Without timeouts."""

    name = "h11 loop"
    needs = "h11"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import h11

        self._h11 = h11
        self._address = urlsplit(site.url)
        self._context: ssl.SSLContext | None = None
        if self._address.scheme == "https":
            self._context = ssl.create_default_context(cafile=site.ca)
        self._fields = [
            ("Host", self._address.netloc),
            ("User-Agent", "benchmark/1"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "gzip, deflate"),
        ]
        self._idle: list[tuple[_Plain | _Secure, Any]] = []
        self._places = asyncio.Semaphore(_LIMIT)

    async def _connected(self) -> _Plain | _Secure:
        host, port = self._address.hostname, self._address.port
        assert host is not None
        assert port is not None
        if self._context is not None:
            return _Secure(*await asyncio.open_connection(host, port, ssl=self._context))
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Plain(sock)

    async def _events(self, target: str) -> tuple[list[Any], int]:
        """The pieces of the body, if it is a small one, and its length."""
        h11, pieces, size = self._h11, [], 0
        async with self._places:
            if self._idle:
                stream, parser = self._idle.pop()
            else:
                stream, parser = await self._connected(), h11.Connection(h11.CLIENT)
            data = parser.send(h11.Request(method="GET", target=target, headers=self._fields))
            assert data is not None
            await stream.send(data + (parser.send(h11.EndOfMessage()) or b""))
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    parser.receive_data(await stream.recv())
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                    if target != DOWNLOAD:
                        pieces.append(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
            parser.start_next_cycle()
            self._idle.append((stream, parser))
        return pieces, size

    async def get(self) -> bytes:
        return b"".join((await self._events("/items"))[0])

    async def download(self) -> int:
        return (await self._events(DOWNLOAD))[1]

    async def unread(self) -> None:
        # Its only end is reading the rest.
        await self.get()

    async def close(self) -> None:
        for stream, _ in self._idle:
            stream.close()


class Aiohttp(AsyncPeer):
    """`ClientSession`."""

    name = "aiohttp"
    needs = "aiohttp"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import aiohttp

        context = ssl.create_default_context(cafile=site.ca)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    async def get(self) -> bytes:
        async with self._session.get(self.url) as response:
            return await response.read()

    async def download(self) -> int:
        size = 0
        async with self._session.get(self.large) as response:
            async for piece in response.content.iter_any():
                size += len(piece)
        return size

    async def unread(self) -> None:
        async with self._session.get(self.url):
            pass

    async def close(self) -> None:
        await self._session.close()


class AsyncHttpx(AsyncPeer):
    """`httpx.AsyncClient`."""

    name = "httpx"
    needs = "httpx"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import httpx

        self._client = httpx.AsyncClient(verify=ssl.create_default_context(cafile=site.ca))

    async def get(self) -> bytes:
        return (await self._client.get(self.url)).content

    async def download(self) -> int:
        size = 0
        async with self._client.stream("GET", self.large) as response:
            async for piece in response.aiter_bytes():
                size += len(piece)
        return size

    async def unread(self) -> None:
        async with self._client.stream("GET", self.url):
            pass

    async def close(self) -> None:
        await self._client.aclose()


class AsyncAdieu(AsyncPeer):
    """`AsyncClient`, with its default adapter."""

    name = "adieu"
    needs = "adieu"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        verify = site.ca if site.url.startswith("https:") else True
        self._client = adieu.AsyncClient(verify=verify)

    async def get(self) -> bytes:
        return (await self._client.get(self.url)).content

    async def download(self) -> int:
        size = 0
        async with self._client.stream("GET", self.large) as response:
            async for piece in response.iter_bytes():
                size += len(piece)
        return size

    async def unread(self) -> None:
        async with self._client.stream("GET", self.url):
            pass

    async def close(self) -> None:
        await self._client.close()


class Few(AsyncAdieu):
    """With few tasks, to compare with many."""

    name = "adieu, 32 tasks"
    tasks = 32


class Many(AsyncAdieu):
    """With many tasks, to compare with few."""

    name = "adieu, 256 tasks"
    tasks = 256


ASYNC_PEERS: Final = {
    peer.name: peer for peer in (BareAsyncH11, Aiohttp, AsyncHttpx, AsyncAdieu, Few, Many)
}


def speaks_c() -> bool:
    """Whether aiohttp parses with its C extension; without it there is a parser in Python."""
    try:
        from aiohttp import http_parser
    except ImportError:
        return False
    return http_parser.HttpResponseParser.__module__.endswith("._http_parser")
