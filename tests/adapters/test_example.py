"""The adapter of docs/example-adapter.md, as the page has it, through the life of its connections.

It is written with what docs/adapters.md promises alone, so these tests hold that page to its word.
"""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.deadline import Deadline
from adieu.testing import BlackHole, TLSFaults, payload
from support.runner import SyncRunner
from support.scenarios import SCENARIOS, Scenario, classic_script, play_twice
from support.stage import POLICIES, Stage, caught, drop, eventually, growing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request as ServerRequest
    from servers import TLSServer
    from support.watch import Watch

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("uncollected")]

PAGE = Path(__file__).parents[2] / "docs/example-adapter.md"


def _adapter_of_the_page() -> type[Any]:
    """Run the blocks of the page until the adapter is defined."""
    text = PAGE.read_text(encoding="utf-8")
    # Its lines are an adapter's, not a user's, for reports that name the line that opened a response.
    names: dict[str, Any] = {"__name__": "adieu_example"}
    for block in re.finditer(r"(?ms)^```python\n(.*?)^```$", text):
        before = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(before + block.group(1), PAGE, "exec"), names)
        if "HTTPClientAdapter" in names:
            break
    found: type[Any] = names["HTTPClientAdapter"]
    return found


HTTPClientAdapter = _adapter_of_the_page()


class _ExampleStage(Stage):
    """A stage whose clients have an adapter of the page."""

    def client(self, **options: Any) -> Any:
        limits = options.pop("limits", None)
        adapter = options.pop("adapter", None) or HTTPClientAdapter(limits)
        return super().client(**{"adapter": adapter, **options})


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The cyclic collector is off, so reference cycles stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def bare(fault_server: FaultServer, census: Watch) -> Stage:
    return _ExampleStage(SyncRunner(), "example", None, fault_server, census)


@pytest.fixture(params=POLICIES)
def stage(request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch) -> Stage:
    policy = POLICIES[request.param]()
    return _ExampleStage(SyncRunner(), "example", policy, fault_server, census)


# What docs/example-adapter.md says of http.client and of itself: no proxies, no upgrades, trailers are not
# checked, a lookup is waited for, and a response that is not read yet holds its connection, even if its body is here.
_BEYOND_IT = {
    "upgrade",
    "peer-truncated-chunked-where=trailer",
    "dns-stall",
    "redirect-with-fifty-megabytes",
    "redirect-with-a-stalled-body",
}
_PLAYED = [
    scenario
    for scenario in SCENARIOS.values()
    if scenario.name not in _BEYOND_IT and not scenario.name.startswith("proxy-")
]


@pytest.mark.parametrize("scenario", _PLAYED, ids=lambda scenario: scenario.name)
def test_the_next_call_works_and_nothing_is_open_after_the_block(
    bare: Stage, scenario: Scenario
) -> None:
    bare.policy = adieu.ReleaseOnRead()
    play_twice(bare, scenario)


def test_after_the_block_of_a_client_no_socket_is_open(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        held = classic_script(stage, client, 10)
    assert stage.nothing_open()
    assert stage.in_use(client) == []
    assert held


def test_every_policy_keeps_one_connection_or_none(stage: Stage) -> None:
    assert stage.policy is not None
    with stage.block(stage.one()) as client:
        for method, path in (
            ("HEAD", "/bytes?n=1000"),
            ("GET", "/no-content"),
            ("GET", "/not-modified"),
            ("GET", "/empty"),
            ("GET", "/bytes?n=5000"),
            ("GET", "/chunked?n=5000"),
            ("GET", "/status/404?body=5000"),
        ):
            response = stage.get(client, path, method)
            assert len(response.read()) in (0, 5000)
            assert stage.in_use(client) == []
    assert stage.server.accepted == (1 if stage.policy.keep_alive else 7)
    assert stage.nothing_open()


def test_without_a_body_the_connection_is_released_before_the_call_returns(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        for method, path in (
            ("HEAD", "/bytes?n=1000"),
            ("HEAD", "/chunked?n=1000"),
            ("GET", "/no-content"),
            ("GET", "/not-modified"),
            ("GET", "/empty"),
        ):
            response = client.stream(method, path)
            assert response.is_closed
            assert stage.in_use(client) == []


def _drop_one(client: Any) -> None:
    client.get("/bytes?n=900000")
    drop()


def test_a_response_that_is_dropped_is_reported_and_its_connection_closed(bare: Stage) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        with pytest.warns(ResourceWarning, match=r"GET .* holds connection .*test_example\.py"):
            _drop_one(client)
        assert bare.sockets() == 0
        bare.next_works(client)


def test_a_client_that_is_dropped_closes_its_idle_connections(bare: Stage) -> None:
    client = bare.client()
    client.get("/bytes?n=500")
    assert bare.sockets() == 1
    del client
    drop()
    assert bare.nothing_open()


# Content, both ways


@pytest.mark.parametrize(
    "options",
    [
        {"content": b"x" * 300_000},
        {"content": "text"},
        {"content": b""},
        {"content": [b"in ", b"pieces"]},
        {"json": {"a": [1, 2]}},
        {"data": {"name": "value"}},
        {"files": {"upload": b"x" * 100_000}},
    ],
    ids=["bytes", "text", "empty", "iterable", "json", "form", "files"],
)
def test_content_of_every_kind_arrives(bare: Stage, options: dict[str, Any]) -> None:
    with bare.block(bare.one()) as client:
        for _ in range(2):
            response = client.post("/echo", **options)
            sent = b"".join(response.request.content.chunks())
            assert response.json()["body"].encode("latin-1") == sent
    assert bare.server.accepted == 1


def test_the_header_fields_are_those_that_other_adapters_send(bare: Stage) -> None:
    sent = []
    for adapter in (None, "native"):
        options: dict[str, Any] = {"adapter": adapter} if adapter else {}
        for policy in (adieu.Prefetch(), adieu.NoKeepAlive()):
            with adieu.Client(
                bare.server.url, **{"adapter": HTTPClientAdapter(), **options}
            ) as client:
                answer = client.post("/echo", json=[1], headers={"x-a": "1"}, cleanup=policy)
                sent.append(answer.json()["headers"])
    assert sent[:2] == sent[2:]


def test_an_upgraded_connection_is_not_used_again(bare: Stage) -> None:
    with bare.block(bare.one()) as client:
        headers = {"upgrade": "shout", "connection": "upgrade"}
        assert client.get("/upgrade", headers=headers).status_code == 101
        bare.next_works(client)
    assert bare.server.accepted == 2


def test_content_of_another_length_than_announced_is_an_error(bare: Stage) -> None:
    with bare.block(bare.one()) as client:
        for pieces in ([b"12345678901"], [b"123456789"]):
            headers = {"content-length": "10"}
            caught(
                adieu.InvalidRequest, client.post, "/echo", content=iter(pieces), headers=headers
            )
            bare.next_works(client)


@pytest.mark.parametrize(
    "path",
    [
        "/bytes?n=200000",
        "/chunked?n=200000&size=5000",
        "/until-close?n=200000",
        "/gzip?n=200000",
        "/bytes?n=10",
        "/empty",
    ],
)
def test_a_body_of_every_framing_arrives(stage: Stage, path: str) -> None:
    size = int(path.partition("n=")[2].partition("&")[0] or 0)
    with stage.block(stage.one()) as client:
        for _ in range(2):
            assert client.get(path).read() == payload(size)
            with client.stream("GET", path) as response:
                assert b"".join(response.iter_bytes()) == payload(size)
    assert stage.nothing_open()


# Waiting


def test_a_full_pool_names_its_holders(bare: Stage) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        held = client.stream("GET", "/bytes?n=900000")
        timeout = adieu.Timeout(pool=0.02)
        error = caught(adieu.PoolTimeout, client.get, "/ok", timeout=timeout)
        assert isinstance(error, adieu.PoolTimeout)
        assert "/bytes?n=900000 holds connection" in error.holders[0]
        assert error.retry_safe
        held.close()
        bare.next_works(client)


def test_the_next_in_the_queue_gets_the_connection(bare: Stage) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        held = client.stream("GET", "/bytes?n=100")
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(client.get("/bytes?n=200").read()))
        waiting.start()
        eventually(lambda: waiting.is_alive() and bare.in_use(client))
        held.read()
        waiting.join(30)
        assert answers == [payload(200)]
    assert bare.server.accepted == 1


@pytest.mark.parametrize(
    ("path", "limits", "kind", "sent"),
    [
        ("/stall-head", {"read": 0.02}, adieu.ReadTimeout, "wholly"),
        ("/stall-body?n=2000&sent=1000", {"read": 0.02}, adieu.ReadTimeout, "wholly"),
        ("/stall-head", {"read": 60, "total": 0.05}, adieu.DeadlineExceeded, "wholly"),
        ("/reset", {}, adieu.ReadError, "wholly"),
        ("/close", {}, adieu.PeerClosed, "wholly"),
    ],
)
def test_an_error_tells_how_far_the_exchange_came(
    bare: Stage, path: str, limits: dict[str, float], kind: type[adieu.TransportError], sent: str
) -> None:
    with bare.block(bare.one()) as client:
        error: Any = None
        for longer in growing(1):
            timeout = adieu.Timeout(**{name: longer * limit for name, limit in limits.items()})
            error = caught(kind, client.get, path, timeout=timeout)
            if error.request_sent == sent:
                break
        assert isinstance(error, adieu.TransportError)
        assert (error.request_sent, error.method) == (sent, "GET")
        assert error.url is not None
        assert path in error.url
        assert not error.retry_safe
        assert bare.sockets() == 0
        bare.next_works(client)


def test_an_upload_that_breaks_off_says_that_it_was_sent_partly(bare: Stage) -> None:
    with bare.block(bare.one()) as client:
        timeout = adieu.Timeout(write=0.05)
        content = [b"x" * 1_000_000] * 30
        error = caught(
            adieu.WriteTimeout, client.post, "/stall-read", content=content, timeout=timeout
        )
        assert isinstance(error, adieu.WriteTimeout)
        assert error.request_sent == "partly"
        bare.next_works(client)


def test_a_connect_timeout_says_that_nothing_was_sent(bare: Stage) -> None:
    with BlackHole(full=True) as hole, bare.block(bare.one()) as client:
        timeout = adieu.Timeout(connect=0.02)
        error = caught(adieu.ConnectTimeout, client.get, hole.url, timeout=timeout)
        assert isinstance(error, adieu.ConnectTimeout)
        assert error.retry_safe
        bare.next_works(client)


# TLS, and the settings that it does not honour


def test_tls_settings_are_honoured(bare: Stage, tls_server: TLSServer) -> None:
    url = f"{tls_server.url}/bytes?n=100000"
    with bare.block(bare.one()) as client:
        error = caught(adieu.TLSError, client.get, url)
        assert "CA" in str(error)
        for verify in (str(tls_server.ca_path), tls_server.ca_pem):
            assert client.get(url, verify=verify).content == payload(100_000)
        pinned = adieu.TLSConfig(verify=tls_server.ca_pem, fingerprints="ab" * 32)
        assert "fingerprint" in str(caught(adieu.TLSError, client.get, url, tls=pinned))
        cut = f"{tls_server.url}/until-close?n=7000&abrupt=1"
        caught(adieu.BodyTruncated, client.get, cut, verify=tls_server.ca_pem)
        assert client.get(url, verify=tls_server.ca_pem).content == payload(100_000)
    assert bare.nothing_open()


@pytest.mark.parametrize("path", ["/surplus", "/surplus?extra=20000", "/second-response"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_bytes_after_the_end_answer_no_request(
    bare: Stage, tls_server: TLSServer, path: str, tls: bool
) -> None:
    server = tls_server.server if tls else bare.server
    with bare.block(bare.one(base_url=server.url, verify=tls_server.ca_pem)) as client:
        for size in (10, 20, 30):
            client.get(path)
            assert client.get(f"/bytes?n={size}").content == payload(size)


def test_a_setting_that_it_does_not_honour_is_refused(bare: Stage) -> None:
    with bare.block(bare.client(proxy="http://127.0.0.1:9/")) as client:
        error = caught(adieu.InvalidRequest, client.get, "http://example.org/")
        assert "does not honour" in str(error)
    with bare.block(bare.client()) as client:
        caught(adieu.InvalidRequest, client.post, "/echo", content=b"a", trailers={"x": "y"})
        caught(adieu.InvalidRequest, client.request, "CONNECT", "/echo")
        assert bare.server.accepted == 0


# Threads, and the end of the client


def test_many_threads_share_few_connections(bare: Stage) -> None:
    right: list[bool] = []

    def work(client: Any, size: int) -> None:
        for _ in range(20):
            right.append(client.get(f"/bytes?n={size}").content == payload(size))  # noqa: PERF401

    with bare.block(bare.client(limits=adieu.Limits(connections=3))) as client:
        threads = [threading.Thread(target=work, args=(client, 1000 + n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert right == [True] * 160
        assert bare.in_use(client) == []
        assert bare.sockets() <= 3


def test_closing_the_client_ends_what_is_open_and_says_so(bare: Stage) -> None:
    client = bare.client(cleanup=adieu.ReleaseOnRead())
    held = client.stream("GET", "/bytes?n=900000")
    client.get("/ok").read()
    report = client.close()
    assert (report.idle, report.in_use) == (1, 1)
    assert bare.nothing_open()
    caught(adieu.ClientClosed, held.read)
    caught(adieu.ClientClosed, client.get, "/ok")
    assert client.close().clean


def test_closing_the_client_ends_a_handshake(bare: Stage) -> None:
    with TLSFaults("stall") as server:
        bare.watch.also(server.port)
        client = bare.client(timeout=30)
        errors: list[Any] = []
        thread = threading.Thread(
            target=lambda: errors.append(caught(adieu.AdieuError, client.get, server.url))
        )
        thread.start()
        eventually(lambda: server.open == 1 and client.connections())
        client.close()
        thread.join(30)
        assert [type(error) for error in errors] == [adieu.ClientClosed]
        assert bare.nothing_open()


def _endless(peer: Peer, request: ServerRequest) -> Ending:
    peer.start(200, [("connection", "close")])
    peer.body(b"x" * 5000)
    peer.pause(30)
    return "close"


@pytest.mark.parametrize(
    "path", ["/stall-head?seconds=30", "/stall-body?n=100&sent=50&seconds=30", "/endless"]
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_closing_the_client_wakes_a_thread_that_waits(
    bare: Stage, tls_server: TLSServer, path: str, tls: bool
) -> None:
    server = tls_server.server if tls else bare.server
    server.on("/endless", _endless)
    client = bare.client(base_url=server.url, verify=tls_server.ca_pem, timeout=30)
    errors: list[Any] = []
    thread = threading.Thread(
        target=lambda: errors.append(caught(adieu.AdieuError, client.get, path))
    )
    thread.start()
    eventually(lambda: server.served == 1)
    client.close()
    thread.join(30)
    assert [type(error) for error in errors] == [adieu.ClientClosed]
    assert bare.nothing_open()


@pytest.mark.parametrize("step", ["create_connection", "wrap_socket"])
def test_a_socket_that_is_made_after_the_client_was_closed_is_closed(
    bare: Stage, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    owner: Any = socket if step == "create_connection" else ssl.SSLContext
    make = getattr(owner, step)

    def made_late(*args: Any, **options: Any) -> socket.socket:
        sock: socket.socket = make(*args, **options)
        client.close()
        return sock

    monkeypatch.setattr(owner, step, made_late)
    with TLSFaults("stall") as server:
        bare.watch.also(server.port)
        client = bare.client(timeout=30)
        caught(adieu.ClientClosed, client.get, server.url)
        assert bare.nothing_open()


def test_a_lease_that_has_ended_reads_nothing(bare: Stage) -> None:
    leases: list[Any] = []

    class Spy(adieu.Middleware):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            response = self.inner.send(request, exchange)
            leases.append(exchange.lease)
            return response

    with bare.block(bare.client(adapter=Spy(HTTPClientAdapter()))) as client:
        for _ in range(2):  # The second one has the connection of the first.
            client.get("/bytes?n=100").read()
        deadline = Deadline(adieu.Timeout())
        for lease in leases:
            assert lease.connection is leases[1].connection
            caught(adieu.BodyClosed, lease.read, deadline)


def test_a_middleware_can_wrap_its_bodies(stage: Stage) -> None:
    class Upper(adieu.Middleware):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            def upper(chunks: Iterator[bytes]) -> Iterator[bytes]:
                for chunk in chunks:
                    yield chunk.upper()

            return self.inner.send(request, exchange).wrap(upper)

    adapter = Upper(HTTPClientAdapter(adieu.Limits(connections=1)))
    with stage.block(stage.client(adapter=adapter)) as client:
        for path in ("/bytes?n=5000", "/chunked?n=200000&size=5000"):
            size = int(path.partition("n=")[2].partition("&")[0])
            assert client.get(path).read() == payload(size).upper()
            with client.stream("GET", path) as response:
                next(response.iter_bytes())
            assert stage.in_use(client) == []
    assert stage.nothing_open()


def test_it_serves_async_clients_in_threads(bare: Stage) -> None:
    async def calls() -> list[bytes]:
        adapter = adieu.to_async(HTTPClientAdapter(), threads=2)
        async with adieu.AsyncClient(bare.server.url, adapter=adapter) as client:
            each = [client.get(f"/bytes?n={size}") for size in (10, 200_000, 30)]
            return [response.content for response in await asyncio.gather(*each)]

    assert asyncio.run(calls()) == [payload(10), payload(200_000), payload(30)]
    assert bare.nothing_open()
