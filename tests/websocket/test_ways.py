"""WebSockets by every way that a request takes: adapters, TLS, proxies, Unix sockets, guards, mounts, credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import FaultServer
from adieu_native import AsyncNativeAdapter, NativeAdapter
from support.clients import EventLog
from support.needs import LACKS
from support.proxies import FaultProxy, SocksServer
from support.stage import caught
from support.websockets import Sockets

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Authority, TLSServer
    from support.stage import Stage


def echoes(stage: Stage, client: Any, url: str, **options: Any) -> None:
    """A message comes back."""
    with stage.block(client.websocket(url, **options)) as ws:
        stage.run(ws.send("over and back"))
        assert stage.run(ws.receive()) == "over and back"
        assert ws.state == "open"
    assert ws.close_code == 1000


@pytest.mark.parametrize("adapter", ["h11", "close"])
def test_every_adapter_that_can_upgrade(stage: Stage, sockets: Sockets, adapter: str) -> None:
    with stage.block(stage.client(adapter=adapter)) as client:
        echoes(stage, client, "/ws")
        caught(adieu.StatusError, lambda: stage.run(client.websocket("/ok")))
    assert stage.nothing_open()


def test_an_adapter_that_cannot_upgrade_says_so(stage: Stage, is_async: bool) -> None:
    assert "upgrades" in LACKS["urllib3"]
    adapter: Any = "urllib3"
    if is_async:
        adapter = adieu.to_async(__import__("adieu_urllib3").Urllib3Adapter())
    with stage.block(stage.client(adapter=adapter)) as client:
        error = caught(adieu.InvalidRequest, lambda: stage.run(client.websocket("/ws")))
        assert "urllib3 opens no tunnels and upgrades no connections" in str(error)


def test_adapters_of_the_other_kind(stage: Stage, sockets: Sockets, is_async: bool) -> None:
    """A thread can wait for an event loop; a task cannot wait for two directions in one thread."""
    if not is_async:
        with stage.block(stage.client(adapter=adieu.to_sync(AsyncNativeAdapter()))) as client:
            echoes(stage, client, "/ws")
            ws = stage.run(client.websocket("/ws"))
        caught(adieu.ClientClosed, ws.receive)
    else:
        with stage.block(stage.client(adapter=adieu.to_async(NativeAdapter()))) as client:
            error = caught(adieu.InvalidRequest, lambda: stage.run(client.websocket("/ws")))
            assert "cannot use: mount one that is made for it" in str(error)
    assert stage.nothing_open()


def test_over_tls(stage: Stage, tls_server: TLSServer) -> None:
    Sockets(tls_server.server)
    url = f"wss{tls_server.url[5:]}/ws"
    with stage.block(stage.client(base_url=None, verify=tls_server.ca_path)) as client:
        echoes(stage, client, url)
        with stage.block(client.websocket(url)) as ws:
            stage.run(ws.send(bytes(300_000)))
            assert len(stage.run(ws.receive())) == 300_000
    with stage.block(stage.client(base_url=None)) as client:
        caught(adieu.TLSError, lambda: stage.run(client.websocket(url)))
    assert stage.nothing_open()


def test_through_proxies(
    stage: Stage, sockets: Sockets, tls_server: TLSServer, authority: Authority
) -> None:
    Sockets(tls_server.server)
    secure = f"wss{tls_server.url[5:]}/ws"
    with (
        FaultProxy(tls=authority.server_context()) as tls_proxy,
        FaultProxy(auth="Basic bWU6cw==") as proxy,
        SocksServer() as socks,
        stage.block(stage.client(verify=tls_server.ca_path)) as client,
    ):
        through = f"http://me:s@127.0.0.1:{proxy.port}"
        echoes(stage, client, secure, proxy=through)
        echoes(stage, client, secure, proxy=f"https://localhost:{tls_proxy.port}")
        echoes(stage, client, "/ws", proxy=f"socks5://127.0.0.1:{socks.port}")
        error = caught(
            adieu.ProxyError,
            lambda: stage.run(client.websocket(secure, proxy=f"http://127.0.0.1:{proxy.port}")),
        )
        assert isinstance(error, adieu.ProxyError)
        assert error.status == 407
    assert stage.nothing_open()


def test_over_a_unix_socket(stage: Stage, tmp_path: Path, is_async: bool) -> None:
    path = str(tmp_path / "socket")
    wire: Any = adieu.UnixWire(path)
    if is_async:
        from adieu.net.async_wire import AsyncUnixWire

        wire = AsyncUnixWire(path)
    adapter = AsyncNativeAdapter(wire=wire) if is_async else NativeAdapter(wire=wire)
    with FaultServer(unix=path) as server, stage.block(stage.client(adapter=adapter)) as client:
        Sockets(server)
        echoes(stage, client, "ws://localhost/ws")


def test_a_guard_refuses_what_it_refuses_of_requests(
    stage: Stage, sockets: Sockets, is_async: bool
) -> None:
    guard: Any = adieu.AsyncGuard() if is_async else adieu.Guard()
    with stage.block(stage.client(adapter=guard)) as client:
        caught(adieu.GuardError, lambda: stage.run(client.websocket("/ws")))
    allowed = (adieu.AsyncGuard if is_async else adieu.Guard)(allow=["127.0.0.0/8"])
    with stage.block(stage.client(adapter=allowed)) as client:
        echoes(stage, client, "/ws")


def test_mounts_for_websockets(stage: Stage, sockets: Sockets) -> None:
    asked: list[str] = []

    def canned(request: adieu.Request) -> adieu.Response:
        asked.append(str(request.url))
        return adieu.Response(403)

    with stage.block(stage.client()) as client:
        client.mount("wss://*.example.org/", canned)
        client.mount(f"ws://127.0.0.1:{stage.server.port}/private/", canned)
        for url in ("wss://a.example.org/x", "/private/ws"):
            caught(adieu.StatusError, lambda url=url: stage.run(client.websocket(url)))
        echoes(stage, client, "/ws")
        assert asked == ["https://a.example.org/x", f"{stage.server.url}/private/ws"]


def test_credentials_cookies_and_events(stage: Stage, sockets: Sockets) -> None:
    log = EventLog()
    with stage.block(stage.client(auth=("me", "secret"), cookies={"a": "1"}, events=log)) as client:
        echoes(stage, client, "/ws")
        echoes(stage, client, "/ws", auth=adieu.BearerAuth("other"))
    fields = [
        (each.header("authorization"), each.header("cookie")) for each in stage.server.requests
    ]
    assert fields == [("Basic bWU6c2VjcmV0", "a=1"), ("Bearer other", "a=1")]
    log.check()
    assert log.ends == [101, 101]


def test_a_digest_is_answered(stage: Stage, sockets: Sockets) -> None:
    challenge = 'Digest realm="r", nonce="n", qop="auth"'
    inner = stage.server._own_routes["/ws"]

    def guarded(peer: Any, request: Any) -> Any:
        if request.header("authorization") is None:
            peer.reply("401 Unauthorized", b"who?", [("WWW-Authenticate", challenge)])
            return "keep"
        return inner.serve(peer, request)

    stage.server.on("/digest", guarded)
    with stage.block(stage.client(auth=adieu.DigestAuth("me", "secret"))) as client:
        echoes(stage, client, "/digest")
    assert len(stage.server.requests) == 2


def test_retries_of_the_handshake(stage: Stage, sockets: Sockets) -> None:
    inner = stage.server._own_routes["/ws"]

    def first_busy(peer: Any, request: Any) -> Any:
        if len(stage.server.requests) == 1:
            peer.reply("503 Busy", b"", [("Retry-After", "0")])
            return "keep"
        return inner.serve(peer, request)

    stage.server.on("/busy", first_busy)
    with stage.block(stage.client(retry=2)) as client:
        echoes(stage, client, "/busy")
