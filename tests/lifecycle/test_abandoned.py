"""A body that is dropped unread while its client lives: the socket closes, its place is free, and the leak is reported.

With reference counting this happens at once, elsewhere at the next collection. In a cycle it always takes a collection,
so a full pool runs the collector before it raises, even if the collector is switched off.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.exchange import caller
from support.stage import caught, drop, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.events import Closed, Leaked, Leased
    from support.stage import Stage

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("uncollected")]

MODES = ("sync", "async")

LARGE = "/bytes?n=1000000"


@contextlib.contextmanager
def _warned() -> Iterator[list[str]]:
    """The texts of the ResourceWarnings about clients of this module."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield texts
    texts += [str(line.message) for line in seen if issubclass(line.category, ResourceWarning)]


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The errors that finalizers raised."""
    seen: list[Any] = []

    def hook(report: Any) -> None:
        # Not the report itself, because it refers to the object and the traceback.
        seen.append(f"{report.exc_type.__name__}: {report.exc_value}")

    monkeypatch.setattr(sys, "unraisablehook", hook)
    return seen


@pytest.mark.parametrize("how", ["unread", "partly read", "iterator held", "404", "redirected"])
def test_a_dropped_body_is_closed_and_its_place_is_free(bare: Stage, how: str) -> None:
    path = {
        "404": "/status/404?body=900000",
        "redirected": "/redirect?n=2&to=/bytes?n=1000000",
    }.get(how, LARGE)
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        for _ in range(3):
            with _warned() as warned:
                response, pieces = bare.get(client, path), None
                if how in {"partly read", "iterator held"}:
                    pieces = bare.runner.each(response.iter_bytes())
                    next(pieces)
                    if how == "partly read":
                        pieces = None
                assert bare.sockets() == 1
                del response
                if how == "iterator held":
                    # The iterator can still be read.
                    assert bare.sockets() == 1
                    pieces = None
                drop()
                assert bare.sockets() == 0
                assert bare.in_use(client) == []
            assert len(warned) == 1
            bare.next_works(client)


def test_one_warning_names_the_url_and_the_place(bare: Stage) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        with _warned() as warned:
            opened_at = sys._getframe().f_lineno + 1
            response = bare.run(client.stream("GET", LARGE))
            del response
            drop()
        (text,) = warned
        assert f"GET {bare.server.url}{LARGE}" in text
        place = bare.runner.opened_at(rf"test_abandoned\.py:{opened_at} in test_one_warning")
        assert re.search(f"opened at .*{place}", text)
        assert "a response was dropped unread, and its connection had to be closed" in text
    assert bare.nothing_open()


@pytest.mark.parametrize("how", ["read", "closed", "in a block", "raised", "prefetched", "small"])
def test_a_body_that_was_ended_is_not_reported(stage: Stage, how: str) -> None:
    with _warned() as warned, stage.block(stage.client()) as client:
        for _ in range(3):
            if how == "in a block":
                with stage.block(client.stream("GET", LARGE)):
                    pass
            elif how == "raised":
                late = adieu.Timeout(read=0.02)
                path = "/stall-body?n=90000"
                caught(
                    adieu.ReadTimeout,
                    stage.get,
                    client,
                    path,
                    timeout=late,
                    cleanup=adieu.Prefetch(),
                )
            elif how == "prefetched":
                stage.get(client, LARGE, cleanup=adieu.Prefetch())
            elif how == "small":
                stage.get(client, "/ok")
            else:
                response = stage.get(client, LARGE)
                if how == "read":
                    stage.read(response)
                else:
                    stage.run(response.close())
                del response
        drop()
    assert warned == []


def test_a_body_that_its_client_cut_off_is_not_reported_again(stage: Stage) -> None:
    with _warned() as warned:
        with stage.block(stage.client()) as client:
            response = stage.run(client.stream("GET", LARGE))
        del response
        drop()
    assert warned == []


def test_every_policy_frees_the_place(stage: Stage) -> None:
    """Strict raises where the others warn; in a finalizer both are only reports."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda report: None
    try:
        with _warned() as warned, stage.block(stage.one()) as client:
            for _ in range(3):
                response = stage.run(client.stream("GET", LARGE))
                del response
                drop()
                assert stage.nothing_open()
                stage.next_works(client)
        assert len(warned) == (0 if isinstance(stage.policy, adieu.Strict) else 3)
    finally:
        sys.unraisablehook = hook


def test_strict_reports_it_as_an_error(bare: Stage, unraisable: list[str]) -> None:
    with _warned() as warned, bare.block(bare.one(cleanup=adieu.Strict())) as client:
        response = bare.get(client, LARGE)
        del response
        drop()
        bare.next_works(client)
    assert warned == []
    (report,) = unraisable
    assert report.startswith("RuntimeError: a response was dropped unread: GET http://127.0.0.1")
    assert re.search(bare.runner.opened_at(r"test_abandoned\.py|support/stage\.py"), report)


def test_nothing_is_lost_if_warnings_are_errors(bare: Stage, unraisable: list[str]) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            response = bare.get(client, LARGE)
            del response
            drop()
        assert bare.nothing_open()
        bare.next_works(client)
    assert len(unraisable) == 1


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_listener_gets_the_leak(
    bare: Stage, unraisable: list[str], error: type[Exception] | None
) -> None:
    class Listener(adieu.Events):
        def __init__(self) -> None:
            self.calls: list[tuple[object, ...]] = []

        def leased(self, event: Leased) -> None:
            self.calls.append(("leased", event.connection))

        def closed(self, event: Closed) -> None:
            self.calls.append(("closed", event.connection, event.why))

        def leaked(self, event: Leaked) -> None:
            self.calls.append(
                ("leaked", event.connection, event.method, event.url, event.opened_at)
            )
            if error is not None:
                raise error("the listener fails")

    events = Listener()
    with (
        _warned() as warned,
        bare.block(bare.one(cleanup=adieu.ReleaseOnRead(), events=events)) as client,
    ):
        opened_at = sys._getframe().f_lineno + 1
        response = bare.run(client.stream("GET", LARGE))
        del response
        drop()
        leased, closed, leaked = events.calls
        number = leased[1]
        assert closed == ("closed", number, "abandoned")
        assert leaked[:4] == ("leaked", number, "GET", bare.server.url + LARGE)
        place = bare.runner.opened_at(rf"test_abandoned\.py:{opened_at} in ")
        assert re.search(place, str(leaked[4]))
    assert len(warned) == 1
    assert len(unraisable) == (0 if error is None else 1)


class _Knot:
    """A reference cycle around something."""

    def __init__(self, thing: object) -> None:
        self.thing = thing
        self.me = self


# The pool limits how often it runs the collector, and PyPy's takes long on a busy machine.
_COLLECTED = adieu.Timeout(pool=30)


def test_after_a_drop_in_a_cycle_with_the_collector_off_the_next_call_works(
    bare: Stage, afresh: None
) -> None:
    """The pool has one place, and only the collector can find its holder."""
    with (
        _warned() as warned,
        bare.block(bare.one(cleanup=adieu.ReleaseOnRead(), timeout=_COLLECTED)) as client,
    ):
        for _ in range(3):
            _Knot(bare.get(client, LARGE))
            assert len(bare.in_use(client)) == 1
            bare.next_works(client)
        assert bare.in_use(client) == []
    assert len(warned) == 3
    assert bare.nothing_open()


def test_after_a_drop_in_a_cycle_calls_that_already_wait_are_served(
    bare: Stage, afresh: None
) -> None:
    with (
        _warned(),
        bare.block(bare.one(cleanup=adieu.ReleaseOnRead(), timeout=_COLLECTED)) as client,
    ):
        _Knot(bare.get(client, LARGE))
        answers: list[Any] = []

        def call() -> None:
            try:
                answers.append(bare.get(client, "/ok", cleanup=adieu.Prefetch()).status_code)
            except adieu.AdieuError as error:
                answers.append(repr(error))

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert answers == [200] * 4


def test_a_body_that_is_held_is_not_collected_and_the_timeout_names_it(bare: Stage) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        opened_at = sys._getframe().f_lineno + 1
        held = bare.run(client.stream("GET", LARGE))
        error: Any = caught(
            adieu.PoolTimeout, bare.get, client, "/ok", timeout=adieu.Timeout(pool=0.1)
        )
        (holder,) = error.holders
        assert holder in str(error)
        assert re.fullmatch(
            rf"GET {re.escape(bare.server.url + LARGE)} holds connection \d+ for \d\.\d s, "
            rf"opened at .*{bare.runner.opened_at(rf'test_abandoned.py:{opened_at} in ')}.*",
            holder,
        )
        assert "no connection became free for 0.1 s (Timeout.pool). All 1 are in use" in str(error)
        assert len(bare.read(held)) == 1_000_000
        bare.next_works(client)


def test_a_client_that_is_dropped_with_its_open_body_leaves_nothing(bare: Stage) -> None:
    with _warned() as warned:
        client = bare.client(cleanup=adieu.ReleaseOnRead())
        bare.get(client, "/ok")
        response = bare.get(client, LARGE)
        del client
        drop()
        # The response can still be read; the connection closes with it.
        assert bare.sockets() >= 1
        assert len(bare.read(response)) == 1_000_000
        del response
        drop()
        assert bare.nothing_open()
    assert warned == []


def test_a_client_and_its_open_body_dropped_together_leave_nothing(bare: Stage) -> None:
    with _warned() as warned:
        client = bare.client(cleanup=adieu.ReleaseOnRead())
        response = bare.get(client, LARGE)
        del client, response
        drop()
        assert bare.nothing_open()
    assert len(warned) == 1


def test_a_body_dropped_by_another_thread_wakes_a_waiting_call(bare: Stage) -> None:
    with _warned(), bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        held = [bare.get(client, LARGE)]
        go = threading.Event()

        def let_go() -> None:
            go.wait(30)
            held.clear()
            drop()

        thread = threading.Thread(target=let_go)
        thread.start()
        go.set()
        bare.next_works(client)
        thread.join(30)
        eventually(lambda: bare.in_use(client) == [])


@pytest.mark.parametrize(
    ("module", "is_named"),
    [
        ("adieux.shop", True),
        ("shop", True),
        ("adieu.client.call", False),
        ("adieu_shop.wire", False),
    ],
)
def test_the_report_names_a_line_of_the_user(module: str, is_named: bool) -> None:
    scope: dict[str, Any] = {"__name__": module, "caller": caller}
    exec(compile("def ask():\n    return caller()", "shop.py", "exec"), scope)
    place = "shop.py:2 in ask" if is_named else "in test_the_report_names_a_line_of_the_user"
    assert scope["ask"]().endswith(place)
