"""The events of a client, in pairs, and the hooks for requests and responses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults_net import refused_port
from servers import FullHole
from support.clients import ADAPTERS, EventLog, sockets
from support.stage import drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


posix = pytest.mark.skipif(os.name != "posix", reason="a signal to one thread of a process")


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


# Events


def test_the_events_of_a_success_come_in_order(fault_server: FaultServer, adapter: str) -> None:
    event_log = EventLog()
    with adieu.Client(adapter=adapter, events=event_log) as client:
        client.get(f"{fault_server.url}/ok")
        client.get(f"{fault_server.url}/ok")
        event_log.check(over=adapter == "close")
    event_log.check()
    told = [(name, text) for name, _, text in event_log.lines]
    first = f"GET {fault_server.url}/ok"
    opened = [("leased", first), ("connect_started", fault_server.url), ("connected", "")]
    if adapter == "close":
        assert told == [*opened, ("discarded", "complete"), ("closed", "complete")] * 2
    else:
        assert told == [
            *opened,
            ("released", ""),
            ("leased", f"{first} again"),
            ("released", ""),
            ("closed", "client closed"),
        ]


@pytest.mark.parametrize(
    ("path", "options", "error"),
    [
        ("/status/404?body=1000", {}, None),
        ("/no-content", {}, None),
        ("/redirect?n=3&body=100", {}, None),
        ("/redirect?n=3&body=1000000", {}, None),
        ("/redirect?n=30", {}, adieu.TooManyRedirects),
        ("/early-hints?n=3", {}, None),
        ("/connection-close", {}, None),
        ("/until-close", {}, None),
        ("/surplus", {}, None),
        ("/stall-head", {"timeout": adieu.Timeout(read=0.1)}, adieu.ReadTimeout),
        ("/stall-body", {"timeout": adieu.Timeout(read=0.1)}, adieu.ReadTimeout),
        ("/stall-body", {"timeout": adieu.Timeout(total=0.1)}, adieu.DeadlineExceeded),
        ("/truncated", {}, adieu.BodyTruncated),
        ("/truncated-chunked", {}, adieu.BodyTruncated),
        ("/garbage?kind=not-http", {}, adieu.ProtocolError),
        ("/endless-1xx", {}, adieu.ProtocolError),
        ("/reset", {}, adieu.ReadError),
        ("/reset-body", {}, adieu.TransportError),
        ("/close", {}, adieu.PeerClosed),
        ("/broken-gzip", {"read": True}, adieu.DecodeError),
        ("/bytes?n=300000", {"cleanup": adieu.Prefetch(max_bytes=10)}, adieu.BodyTooLarge),
        ("/bytes?n=300000", {"cleanup": adieu.CloseOnExit(), "read": True}, None),
    ],
)
def test_every_start_has_one_end(
    fault_server: FaultServer,
    adapter: str,
    path: str,
    options: dict[str, Any],
    error: type[Exception] | None,
) -> None:
    options = dict(options)
    read = options.pop("read", False)
    path = path.replace("not-http", _some_garbage())
    event_log = EventLog()
    with adieu.Client(
        adapter=adapter, events=event_log, limits=adieu.Limits(connections=1)
    ) as client:
        client.get(f"{fault_server.url}/ok")
        if error is None:
            response = client.get(fault_server.url + path, **options)
            if read:
                assert response.content
        else:
            with pytest.raises(error):
                client.get(fault_server.url + path, **options).read()
        event_log.check(over=False)
        # No connection is in use any more, so the only allowed one is free.
        client.get(f"{fault_server.url}/ok")
        event_log.check(over=False)
    event_log.check()
    counted = event_log.count()
    # A call may have used up all of its time before it was sent.
    assert counted["leased"] == fault_server.served or error is adieu.DeadlineExceeded
    assert counted["connected"] == fault_server.accepted
    assert sockets(fault_server) == 0


def _some_garbage() -> str:
    from adieu.testing.corpus import REPLIES

    return next(
        reply.name
        for reply in REPLIES
        if reply.verdict == "error" and reply.request_method == "GET"
    )


@pytest.mark.parametrize("way", ["read", "partly", "unread", "iterator", "exception", "dropped"])
@pytest.mark.parametrize(
    "policy", [adieu.ReleaseOnRead(), adieu.CloseOnExit(), adieu.Prefetch()], ids=repr
)
@pytest.mark.parametrize("path", ["/bytes?n=300000", "/chunked?n=2000", "/stall-body?seconds=9"])
def test_the_lease_of_a_stream_has_one_end_however_it_is_left(
    fault_server: FaultServer, adapter: str, way: str, policy: adieu.CleanupPolicy, path: str
) -> None:
    if way == "read" and "stall" in path:
        path = "/drip?seconds=0.05"
    event_log = EventLog()
    with adieu.Client(adapter=adapter, events=event_log, cleanup=policy) as client:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _leave(client, f"{fault_server.url}{path}", way)
            drop()
        told = event_log.count()
        assert told["released"] + told["discarded"] == told["leased"] == 1
        event_log.check(over=False)
        assert [str(warning.message) for warning in caught if way != "dropped"] == []
        assert len(event_log.leaks) == len(caught)
    event_log.check()
    assert sockets(fault_server) == 0


def _leave(client: adieu.Client, url: str, way: str) -> None:
    if way == "dropped":
        client.stream("GET", url)
    elif way == "exception":
        with pytest.raises(ZeroDivisionError), client.stream("GET", url):
            raise ZeroDivisionError
    else:
        with client.stream("GET", url) as response:
            if way == "read":
                assert response.read()
            elif way == "partly":
                assert next(response.iter_bytes(10))
            elif way == "iterator":
                pieces = response.iter_raw()
                assert next(pieces)
                del pieces


def test_the_event_of_a_refused_connection_has_its_reason(adapter: str) -> None:
    event_log = EventLog()
    client = adieu.Client(adapter=adapter, events=event_log)
    with refused_port() as port, client, pytest.raises(adieu.ConnectError):
        client.get(f"http://127.0.0.1:{port}/")
    started, failed = (line for line in event_log.lines if line[0].startswith("connect"))
    assert started == ("connect_started", started[1], f"http://127.0.0.1:{port}")
    assert failed[:2] == ("connect_failed", started[1])
    assert "refused" in failed[2].lower()
    event_log.check()


def test_a_connect_timeout_ends_with_connect_failed(adapter: str) -> None:
    event_log = EventLog()
    client = adieu.Client(adapter=adapter, events=event_log, timeout=0.1)
    with FullHole() as hole, client, pytest.raises(adieu.ConnectTimeout):
        client.get(hole.url)
    names = [name for name, _, _ in event_log.lines if name.startswith("connect")]
    assert names == ["connect_started", "connect_failed"]
    event_log.check()


def test_a_stale_connection_is_closed_and_another_one_leased(
    fault_server: FaultServer, adapter: str
) -> None:
    event_log = EventLog()
    with adieu.Client(adapter=adapter, events=event_log) as client:
        client.get(f"{fault_server.url}/close-after")
        fault_server.wait_until(lambda: fault_server.open == 0)
        client.get(f"{fault_server.url}/ok")
    event_log.check()
    if adapter != "close":
        assert event_log.close_reasons() == ["stale", "client closed"]
    assert event_log.replays == []


def test_a_replay_is_an_event_and_each_of_its_two_leases_ends(
    fault_server: FaultServer, adapter: str
) -> None:
    event_log = EventLog()
    with adieu.Client(adapter=adapter, events=event_log) as client:
        client.get(f"{fault_server.url}/race")
        client.get(f"{fault_server.url}/race")
        event_log.check(over=adapter == "close")
    event_log.check()
    if adapter == "close":
        assert event_log.replays == []
    else:
        assert event_log.replays == [("GET", f"{fault_server.url}/race")]
        assert event_log.count()["leased"] == 3
        assert event_log.close_reasons() == ["died while idle", "client closed"]


def test_1xx_responses_are_events(fault_server: FaultServer, adapter: str) -> None:
    event_log = EventLog()
    with adieu.Client(adapter=adapter, events=event_log) as client:
        client.get(f"{fault_server.url}/early-hints?n=3")
    told = [text for name, _, text in event_log.lines if name == "informational"]
    assert told == ["103", "103", "103"]
    event_log.check()


def test_an_error_of_a_listener_has_no_effect(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    class Broken(EventLog):
        def leased(self, event: Any) -> None:
            super().leased(event)
            raise ZeroDivisionError("a listener")

        closed = released = connected = leased

    with adieu.Client(adapter=adapter, events=Broken()) as client:
        assert client.get(f"{fault_server.url}/ok").status_code == 200
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    assert reported
    assert all(issubclass(report.exc_type, Exception) for report in reported)
    assert sockets(fault_server) == 0


_BROKEN_LISTENER = """
import sys
import adieu

class Broken(adieu.Events):
    def released(self, event):
        raise ZeroDivisionError("a listener")
    closed = connected = answered = lambda self, event: self.released(event)

if sys.argv[2] == "handed on":
    sys.unraisablehook = lambda report: sys.__unraisablehook__(report)
with adieu.Client(sys.argv[1], events=Broken()) as client:
    print(client.post("/ok", json={}).status_code)
    print(client.get("/ok").status_code)
"""


@pytest.mark.parametrize("hook", ["python's", "handed on"])
def test_an_error_of_a_listener_has_no_effect_on_a_plain_interpreter(
    fault_server: FaultServer, hook: str
) -> None:
    """Without the hook that pytest puts in the place of Python's, which takes no reports that others make."""
    done = subprocess.run(
        [sys.executable, "-c", _BROKEN_LISTENER, fault_server.url, hook],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["200", "200"]
    assert done.stderr.count("ZeroDivisionError: a listener") == 6
    assert done.stderr.count("Exception ignored in: <bound method") == 6


EVENTS = ["connect_started", "connected", "leased", "informational"]


@pytest.mark.parametrize("point", EVENTS)
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_after_an_interrupt_at_any_point_every_start_has_an_end(
    fault_server: FaultServer, adapter: str, point: str, interrupt: type[BaseException]
) -> None:
    class Interrupting(EventLog):
        armed = True

    def strike(event_log: Interrupting, event: Any) -> None:
        getattr(EventLog, point)(event_log, event)
        if event_log.armed:
            event_log.armed = False
            raise interrupt

    setattr(Interrupting, point, strike)
    event_log = Interrupting()
    with adieu.Client(
        adapter=adapter, events=event_log, limits=adieu.Limits(connections=1)
    ) as client:
        with pytest.raises(interrupt):
            client.get(f"{fault_server.url}/early-hints")
        assert sockets(fault_server) == 0
        assert client.connections() == []
        event_log.check()
        assert client.get(f"{fault_server.url}/early-hints").status_code == 200
    event_log.check()


def interrupting(fault_server: FaultServer, after: int | None) -> None:
    """Have the path /interrupt interrupt the main thread, which runs the client, after this many bytes of its body."""
    main = threading.main_thread().ident
    assert main is not None
    assert threading.current_thread() is threading.main_thread()

    def interrupt(peer: Peer, request: Received) -> Ending:
        if after is not None:
            peer.start(200, [("content-length", "1000")])
            peer.body(b"x" * after)
        # Long enough for the client to reach its wait.
        peer.wait(0.2)
        signal.pthread_kill(main, signal.SIGINT)
        peer.pause(30)
        return "close"

    fault_server.on("/interrupt", interrupt)


@posix
@pytest.mark.parametrize("after", [None, 500], ids=["head", "body"])
def test_after_a_real_interrupt_while_waiting_every_start_has_an_end(
    fault_server: FaultServer, adapter: str, after: int | None
) -> None:
    interrupting(fault_server, after)
    event_log = EventLog()
    with adieu.Client(
        adapter=adapter, events=event_log, limits=adieu.Limits(connections=1)
    ) as client:
        with pytest.raises(KeyboardInterrupt):
            client.get(f"{fault_server.url}/interrupt")
        event_log.check()
        assert sockets(fault_server) == 0
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    event_log.check()


@posix
@pytest.mark.parametrize("pooled", ["urllib3", "native"])
def test_a_real_interrupt_while_draining_closes_the_connection(
    fault_server: FaultServer, pooled: str
) -> None:
    interrupting(fault_server, after=500)
    event_log = EventLog()
    patient = adieu.ReleaseOnRead(within=30)
    with adieu.Client(
        adapter=pooled, events=event_log, limits=adieu.Limits(connections=1)
    ) as client:
        response = client.stream("GET", f"{fault_server.url}/interrupt", cleanup=patient)
        with pytest.raises(KeyboardInterrupt):
            response.close()
        event_log.check()
        assert sockets(fault_server) == 0
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    event_log.check()


def test_each_exchange_ends_with_its_status_or_the_kind_of_its_error(
    fault_server: FaultServer, adapter: str
) -> None:
    event_log = EventLog()
    with adieu.Client(fault_server.url, adapter=adapter, events=event_log) as client:
        client.get("/redirect?n=2")
        client.get("/status/404")
        with pytest.raises(adieu.ReadTimeout):
            client.get("/stall-head", timeout=adieu.Timeout(read=0.05))
        with pytest.raises(adieu.BodyTruncated):  # It has an answer, and then fails.
            client.get("/truncated")
        with pytest.raises(adieu.InvalidURL):  # There was no exchange.
            client.get("ftp://nowhere/")
    assert event_log.ends == [302, 302, 200, 404, "ReadTimeout", 200]


def test_calls_without_a_listener_behave_the_same(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        client.get(f"{fault_server.url}/early-hints")
        with pytest.raises(adieu.PeerClosed):
            client.get(f"{fault_server.url}/close")
        client.get(f"{fault_server.url}/ok")
    assert sockets(fault_server) == 0


# Hooks


def test_hooks_see_every_hop_in_their_order(fault_server: FaultServer, adapter: str) -> None:
    seen: list[str] = []

    def stamp(request: adieu.Request) -> None:
        request.headers["x-stamp"] = "1"
        seen.append(f"{request.method} {request.url.path}")

    hooks: dict[str, list[Callable[[Any], object]]] = {
        "request": [stamp, lambda request: seen.append("second")],
        "response": [lambda response: seen.append(str(response.status_code))],
    }
    with adieu.Client(adapter=adapter, event_hooks=hooks) as client:
        hooks["request"].clear()
        response = client.get(f"{fault_server.url}/redirect?to=/echo")
        assert ["x-stamp", "1"] in [[n.lower(), v] for n, v in response.json()["headers"]]
    assert seen == ["GET /redirect", "second", "302", "GET /echo", "second", "200"]


def test_a_response_hook_may_read_the_body(fault_server: FaultServer, adapter: str) -> None:
    seen: list[bytes] = []
    hooks = {"response": [lambda response: seen.append(response.read())]}
    with adieu.Client(adapter=adapter, event_hooks=hooks) as client:
        for path in ("/bytes?n=300000", "/ok", "/no-content", "/redirect?body=9&to=/bytes?n=3"):
            response = client.get(fault_server.url + path)
            assert response.content == seen[-1]
            assert response.is_closed
            lengths = [len(hop.content) for hop in response.history]
            assert lengths == ([9] if "redirect" in path else [])
        with client.stream("GET", f"{fault_server.url}/bytes?n=10") as response:
            assert response.read() == seen[-1]
    assert sockets(fault_server) == 0


def test_a_response_hook_may_close_the_body(fault_server: FaultServer, adapter: str) -> None:
    hooks = {"response": [lambda response: response.close()]}
    with adieu.Client(adapter=adapter, event_hooks=hooks) as client:
        response = client.get(f"{fault_server.url}/bytes?n=300000")
        assert response.is_closed
        with pytest.raises(adieu.BodyClosed):
            response.read()
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("kind", ["request", "response"])
@pytest.mark.parametrize("error", [ValueError, adieu.ReadTimeout, KeyboardInterrupt])
@pytest.mark.parametrize("hop", [0, 1])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_a_hook_keeps_no_connection_and_is_not_wrapped(
    fault_server: FaultServer,
    adapter: str,
    kind: str,
    error: type[BaseException],
    hop: int,
    stream: bool,
) -> None:
    calls: list[object] = []

    def refuse(subject: object) -> None:
        calls.append(subject)
        if len(calls) == hop + 1:
            raise error("the hook does not like it")

    event_log = EventLog()
    with adieu.Client(
        adapter=adapter,
        events=event_log,
        event_hooks={kind: [refuse]},
        limits=adieu.Limits(connections=1),
    ) as client:
        url = f"{fault_server.url}/redirect?body=300000&to=/bytes?n=300000"
        with pytest.raises(error, match="does not like it") as caught:
            client.request("GET", url) if not stream else client.stream("GET", url)
        assert type(caught.value) is error
        # While the error, and the response through the hook, are still referenced:
        assert sockets(fault_server) <= (hop if kind == "request" else 0)
        event_log.check(over=False)
        assert [line.state for line in client.connections()] in ([], ["idle"])
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    event_log.check()
    assert sockets(fault_server) == 0


def test_raise_for_status_is_a_hook(fault_server: FaultServer, adapter: str) -> None:
    hooks = {"response": [adieu.Response.raise_for_status]}
    with adieu.Client(
        adapter=adapter, event_hooks=hooks, limits=adieu.Limits(connections=1)
    ) as client:
        kept = []
        for _ in range(5):
            with pytest.raises(adieu.StatusError, match="404") as caught:
                client.get(f"{fault_server.url}/status/404?body=300000")
            kept.append(caught.value)
        assert sockets(fault_server) == 0
        assert client.get(f"{fault_server.url}/ok").status_code == 200
        assert {error.response.status_code for error in kept} == {404}
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("name", ["requests", "Response", "", "error"])
def test_an_unknown_kind_of_hook_is_refused(name: str) -> None:
    with pytest.raises(adieu.InvalidRequest, match="'request' and 'response'"):
        adieu.Client(adapter="native", event_hooks={name: []})


def test_an_empty_list_of_hooks_is_accepted(fault_server: FaultServer) -> None:
    nothing: list[Any] = [None, {}, {"request": []}]
    for hooks in nothing:
        with adieu.Client(adapter="native", event_hooks=hooks) as client:
            assert client.get(f"{fault_server.url}/ok").status_code == 200
