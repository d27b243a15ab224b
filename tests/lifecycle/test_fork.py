"""A forked child neither uses nor ends the connections of its parent."""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

import adieu
from adieu.client import base
from adieu.lifecycle import fork
from adieu.messages.fields.digest import DigestSession
from adieu.testing import established, payload
from adieu.transport import mounts
from adieu.transport.thread_pool import Threads, ThreadSlot
from adieu_urllib3 import Urllib3Adapter
from support.stage import COUNTS_REFERENCES, collection_after, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer
    from adieu.testing.faults import Request as Asked
    from support.stage import Stage

pytestmark = [
    pytest.mark.lifecycle,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork"),
]


def _in_a_child(work: Callable[[], object]) -> Any:
    """Do the work in a forked child, wait for its end, and return the result, which must fit into JSON."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Forking a process with threads is dangerous in general, and therefore tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(30)  # Ends a child that hangs.
        try:
            os.close(reading)
            try:
                report = json.dumps(work())
            except BaseException as error:
                report = json.dumps(repr(error))
            os.write(writing, report.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read().decode()
    os.waitpid(child, 0)
    return json.loads(report)


def test_parent_and_child_both_send_and_share_no_connection(bare: Stage) -> None:
    with bare.block(bare.client()) as client:
        before = bare.get(client, "/ok").json()

        def work() -> object:
            inherited = established(to_ports={bare.server.port})
            mine = [bare.get(client, "/ok").json() for _ in range(3)]
            bare.run(client.close())
            return [inherited, mine]

        inherited, mine = _in_a_child(work)
        after = [bare.get(client, "/ok").json() for _ in range(3)]
    assert inherited == 0
    used = {facts["connection"] for facts in mine}
    if bare.adapter == "close":
        assert len(used) == 3
    else:
        assert len(used) == 1
        # The parent's connection still works, and the child has sent nothing on it.
        assert {facts["connection"] for facts in after} == {before["connection"]}
        assert [facts["nth"] for facts in after] == [2, 3, 4]
        assert [facts["nth"] for facts in mine] == [1, 2, 3]
    assert used.isdisjoint({facts["connection"] for facts in (before, *after)})


def test_a_stream_of_the_parent_is_not_ended_by_the_end_of_the_child(bare: Stage) -> None:
    with bare.block(bare.client(cleanup=adieu.ReleaseOnRead())) as client:
        response = bare.run(client.stream("GET", "/bytes?n=3000000"))
        pieces = bare.runner.each(response.iter_raw())
        first = next(pieces)

        def work() -> object:
            answer = bare.get(client, "/ok", cleanup=adieu.Prefetch()).status_code
            try:
                bare.read(response)
            except adieu.AdieuError as error:
                raised = type(error).__name__
            else:
                raised = "nothing"
            bare.run(response.close())
            bare.run(client.close())
            return [answer, raised, established(to_ports={bare.server.port})]

        answer, raised, left = _in_a_child(work)
        assert answer == 200
        assert raised != "nothing"
        assert left == 0
        assert first + b"".join(pieces) == payload(3_000_000)


def test_a_child_that_only_drops_inherited_connections_does_not_disturb_the_parent(
    bare: Stage,
) -> None:
    with bare.block(bare.client(cleanup=adieu.ReleaseOnRead())) as client:
        held = [bare.run(client.stream("GET", "/bytes?n=3000000"))]
        bare.get(client, "/ok", cleanup=adieu.Prefetch())
        response = held[0]

        def work() -> object:
            nonlocal response
            warnings.simplefilter("ignore", ResourceWarning)
            held.clear()
            del response
            return "dropped"

        assert _in_a_child(work) == "dropped"
        assert bare.read(response) == payload(3_000_000)
        assert bare.get(client, "/ok", cleanup=adieu.Prefetch()).status_code == 200


def test_a_fork_in_the_middle_of_work_leaves_the_child_able_to_work(bare: Stage) -> None:
    """Other threads use the pool meanwhile: none of its locks may stay locked in the child."""
    with bare.block(bare.client()) as client:
        over = threading.Event()
        failures: list[BaseException] = []

        def busy() -> None:
            try:
                while not over.is_set():
                    bare.get(client, "/bytes?n=100")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: bare.server.served > 10)
            for _ in range(10):
                assert _in_a_child(lambda: bare.get(client, "/ok").status_code) == 200
        finally:
            over.set()
            for thread in threads:
                thread.join(30)
        assert failures == []


def _jar() -> tuple[Any, Callable[[], object]]:
    jar = adieu.Cookies({"a": "b"}, url="http://app.test")
    return jar._lock, lambda: jar.header_for(adieu.URL("http://app.test/"))


def _digest() -> tuple[Any, Callable[[], object]]:
    session = DigestSession("user", "secret")
    return session._lock, lambda: session.credentials("GET", "/")


def _budget() -> tuple[Any, Callable[[], object]]:
    budget = adieu.RetryBudget()
    return budget._lock, budget.take


def _mount() -> tuple[Any, Callable[[], object]]:
    client = adieu.Client(adapter=_answer)
    return mounts._MAKING, lambda: client.mount("mock://", _answer)


def _setting() -> tuple[Any, Callable[[], object]]:
    client = adieu.Client(adapter=_answer)
    return base._CHANGING, lambda: setattr(client, "max_body", 10)


def _map() -> tuple[Any, Callable[[], object]]:
    client = adieu.Client(adapter=_answer)
    outcomes = client.map([])
    return outcomes._reader_lock, lambda: list(outcomes)


def _threads() -> tuple[Any, Callable[[], object]]:
    threads = Threads(1)
    return threads._lock, lambda: threads.take(ThreadSlot("GET", "http://a/"), RuntimeError)


@adieu.adapter
def _answer(request: adieu.Request) -> adieu.Response:
    return adieu.Response(200)


@pytest.mark.parametrize("shared", [_jar, _digest, _budget, _mount, _setting, _map, _threads])
def test_what_another_thread_had_locked_can_be_used_in_a_child(
    shared: Callable[[], tuple[Any, Callable[[], object]]],
) -> None:
    lock, use = shared()

    def work() -> object:
        try:
            use()
        except adieu.ClientClosed:
            return "refused"
        return "used"

    with _held(lock):
        assert _in_a_child(work) == ("refused" if shared is _map else "used")
        assert not lock.acquire(blocking=False)


@contextmanager
def _held(lock: Any) -> Iterator[None]:
    """Another thread holds the lock."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            ready.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        done.set()
        holder.join(30)


@pytest.mark.parametrize("workers", ["threads", "an executor"])
def test_a_child_leaves_a_map_block_and_gets_no_outcome_of_the_parents(
    bare: Stage, workers: str
) -> None:
    executor = ThreadPoolExecutor(2) if workers == "an executor" else None
    answering = threading.Event()

    def slow(peer: Peer, request: Asked) -> Ending:
        answering.wait(30)
        peer.reply(200, b"late")
        return "keep"

    bare.server.on("/slow", slow)
    url = bare.server.url
    with bare.block(bare.client()) as client:
        wanted = [f"{url}/ok"] * 2 + [f"{url}/slow"] * 4
        with client.map(wanted, limit=2, executor=executor) as outcomes:
            first = [next(outcomes) for _ in range(2)]

            def work() -> object:
                with pytest.raises(adieu.ClientClosed) as refused:
                    next(outcomes)
                outcomes.close()
                return [str(refused.value), bare.get(client, "/ok").status_code]

            told, status = _in_a_child(work)
            answering.set()
            rest = list(outcomes)
    if executor is not None:
        executor.shutdown()
    assert told == "this map was begun before the process was forked: its requests are the parent's"
    assert status == 200
    assert [outcome.result().status_code for outcome in first + rest] == [200] * 6


def test_an_upgraded_connection_of_the_parent_survives_its_end_in_a_child(
    fault_server: FaultServer,
) -> None:
    headers = {"upgrade": "shout", "connection": "upgrade"}
    with adieu.Client(fault_server.url, proxy=None) as client:
        upgraded = client.get("/upgrade", headers=headers).upgraded
        assert upgraded is not None
        with upgraded:

            def work() -> object:
                with pytest.raises(ConnectionAbortedError) as refused:
                    upgraded.recv(timeout=30)
                upgraded.close()
                return [str(refused.value), established(to_ports={fault_server.port})]

            reader = threading.Thread(target=lambda: received.append(upgraded.recv(timeout=30)))
            received: list[bytes] = []
            reader.start()
            assert _in_a_child(work) == ["the connection was closed", 0]
            upgraded.send(b"hello")
            reader.join(30)
            assert received == [b"HELLO"]


def test_a_manager_of_the_users_own_has_new_connections_and_locks_in_a_child(
    fault_server: FaultServer,
) -> None:
    manager = urllib3.PoolManager(maxsize=1, block=True)
    url = f"{fault_server.url}/ok"
    with adieu.Client(adapter=Urllib3Adapter(manager), proxy=None, timeout=30) as client:
        before = client.get(url).json()
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            pool = manager.connection_from_url(url)
            assert pool.pool is not None
            with manager.pools.lock, pool.pool.mutex:
                held.set()
                assert go_on.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(30)

        def work() -> object:
            inherited = established(to_ports={fault_server.port})
            return [inherited, [client.get(url).json() for _ in range(2)]]

        inherited, mine = _in_a_child(work)
        go_on.set()
        holder.join()
        after = client.get(url).json()
        assert inherited == 0
        assert [facts["nth"] for facts in mine] == [1, 2]
        assert mine[0]["connection"] == mine[1]["connection"] != before["connection"]
        assert (after["connection"], after["nth"]) == (before["connection"], 2)
        manager.connection_from_url(url).close()


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="it has no threshold of collections")
def test_a_collection_while_the_registry_is_read_leaves_nothing_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The registry forgets what is collected, by the callbacks of its weak references: so it changes at any time."""

    class Thing:
        itself: Thing

    def make_garbage() -> None:
        for _ in range(500):
            thing = Thing()
            thing.itself = thing
            fork.call_after_fork(thing, id)
        fork.call_after_fork(kept, renewed.append)

    monkeypatch.setattr(fork, "_first", {})
    monkeypatch.setattr(fork, "_then", {})
    kept = Thing()
    renewed: list[Thing] = []
    with collection_after(100, make_garbage):
        fork._after_fork()
    assert renewed == [kept]
