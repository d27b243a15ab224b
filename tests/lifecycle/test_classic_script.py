"""The script of psf/requests#520, and its variations: nothing is open when the block ends.

The operating system counts the sockets, while the collector is off and every result is still referenced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.scenarios import classic_script
from support.stage import Stage, caught, drop

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from support.runner import Runner
    from support.watch import Watch

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("uncollected")]

MODES = ("sync", "async", "async-trio")


class _Oops(Exception):
    pass


def test_after_the_block_of_a_client_no_socket_is_open(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        held = classic_script(stage, client, 20)
    assert stage.nothing_open()
    assert stage.in_use(client) == []
    assert held


def test_after_closing_a_client_by_hand_no_socket_is_open(stage: Stage) -> None:
    client = stage.client()
    held = classic_script(stage, client, 5)
    report = stage.run(client.close())
    assert stage.nothing_open()
    assert report.clean == (not report.holders)
    assert stage.run(client.close()).clean
    assert held


def test_a_client_that_is_dropped_closes_its_idle_connections(stage: Stage) -> None:
    client = stage.client(cleanup=adieu.Prefetch())
    held = [stage.get(client, "/bytes?n=500") for _ in range(3)]
    assert stage.sockets() == (0 if stage.adapter == "close" else 1)
    del client
    drop()
    assert stage.nothing_open()
    assert held


def test_after_a_one_shot_no_socket_is_open(
    runner: Runner, adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    held: list[Any] = []
    url = fault_server.url
    for _ in range(20):
        for method, path in (
            ("HEAD", "/bytes?n=500"),
            ("GET", "/bytes?n=500"),
            ("GET", "/until-close?n=20000"),
            ("GET", "/status/404?body=20000"),
            ("POST", "/echo"),
        ):
            held.append(runner.run(runner.one_shot(method, url + path, adapter=adapter)))
            assert census.count() == 0
    chain = runner.run(runner.one_shot("GET", f"{url}/redirect?n=5&body=500", adapter=adapter))
    assert chain.status_code == 200
    assert census.count() == 0
    # One client follows the chain, so with keep-alive it needs only one connection.
    assert fault_server.requests[-1].nth == (1 if adapter == "close" else 6)
    assert held


def test_after_a_one_shot_that_raises_no_socket_is_open(
    runner: Runner, adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    def call(path: str) -> None:
        timeout = adieu.Timeout(read=0.05 if "stall" in path else 30)
        url = fault_server.url + path
        runner.run(runner.one_shot("GET", url, adapter=adapter, timeout=timeout))

    held = []
    for path, kind in {
        "/stall-head": adieu.ReadTimeout,
        "/stall-body": adieu.ReadTimeout,
        "/truncated": adieu.BodyTruncated,
        "/reset": adieu.ReadError,
        "/close": adieu.PeerClosed,
        "/redirect?n=50": adieu.TooManyRedirects,
    }.items():
        held.append(caught(kind, call, path))
        assert census.count() == 0, path
    assert held


@pytest.mark.parametrize("how", ["unread", "partly", "whole", "closed", "raised"])
def test_after_the_block_of_a_streaming_one_shot_no_socket_is_open(
    runner: Runner, adapter: str, fault_server: FaultServer, census: Watch, how: str
) -> None:
    def stream(path: str) -> Any:
        with runner.one_stream("GET", fault_server.url + path, adapter=adapter) as response:
            if how == "partly":
                next(runner.each(response.iter_bytes()))
            elif how == "whole":
                runner.run(response.read())
            elif how == "closed":
                runner.run(response.close())
            elif how == "raised":
                raise _Oops
        return response

    held: list[Any] = []
    for _ in range(5):
        for path in ("/bytes?n=500", "/bytes?n=1000000", "/chunked?n=5000", "/until-close?n=5000"):
            held.append(caught(_Oops, stream, path) if how == "raised" else stream(path))
            assert census.count() == 0
    assert held


_BODILESS = [
    ("HEAD", "/bytes?n=1000"),
    ("HEAD", "/chunked?n=1000"),
    ("GET", "/no-content"),
    ("GET", "/not-modified"),
    ("GET", "/empty"),
    ("GET", "/chunked-and-empty"),
]


@pytest.mark.parametrize("streaming", [False, True], ids=["request", "stream"])
def test_without_a_body_the_connection_is_released_before_the_call_returns(
    stage: Stage, streaming: bool
) -> None:
    reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    stage.server.reply("/chunked-and-empty", reply)
    held = []
    with stage.block(stage.one()) as client:
        for method, path in _BODILESS * 2:
            response = stage.run((client.stream if streaming else client.request)(method, path))
            assert response.is_closed, path
            assert stage.in_use(client) == [], path
            assert stage.read(response) == b""
            held.append(response)
        keeps = stage.adapter != "close" and (stage.policy is None or stage.policy.keep_alive)
        assert stage.sockets() == (1 if keeps else 0)
    assert stage.server.accepted == (1 if keeps else len(held))


def test_a_small_body_that_came_with_its_head_holds_no_connection(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        held = [stage.run(client.stream("GET", "/ok")) for _ in range(20)]
        assert stage.in_use(client) == []
        assert [stage.read(response)[:10] for response in held] == [b'{"request"'] * 20
