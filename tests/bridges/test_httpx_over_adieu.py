"""`AdieuTransport` and `AsyncAdieuTransport`: clients of httpx and httpx2 whose connections are adieu's."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import adieu
from bridges.libraries import LIBRARIES
from support.portal import AsyncioPortal, TrioPortal
from support.proxies import FaultProxy
from support.stage import growing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request
    from servers import TLSServer
    from support.watch import Watch

LONG = "/bytes?n=20000000"


# httpx leaves its own generators to the collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")


class Host:
    """A sync or async client of one of the libraries, with one connection; its methods hide the differences."""

    def __init__(self, library: str, mode: str, adapter: str) -> None:
        self.module, bridge = LIBRARIES[library]
        portals = {"asyncio": AsyncioPortal, "trio": TrioPortal}
        self.portal: Any = portals[mode]() if mode != "sync" else None
        kind = bridge.AsyncAdieuTransport if self.portal else bridge.AdieuTransport
        self.transport = kind(adapter, limits=adieu.Limits(connections=1))
        made = self.module.AsyncClient if self.portal else self.module.Client
        self.client = made(transport=self.transport, timeout=self.module.Timeout(30, pool=30))

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The result of a method of the client or a response."""
        if self.portal is None:
            return function(*args, **options)
        return self.portal.run(lambda: function(*args, **options))

    def get(self, url: str, **options: Any) -> Any:
        return self.run(self.client.get, url, **options)

    def open(self, url: str, **options: Any) -> Any:
        """A response whose body is on its way."""
        return self.run(
            self.client.send, self.client.build_request("GET", url, **options), stream=True
        )

    def close(self, response: Any) -> None:
        self.run(response.aclose if self.portal else response.close)

    def read(self, response: Any) -> bytes:
        content: bytes = self.run(response.aread if self.portal else response.read)
        return content

    def first(self, response: Any) -> bytes:
        """The first piece of the body; the iterator is closed.

        Trio would cancel one that is dropped, at any time before the response is closed, and with it the body.
        """
        if self.portal is None:
            with closing(response.iter_raw()) as pieces:
                return next(pieces)  # type: ignore[no-any-return]

        async def one() -> bytes:
            async with aclosing(response.aiter_raw()) as pieces:
                return await anext(pieces)

        return self.portal.run(one)  # type: ignore[no-any-return]

    def works(self, server: FaultServer) -> bool:
        """The one connection is free, or can be made."""
        return bool(self.get(f"{server.url}/ok").status_code == 200)

    def end(self) -> None:
        self.run(self.client.aclose if self.portal else self.client.close)
        if self.portal is not None:
            self.portal.close()


PLACES = [
    *(("sync", adapter) for adapter in ("native", "h11", "urllib3", "close")),
    *(("asyncio", adapter) for adapter in ("native", "h11", "close")),
    ("trio", "native"),
]


@pytest.fixture(params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture(params=LIBRARIES)
def host(request: pytest.FixtureRequest, place: tuple[str, str], census: Watch) -> Iterator[Host]:
    """A client of httpx or httpx2; when it is closed, no socket may be open."""
    host = Host(request.param, *place)
    yield host
    host.end()
    census.check()


def test_a_request_arrives_as_it_was_made(host: Host, fault_server: FaultServer) -> None:
    answer = host.run(host.client.post, f"{fault_server.url}/echo?a=b%20c", json={"c": 1})
    sent = fault_server.requests[-1]
    assert (sent.method, sent.target, sent.body) == ("POST", "/echo?a=b%20c", b'{"c":1}')
    assert (answer.status_code, answer.reason_phrase, answer.http_version) == (
        200,
        "Scripted",
        "HTTP/1.1",
    )
    assert host.get(f"{fault_server.url}/gzip?n=5000").num_bytes_downloaded < 5000


def test_redirects_and_cookies_are_those_of_the_client_above(
    host: Host, fault_server: FaultServer
) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    fault_server.reply("/start", head + b"Content-Length: 0\r\n\r\n")
    assert host.get(f"{fault_server.url}/start").status_code == 302
    answer = host.get(f"{fault_server.url}/start", follow_redirects=True)
    assert [hop.status_code for hop in answer.history] == [302]
    assert fault_server.requests[-1].header("cookie") == "a=1; b=2"


@pytest.mark.parametrize("path", ["/bytes?n=1000", "/chunked?n=1000", LONG])
def test_a_body_that_is_left_gives_its_connection_back(
    host: Host, fault_server: FaultServer, path: str
) -> None:
    host.close(host.open(fault_server.url + path))
    left = host.open(fault_server.url + path)
    assert host.first(left)
    host.close(left)
    assert host.works(fault_server)


def test_a_small_rest_keeps_the_connection(host: Host, fault_server: FaultServer) -> None:
    # The default allows 0.1 s, which is not enough on every busy machine.
    host.transport.client.cleanup = adieu.ReleaseOnRead(within=30)
    for _ in range(10):
        left = host.open(f"{fault_server.url}/chunked?n=1000&size=100")
        assert host.first(left)
        host.close(left)
    used = {request.connection for request in fault_server.requests}
    assert len(used) == (10 if host.transport.client.adapter == "close" else 1)


def test_a_dropped_response_is_reported_and_its_connection_closed(
    host: Host, fault_server: FaultServer
) -> None:
    with pytest.warns(ResourceWarning, match="a response was dropped unread"):
        dropped(host, fault_server.url)
    assert host.works(fault_server)


def dropped(host: Host, url: str) -> None:
    host.open(url + LONG)
    gc.collect()  # Responses of httpx are in a cycle; those of httpx2 are not.


def test_closing_the_client_closes_a_stream(
    host: Host, fault_server: FaultServer, census: Watch
) -> None:
    left = host.open(fault_server.url + LONG)
    host.first(left)
    host.run(host.client.aclose if host.portal else host.client.close)
    assert census.count() == 0
    host.close(left)


ERRORS = [
    ("/close", "RemoteProtocolError"),
    ("/reset", "ReadError"),
    ("/garbage?kind=other-protocol", "RemoteProtocolError"),
    ("/truncated", "RemoteProtocolError"),
    ("/truncated-chunked", "RemoteProtocolError"),
    ("/broken-gzip", "DecodingError"),
    ("/stall-head", "ReadTimeout"),
    ("/stall-body", "ReadTimeout"),
]


@pytest.mark.parametrize(("path", "kind"), ERRORS)
def test_errors_are_those_of_the_client_above(
    host: Host, fault_server: FaultServer, path: str, kind: str
) -> None:
    timeout = host.module.Timeout(30, read=0.05) if "stall" in path else 30
    with pytest.raises(getattr(host.module, kind)) as caught:
        host.get(fault_server.url + path, timeout=timeout)
    assert caught.value.request.url == fault_server.url + path
    assert host.works(fault_server)


def test_a_full_pool_is_a_pool_timeout(host: Host, fault_server: FaultServer) -> None:
    left = host.open(fault_server.url + LONG)
    with pytest.raises(host.module.PoolTimeout, match="no connection became free"):
        host.get(f"{fault_server.url}/ok", timeout=host.module.Timeout(30, pool=0.01))
    host.close(left)


def test_what_the_content_raises_is_what_the_caller_gets(
    host: Host, fault_server: FaultServer
) -> None:
    def content() -> Iterator[bytes]:
        yield b"begun"
        raise LookupError("the content")

    async def awaited() -> AsyncIterator[bytes]:
        for piece in content():
            yield piece

    with pytest.raises(LookupError, match="the content"):
        host.run(
            host.client.post,
            f"{fault_server.url}/echo",
            content=awaited() if host.portal else content(),
        )
    assert host.works(fault_server)


def test_no_connection_and_no_adapter_for_it(host: Host) -> None:
    with pytest.raises(host.module.ConnectError) as caught:
        host.get("http://127.0.0.1:9/")
    assert isinstance(caught.value.__cause__, adieu.ConnectError)
    with pytest.raises(host.module.LocalProtocolError, match="target"):
        host.get("http://127.0.0.1:9/", extensions={"target": b"*"})


# What does not depend on the adapter below.


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_limit_for_the_whole_of_a_request(fault_server: FaultServer, library: str) -> None:
    module, bridge = LIBRARIES[library]
    error: Any = None
    for seconds in growing(0.05):
        with (
            module.Client(transport=bridge.AdieuTransport(total=seconds)) as client,
            pytest.raises(module.TimeoutException, match="the call did not end within") as caught,
        ):
            client.get(f"{fault_server.url}/stall-body?n=1000&sent=500&seconds=60")
        error = caught.value
        if isinstance(error, module.ReadTimeout):
            break
    assert isinstance(error, module.ReadTimeout)


@pytest.mark.parametrize("library", LIBRARIES)
def test_tls_settings_and_proxies_are_those_of_the_transport(
    tls_server: TLSServer, census: Watch, library: str
) -> None:
    module, bridge = LIBRARIES[library]
    with FaultProxy(auth="Basic bWU6czNjcmV0") as proxy:
        through = adieu.Proxy(proxy.url, auth=("me", "s3cret"))
        transport = bridge.AdieuTransport(verify=tls_server.ca_path, proxy=through)
        with module.Client(transport=transport) as client:
            assert client.get(f"{tls_server.url}/ok").status_code == 200
            named = tls_server.url.replace("127.0.0.1", "localhost")
            answer = client.get(f"{named}/ok", extensions={"sni_hostname": "127.0.0.1"})
            assert answer.status_code == 200
        assert {request.method for request in proxy.requests} == {"CONNECT"}
    with (
        module.Client(transport=bridge.AdieuTransport()) as client,
        pytest.raises(module.ConnectError, match="CA not trusted"),
    ):
        client.get(f"{tls_server.url}/ok")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_read_leaves_nothing_open(
    fault_server: FaultServer, census: Watch, library: str, backend: str
) -> None:
    module, bridge = LIBRARIES[library]
    url = f"{fault_server.url}/stall-body?n=1000&sent=500"

    async def main() -> None:
        transport = bridge.AsyncAdieuTransport(limits=adieu.Limits(connections=1))
        async with module.AsyncClient(transport=transport) as client:
            with anyio.move_on_after(0.05):
                async with client.stream("GET", url) as answer:
                    async for _ in answer.aiter_raw():
                        pass
            with anyio.move_on_after(0.05):
                await client.get(f"{fault_server.url}/stall-head")
            assert transport.client.connections() == []
            assert (await client.get(f"{fault_server.url}/ok")).status_code == 200

    anyio.run(main, backend=backend)
    assert census.count() == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_pieces_are_given_when_they_come(
    fault_server: FaultServer, census: Watch, library: str
) -> None:
    goes_on = threading.Event()

    def feed(peer: Peer, request: Request) -> Ending:
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n")
        goes_on.wait(30)
        peer.send(b"8\r\ndata: 2\n\r\n0\r\n\r\n")
        return "keep"

    fault_server.on("/feed", feed)

    module, bridge = LIBRARIES[library]

    async def main() -> list[str]:
        transport = bridge.AsyncAdieuTransport()
        async with (
            module.AsyncClient(transport=transport) as client,
            client.stream("GET", f"{fault_server.url}/feed") as answer,
        ):
            lines = []
            async for line in answer.aiter_lines():
                lines.append(line)
                goes_on.set()
            return lines

    assert asyncio.run(main()) == ["data: 1", "data: 2"]
