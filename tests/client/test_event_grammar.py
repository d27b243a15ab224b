"""Every start has one end, with the same ids: over every adapter, sync and async, however a call ends."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu import events
from adieu.testing.faults_net import refused_port
from support.everywhere import stage
from support.grammar import STARTS, Trace
from support.stage import caught, drop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer
    from support.stage import Stage

__all__ = ["stage"]

pytestmark = pytest.mark.lifecycle

STREAM = adieu.ReleaseOnRead(within=0)


@pytest.fixture
def trace() -> Iterator[Trace]:
    """A listener; at the end, what it was told has to be well formed and over."""
    kept = Trace()
    yield kept
    kept.check()


CALLS: dict[str, tuple[str, dict[str, Any], type[Exception] | None]] = {
    "kept": ("/ok", {}, None),
    "closed": ("/connection-close", {}, None),
    "early hints": ("/early-hints?n=2", {}, None),
    "redirects": ("/redirect?n=2&body=100", {}, None),
    "retries": ("/status/503", {"retry": adieu.Retry(2, backoff=0, budget=None)}, None),
    "digest": ("/status/401", {"auth": adieu.DigestAuth("me", "secret")}, None),
    "gzip": ("/gzip", {}, None),
    "stalled head": ("/stall-head", {"timeout": 0.05}, adieu.ReadTimeout),
    "stalled body": ("/stall-body", {"timeout": 0.05}, adieu.ReadTimeout),
    "cut off": ("/truncated", {}, adieu.BodyTruncated),
    "no answer": ("/close", {}, adieu.PeerClosed),
    "no such scheme": ("ftp://nowhere/", {}, adieu.InvalidURL),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_start_has_its_end_however_a_call_ends(stage: Stage, trace: Trace, name: str) -> None:
    path, options, error = CALLS[name]

    def call(client: Any) -> None:
        response = stage.get(client, path, **options)
        assert response.content or response.status_code != 200 or "no" in name

    with stage.block(stage.one(events=trace)) as client:
        stage.get(client, "/ok")
        if error is None:
            call(client)
        else:
            caught(error, call, client)
        trace.check(over=False)
        stage.get(client, "/ok")
    told = trace.count()
    assert told["call_started"] == 3
    assert told["leased"] == told["released"] + told["discarded"]
    assert told["connected"] == told["closed"] + told["detached"]
    assert stage.nothing_open()


@pytest.mark.parametrize("way", ["read", "partly", "unread", "exception", "dropped"])
def test_a_stream_ends_with_the_reason_why_it_was_left(
    stage: Stage, trace: Trace, way: str
) -> None:
    with (
        stage.block(stage.one(events=trace, cleanup=STREAM)) as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        response = stage.run(client.stream("GET", "/bytes?n=300000"))
        assert trace.of("call_ended")
        assert not trace.of("body_ended")
        if way == "read":
            stage.read(response)
        elif way == "partly":
            next(iter(stage.runner.each(response.iter_bytes(10))))
        elif way == "exception":
            block = stage.block(response)
            block.__enter__()
            block.__exit__(ZeroDivisionError, ZeroDivisionError("of the user"), None)
            del block
        if way in ("partly", "unread"):
            stage.run(response.close())
        del response
        drop()
        (ended,) = trace.of("body_ended")
        assert isinstance(ended, events.BodyEnded)
        answered = trace.of("answered")[0]
        assert (ended.call, ended.exchange) == (answered.call, answered.exchange)
        why = {"read": "complete", "dropped": "abandoned"}.get(way, "exit")
        assert ended.why == ("error" if way == "exception" else why)
        assert ended.raw == ended.decoded
        assert (ended.raw == 300000) is (way == "read")
        assert len(trace.of("leaked")) == (way == "dropped")


def test_each_phase_of_a_first_request_is_told_in_its_order(stage: Stage, trace: Trace) -> None:
    url = stage.server.url.replace("127.0.0.1", "localhost")
    with stage.block(stage.client(events=trace)) as client:
        stage.get(client, f"{url}/gzip").content  # noqa: B018  What is read is decoded.
    told = [kind for kind in trace.kinds() if kind not in ("dial_started", "dial_ended")]
    assert told[:-1][:11] == [
        "call_started",
        "exchange_started",
        "leased",
        "connect_started",
        "lookup_started",
        "lookup_ended",
        "connected",
        "request_sent",
        "first_byte",
        "answered",
        "discarded" if stage.adapter == "close" else "released",
    ]
    assert {"body_ended", "call_ended", "decoded", "closed"} <= set(told)
    connected, sent = trace.of("connected")[0], trace.of("request_sent")[0]
    assert isinstance(connected, events.Connected)
    assert connected.peer.endswith(f":{stage.server.port}")
    assert isinstance(sent, events.RequestSent)
    assert sent.head > 50
    assert sent.body == 0
    (dial,) = (each for each in trace.of("dial_ended") if vars(each)["error"] is None)
    assert vars(dial)["address"] == connected.peer
    decoded, body = trace.of("decoded")[0], trace.of("body_ended")[0]
    assert isinstance(decoded, events.Decoded)
    assert isinstance(body, events.BodyEnded)
    assert (body.raw, body.decoded) == (decoded.raw, None)
    assert decoded.decoded == 1000


def test_the_bytes_of_a_request_are_counted(stage: Stage) -> None:
    pieces = [b"abc", b"de"]
    framed = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    contents: list[tuple[Any, int, int | None]] = [(b"", 0, 0), (pieces, len(framed), None)]
    contents += [(b"x" * size, size, size) for size in (1000, 300_000)]
    for content, size, known in contents:
        trace = Trace()
        with stage.block(stage.client(events=trace)) as client:
            stage.run(client.post("/echo", content=content))
        ((begun,), (sent,)) = trace.of("exchange_started"), trace.of("request_sent")
        assert (vars(sent)["body"], vars(begun)["body"]) == (size, known)


def test_a_wait_for_a_connection_has_its_end(stage: Stage, trace: Trace) -> None:
    with stage.block(stage.one(events=trace, cleanup=STREAM)) as client:
        held = stage.run(client.stream("GET", "/bytes?n=300000"))
        caught(adieu.PoolTimeout, stage.get, client, "/ok", timeout=adieu.Timeout(pool=0.05))
        stage.run(held.close())
        stage.get(client, "/ok")
    (ended,) = trace.of("pool_wait_ended")
    assert isinstance(ended, events.PoolWaitEnded)
    assert (ended.error, ended.connection) == ("PoolTimeout", 0)


def test_a_connection_that_is_refused_tells_where_it_was_tried(stage: Stage, trace: Trace) -> None:
    with refused_port() as port, stage.block(stage.client(events=trace)) as client:
        caught(adieu.ConnectError, stage.get, client, f"http://127.0.0.1:{port}/")
    (tried,) = trace.of("dial_ended")
    assert isinstance(tried, events.DialEnded)
    assert tried.address == f"127.0.0.1:{port}"
    assert "refused" in str(tried.error).lower()
    assert trace.count()["connect_failed"] == 1
    assert not trace.of("connected")


class Striking(adieu.Events):
    """Raises at the first event of a kind, or at every one."""

    def __init__(self, kind: str | None, raised: type[BaseException]) -> None:
        self.kind = kind
        self.raised = raised
        self.armed = True

    def on_event(self, event: events.Event) -> None:
        if self.armed and self.kind in (None, event.kind):
            self.armed = self.kind is None
            raise self.raised


KINDS = sorted({*STARTS, "call_ended", "body_ended", "released", "discarded"})


def test_an_interrupt_at_any_event_leaves_every_start_with_its_end(stage: Stage) -> None:
    url = stage.server.url.replace("127.0.0.1", "localhost") + "/bytes?n=300000"
    for kind in KINDS:
        # The listener after the one that raises is told the same as the one before.
        trace, strike, after = Trace(), Striking(kind, KeyboardInterrupt), Trace()
        interrupt: BaseException | None = None
        with stage.block(stage.one(events=[trace, strike, after], cleanup=STREAM)) as client:
            try:  # Its response is lost, although it would have been handed out open.
                stage.run(stage.run(client.stream("GET", url)).close())
            except KeyboardInterrupt as error:
                interrupt = error  # Whose traceback refers to all that was under way.
            strike.armed = False
            assert interrupt is None or stage.in_use(client) == [], kind
            interrupt = None
            trace.check(over=False)
        trace.check()
        assert after.events == trace.events
    assert stage.nothing_open()


def test_a_listener_that_fails_keeps_nothing_from_the_others(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    trace, after = Trace(), Trace()
    listeners = [trace, Striking(None, ValueError), after]
    with adieu.Client(fault_server.url, events=listeners) as client:
        assert client.get("/gzip").content
    trace.check()
    assert after.events == trace.events
    assert len(reported) == len(trace.events)


def test_an_adapter_tells_events_of_its_own(stage: Stage, trace: Trace) -> None:
    class Looked(events.Event):
        kind = "looked"
        where: str

    class Caching(adieu.Middleware):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            cached = events.Cached(method="GET", url="/", outcome="miss", why="nothing is stored")
            exchange.tell(cached)
            exchange.tell(Looked(where="here"))
            return self.inner.send(request, exchange)

    class AsyncCaching(adieu.AsyncMiddleware):
        async def send(
            self, request: adieu.Request, exchange: adieu.AsyncExchange
        ) -> adieu.AsyncResponse:
            cached = events.Cached(method="GET", url="/", outcome="miss", why="nothing is stored")
            exchange.tell(cached)
            exchange.tell(Looked(where="here"))
            return await self.inner.send(request, exchange)

    from adieu.transport.registry import find_adapter

    is_async = stage.runner.kind is adieu.AsyncClient
    inner = find_adapter(stage.adapter, "adieu.async_adapters" if is_async else "adieu.adapters")()
    around: Any = (AsyncCaching if is_async else Caching)(inner)
    heard: list[str] = []

    class Hearing(adieu.Events):
        def cached(self, event: events.Cached) -> None:
            heard.append(event.outcome)

    with stage.block(stage.client(events=[trace, Hearing()], adapter=around)) as client:
        stage.get(client, "/ok")
        (looked,) = trace.of("looked")
        assert (looked.call, looked.exchange) == (trace.events[0].call, trace.events[1].exchange)
    assert heard == ["miss"]


def test_events_are_values() -> None:
    one = events.Informational(status=103)
    one.told(1.0, 2, 3, 4)
    same = events.Informational(status=103)
    assert one != same
    same.told(1.0, 2, 3, 4)
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == "Informational(status=103, at=1.0, call=2, exchange=3, connection=4)"
    with pytest.raises(AttributeError, match="Informational is a value: status cannot be assigned"):
        one.status = 100  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del one.status  # pyright: ignore[reportAttributeAccessIssue]


def test_every_kind_of_event_has_its_method_and_its_place_in_the_grammar() -> None:
    kinds = {
        kind.kind for name in events.__all__ if (kind := getattr(events, name)) is not events.Event
    }
    methods = {name for name in vars(adieu.Events) if not name.startswith("_")} - {"on_event"}
    assert kinds == methods
    assert {*STARTS, *(end for ends in STARTS.values() for end in ends)} <= kinds


def test_listeners_are_checked() -> None:
    wrong: Any = [adieu.Events(), print]
    with pytest.raises(adieu.InvalidRequest, match=r"events= is an adieu\.Events, or a list"):
        adieu.Client(events=wrong)
    with adieu.Client() as client:
        assert client.events == ()
        one = adieu.Events()
        client.events = [one]
        assert client.events == (one,)
        client.events = None
        assert client.events == ()


@pytest.mark.parametrize("adapter", ["native", "urllib3"])
def test_a_client_that_is_dropped_tells_the_ends_of_its_connections(
    fault_server: FaultServer, trace: Trace, adapter: str
) -> None:
    clients = [adieu.Client(fault_server.url, adapter=adapter, events=trace)]
    clients[0].get("/ok")
    assert not trace.of("closed")
    clients.clear()
    drop()
    (closed,) = trace.of("closed")
    assert isinstance(closed, events.Closed)
    assert closed.why == "its client was dropped"
