"""Writing an async adapter: a function, or a whole adapter. (`support.async_peers.Memory` is a wire of its own.)

An async adapter has the same methods as a sync one, awaited; the client's code for leases and errors is the same.
"""

from __future__ import annotations

import asyncio
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.net.async_backend import current_backend
from adieu.net.scope import ConnectScope
from adieu.transport.functions import AsyncFunctionAdapter
from support.stage import drop
from support.steering import LOOPS, limited, run, sleep, spawn, wait

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

every_loop = pytest.mark.parametrize("loop", LOOPS)


# A function


@adieu.adapter
async def hello(request: adieu.Request) -> adieu.AsyncResponse:
    await sleep(0)
    return adieu.AsyncResponse(200, body=b"hello from " + request.url.path.encode())


@every_loop
def test_a_function_that_is_awaited_is_an_async_adapter(loop: str) -> None:
    async def main() -> None:
        # It has no resource, so it may serve one client after another.
        for _ in range(2):
            async with adieu.AsyncClient() as client:
                client.mount("mock://", hello)
                assert (await client.get("mock://x/at/all")).text == "hello from /at/all"
                async with client.stream("GET", "mock://x/") as response:
                    assert await response.read() == b"hello from /"

    run(main(), LOOPS[loop])
    assert repr(hello) == "adapter(hello)"


def test_it_may_be_an_object_that_takes_the_exchange_and_names_its_schemes() -> None:
    class Telling:
        async def __call__(
            self, request: adieu.Request, exchange: adieu.AsyncExchange
        ) -> adieu.AsyncResponse:
            return adieu.AsyncResponse(200, body=exchange.method.encode())

    telling = adieu.adapter(schemes=["mock"])(Telling())
    assert isinstance(telling, AsyncFunctionAdapter)

    async def main() -> None:
        async with adieu.AsyncClient(adapter=telling) as client:
            assert (await client.put("mock://x/")).text == "PUT"
            with pytest.raises(adieu.InvalidURL, match="serves mock"):
                await client.get("other://x/")

    run(main())


def test_its_errors_are_wrapped_with_their_cause() -> None:
    native = LookupError("nobody knows")

    @adieu.adapter
    async def failing(request: adieu.Request) -> adieu.AsyncResponse:
        raise native

    async def main() -> None:
        async with adieu.AsyncClient(adapter=failing) as client:
            with pytest.raises(adieu.TransportError, match="nobody knows") as caught:
                await client.get("mock://x/")
            assert caught.value.__cause__ is native

    run(main())


# All of it


class LineAdapter:
    """A whole adapter for another protocol: it sends one line and reads the answer, over a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[LineLease] = set()
        self.ends: list[tuple[bool, str]] = []

    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        lease = LineLease(self._open, self.ends)
        exchange.own(lease)
        sock = socket.create_connection(("127.0.0.1", self._port))
        sock.setblocking(False)
        lease.stream = current_backend().stream(sock, ConnectScope(exchange.deadline, None))
        line = f"GET {request.url.path} HTTP/1.0\r\n\r\n".encode()
        await lease.stream.send(line, exchange.deadline)
        return exchange.respond(200)

    async def close(self) -> None:
        for lease in list(self._open):
            lease.finish(False, "closed")


class LineLease(adieu.AsyncLease):
    reusable = False
    stream: Any = None

    def __init__(self, opened: set[LineLease], ends: list[tuple[bool, str]]) -> None:
        self._open = opened
        self._ends = ends
        opened.add(self)

    async def read(self, deadline: adieu.Deadline) -> bytes:
        data: bytes = await self.stream.recv(65536, deadline)
        return data

    def finish(self, reuse: bool, why: str) -> None:
        if self in self._open:
            self._open.discard(self)
            self._ends.append((reuse, why))
            if self.stream is not None:
                self.stream.close()


@every_loop
def test_a_whole_adapter_of_thirty_lines_leaves_nothing_open(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    adapter = LineAdapter(fault_server.port)

    async def main() -> None:
        async with adieu.AsyncClient(adapter=adapter) as client:
            assert (await client.get("line://x/ok")).content.startswith(b"HTTP/1.1 200")
            assert census.count() == 0
            async with client.stream("GET", "line://x/bytes?n=300000") as response:
                assert await anext(aiter(response.iter_bytes()))
                assert census.count() == 1
            assert census.count() == 0
            with pytest.raises(adieu.ReadTimeout):
                await client.get("line://x/stall-head", timeout=adieu.Timeout(read=0.05))
            with pytest.raises(adieu.ReadError) as cut:
                await client.get("line://x/reset-body")
            assert type(cut.value.__cause__) is ConnectionResetError
            with pytest.raises(asyncio.TimeoutError):
                await limited(client.get("line://x/stall-head"), 0.02)
            call = spawn(client.get("line://x/stall-head"))
            await sleep(0.02)
            call.cancel()
            await wait([call])
            assert call.cancelled()
            assert census.count() == 0
            kept = await client.stream("GET", "line://x/bytes?n=300000")
        assert kept.is_closed

    run(main(), LOOPS[loop])
    assert census.count() == 0
    assert [why for _, why in adapter.ends][:2] == ["complete", "exit"]
    assert adapter.ends[-1] == (False, "client closed")
    assert len(adapter.ends) == 7


@every_loop
def test_a_finalizer_ends_and_reports_a_lease_that_is_still_open(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    adapter = LineAdapter(fault_server.port)

    async def main() -> None:
        async with adieu.AsyncClient(adapter=adapter) as client:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                await client.stream("GET", "line://x/bytes?n=300000")
                drop()
            assert census.count() == 0
        (warning,) = told
        assert "GET line://x/bytes" in str(warning.message)
        assert "test_async_adapters.py" in str(warning.message)

    run(main(), LOOPS[loop])
    assert adapter.ends == [(False, "abandoned")]
