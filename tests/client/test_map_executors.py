"""`client.map(..., executor=)`: threads, processes or a Dask cluster send the requests."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.client.map import worker_clients
from adieu.client.map.worker_clients import BorrowedClient, pack
from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.clients import ADAPTERS
from support.hooks import die, tell_process
from support.stage import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing.faults import Ending, Peer, Request
    from support.watch import Watch


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    # Later Pythons warn of forking a process that has threads.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def dask() -> Iterator[Executor]:
    """Two worker processes behind a scheduler, as on two machines."""
    distributed = pytest.importorskip("distributed")
    from dask import config

    settings = {"distributed.worker.daemon": False, "distributed.admin.log-length": 0}
    with (
        config.set(settings),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor: Executor = client.get_executor()
        yield executor


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Executor:
    """An executor of each kind."""
    found: Executor = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def elsewhere(executor: Executor) -> bool:
    return not isinstance(executor, ThreadPoolExecutor)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_responses_come_back_read_and_errors_with_their_facts(
    adapter: str, executor: Executor, fault_server: FaultServer, census: Watch
) -> None:
    policy = adieu.ReleaseOnRead()
    with adieu.Client(fault_server.url, adapter=adapter, cleanup=policy) as client:
        requests: list[Any] = [
            "/bytes?n=300000",
            client.build_request("POST", "/echo", content=b"hello"),
            "/status/404",
            "/truncated",
            "http://[",
            "/redirect?n=2",
        ]
        with client.map(requests, limit=3, executor=executor) as outcomes:
            got = sorted(outcomes, key=lambda one: one.nth)
        assert [outcome.request for outcome in got] == requests
        assert census.count() <= 3
    assert census.count() == 0
    assert len(got[0].result().content) == 300_000
    assert got[1].result().json()["body"] == "hello"
    assert got[2].result().status_code == 404
    assert isinstance(got[3].error, adieu.BodyTruncated)
    assert got[3].error.received > 0
    assert got[3].error.url == f"{fault_server.url}/truncated"
    assert isinstance(got[4].error, adieu.InvalidURL)
    assert [hop.status_code for hop in got[5].result().history] == [302, 302]
    assert all(outcome.response is None or outcome.response.is_closed for outcome in got)


def test_each_process_makes_one_client_of_the_settings(
    executor: Executor, elsewhere: bool, fault_server: FaultServer
) -> None:
    hooks: dict[str, Any] = {"request": [tell_process]}
    with adieu.Client(
        fault_server.url,
        adapter="native",
        event_hooks=hooks,
        auth=("me", "secret"),
        headers={"X-A": "1"},
    ) as client:
        with client.map(["/echo"] * 60, limit=4, executor=executor) as outcomes:
            seen = [dict(outcome.result().json()["headers"]) for outcome in outcomes]
        here = len(client.connections())
    assert {fields["X-A"] for fields in seen} == {"1"}
    assert {fields["Authorization"] for fields in seen} == {"Basic bWU6c2VjcmV0"}
    workers = {fields["X-Worker"] for fields in seen}
    own = str(multiprocessing.current_process().pid)
    # No more connections than are used at the same time: later requests reuse them.
    assert fault_server.accepted <= 4
    if elsewhere:
        assert own not in workers
        assert 1 <= len(workers) <= 2
        assert here == 0
    else:
        assert workers == {own}
        assert here == fault_server.accepted


def test_an_endless_source_is_read_no_faster_than_its_outcomes(
    executor: Executor, fault_server: FaultServer
) -> None:
    given = 0

    def urls() -> Iterator[str]:
        nonlocal given
        while True:
            given += 1
            yield "/ok"

    with adieu.Client(fault_server.url) as client:
        with client.map(urls(), limit=3, executor=executor) as outcomes:
            for _ in range(10):
                assert next(outcomes).error is None
        assert given <= 13


def test_a_map_that_is_left_is_waited_for_only_here(executor: Executor, census: Watch) -> None:
    """A request in this process is cancelled; one elsewhere ends by itself, and the map does not wait for it."""
    left = threading.Event()

    def stall(peer: Peer, request: Request) -> Ending:
        while not left.is_set():
            peer.pause(0.01)
        peer.reply(200)
        return "keep"

    # Longer than pytest's own timeout: if the map waits for the stalled requests, the test fails.
    with FaultServer() as server, adieu.Client(server.url, timeout=90) as client:
        KNOWN_PORTS.add(server.port)
        server.on("/stall", stall)
        with client.map(["/ok", *["/stall"] * 3], limit=4, executor=executor) as outcomes:
            assert next(outcomes).result().status_code == 200
            eventually(lambda: server.accepted >= 2)
        with pytest.raises(StopIteration):
            next(outcomes)
        assert not [line for line in client.connections() if line.state != "idle"]
        assert client.get("/ok").status_code == 200
        left.set()
        again = client.map(["/ok"] * 3, executor=executor)
        assert [outcome.result().status_code for outcome in again] == [200] * 3
    assert census.count() == 0


def test_a_request_that_cannot_be_pickled_has_that_error(
    executor: Executor, elsewhere: bool, fault_server: FaultServer
) -> None:
    with adieu.Client(fault_server.url) as client:
        requests = [
            client.build_request("POST", "/echo", content=iter([b"abc"])),
            client.build_request("POST", "/echo", content=(piece for piece in [b"abc"])),
            client.build_request("POST", "/echo", content=[b"abc"]),
        ]
        with client.map(requests, executor=executor) as outcomes:
            got = sorted(outcomes, key=lambda one: one.nth)
    assert got[2].result().json()["body"] == "abc"
    if elsewhere:
        assert isinstance(got[1].error, Exception)
        text = str(got[1].error) + str(got[1].error.__cause__)
        assert "the content in content= cannot be pickled" in text
    else:
        assert got[1].result().json()["body"] == "abc"
    with adieu.Client(fault_server.url, event_hooks={"request": [lambda _: None]}) as client:
        outcome = next(client.map(["/ok"], executor=executor))
        if elsewhere:
            assert "event_hooks= of a client cannot be pickled" in (
                str(outcome.error) + str(outcome.error and outcome.error.__cause__)
            )
        else:
            assert outcome.result().status_code == 200


def test_a_broken_executor_is_the_error_of_the_requests_it_had_begun(
    fault_server: FaultServer,
) -> None:
    with (
        adieu.Client(fault_server.url, event_hooks={"request": [die]}) as client,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor,
    ):
        with client.map(["/ok", "/die"], limit=2, executor=executor) as outcomes:
            assert next(outcomes).result().status_code == 200
            lost = [outcome.error for outcome in outcomes]
            assert [type(error) for error in lost] == [adieu.TransportError]
            assert [type(error.__cause__) for error in lost if error] == [BrokenProcessPool]
        with (
            client.map(["/ok"], executor=executor) as outcomes,
            pytest.raises(adieu.TransportError, match="takes no request") as refused,
        ):
            next(outcomes)
        assert isinstance(refused.value.__cause__, BrokenProcessPool)


def test_an_executor_that_breaks_ends_the_map(fault_server: FaultServer) -> None:
    with (
        adieu.Client(fault_server.url, event_hooks={"request": [die]}) as client,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor,
    ):

        def urls() -> Iterator[str]:
            yield "/ok"
            while True:
                yield "/die"

        outcomes = client.map(urls(), limit=2, executor=executor)
        with outcomes:
            assert next(outcomes).result().status_code == 200
            broken: list[type] = []
            with pytest.raises(adieu.TransportError, match="takes no request"):
                broken.extend(type(outcome.error) for outcome in outcomes)
            # None, if the next request found it broken before the death was reported.
            assert set(broken) <= {adieu.TransportError}


def test_an_executor_that_was_shut_down_ends_the_map(fault_server: FaultServer) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with (
        adieu.Client(fault_server.url) as client,
        client.map(["/ok"], executor=executor) as outcomes,
        pytest.raises(adieu.TransportError, match="after shutdown"),
    ):
        next(outcomes)


class NeverStarts(Executor):
    """An executor that begins no job."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        return future


def test_a_request_that_has_not_begun_is_cancelled() -> None:
    executor = NeverStarts()
    client = adieu.Client("http://a.example")
    outcomes = client.map(["/ok"] * 9, limit=3, executor=executor)
    reader = threading.Thread(target=list, args=(outcomes,))
    reader.start()
    eventually(lambda: len(executor.futures) == 3)
    executor.futures[0].cancel()  # Not by the map: the cancellation is the outcome of that request.
    eventually(lambda: len(executor.futures) == 4)
    outcomes.close()
    reader.join(30)
    assert not reader.is_alive()
    assert all(future.cancelled() for future in executor.futures)
    client.close()


# The clients that a worker process keeps


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the worker clients. At the end all of them are closed."""
    clock = Clock()
    monkeypatch.setattr(worker_clients, "monotonic", clock)
    monkeypatch.setattr(worker_clients, "_EVICT_INTERVAL", 0.002)
    yield clock
    clock.now += worker_clients.IDLE_TIMEOUT
    eventually(lambda: not worker_clients._clients)


def test_an_idle_client_is_closed_and_the_evicting_thread_ends(
    fault_server: FaultServer, census: Watch, clock: Clock
) -> None:
    client = adieu.Client(fault_server.url)
    with BorrowedClient(pack(client)) as own, BorrowedClient(pack(client)) as same:
        assert own is same
        assert own is not client
        assert own.get("/ok").status_code == 200
        clock.now += 2 * worker_clients.IDLE_TIMEOUT
        worker_clients._evict_idle()
        assert not own.is_closed
    worker_clients._evict_idle()
    assert not own.is_closed
    with BorrowedClient(pack(client)) as same:
        assert own is same
    clock.now += worker_clients.IDLE_TIMEOUT
    eventually(lambda: own.is_closed)
    eventually(
        lambda: not any(thread.name == "adieu-map-clients" for thread in threading.enumerate())
    )
    with BorrowedClient(pack(client)) as another:
        assert another is not own
        assert another.get("/ok").status_code == 200
    clock.now += worker_clients.IDLE_TIMEOUT
    eventually(lambda: another.is_closed)
    client.close()
    assert census.count() == 0


def test_two_clients_of_equal_settings_share_nothing(
    fault_server: FaultServer, clock: Clock
) -> None:
    """A user who signed in with one client must not be signed in with the other."""
    with adieu.Client(fault_server.url) as one, adieu.Client(fault_server.url) as two:
        assert pickle.dumps(one) == pickle.dumps(two)
        with BorrowedClient(pack(one)) as first, BorrowedClient(pack(two)) as second:
            assert first is not second
            first.cookies.set("session", "one's")
            assert list(second.cookies) == []
