"""`proves_clean`: what is left open is named with the line that opened it, for every adapter, sync and async."""

from __future__ import annotations

import contextlib
import gc
import http.client
import pickle
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import NotClean, proves_clean
from adieu.testing.ledger import Ledger
from support.everywhere import stage
from support.stage import caught, drop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.testing import FaultServer
    from support.stage import Stage

__all__ = ["stage"]

pytestmark = pytest.mark.lifecycle

BIG = "/bytes?n=300000"


def not_clean(block: Any, *steps: Callable[[], object]) -> NotClean:
    """The error of a block in which these functions are called."""
    error = caught(NotClean, in_block, block, steps)
    assert isinstance(error, NotClean)
    return error


def in_block(block: Any, steps: Iterable[Callable[[], object]]) -> None:
    with block:
        for step in steps:
            step()


def drop_unread(stream: Callable[[], object]) -> None:
    with pytest.warns(ResourceWarning):
        in_block(contextlib.nullcontext(), [stream, drop])


def test_a_block_in_which_everything_ends_is_clean_and_has_a_ledger(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        listener = adieu.Events()
        client.events = listener
        with stage.block(proves_clean(client)) as ledger:
            stage.get(client, "/redirect")
            stage.get(client, "/status/404")
            with stage.block(client.stream("GET", BIG)) as response:
                next(iter(stage.runner.each(response.iter_bytes())))
            caught(adieu.TransportError, stage.get, client, "/reset")
        assert client.events == (listener,)
    methods = {(line.method, bool(line.ended), line.leaked) for line in ledger.lines}
    assert methods == {("GET", True, False)}
    assert len(ledger.lines) >= 5
    assert all(re.search(r"\.py:\d+ in ", line.opened_at or "") for line in ledger.lines)


def test_an_open_response_is_named_with_its_line(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        held = []
        found = not_clean(
            stage.block(proves_clean(client)),
            lambda: stage.get(client, "/ok"),
            lambda: held.append(stage.run(client.stream("GET", BIG))),
        )
        assert not held[0].is_closed
    (fault,) = found.faults
    place = stage.runner.opened_at(r"test_clean\.py:\d+ in <lambda>")
    url = re.escape(f"{stage.server.url}{BIG}")
    how = r"\(connection \d+(, reused)?\)"
    assert re.fullmatch(rf"GET {url} {how}, opened at \S*{place}: STILL OPEN", fault)
    ledger = r"the ledger, 2 of 2 exchanges:\n  GET \S+/ok .*: (released|closed: )"
    assert re.search(ledger, str(found))
    stage.nothing_open()


def test_a_response_that_was_dropped_unread_is_named_although_it_is_closed(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        found = not_clean(
            stage.block(proves_clean(client)),
            lambda: drop_unread(lambda: stage.run(client.stream("GET", BIG))),
        )
        (fault,) = found.faults
        assert fault.endswith("dropped unread")
        with stage.block(proves_clean(client)):
            stage.get(client, "/ok")


def test_an_idle_connection_of_the_client_may_stay_and_one_of_another_client_may_not(
    stage: Stage,
) -> None:
    with stage.block(stage.client()) as client:
        with stage.block(proves_clean(client)):
            stage.get(client, "/ok")
        if stage.adapter == "close":
            return
        other = stage.client()
        found = not_clean(
            stage.block(proves_clean(client)),
            lambda: stage.get(client, "/ok"),
            lambda: stage.get(other, "/ok"),
        )
        assert "1 sockets of this process are open:" in str(found)
        assert f"to 127.0.0.1:{stage.server.port}, ESTABLISHED" in str(found)
        stage.run(other.close())


def test_an_error_that_leaves_the_block_is_raised_as_it_is(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        held = []
        steps = (lambda: held.append(stage.run(client.stream("GET", BIG))), lambda: 1 / 0)
        caught(ZeroDivisionError, in_block, stage.block(proves_clean(client)), steps)
        assert client.events == ()


# Without a network, and without clients


def test_an_open_response_without_a_connection_is_named_too() -> None:
    def endless(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, body=iter([b"a", b"b"]))

    with adieu.Client(adapter=endless) as client:
        before = client.stream("GET", "mock://x/before")
        held = []
        found = not_clean(
            proves_clean(client), lambda: held.append(client.stream("GET", "mock://x/held"))
        )
        (fault,) = found.faults
        opened = r"opened at \S*test_clean.py:\d+ in <lambda>"
        assert re.fullmatch(rf"GET mock://x/held, {opened}: STILL OPEN", fault)
        for response in (before, *held):
            response.close()
        found = not_clean(
            proves_clean(client),
            lambda: drop_unread(lambda: client.stream("GET", "mock://x/dropped")),
        )
        (fault,) = found.faults
        assert re.fullmatch(rf"GET mock://x/dropped, {opened}: dropped unread", fault)


def test_without_a_client_it_counts_the_sockets_of_the_process(fault_server: FaultServer) -> None:
    other = http.client.HTTPConnection("127.0.0.1", fault_server.port, timeout=30)

    def ask() -> None:
        other.request("GET", "/ok")
        assert other.getresponse().read()

    found = not_clean(proves_clean(), ask)
    assert "1 sockets of this process are open:" in str(found)
    other.close()
    with proves_clean():
        ask()
        other.close()
    sock = socket.create_connection(("127.0.0.1", fault_server.port))
    with proves_clean():  # It was open before.
        pass
    sock.close()


def test_a_server_in_the_same_process_is_no_leak(fault_server: FaultServer) -> None:
    with proves_clean(), adieu.Client(fault_server.url) as client:
        client.get("/ok")
        fault_server.wait_until(lambda: fault_server.open == 1)


def test_an_async_client_needs_an_async_block() -> None:
    with pytest.raises(adieu.InvalidRequest, match="async with"), proves_clean(adieu.AsyncClient()):
        pass


def test_several_clients_share_a_ledger(fault_server: FaultServer) -> None:
    with adieu.Client(fault_server.url) as one, adieu.Client(fault_server.url) as two:
        with proves_clean(one, two) as ledger:
            one.get("/ok")
            two.get("/ok")
        assert len(ledger.lines) == 2


# The ledger itself


def test_a_ledger_keeps_nothing_alive_and_is_pickled_as_a_listener(
    fault_server: FaultServer,
) -> None:
    ledger = Ledger()
    with adieu.Client(fault_server.url, events=ledger) as client:
        client.get("/ok")
        assert len(ledger.idle()) == 1
        assert type(pickle.loads(pickle.dumps(ledger))) is adieu.Events
    assert ledger.idle() == set()
    gc.collect()
    assert {type(value) for line in ledger.lines for value in (line.url, line.opened_at)} == {str}
    ledger.forget()
    assert ledger.lines == []


def test_only_clients_are_proved_clean() -> None:
    wrong: Any = "client"
    with pytest.raises(adieu.InvalidRequest, match="takes clients of adieu, or nothing, not str"):
        proves_clean(wrong)
