"""Schemes that authenticate connections: the requests of a flow share one, and no other call ever uses it."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.messages.fields.challenge import parse_challenges
from support.clients import EventLog
from support.stage import COUNTS_REFERENCES, caught

if TYPE_CHECKING:
    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle


class Handshakes:
    """A server as with NTLM: after two messages, it trusts every request on that connection."""

    def __init__(self, server: FaultServer, body: bytes = b"", close_after: int = 0) -> None:
        self.body, self.close_after = body, close_after
        self.trusted: set[int] = set()
        self.answers: list[tuple[int, str]] = []
        self._lock = threading.Lock()
        server.on("/doc", self)

    def __call__(self, peer: Peer, request: Received) -> Ending:
        said = (request.header("authorization") or "").removeprefix("NTLM ")
        number = request.connection
        with self._lock:
            self.answers.append((number, said))
            if said == f"answer{number}":
                self.trusted.add(number)
            is_trusted = number in self.trusted
        if is_trusted:
            peer.reply(200, b"trusted")
            return "keep"
        token = f" challenge{number}" if said == "hello" else ""
        ends = self.close_after and len(self.answers) == self.close_after
        close = [("connection", "close")] if ends else []
        peer.reply(401, self.body, [("www-authenticate", f"NTLM{token}"), *close])
        return "close" if ends else "keep"


class Handshake(adieu.Auth):
    same_connection = True

    def __init__(self, *, reads: bool = False) -> None:
        self.reads = reads

    def flow(self, request: adieu.Request) -> Any:
        response = yield request
        if response.status_code != 401:
            return
        request.headers["Authorization"] = "NTLM hello"
        response = yield request
        if self.reads:
            yield response
        (challenge,) = parse_challenges([response.headers["www-authenticate"]])
        if challenge.token68 is not None:
            number = challenge.token68.removeprefix("challenge")
            request.headers["Authorization"] = f"NTLM answer{number}"
            yield request

    def __repr__(self) -> str:
        return "Handshake()"


@pytest.mark.parametrize("body", [b"", b"go away", b"x" * 20_000], ids=len)
@pytest.mark.parametrize("reads", [False, True])
def test_the_requests_of_a_handshake_share_a_connection_that_no_other_call_gets(
    stage: Stage, body: bytes, reads: bool
) -> None:
    server = Handshakes(stage.server, body)
    event_log = EventLog()
    with stage.block(stage.one(auth=Handshake(reads=reads), events=event_log)) as client:
        response = stage.get(client, "/doc")
        if stage.adapter == "close":
            # This adapter keeps no connection, so the handshake cannot succeed.
            assert response.status_code == 401
            return
        assert stage.read(response) == b"trusted"
        assert len({number for number, _ in server.answers}) == 1
        assert len(server.answers) == 3
        # The server still trusts the connection, so it was closed. A call without auth uses another one.
        assert stage.get(client, "/doc", auth=None).status_code == 401
        assert server.answers[-1][0] != server.answers[0][0]
        assert "authenticated connection" in event_log.close_reasons()
    event_log.check()
    assert stage.nothing_open()


def test_a_stream_keeps_the_connection_until_it_is_read_or_left(stage: Stage) -> None:
    Handshakes(stage.server)
    expected = 401 if stage.adapter == "close" else 200
    with stage.block(stage.one(auth=Handshake())) as client:
        for reads in (True, False):
            with stage.block(client.stream("GET", "/doc")) as response:
                assert response.status_code == expected
                if reads:
                    stage.read(response)
            assert client.connections() == []
    assert stage.nothing_open()


@pytest.mark.parametrize(
    "policy", [adieu.CloseOnExit(), adieu.NoKeepAlive(), adieu.ReleaseOnRead(drain=10)], ids=repr
)
def test_if_the_policy_closes_the_connection_the_flow_goes_on_over_another(
    stage: Stage, policy: adieu.CleanupPolicy
) -> None:
    server = Handshakes(stage.server, b"x" * 100_000)
    with stage.block(stage.one(auth=Handshake(), cleanup=policy)) as client:
        response = stage.get(client, "/doc")
        assert response.status_code == 401
        stage.read(response)
        assert len({number for number, _ in server.answers}) == 3
    assert stage.nothing_open()


def test_a_connection_that_the_server_closes_meanwhile_is_replaced(stage: Stage) -> None:
    server = Handshakes(stage.server, close_after=1)
    with stage.block(stage.one(auth=Handshake())) as client:
        response = stage.get(client, "/doc")
        assert response.status_code == (401 if stage.adapter == "close" else 200)
        numbers = [number for number, _ in server.answers]
        if stage.adapter != "close":
            assert numbers == [1, 2, 2]
    assert stage.nothing_open()


def test_handshakes_of_many_threads_do_not_mix(fault_server: FaultServer) -> None:
    server = Handshakes(fault_server, b"go away")
    limits = adieu.Limits(connections=3)
    with (
        adieu.Client(fault_server.url, adapter="native", auth=Handshake(), limits=limits) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        statuses = list(pool.map(lambda _: client.get("/doc").status_code, range(60)))
        assert statuses == [200] * 60
        assert client.connections() == []
    assert len(server.answers) == 180


def test_a_request_to_another_origin_in_a_flow_leaves_no_connection_open(stage: Stage) -> None:
    class Detour(adieu.Auth):
        same_connection = True

        def flow(self, request: adieu.Request) -> Any:
            yield request
            yield adieu.Request("GET", f"http://localhost:{stage.server.port}/ok")
            yield request

    with stage.block(stage.one(auth=Detour())) as client:
        assert stage.get(client, "/echo").status_code == 200
        stage.get(client, "/ok", auth=None)
        assert len(client.connections()) == (0 if stage.adapter == "close" else 1)
    assert stage.nothing_open()


def test_a_flow_works_over_an_adapter_without_connections() -> None:
    @adieu.adapter
    def mock(request: adieu.Request) -> adieu.Response:
        return adieu.Response(401, {"www-authenticate": "NTLM challenge1"})

    with adieu.Client(adapter=mock, auth=Handshake()) as client:
        response = client.get("http://mock.test/")
        assert len(response.history) == 2


@pytest.mark.parametrize("step", [1, 2])
def test_a_flow_that_fails_leaves_nothing_open(stage: Stage, step: int) -> None:
    class Failing(adieu.Auth):
        same_connection = True

        def flow(self, request: adieu.Request) -> Any:
            for _ in range(step):
                response = yield request
                yield response
            raise LookupError("no ticket")

    Handshakes(stage.server, b"go away")
    with stage.block(stage.one(auth=Failing())) as client:
        with pytest.raises(LookupError, match="no ticket"):
            stage.get(client, "/doc")
        assert client.connections() == []
        assert stage.get(client, "/ok", auth=None).status_code == 200
    assert stage.nothing_open()


def living_objects() -> Counter[str]:
    """How many objects of calls there are. Without cycles, they are freed with the last reference."""
    kinds = {
        "Call",
        "Exchange",
        "PinnedExchange",
        "H1Lease",
        "AsyncH1Lease",
        "Response",
        "AsyncResponse",
    }
    names = (
        type(each).__name__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("adieu.")
    )
    return Counter(name for name in names if name in kinds)


@pytest.mark.parametrize("auth", [Handshake(), Handshake(reads=True), ("user", "password")])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counting")
def test_a_flow_makes_no_cycle(stage: Stage, auth: Any, fails: bool) -> None:
    def broken(response: Any) -> None:
        if fails and response.request.headers.get("authorization") is not None:
            raise LookupError

    Handshakes(stage.server, b"go away")
    with stage.block(stage.one(auth=auth, event_hooks={"response": [broken]})) as client:
        call = partial(stage.get, client, "/doc")
        gc.collect()
        gc.disable()
        try:
            before, kept = living_objects(), None
            for _ in range(5):
                kept = caught(LookupError, call) if fails else call()
            del kept
            assert living_objects() == before
        finally:
            gc.enable()
