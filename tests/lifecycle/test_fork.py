"""A forked child neither uses nor ends the connections of its parent."""

from __future__ import annotations

import json
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.lock import new_lock
from adieu.testing import established, payload
from support.stage import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

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
                thread.join(10)
        assert failures == []


def test_a_lock_that_another_thread_holds_is_free_in_a_child() -> None:
    lock = new_lock()
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            ready.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert ready.wait(20)
    try:
        assert _in_a_child(lambda: lock.acquire(timeout=5)) is True
        assert not lock.acquire(blocking=False)
    finally:
        done.set()
        holder.join(20)
