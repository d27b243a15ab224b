"""A small server is not blocked: ten threads serve two hundred requests with unread answers, under every policy.

Small servers suffer first from unread responses: each open connection that its client neither reads nor closes takes
one of the threads of the server.
"""

from __future__ import annotations

import json
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from servers import CherootTen
from support.stage import ADAPTERS, COUNTS_REFERENCES, POLICIES, drop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Nginx
    from support.runner import Runner
    from support.watch import Watch

MODES = ("sync", "async")

_REQUESTS = 200
# Without reference counting, each ten requests (the threads of the server) take a collection.
_DROPPED = _REQUESTS if COUNTS_REFERENCES else 20


@pytest.fixture(scope="module")
def small_server() -> Iterator[CherootTen]:
    """One cheroot for all tests here: a blocked thread stays blocked for every following test."""
    server = CherootTen()
    yield server
    server.close()


@pytest.fixture
def client(
    runner: Runner, adapter: str, policy: adieu.CleanupPolicy, small_server: CherootTen
) -> Iterator[Any]:
    """A client of the small server."""
    timeout = adieu.Timeout(connect=30, read=30, write=30, pool=30)
    client = runner.client(
        base_url=small_server.url, adapter=adapter, cleanup=policy, timeout=timeout
    )
    with runner.block(client):
        yield client


def _answers(server: CherootTen) -> bool:
    """Check that a new client is served."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(4096):
            answer += piece
    return answer.endswith(b"hello")


@pytest.mark.lifecycle
@pytest.mark.parametrize("how", ["left in a block", "closed", "missing"])
def test_two_hundred_unread_answers_do_not_block_the_server(
    runner: Runner, client: Any, small_server: CherootTen, census: Watch, how: str
) -> None:
    before = small_server.requests
    held = []
    for number in range(_REQUESTS):
        path = "/large" if number % 2 else "/small"
        if how == "left in a block":
            with runner.block(client.stream("GET", path)) as response:
                held.append(response)
        else:
            response = runner.run(client.get("/missing" if how == "missing" else path))
            runner.run(response.close())
            held.append(response)
    assert small_server.requests == before + _REQUESTS
    assert _answers(small_server)
    assert small_server.threads == 10
    assert len(held) == _REQUESTS
    runner.run(client.close())
    assert census.count() == 0


@pytest.mark.lifecycle
def test_two_hundred_dropped_answers_do_not_block_the_server(
    runner: Runner, client: Any, small_server: CherootTen, census: Watch
) -> None:
    """They are not even closed: reference counting ends them at once, other interpreters at a collection."""
    before = small_server.requests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        if isinstance(client.cleanup, adieu.Strict):
            client.cleanup = adieu.ReleaseOnRead()
        for number in range(_DROPPED):
            runner.run(client.get("/large" if number % 2 else "/small"))
            if number % 10 == 9:
                drop()
        drop()
    assert _answers(small_server)
    assert small_server.requests == before + _DROPPED + 1
    runner.run(client.close())
    assert census.count() == 0


@pytest.mark.lifecycle
def test_idle_connections_are_used_again(
    runner: Runner, client: Any, small_server: CherootTen, adapter: str, census: Watch
) -> None:
    for _ in range(50):
        assert runner.run(runner.run(client.get("/large")).read()) == b"x" * 100_000
    keeps = client.cleanup.keep_alive and adapter != "close"
    assert census.count() == (1 if keeps else 0)
    runner.run(client.close())
    assert census.count() == 0


# nginx


def _accepted(server: Nginx) -> int:
    """The number of connections that nginx has accepted, by its own count, which includes this request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(b"GET /counts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(4096):
            answer += piece
    return int(answer.split(b"requests\n")[1].split()[0])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("policy_name", POLICIES)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_nginx_serves_keep_alive_and_tls(
    runner: Runner, nginx: Nginx, census: Watch, adapter: str, policy_name: str, scheme: str
) -> None:
    policy = POLICIES[policy_name]()
    base = nginx.url if scheme == "http" else nginx.https_url
    before = _accepted(nginx)
    client = runner.client(
        base_url=base, adapter=adapter, cleanup=policy, verify=str(nginx.ca_path)
    )
    with runner.block(client) as client:
        for _ in range(10):
            small = runner.run(client.get("/small.txt"))
            assert runner.run(small.read()) == b"hello from nginx\n"
            text = runner.run(client.get("/text.txt"))
            assert text.headers["content-encoding"] == "gzip"
            assert runner.run(text.read()).startswith(b"adieu, adieu, remember me\n")
            head = runner.run(client.head("/megabyte.bin"))
            assert head.headers["content-length"] == str(1024 * 1024)
            redirected = runner.run(client.get("/redirect"))
            assert runner.run(redirected.read()) == b"hello from nginx\n"
            with runner.block(client.stream("GET", "/megabyte.bin")) as response:
                size = sum(map(len, runner.each(response.iter_bytes())))
                assert size == 1024 * 1024
        keeps = policy.keep_alive and adapter != "close"
        assert census.count() == (1 if keeps else 0)
        accepted = _accepted(nginx) - before - 1
        assert accepted == (1 if keeps else 60)
        last = runner.run(client.get("/close"))
        assert runner.run(last.read()) == b"the last one"
        assert census.count() == 0
    assert census.count() == 0


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_nginx_is_left_in_the_middle_of_a_megabyte(
    runner: Runner, nginx: Nginx, census: Watch, adapter: str
) -> None:
    for base in (nginx.url, nginx.https_url):
        with runner.block(
            runner.client(
                base_url=base,
                adapter=adapter,
                cleanup=adieu.ReleaseOnRead(),
                limits=adieu.Limits(connections=1),
                verify=str(nginx.ca_path),
            )
        ) as client:
            for _ in range(20):
                with runner.block(client.stream("GET", "/megabyte.bin")) as response:
                    assert next(runner.each(response.iter_bytes()))
                assert runner.run(client.get("/small.txt", cleanup=adieu.Prefetch())).ok
        assert census.count() == 0


def test_a_json_answer_over_tls_is_read_to_its_end(
    runner: Runner, tls_server: Any, adapter: str, census: Watch
) -> None:
    with runner.block(
        runner.client(base_url=tls_server.url, adapter=adapter, verify=str(tls_server.ca_path))
    ) as client:
        for _ in range(3):
            facts = json.loads(runner.run(client.get("/ok")).content)
            assert facts["request"] == tls_server.server.served
    assert census.count() == 0
