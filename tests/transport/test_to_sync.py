"""An async adapter for sync clients: its event loop always ends, and what runs in it is left to nobody.

That responses in flight, middlewares and policies work through it is in test_responses_in_flight.py.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import threading
import weakref
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.transport.background_loop import BackgroundLoop
from adieu_h11 import AsyncH11Adapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from support.alarm import HAS_ALARMS
from support.stage import COUNTS_REFERENCES, POLICIES, caught, drop, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing import FaultServer

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census", "no_loop_is_left")]


def loops() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("the event loop of")]


@pytest.fixture
def no_loop_is_left() -> Iterator[None]:
    yield
    drop()
    eventually(lambda: loops() == [])


def client(inner: Any, **options: Any) -> adieu.Client:
    return adieu.Client(adapter=adieu.to_sync(inner), **options)


def answering(function: Any) -> Any:
    return adieu.adapter(function)


@pytest.mark.parametrize("kind", [AsyncNativeAdapter, AsyncH11Adapter])
@pytest.mark.parametrize("policy", POLICIES)
def test_calls_work_as_over_a_sync_adapter(
    kind: Any, policy: str, fault_server: FaultServer
) -> None:
    with client(kind(), base_url=fault_server.url, cleanup=POLICIES[policy]()) as used:
        assert loops() == []  # It starts with the first call.
        assert used.get("/ok").json()["request"] == 1
        assert used.post("/echo", content=iter([b"a", b"b"])).json()["body"] == "ab"
        with used.stream("GET", "/bytes?n=300000") as response:
            next(response.iter_bytes())
        assert used.get("/redirect").json()["nth"] > 1 or policy in {"CloseOnExit", "NoKeepAlive"}
        error: Any = caught(adieu.BodyTruncated, lambda: used.get("/truncated").read())
        assert error.received == 500
        late: Any = caught(
            adieu.ReadTimeout, used.get, "/stall-head", timeout=adieu.Timeout(read=0.05)
        )
        assert late.limit == 0.05
        assert len(loops()) == 1
    assert loops() == []
    with pytest.raises(adieu.ClientClosed):
        used.get("/ok")


def test_one_connection_is_used_again_and_close_reports_it(fault_server: FaultServer) -> None:
    adapter = adieu.to_sync(AsyncNativeAdapter())
    with adieu.Client(fault_server.url, adapter=adapter) as used:
        for _ in range(3):
            used.get("/ok")
        assert [line.state for line in used.connections()] == ["idle"]
        report = used.close()
    assert (report.idle, report.in_use) == (1, 0)
    assert adapter.close() is None
    with pytest.raises(adieu.ClientClosed, match=r"to_sync\(.*\) is closed"):
        adieu.Client(adapter=adapter).get(fault_server.url)


def test_an_adapter_that_no_request_came_to_starts_no_loop_that_stays() -> None:
    client(AsyncNativeAdapter()).close()
    assert loops() == []


def test_an_adapter_that_is_dropped_lets_its_loop_end(fault_server: FaultServer) -> None:
    used = client(AsyncNativeAdapter(), base_url=fault_server.url)
    used.get("/ok", cleanup=adieu.NoKeepAlive())
    assert len(loops()) == 1
    del used
    drop()
    eventually(lambda: loops() == [])


def test_the_function_runs_in_the_loop_with_the_callers_context() -> None:
    value: ContextVar[str] = ContextVar("value", default="none")
    seen: list[tuple[str, str]] = []

    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        async def pieces() -> Any:
            seen.append((value.get(), threading.current_thread().name))
            yield b"x"

        await asyncio.sleep(0)
        seen.append((value.get(), threading.current_thread().name))
        return adieu.AsyncResponse(200, body=pieces())

    with client(answer) as used:
        value.set("mine")
        assert used.get("mock://x").content == b"x"
        (name,) = loops()
    assert seen == [("mine", name)] * 2


def test_many_threads_share_the_loop(fault_server: FaultServer) -> None:
    limits = adieu.Limits(connections=3)
    with client(AsyncNativeAdapter(limits=limits), base_url=fault_server.url) as used:
        urls = [f"/bytes?n={n}" for n in range(1, 60)]
        requests = [used.build_request("GET", url) for url in urls]
        with used.map(requests, limit=12) as outcomes:
            lengths = sorted(len(outcome.result().content) for outcome in outcomes)
    assert lengths == list(range(1, 60))
    assert fault_server.accepted <= 3


def test_an_error_in_the_loop_is_raised_and_ends_nothing() -> None:
    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        if request.url.path == "/exit":
            raise SystemExit(3)
        if request.url.path == "/task":
            asyncio.get_running_loop().create_task(_exits())
            await asyncio.sleep(0.01)
        if request.url.path == "/error":
            raise LookupError("no such shop")
        return adieu.AsyncResponse(200)

    async def _exits() -> None:
        raise SystemExit(4)

    with client(answer) as used:
        caught(SystemExit, used.get, "mock://x/exit")
        error = caught(adieu.TransportError, used.get, "mock://x/error")
        assert isinstance(error.__cause__, LookupError)
        assert used.get("mock://x/task").status_code == 200
        assert used.get("mock://x/").status_code == 200


@pytest.mark.skipif(not HAS_ALARMS, reason="interrupted by a POSIX timer")
def test_an_interrupted_call_cancels_its_task() -> None:
    ends: list[str] = []

    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        if request.url.path == "/slow":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise
        return adieu.AsyncResponse(200)

    def ring(*facts: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, ring)
    try:
        with client(answer) as used:
            used.get("mock://x/")
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            caught(KeyboardInterrupt, used.get, "mock://x/slow", timeout=None)
            eventually(lambda: ends == ["cancelled"])
            assert used.get("mock://x/").status_code == 200
    finally:
        signal.signal(signal.SIGALRM, former)


def test_close_ends_calls_and_bodies_that_other_threads_wait_for(fault_server: FaultServer) -> None:
    used = client(AsyncNativeAdapter(), base_url=fault_server.url, timeout=None)
    held = used.stream("GET", "/stall-body?seconds=30&sent=10")
    errors: list[Any] = []
    waits: list[Callable[[], object]] = [held.read, lambda: used.get("/stall-head?seconds=30")]
    threads = [
        threading.Thread(target=lambda wait=wait: errors.append(caught(adieu.AdieuError, wait)))
        for wait in waits
    ]
    for thread in threads:
        thread.start()
    fault_server.wait_until(lambda: fault_server.served == 2)
    used.close()
    for thread in threads:
        thread.join(30)
    assert [type(error) for error in errors] == [adieu.ClientClosed] * 2
    assert loops() == []


def test_tasks_that_are_left_are_cancelled_with_the_loop() -> None:
    ends: list[str] = []
    left: set[Any] = set()

    async def lasting() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("ended")

    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        left.add(asyncio.get_running_loop().create_task(lasting()))
        await asyncio.sleep(0)
        return adieu.AsyncResponse(200)

    with client(answer) as used:
        used.get("mock://x/")
        assert ends == []
    assert ends == ["ended"]


def test_a_sync_call_in_its_own_loop_is_refused_instead_of_waiting_for_itself() -> None:
    clients: list[adieu.Client] = []

    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        return adieu.AsyncResponse(clients[0].get("mock://x/again").status_code)

    with client(answer) as used:
        clients.append(used)
        with pytest.raises(adieu.InvalidRequest, match="needs an AsyncClient"):
            used.get("mock://x/")


def test_a_dropped_response_frees_its_connection(fault_server: FaultServer) -> None:
    limits = adieu.Limits(connections=1)
    with client(AsyncNativeAdapter(limits=limits), base_url=fault_server.url) as used:
        with pytest.warns(ResourceWarning, match="bytes"):
            _dropping(used)
        assert used.get("/ok", timeout=adieu.Timeout(pool=30)).ok


def _dropping(used: adieu.Client) -> None:
    used.stream("GET", "/bytes?n=3000000")
    drop()


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="waits for the collector there")
def test_no_cycle_is_left(fault_server: FaultServer) -> None:
    with client(AsyncNativeAdapter(), base_url=fault_server.url) as used:
        used.get("/ok")
        gc.collect()
        gc.disable()
        try:
            used.get("/ok")
            with used.stream("GET", "/bytes?n=300000") as response:
                response.read()
            del response
            caught(adieu.PeerClosed, used.get, "/close")
            adapter: Any = used.mounts.select(adieu.URL(fault_server.url)).adapter
            adapter._loop.call(lambda: asyncio.sleep(0))  # The tasks before this one are gone.
            found = [o for o in _garbage() if type(o).__module__.startswith("adieu")]
        finally:
            gc.enable()
    assert found == []


def _garbage() -> list[Any]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_a_pickled_client_has_a_loop_of_its_own(fault_server: FaultServer) -> None:
    with client(AsyncNativeAdapter(), base_url=fault_server.url) as used:
        used.get("/ok")
        with pickle.loads(pickle.dumps(used)) as other:
            assert other.get("/ok").ok
            assert len(loops()) == 2


@pytest.mark.parametrize("wrong", [NativeAdapter(), object(), AsyncNativeAdapter])
def test_an_object_that_is_no_async_adapter_is_refused(wrong: Any) -> None:
    with pytest.raises(adieu.InvalidRequest):
        adieu.to_sync(wrong)


def test_an_answer_of_the_wrong_kind_is_named() -> None:
    class Wrong(adieu.AdapterBase):
        async def send(self, request: Any, exchange: Any) -> Any:
            return 5

        async def close(self) -> None:
            pass

    with client(Wrong()) as used, pytest.raises(adieu.TransportError, match="returned int"):
        used.get("mock://x")


# The loop itself


def test_a_loop_that_has_ended_refuses_and_is_not_begun_again() -> None:
    loop = BackgroundLoop("the event loop of a test")
    assert loop.call(lambda: asyncio.sleep(0, "done")) == "done"
    assert loop.is_running
    loop.end(30)
    assert not loop.is_running
    for _ in range(2):
        with pytest.raises(adieu.ClientClosed, match="the event loop of a test has ended"):
            loop.call(lambda: asyncio.sleep(0))
    loop.end(30)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references")
def test_a_loop_whose_thread_is_late_keeps_no_result_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an unread response that its caller drops would end later, in the thread of the loop."""
    go_on = threading.Event()

    class Late:
        def __init__(self) -> None:
            self._queue: SimpleQueue[Any] = SimpleQueue()
            self.get = self._queue.get

        def put(self, item: Any) -> None:
            self._queue.put(item)
            if isinstance(item, list):
                go_on.wait(30)

    async def result() -> object:
        return threading.Event()

    monkeypatch.setattr("adieu.transport.background_loop.SimpleQueue", Late)
    loop = BackgroundLoop("the event loop of a test")
    found = weakref.ref(loop.call(result))
    assert found() is None
    go_on.set()
    loop.end(30)


def test_a_loop_that_cannot_be_made_is_an_error_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_descriptor() -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "new_event_loop", no_descriptor)
    loop = BackgroundLoop("the event loop of a test")
    with pytest.raises(adieu.ClientClosed, match=r"could not be made: .*Too many open files"):
        loop.call(lambda: asyncio.sleep(0))
    loop.end(30)


def test_a_task_that_ignores_its_cancellation_does_not_keep_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adieu.transport.background_loop._EACH", 0.02)

    async def stubborn() -> None:
        for _ in range(100):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    kept: list[Any] = []

    async def start() -> None:
        kept.append(asyncio.get_running_loop().create_task(stubborn()))
        await asyncio.sleep(0)

    loop = BackgroundLoop("the event loop of a test")
    loop.call(start)
    loop.end(30)
    assert not loop.is_running
    kept[0]._log_destroy_pending = False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_begins_a_loop_of_its_own() -> None:
    loop = BackgroundLoop("the event loop of a test")
    loop.call(lambda: asyncio.sleep(0))
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            os._exit(loop.call(lambda: asyncio.sleep(0, 7)))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert loop.call(lambda: asyncio.sleep(0, "parent")) == "parent"
    loop.end(30)
