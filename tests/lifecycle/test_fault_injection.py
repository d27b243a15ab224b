"""Every call on a socket fails once, in every way: a kept error keeps no socket open, and no place is lost."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import adieu
from adieu.net import dial
from adieu.testing import payload, refused_port
from support.faulty import FAULTS, Plan
from support.three_requests import ThreeRequestsAuth

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.stage import Stage

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("uncollected")]

MODES = ("sync", "async")

_MOST_CALLS = 200


def _plain(stage: Stage, client: Any) -> None:
    assert stage.read(stage.get(client, "/bytes?n=1000")) == payload(1000)


def _twice(stage: Stage, client: Any) -> None:
    """Two requests, the second on the reused connection."""
    _plain(stage, client)
    _plain(stage, client)


def _chunked(stage: Stage, client: Any) -> None:
    assert stage.read(stage.get(client, "/chunked?n=1000")) == payload(1000)


def _posted(stage: Stage, client: Any) -> None:
    answer = stage.get(client, "/echo", "POST", content=b"x" * 5000)
    stage.read(answer)
    assert answer.json()["length"] == 5000


def _uploaded(stage: Stage, client: Any) -> None:
    content = [b"x" * 50_000] * 4
    answer = stage.get(client, "/echo", "POST", content=content)
    stage.read(answer)
    assert answer.json()["length"] == 200_000


def _left(stage: Stage, client: Any) -> None:
    with stage.block(client.stream("GET", "/bytes?n=1000000")):
        pass


def _drained(stage: Stage, client: Any) -> None:
    with stage.block(client.stream("GET", "/chunked?n=3000&size=500")) as response:
        next(stage.runner.each(response.iter_bytes()))


def _redirected(stage: Stage, client: Any) -> None:
    assert stage.get(client, "/redirect?n=2&body=500").status_code == 200


def _on_one_connection(stage: Stage, client: Any) -> None:
    answer = stage.get(client, "/bytes?n=1000", auth=ThreeRequestsAuth())
    assert stage.read(answer) == payload(1000)


def _raced(stage: Stage, client: Any) -> None:
    """A name with two addresses; there is no server on the first."""
    with refused_port() as refused:
        stage.watch.also(refused)

        def addresses(*_: object) -> list[Any]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
                for port in (refused, stage.server.port)
            ]

        with mock.patch.object(socket, "getaddrinfo", addresses):
            url = f"http://two.invalid:{stage.server.port}/bytes?n=1000"
            assert stage.read(stage.get(client, url)) == payload(1000)


PLAYS = [
    _plain,
    _twice,
    _chunked,
    _posted,
    _uploaded,
    _left,
    _drained,
    _redirected,
    _on_one_connection,
    _raced,
]


def _name(thing: Any) -> str:
    return str(thing.__name__).strip("_")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("play", PLAYS, ids=_name)
def test_every_call_on_a_socket_may_fail(
    bare: Stage, play: Callable[[Stage, Any], None], fault: str
) -> None:
    _play_all(bare, play, fault, closing_fails=False)


@pytest.mark.parametrize("fault", ["reset", "interrupt after"])
@pytest.mark.parametrize("play", [_twice, _left, _raced], ids=_name)
def test_closing_may_fail_too(bare: Stage, play: Callable[[Stage, Any], None], fault: str) -> None:
    _play_all(bare, play, fault, closing_fails=True)


def _play_all(
    stage: Stage, play: Callable[[Stage, Any], None], fault: str, *, closing_fails: bool
) -> None:
    stage.policy = adieu.ReleaseOnRead(within=5)
    for at in itertools.count(1):
        plan = Plan(fault, at)
        plan.closing_fails = closing_fails
        with (
            mock.patch.object(dial, "socket", plan.module()),
            stage.block(stage.one()) as client,
        ):
            held = _error_of(play, stage, client)
            where = f"call {at}, {plan.struck}, of {plan.calls}: {held!r}"
            assert held is None or plan.struck or closing_fails, where
            assert isinstance(held, (adieu.AdieuError, KeyboardInterrupt, type(None))), where
            assert stage.in_use(client) == [], where
            assert stage.sockets() == len(client.connections()), where
            plan.end()
            stage.next_works(client)
            assert stage.sockets() == len(client.connections()) <= 1, where
        assert stage.nothing_open(), where
        if plan.struck is None:
            break
    assert 3 < at < _MOST_CALLS


def _error_of(play: Callable[[Stage, Any], None], stage: Stage, client: Any) -> Any:
    try:
        play(stage, client)
    except BaseException as error:
        kept = error
    else:
        return None
    try:
        return kept
    finally:
        del kept
