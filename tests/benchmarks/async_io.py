"""The ways to do I/O under asyncio, compared: the costs of a round trip and of a download.

    PYTHONPATH=tests python -m benchmarks.async_io             # 40 s
    PYTHONPATH=tests python -m benchmarks.async_io --quick     # 10 s, less exact
    PYTHONPATH=tests python -m benchmarks.async_io --uvloop    # the same in uvloop

Times are the CPU time of this process, without that of a peer in another process; only the ratios can be compared with
other machines. Everything runs on one core, in short slices in turn, and a ratio is the median over the rounds.

"Waits" is the case of a network: the answer comes later, from a callback of the same loop, and each round trip has to
wait for it (the figures include the callback, which costs the same for all). "At once" is loopback on one core: the
server answers before `send` returns. "TLS" and "download" use that server too.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import adieu
from adieu.lifecycle.deadline import Deadline
from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu.net.scope import ConnectScope
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.stream import AsyncTLSStream
from benchmarks import server
from benchmarks.slices import Result, alternate
from benchmarks.surroundings import pin, serving, without_surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.surroundings import Origins

_GET: Final = b"GET /items HTTP/1.1\r\nHost: benchmark\r\n\r\n"
_DOWNLOAD: Final = _GET.replace(b"/items", server.DOWNLOAD.encode())
_ANSWER: Final = server._KEPT
_HEAD: Final = len(server._LARGE)
_PIECE: Final = 64 * 1024
_LARGE_PIECE: Final = 256 * 1024
_LIMIT: Final = 30.0
_MANY: Final = 64


class Own:
    """adieu's stream: a socket of its own, one permanent reader that resumes the task, one timer for many waits."""

    name = "own socket"

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._stream: Any = AsyncSocketStream(sock, loop)

    async def secure(self, context: ssl.SSLContext) -> None:
        opening = ConnectScope(Deadline(adieu.Timeout()), TLSConfig(context=context))
        self._stream = await AsyncTLSStream.start(self._stream, "127.0.0.1", opening)

    async def exchange(self, request: bytes, size: int, piece: int) -> None:
        recv = self._stream.recv
        await self._stream.send(request, _LIMIT)
        while size > 0:
            size -= len(await recv(piece, _LIMIT))

    def close(self) -> None:
        self._stream.close()


class OwnFutures:
    """The same with asyncio's own parts: a future and a timer for each wait."""

    name = "own socket, futures"

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._size = 0
        self._future: asyncio.Future[Any] | None = None
        loop.add_reader(sock, self._on_readable)

    def _on_readable(self) -> None:
        if self._future is not None and not self._future.done():
            try:
                self._future.set_result(self._sock.recv(self._size))
            except BlockingIOError:
                pass  # The first attempt of a later read has taken it.

    async def _recv(self, piece: int) -> bytes:
        try:
            return self._sock.recv(piece)
        except BlockingIOError:
            pass
        self._size = piece
        self._future = future = self._loop.create_future()
        timer = self._loop.call_later(_LIMIT, future.set_exception, TimeoutError())
        try:
            data: bytes = await future
        finally:
            timer.cancel()
            self._future = None
        return data

    async def exchange(self, request: bytes, size: int, piece: int) -> None:
        self._sock.send(request)
        while size > 0:
            size -= len(await self._recv(piece))

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()


class LoopSock:
    """`loop.sock_sendall` and `loop.sock_recv`, without timeouts."""

    name = "loop.sock_*"

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop

    async def exchange(self, request: bytes, size: int, piece: int) -> None:
        await self._loop.sock_sendall(self._sock, request)
        while size > 0:
            size -= len(await self._loop.sock_recv(self._sock, piece))

    def close(self) -> None:
        self._sock.close()


class _OnTransport:
    """The base of the protocols: the expected bytes and the waiting task. Without timeouts."""

    transport: Any
    left = 0
    waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        pass

    def got(self, size: int) -> None:
        self.left -= size
        if self.left <= 0 and self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def exchange(self, request: bytes, size: int, piece: int) -> None:
        self.left = size
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self.waiter

    def close(self) -> None:
        self.transport.abort()


class OnProtocol(_OnTransport, asyncio.Protocol):
    """A `Protocol`; asyncio's transports read 256 KiB at once for it."""

    name = "Protocol"

    def data_received(self, data: bytes) -> None:
        self.got(len(data))


class OnBuffer(_OnTransport, asyncio.BufferedProtocol):
    """A `BufferedProtocol` with a buffer, from which the bytes are copied once."""

    name = "BufferedProtocol"

    def __init__(self) -> None:
        self._buffer = bytearray(_PIECE)
        self._view = memoryview(self._buffer)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.got(len(bytes(self._view[:nbytes])))


WAYS: Final[tuple[Any, ...]] = (Own, OwnFutures, LoopSock, OnProtocol, OnBuffer)
SECURE_WAYS: Final[tuple[Any, ...]] = (Own, OnProtocol, OnBuffer)


class Bench:
    """The loop, and the measurements in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origins: Origins, seconds: float) -> None:
        self.loop = loop
        self.origins = origins
        self.seconds = seconds

    def run(self) -> None:
        print("| µs of CPU, and by the first | " + " | ".join(way.name for way in WAYS) + " |")
        print("| --- |" + " ---: |" * len(WAYS))
        for many in (1, _MANY):
            here = {way.name: [self._served_here(way) for _ in range(many)] for way in WAYS}
            self._show(f"waits, {many} at once", self._round_trips(here))
        for many in (1, _MANY):
            there = {way.name: [self._served_there(way) for _ in range(many)] for way in WAYS}
            self._show(f"at once, {many} at once", self._round_trips(there))
        secure = {way.name: [self._secured(way)] for way in SECURE_WAYS}
        self._show("TLS, at once", self._round_trips(secure))
        plain = {way.name: [self._served_there(way)] for way in WAYS}
        self._show("download, 64 MiB", self._downloads(plain), 1e3, "ms")
        secure = {way.name: [self._secured(way)] for way in SECURE_WAYS}
        self._show("download over TLS, 64 MiB", self._downloads(secure), 1e3, "ms")

    # -- connections -------------------------------------------------------------------------------------------------

    def _over(self, way: Any, sock: socket.socket, context: ssl.SSLContext | None = None) -> Any:
        sock.setblocking(False)
        if issubclass(way, asyncio.BaseProtocol):
            name = "127.0.0.1" if context is not None else None
            made = self.loop.create_connection(way, sock=sock, ssl=context, server_hostname=name)
            return self.loop.run_until_complete(made)[1]
        connection = way(sock, self.loop)
        if context is not None:
            self.loop.run_until_complete(connection.secure(context))
        return connection

    def _served_here(self, way: Any) -> Any:
        """A connection to a peer that answers from a callback of this loop, after the first attempt to read."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)

        def answer() -> None:
            if theirs.recv(_PIECE):
                theirs.send(_ANSWER)
            else:
                self.loop.remove_reader(theirs)
                theirs.close()

        self.loop.add_reader(theirs, answer)
        return self._over(way, ours)

    def _served_there(self, way: Any) -> Any:
        return self._over(way, self._connected(self.origins.kept.url))

    def _secured(self, way: Any) -> Any:
        site = self.origins.tls
        assert site is not None
        context = ssl.create_default_context(cafile=site.ca)
        return self._over(way, self._connected(site.url), context)

    def _connected(self, url: str) -> socket.socket:
        address = urlsplit(url)
        sock = socket.create_connection(("127.0.0.1", address.port or 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    # -- measuring ---------------------------------------------------------------------------------------------------

    def _round_trips(self, connections: dict[str, list[Any]]) -> Result:
        def run(each: list[Any]) -> Callable[[], float]:
            times = max(400 // len(each), 1)

            async def repeat(connection: Any) -> None:
                for _ in range(times):
                    await connection.exchange(_GET, len(_ANSWER), _PIECE)

            async def slice_() -> float:
                await asyncio.gather(*(one.exchange(_GET, len(_ANSWER), _PIECE) for one in each))
                started = time.process_time()
                await asyncio.gather(*map(repeat, each))
                return (time.process_time() - started) / (times * len(each))

            return lambda: self.loop.run_until_complete(slice_())

        return self._turns(connections, run)

    def _downloads(self, connections: dict[str, list[Any]]) -> Result:
        def run(each: list[Any]) -> Callable[[], float]:
            async def slice_() -> float:
                started = time.process_time()
                size = _HEAD + server.SIZE
                await each[0].exchange(_DOWNLOAD, size, _LARGE_PIECE)
                return time.process_time() - started

            return lambda: self.loop.run_until_complete(slice_())

        return self._turns(connections, run)

    def _turns(
        self,
        connections: dict[str, list[Any]],
        run: Callable[[list[Any]], Callable[[], float]],
    ) -> Result:
        try:
            runs = {name: run(each) for name, each in connections.items()}
            return alternate(runs, time.perf_counter() + self.seconds)
        finally:
            for each in connections.values():
                for connection in each:
                    connection.close()
            self.loop.run_until_complete(asyncio.sleep(0.01))

    def _show(self, what: str, result: Result, scale: float = 1e6, unit: str = "") -> None:
        cells = []
        for way in WAYS:
            if way.name not in result.rounds:
                cells.append("")
                continue
            low, high = result.quartiles(way.name, WAYS[0].name)
            ratio = f"{result.ratio(way.name, WAYS[0].name):.2f} ({low:.2f} to {high:.2f})"
            cost = f"{result.seconds(way.name) * scale:.1f}{unit}"
            cells.append(cost if way is WAYS[0] else f"{cost}, {ratio}")
        print(f"| {what} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Run it, and print tables in Markdown."""
    parser = argparse.ArgumentParser("benchmarks.async_io", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 s, less sharp")
    parser.add_argument("--uvloop", action="store_true", help="in uvloop")
    wanted = parser.parse_args()
    without_surroundings()
    pin()
    if wanted.uvloop:
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    print(f"Python {sys.version.split()[0]}, {type(loop).__module__}\n")
    with serving() as origins:
        Bench(loop, origins, 1.0 if wanted.quick else 5.0).run()
    loop.close()


if __name__ == "__main__":
    main()
