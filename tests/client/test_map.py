"""`Client.map`: many requests, a bounded number at a time, and nothing left when the loop is left."""

from __future__ import annotations

import contextvars
import gc
import socket
import threading
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.client.map import sync_map
from support.alarm import HAS_ALARMS, Alarm
from support.clients import ADAPTERS
from support.gate import Gate
from support.stage import COUNTS_REFERENCES, eventually
from support.threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.client.map.sync_map import Map
    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

STALL = "/stall-head?seconds=60"

# Longer than pytest's own timeout, as the waits of these tests are: if one is not cancelled, its test fails.
_LONG_TIMEOUT = adieu.Timeout(connect=90, read=90, write=90, pool=90)


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """The name of an adapter."""
    name: str = request.param
    return name


@pytest.fixture
def client(adapter: str, fault_server: FaultServer, census: Watch) -> Iterator[adieu.Client]:
    """A client whose own timeouts are too long to matter. At the end nothing of it or of its maps is left."""
    with adieu.Client(fault_server.url, adapter=adapter, timeout=_LONG_TIMEOUT) as client:
        yield client
    assert map_threads() == []
    assert census.count() == 0


def map_threads() -> list[threading.Thread]:
    """The threads of all maps that are alive."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("adieu-map-") and thread.is_alive()
    ]


def all_finished(outcomes: Map) -> bool:
    """No request of the map is under way: all have a result that was not taken."""
    in_flight = outcomes._in_flight
    return in_flight.count == len(in_flight._finished)


def in_use(client: adieu.Client) -> list[str]:
    return [str(line) for line in client.connections() if line.state != "idle"]


def test_every_request_has_one_outcome_with_its_place(
    client: adieu.Client, fault_server: FaultServer
) -> None:
    requests: list[adieu.Request | adieu.URL | str] = [
        "/bytes?n=1",
        client.build_request("POST", "/echo", content=b"hello"),
        adieu.URL(fault_server.url).join("/bytes?n=3"),
        "/status/404",
    ]
    with client.map(requests) as outcomes:
        got = sorted(outcomes)
    assert [outcome.nth for outcome in got] == [0, 1, 2, 3]
    assert [outcome.request for outcome in got] == requests
    assert [outcome.error for outcome in got] == [None] * 4
    assert got[1].result().json()["body"] == "hello"
    assert got[3].result().status_code == 404


def test_outcomes_come_as_they_finish_and_not_in_order(
    client: adieu.Client, fault_server: FaultServer
) -> None:
    late, later = Gate(fault_server, "/late"), Gate(fault_server, "/later")
    order = []
    for outcome in client.map([later.path, "/ok", late.path, "/ok"], limit=4):
        order.append(outcome.nth)
        if len(order) >= 2:
            (late if len(order) == 2 else later).open()
    assert order[2:] == [2, 0]
    assert sorted(order[:2]) == [1, 3]


def test_the_error_of_one_request_is_its_outcome_and_ends_no_other(client: adieu.Client) -> None:
    urls = ["/ok", "/reset", "ftp://nowhere", "http://[", "/truncated", "/ok"]
    got = sorted(client.map(urls, limit=2), key=lambda one: one.nth)
    kinds = [type(outcome.error) for outcome in got]
    assert kinds == [
        type(None),
        adieu.ReadError,
        adieu.InvalidURL,
        adieu.InvalidURL,
        adieu.BodyTruncated,
        type(None),
    ]
    assert [outcome.response is None for outcome in got] == [bool(one.error) for one in got]
    with pytest.raises(adieu.ReadError):
        got[1].result()


def test_one_pool_serves_all_and_the_limit_bounds_what_is_under_way_or_not_taken(
    client: adieu.Client, fault_server: FaultServer
) -> None:
    started = taken = 0

    def urls() -> Iterator[str]:
        nonlocal started
        for _ in range(50):
            started += 1
            yield "/ok"

    with client.map(urls(), limit=4) as outcomes:
        for outcome in outcomes:
            assert outcome.result().status_code == 200
            taken += 1
            if taken % 10 == 0:  # A slow reader is waited for.
                eventually(lambda: all_finished(outcomes))
            assert started - taken <= 4
            # A thread that has done its last job may be alive a moment longer.
            eventually(lambda: len(map_threads()) <= 4)
    assert taken == 50
    if "close" not in str(client.mounts.explain(fault_server.url)).lower():
        assert fault_server.accepted <= 4


def test_an_endless_source_is_read_no_faster_than_its_outcomes(client: adieu.Client) -> None:
    given = 0

    def urls() -> Iterator[str]:
        nonlocal given
        while True:
            given += 1
            yield "/ok"

    with client.map(urls(), limit=3) as outcomes:
        for _ in range(10):
            assert next(outcomes).error is None
    assert given <= 13
    with pytest.raises(StopIteration):
        next(outcomes)


@pytest.mark.parametrize("limit", [1, 3])
def test_a_request_that_is_added_in_the_loop_is_sent_too(client: adieu.Client, limit: int) -> None:
    """A tree of three levels: each page has two links, which are known when it is there."""
    got = []
    with client.map(["/bytes?n=1"], limit=limit) as outcomes:
        for outcome in outcomes:
            size = len(outcome.result().content)
            got.append(size)
            if size < 4:
                for link in (2 * size, 2 * size + 1):
                    outcomes.add(f"/bytes?n={link}")
    assert sorted(got) == [1, 2, 3, 4, 5, 6, 7]


def test_added_requests_come_before_the_rest_of_the_source(client: adieu.Client) -> None:
    with client.map(["/bytes?n=1", "/bytes?n=2"], limit=1) as outcomes:
        first = next(outcomes)
        outcomes.add("/bytes?n=3")
        rest = [(outcome.nth, outcome.request) for outcome in outcomes]
    assert (first.nth, first.request) == (0, "/bytes?n=1")
    assert rest == [(1, "/bytes?n=3"), (2, "/bytes?n=2")]


def test_a_map_that_has_ended_takes_no_further_request(client: adieu.Client) -> None:
    with client.map(["/ok"]) as outcomes:
        assert len(list(outcomes)) == 1
        with pytest.raises(adieu.ClientClosed, match="this map has ended"):
            outcomes.add("/ok")
    with client.map(["/ok"] * 3) as left:
        next(left)
    with pytest.raises(adieu.ClientClosed, match="this map has ended"):
        left.add("/ok")


def test_an_outcome_is_given_while_a_slow_source_has_more(
    client: adieu.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    # One second for each request that the source was asked for.
    monkeypatch.setattr(sync_map, "monotonic", lambda: float(len(asked)))

    def urls() -> Iterator[str]:
        for url in ("/ok", "/ok", "/ok", "/ok"):
            asked.append(url)
            yield url
            eventually(lambda: all_finished(outcomes))

    with client.map(urls(), limit=4) as outcomes:
        next(outcomes)
        assert len(asked) < 4
        assert len(list(outcomes)) == 3


def test_a_source_that_fails_ends_the_map(client: adieu.Client) -> None:
    def urls() -> Iterator[str]:
        yield "/stall-head"
        raise KeyError("the list is broken")

    with client.map(urls()) as outcomes:
        with pytest.raises(KeyError, match="broken"):
            next(outcomes)
        with pytest.raises(StopIteration):
            next(outcomes)
    assert in_use(client) == []


@pytest.mark.parametrize("left", ["block", "close", "error"])
def test_leaving_early_cancels_requests_whatever_they_wait_for(
    client: adieu.Client, left: str
) -> None:
    urls = ["/ok", STALL, "/stall-body?seconds=60", "/drip?n=1000&seconds=60", STALL] * 3
    if left == "block":
        with client.map(urls, limit=5) as outcomes:
            next(outcomes)
    elif left == "close":
        outcomes = client.map(urls, limit=5)
        next(outcomes)
        outcomes.close()
        outcomes.close()
    else:
        with pytest.raises(KeyError, match="mine"), client.map(urls, limit=5) as outcomes:
            raise KeyError("mine", next(outcomes))
    assert map_threads() == []
    assert in_use(client) == []
    assert client.get("/ok").status_code == 200


def test_a_request_that_waits_for_a_full_pool_is_cancelled_too(
    adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    limits = adieu.Limits(connections=1)
    with adieu.Client(
        fault_server.url, adapter=adapter, limits=limits, timeout=_LONG_TIMEOUT
    ) as client:
        with client.map(["/ok", *[STALL] * 5], limit=6) as outcomes:
            next(outcomes)
        assert map_threads() == []
        assert client.get("/ok").status_code == 200
    assert census.count() == 0


def test_a_request_that_waits_for_its_retry_is_cancelled_too(
    adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    retry = adieu.Retry(3, statuses={503}, backoff=0, longest=90)
    fault_server.reply(
        "/later", b"HTTP/1.1 503 Later\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"
    )
    with adieu.Client(fault_server.url, adapter=adapter, retry=retry) as client:
        with client.map(["/later"] * 3 + ["/ok"]) as outcomes:
            assert next(outcomes).nth == 3
            eventually(lambda: fault_server.served >= 4)
        assert map_threads() == []
    assert census.count() == 0


def test_a_request_that_waits_in_a_retry_adapter_is_cancelled_too(
    adapter: str, fault_server: FaultServer
) -> None:
    later = adieu.adapter(lambda request: adieu.Response(503, {"Retry-After": "60"}))
    with adieu.Client(fault_server.url, adapter=adapter) as client:
        client.mount("later://", adieu.RetryAdapter(later, adieu.Retry(3, backoff=0)))
        with client.map(["later://host/"] * 3 + ["/ok"]) as outcomes:
            assert next(outcomes).nth == 3
        assert map_threads() == []


def test_a_request_that_waits_for_name_resolution_is_cancelled_too(
    adapter: str, fault_server: FaultServer
) -> None:
    go_on, asked = threading.Event(), threading.Event()

    def resolver(host: str, port: int) -> str:
        asked.set()
        go_on.wait(90)
        return "127.0.0.1"

    connect = adieu.Connect(resolver=resolver)
    with adieu.Client(adapter=adapter, connect=connect, timeout=_LONG_TIMEOUT) as client:
        try:
            urls = [f"http://a.example:{fault_server.port}/ok"] * 2
            with client.map([f"{fault_server.url}/ok", *urls]) as outcomes:
                assert next(outcomes).nth == 0
                assert asked.wait(30)
            assert map_threads() == []
        finally:
            go_on.set()
            for thread in threading.enumerate():
                if thread.name.startswith("adieu-dns"):
                    thread.join(30)


def test_a_request_that_waits_for_a_handshake_is_cancelled_too(
    adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        census.also(port)
        urls = [f"https://127.0.0.1:{port}/"] * 5
        with adieu.Client(fault_server.url, adapter=adapter, timeout=_LONG_TIMEOUT) as client:
            with client.map(["/ok", *urls]) as outcomes, ExitStack() as stack:
                assert next(outcomes).nth == 0
                for _ in urls:  # Each handshake has begun.
                    peer = stack.enter_context(silent.accept()[0])
                    assert peer.recv(1)
                outcomes.close()
            assert map_threads() == []
    assert census.count() == 0


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="without reference counting it is later")
def test_breaking_out_of_the_loop_cancels_the_rest_without_a_block(client: adieu.Client) -> None:
    gc.disable()
    try:
        for outcome in client.map(["/ok", "/stall-head", "/stall-head"]):
            assert outcome.nth == 0
            break
        eventually(lambda: not map_threads())
        assert in_use(client) == []
    finally:
        gc.enable()


def test_a_map_that_is_collected_in_another_thread_is_ended(client: adieu.Client) -> None:
    ring: list[Any] = [client.map(["/ok", "/stall-head"])]
    ring.append(ring)
    next(ring[0])
    del ring
    collector = threading.Thread(target=gc.collect)
    collector.start()
    collector.join()
    eventually(lambda: not map_threads())
    assert in_use(client) == []


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="elsewhere the collector frees everything")
def test_no_outcome_is_part_of_a_cycle(client: adieu.Client) -> None:
    list(client.map(["/ok", "/reset"]))  # Import everything that is imported late.
    gc.collect()
    gc.disable()
    try:
        for outcome in client.map(["/ok", "/reset", "/truncated", "http://["] * 5, limit=3):
            del outcome
        eventually(lambda: not map_threads())
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_response_not_taken_is_closed_and_one_taken_can_be_read(
    client: adieu.Client, census: Watch
) -> None:
    """The policy hands responses out open, and they were not read yet."""
    policy = adieu.ReleaseOnRead()
    with client.map(["/bytes?n=900000"] * 4, cleanup=policy, limit=4) as outcomes:
        first = next(outcomes).result()
        eventually(lambda: all_finished(outcomes))
        assert census.count() == 4
    assert census.count() == 1
    assert len(first.read()) == 900_000


def test_two_readers_at_once_are_refused(client: adieu.Client, fault_server: FaultServer) -> None:
    gate = Gate(fault_server)
    with client.map([gate.path]) as outcomes:
        reader = BackgroundCall(lambda: next(outcomes).error)
        reader.wait_until_in("wait")
        with pytest.raises(RuntimeError, match="another thread is waiting"):
            next(outcomes)
        gate.open()
        assert reader.finished() is None


def test_a_client_closed_in_the_middle_ends_the_map(
    adapter: str, fault_server: FaultServer
) -> None:
    """Also a map whose source is endless, where every further outcome would be the same error."""

    def urls() -> Iterator[str]:
        while True:
            yield "/stall-head?seconds=0.02"

    client = adieu.Client(fault_server.url, adapter=adapter)
    with client.map(urls(), limit=3) as outcomes:
        assert next(outcomes).error is None
        closing = BackgroundCall(client.close)
        with pytest.raises(adieu.ClientClosed):
            list(outcomes)
        closing.finished()
    assert map_threads() == []


def test_a_map_closed_by_another_thread_gives_no_further_outcome(client: adieu.Client) -> None:
    outcomes = client.map(["/ok", "/stall-head"])
    assert next(outcomes).nth == 0
    closing = BackgroundCall(outcomes.close)
    assert [outcome.nth for outcome in outcomes] == []
    closing.finished()


def test_the_settings_of_a_map_apply_to_every_request(client: adieu.Client) -> None:
    timeout = adieu.Timeout(read=0.05)
    for outcome in client.map(["/stall-head", "/drip?n=5"], timeout=timeout):
        assert isinstance(outcome.error, adieu.ReadTimeout)
    for outcome in client.map(["/redirect"], follow_redirects=False):
        assert outcome.result().status_code == 302


def test_hooks_run_in_a_copy_of_the_readers_context(fault_server: FaultServer) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="unset")
    seen: list[str] = []
    hooks: dict[str, Any] = {"request": [lambda _: seen.append(name.get())]}
    with adieu.Client(fault_server.url, event_hooks=hooks) as client:
        name.set("reader")
        list(client.map(["/ok"] * 3))
    assert seen == ["reader"] * 3


def test_an_exit_in_a_hook_is_raised_in_the_reader(fault_server: FaultServer) -> None:
    def leave(_: object) -> None:
        raise SystemExit(3)

    with (
        adieu.Client(fault_server.url, event_hooks={"request": [leave]}) as client,
        client.map(["/ok", "/ok"]) as outcomes,
        pytest.raises(SystemExit),
    ):
        next(outcomes)
    assert map_threads() == []


def test_wrong_arguments_are_refused_at_once() -> None:
    with adieu.Client() as client:
        wrong: Any
        for wrong in (0, -1, 1.5, True, None):
            with pytest.raises(adieu.InvalidRequest, match="limit takes a whole number from 1"):
                client.map([], limit=wrong)
        for wrong in ("http://one.example/", b"", 7, None):
            with pytest.raises(adieu.InvalidRequest, match="map takes an iterable"):
                client.map(wrong)
        for wrong in (4, "processes", type("Executor", (), {"submit": print})):
            with pytest.raises(
                adieu.InvalidRequest, match=r"executor takes a concurrent\.futures\.Executor"
            ):
                client.map([], executor=wrong)
        assert list(client.map([])) == []


@pytest.mark.skipif(not HAS_ALARMS, reason="this platform has no interval timers")
def test_an_interrupt_at_any_moment_leaves_nothing_open(
    adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    def in_a_block(client: adieu.Client) -> None:
        with client.map(["/ok", "/bytes?n=20000", "/ok"] * 3, limit=3) as outcomes:
            for outcome in outcomes:
                assert outcome.error is None

    def without(client: adieu.Client) -> None:
        for outcome in client.map(["/ok", "/bytes?n=20000", "/ok"] * 3, limit=3):
            assert outcome.error is None

    def caught_and_left(client: adieu.Client) -> None:
        with client.map(["/stall-head"] * 3, limit=3) as outcomes:
            next(outcomes)

    runs: list[Callable[[adieu.Client], None]] = [in_a_block, without, caught_and_left]
    hits = 20 if COUNTS_REFERENCES else 5
    with warnings.catch_warnings():
        # An interrupt between the map and the reader's variable drops a response unread.
        warnings.simplefilter("ignore", ResourceWarning)
        with adieu.Client(fault_server.url, adapter=adapter) as client:
            in_a_block(client)
            for run in runs:
                with Alarm(611, scale=5e-3) as alarm:
                    for _ in alarm.rounds(hits):
                        alarm.call(lambda: run(client))  # noqa: B023
                        if not COUNTS_REFERENCES:
                            gc.collect()
                        eventually(lambda: not map_threads())
                        assert in_use(client) == []
            assert client.get("/ok").status_code == 200
        assert census.count() == 0
