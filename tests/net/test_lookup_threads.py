"""Threads that look names up: they are bounded, and a call that waits for one has its own limit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.net import lookup_threads
from adieu.net.lookup_threads import LOOKUPS, LookupThreads
from support.places import PLACES, Place, placed
from support.stage import caught, eventually, growing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing import FaultServer
    from support.watch import Watch


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


class Resolver:
    """Hangs for each name that begins with "slow", until it is released; records the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()

    def __call__(self, host: str, port: int) -> Any:
        self.asked.append(host)
        if host.startswith("slow"):
            assert self.release.wait(30)
        if host == "unknown":
            raise adieu.DNSError("no such name")
        return ["127.0.0.1"]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    made = Resolver()
    yield made
    made.release.set()
    eventually(lambda: running() == 0)


def running() -> int:
    return sum(thread.name.startswith("adieu-dns") for thread in threading.enumerate())


def error_of_the_look_up(place: Place, client: Any, url: str, limit: str) -> str:
    """The error of a call whose time ends while it waits for the address, and not before."""
    text = ""
    for seconds in growing(0.05):
        timeout = adieu.Timeout(**{"connect": 30, limit: seconds})
        text = str(caught(adieu.RequestTimeout, place.get, client, url, timeout=timeout))
        if "look" in text:
            break
    return text


def test_a_call_that_gets_no_thread_ends_at_its_limit_and_says_why(
    place: Place, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOKUPS, "limit", 2)
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(2):
        LOOKUPS.ask(f"slow{number}", 80, answers.put, resolver)
    eventually(lambda: len(resolver.asked) == 2)
    url = f"http://quick.example:{place.server.port}/ok"
    with place.block(place.one(connect=adieu.Connect(resolver=resolver))) as client:
        for limit in ("connect", "total"):
            text = error_of_the_look_up(place, client, url, limit)
            assert (
                "while the host name 'quick.example' waited to be looked up: the 2 look-ups that may run at once take "
                "long, those of 'slow0', 'slow1'"
            ) in text
        assert running() == 2
        assert client.connections() == []
        resolver.release.set()
        eventually(lambda: running() == 0)
        # No call waited for it any more.
        assert len(resolver.asked) == 2
        assert place.get(client, url).status_code == 200
        place.next_works(client)
    assert place.nothing_open()


def test_a_call_whose_name_takes_too_long_says_so(place: Place, resolver: Resolver) -> None:
    connect = adieu.Connect(resolver=resolver)
    with place.block(place.one(connect=connect)) as client:
        text = error_of_the_look_up(place, client, "http://slow.example/", "connect")
        assert ", while the host name 'slow.example' was looked up" in text
        place.next_works(client)


@pytest.fixture
def threads() -> LookupThreads:
    return LookupThreads(2)


def test_no_more_threads_run_than_may_and_they_end(
    threads: LookupThreads, resolver: Resolver
) -> None:
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(200):
        threads.ask(f"slow{number}", 80, answers.put, resolver)
    eventually(lambda: len(resolver.asked) == 2)
    assert running() == 2
    resolver.release.set()
    assert [answers.get(timeout=30) for _ in range(200)] == [["127.0.0.1"]] * 200
    assert sorted(resolver.asked) == sorted(f"slow{number}" for number in range(200))
    eventually(lambda: running() == 0)
    threads.ask("once more", 80, answers.put, resolver)
    assert answers.get(timeout=30) == ["127.0.0.1"]


def test_equal_questions_share_a_thread_and_each_call_has_its_own_answer(
    threads: LookupThreads, resolver: Resolver
) -> None:
    answers: SimpleQueue[Any] = SimpleQueue()
    for _ in range(20):
        threads.ask("slow", 80, answers.put, resolver)
    eventually(lambda: running() == 1)
    threads.ask("quick", 80, answers.put, resolver)
    assert answers.get(timeout=30) == ["127.0.0.1"]
    resolver.release.set()
    given = [answers.get(timeout=30) for _ in range(20)]
    assert given == [["127.0.0.1"]] * 20
    assert len(set(map(id, given))) == 20
    assert resolver.asked == ["slow", "quick"]
    # Other ports and resolvers are other questions.
    for port, look_up in ((80, resolver), (81, resolver), (81, lambda host, port: [host])):
        threads.ask("quick", port, answers.put, look_up)
    assert sorted(map(str, [answers.get(timeout=30) for _ in range(3)]))[2] == "['quick']"


def test_calls_that_share_a_failure_get_an_exception_each(threads: LookupThreads) -> None:
    go_on = threading.Event()

    def fail(host: str, port: int) -> Any:
        assert go_on.wait(30)
        raise adieu.DNSError("no such name") from OSError("why")

    answers: SimpleQueue[Any] = SimpleQueue()
    for _ in range(3):
        threads.ask("a", 80, answers.put, fail)
    go_on.set()
    errors = [answers.get(timeout=30) for _ in range(3)]
    assert [str(error) for error in errors] == ["no such name"] * 3
    assert {type(error) for error in errors} == {adieu.DNSError}
    assert len(set(map(id, errors))) == 3
    assert [error.__traceback__ for error in errors] == [None] * 3


def test_a_look_up_that_has_lasted_long_is_not_joined(
    threads: LookupThreads, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: SimpleQueue[Any] = SimpleQueue()
    threads.ask("slow", 80, answers.put, resolver)
    eventually(lambda: resolver.asked == ["slow"])
    monkeypatch.setattr(lookup_threads, "_JOINED_FOR", -1.0)
    threads.ask("slow", 80, answers.put, resolver)
    eventually(lambda: resolver.asked == ["slow", "slow"])
    resolver.release.set()
    assert [answers.get(timeout=30) for _ in range(2)] == [["127.0.0.1"]] * 2


def test_a_look_up_that_no_call_waits_for_is_not_begun(
    threads: LookupThreads, resolver: Resolver
) -> None:
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(2):
        threads.ask(f"slow{number}", 80, answers.put, resolver)
    asked = threads.ask("slow2", 80, answers.put, resolver)
    asked.forget()
    asked.forget()
    threads.ask("quick", 80, answers.put, resolver)
    resolver.release.set()
    assert [answers.get(timeout=30) for _ in range(3)] == [["127.0.0.1"]] * 3
    assert sorted(resolver.asked) == ["quick", "slow0", "slow1"]


def test_a_look_up_that_ends_its_thread_is_an_error_and_loses_no_thread(
    threads: LookupThreads,
) -> None:
    def leave(host: str, port: int) -> Any:
        raise SystemExit

    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(5):
        threads.ask(str(number), 80, answers.put, leave)
        assert "was ended by SystemExit()" in str(answers.get(timeout=30))


def test_without_a_thread_the_next_call_tries_again(
    threads: LookupThreads, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> Any:
        raise RuntimeError("can't start new thread")

    answers: SimpleQueue[Any] = SimpleQueue()
    with monkeypatch.context() as patched:
        patched.setattr(lookup_threads, "BackgroundThread", none)
        with pytest.raises(adieu.DNSError, match="can't start new thread"):
            threads.ask("quick", 80, answers.put, resolver)
    threads.ask("slow", 80, answers.put, resolver)
    eventually(lambda: resolver.asked == ["slow"])
    with monkeypatch.context() as patched:
        patched.setattr(lookup_threads, "BackgroundThread", none)
        threads.ask("quick", 80, answers.put, resolver)  # The one thread takes it when it is free.
    resolver.release.set()
    assert [answers.get(timeout=30) for _ in range(2)] == [["127.0.0.1"]] * 2
    assert resolver.asked == ["slow", "quick"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_has_threads_of_its_own(threads: LookupThreads, resolver: Resolver) -> None:
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(3):
        threads.ask(f"slow{number}", 80, answers.put, resolver)
    eventually(lambda: len(resolver.asked) == 2)
    child = os.fork()
    if not child:
        own: SimpleQueue[Any] = SimpleQueue()
        try:
            threads.ask("slow0", 80, own.put, lambda host, port: [])
            os._exit(own.get(timeout=30) != [])
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_look_up_that_hangs_does_not_keep_the_interpreter_from_ending() -> None:
    code = (
        "import time, adieu\n"
        "connect = adieu.Connect(resolver=lambda host, port: time.sleep(60))\n"
        "client = adieu.Client(connect=connect, timeout=0.05, proxy=None)\n"
        "try: client.get('http://slow.example/')\n"
        "except adieu.ConnectTimeout: print('late')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("late\n", "", 0)
