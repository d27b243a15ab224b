"""A connection that changes to another protocol becomes a byte stream of the user (RFC 9110, 7.8 and 9.3.6)."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.proxies import FaultProxy
from support.stage import caught
from support.steering import LOOPS, run, sleep, spawn
from support.threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, FaultServer, Peer, Request
    from servers import Authority, TLSServer
    from support.stage import Stage

SHOUT = {"Upgrade": "shout", "Connection": "upgrade"}


def upgraded(stage: Stage, client: Any, path: str = "/upgrade") -> Any:
    response = stage.get(client, path, headers=SHOUT)
    assert (response.status_code, response.content) == (101, b"")
    assert response.headers["upgrade"] == "shout"
    return response.upgraded


@pytest.mark.needs("upgrades")
def test_after_a_101_the_stream_is_the_users(stage: Stage) -> None:
    with stage.block(stage.one()) as client, stage.block(upgraded(stage, client)) as stream:
        for word in (b"one", b"two"):
            stage.run(stream.send(word))
            assert stage.run(stream.recv()) == word.upper()
        # It has left its pool, so the only place there is free.
        stage.next_works(client)
        stage.run(client.close())
        stage.run(stream.send(b"still here"))
        assert stage.run(stream.recv()) == b"STILL HERE"
    assert stage.nothing_open()


@pytest.mark.needs("upgrades")
def test_bytes_that_came_with_the_head_come_first(stage: Stage) -> None:
    def eager(peer: Peer, request: Request) -> Ending:
        head = b"HTTP/1.1 101 Go\r\nUpgrade: shout\r\nConnection: upgrade\r\n\r\n"
        peer.send(head + b"hello")
        peer.send(peer.read_raw())
        return "close"

    stage.server.on("/eager", eager)
    with (
        stage.block(stage.one()) as client,
        stage.block(upgraded(stage, client, "/eager")) as stream,
    ):
        assert stage.run(stream.recv(2)) == b"he"
        assert stage.run(stream.recv()) == b"llo"
        stage.run(stream.send(b"bye"))
        assert stage.run(stream.recv()) == b"bye"
        assert stage.run(stream.recv()) == b""


@pytest.mark.needs("upgrades")
def test_a_stream_waits_no_longer_than_its_timeout(stage: Stage) -> None:
    with stage.block(stage.one()) as client, stage.block(upgraded(stage, client)) as stream:
        assert isinstance(
            caught(TimeoutError, lambda: stage.run(stream.recv(timeout=0.05))), TimeoutError
        )


def test_an_unrequested_upgrade_is_an_error(stage: Stage) -> None:
    stage.server.reply("/unasked", b"HTTP/1.1 101 Go\r\nUpgrade: shout\r\n\r\n")
    with stage.block(stage.one()) as client:
        caught(adieu.ProtocolError, stage.get, client, "/unasked")
        stage.next_works(client)


@pytest.mark.needs("upgrades")
def test_a_server_that_does_not_upgrade_gives_a_response(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        response = stage.get(client, "/ok", headers=SHOUT)
        assert (response.status_code, response.upgraded) == (200, None)
        stage.next_works(client)


@pytest.mark.needs("upgrades")
def test_a_stream_that_is_dropped_is_closed_and_reported(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        stream = upgraded(stage, client)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            del stream
            gc.collect()
        assert ["dropped without being closed" in str(each.message) for each in warned] == [True]
    assert stage.nothing_open()


# Both directions at once


def test_a_thread_sends_while_another_one_waits_in_recv(
    fault_server: FaultServer, tls_server: TLSServer, authority: Authority
) -> None:
    with (
        FaultProxy(tls=authority.server_context()) as proxy,
        adieu.Client(verify=tls_server.ca_path) as client,
    ):
        for url, through in (
            (fault_server.url, None),
            (tls_server.url, None),
            (tls_server.url, f"https://localhost:{proxy.port}"),  # TLS in TLS
        ):
            response = client.get(f"{url}/upgrade", headers=SHOUT, proxy=through)
            with response.upgraded as stream:
                reader = BackgroundCall(lambda stream=stream: stream.recv(timeout=30))  # type: ignore[misc]
                reader.wait_until_in("recv")
                stream.send(b"hello")
                assert reader.finished() == b"HELLO"


def test_close_ends_the_recv_of_another_thread(fault_server: FaultServer) -> None:
    with adieu.Client() as client:
        stream = client.get(f"{fault_server.url}/upgrade", headers=SHOUT).upgraded
        reader = BackgroundCall(lambda: stream.recv(timeout=30))
        reader.wait_until_in("recv")
        stream.close()
        assert isinstance(reader.finished(), ConnectionAbortedError)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True])
def test_a_task_sends_while_another_one_waits_in_recv(
    fault_server: FaultServer, tls_server: TLSServer, loop: str, tls: bool
) -> None:
    server = tls_server if tls else fault_server

    async def main() -> None:
        async with adieu.AsyncClient(verify=tls_server.client_context) as client:
            response = await client.get(f"{server.url}/upgrade", headers=SHOUT)
            async with response.upgraded as stream:
                reading = spawn(stream.recv(timeout=30))
                for _ in range(5):
                    await sleep(0)
                assert not reading.done()
                await stream.send(b"hello")
                assert await reading == b"HELLO"

    run(main(), LOOPS[loop])


# CONNECT


@contextmanager
def echoing() -> Iterator[str]:
    """A server without HTTP: it sends the received bytes back, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(peer.recv(100))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(30)


@pytest.mark.needs("upgrades")
def test_connect_gives_a_stream_through_the_proxy_to_anything(stage: Stage) -> None:
    with echoing() as place, FaultProxy(auth="Basic bWU6cw==") as proxy:
        headers = {"Host": place, "Proxy-Authorization": "Basic bWU6cw=="}
        with stage.block(stage.one()) as client:
            response = stage.get(client, proxy.url, "CONNECT", headers=headers)
            assert response.status_code == 200
            with stage.block(response.upgraded) as stream:
                stage.run(stream.send(b"not http"))
                assert stage.run(stream.recv()) == b"not http"
                stage.next_works(client)
    (asked,) = proxy.requests
    assert (asked.method, asked.target, asked.header("host")) == ("CONNECT", place, place)


@pytest.mark.needs("upgrades")
@pytest.mark.parametrize("status", [200, 302, 407, 502])
def test_a_proxy_that_refuses_gives_a_response(stage: Stage, status: int) -> None:
    answer = f"HTTP/1.1 {status} No\r\nLocation: /ok\r\nContent-Length: 2\r\n\r\nno".encode()
    with FaultProxy(answer=answer) as proxy, echoing() as place:
        socket.create_connection(place.split(":"), 5).close()  # type: ignore[arg-type]
        headers = {"Host": place if status == 200 else "127.0.0.1:1"}
        with stage.block(stage.one()) as client:
            response = stage.get(client, proxy.url, "CONNECT", headers=headers)
            if status == 200:
                # The answer that opens a tunnel has no content, even if it announces one.
                with stage.block(response.upgraded) as stream:
                    assert stage.run(stream.recv()) == b"no"
            else:
                assert response.upgraded is None
            stage.next_works(client)


@pytest.mark.needs("upgrades")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Host": "db.example.org"}},
        {"headers": {"Host": "a b:1"}},
        {"headers": {"Host": "[::1:5]:80x"}},
        {"headers": {"Host": "a:1"}, "content": b"x"},
    ],
)
def test_a_connect_without_a_target_or_with_a_proxy_is_refused(
    stage: Stage, options: dict[str, Any]
) -> None:
    with stage.block(stage.one()) as client:
        error = caught(adieu.InvalidRequest, stage.get, client, "/", "CONNECT", **options)
        assert "headers={'Host': 'db.example.org:5432'}" in str(error)
        assert not stage.server.requests
        with_proxy = {"headers": {"Host": "a:1"}, "proxy": stage.server.url}
        error = caught(adieu.InvalidRequest, stage.get, client, "/", "CONNECT", **with_proxy)
        assert "pass proxy=None" in str(error)
        stage.next_works(client)
