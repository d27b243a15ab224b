"""`elapsed` is the time of one exchange."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.client import call
from adieu.lifecycle.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage


class Clock:
    """A clock that the server moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(call, "Deadline", partial(Deadline, clock=clock))
    return clock


def slow(clock: Clock, *answers: tuple[float, int]) -> Callable[[Peer, Request], Ending]:
    """A route whose answers take so many seconds each."""
    left = list(answers)

    def route(peer: Peer, request: Request) -> Ending:
        seconds, status = left.pop(0)
        clock.now += seconds
        fields = {
            302: [("location", "/to")],
            401: [("www-authenticate", 'Digest realm="a",nonce=b')],
        }
        peer.reply(status, b"", fields.get(status, []))
        return "keep"

    return route


@pytest.mark.parametrize("listens", [False, True])
def test_elapsed_of_each_hop_is_that_of_its_own_exchange(
    stage: Stage, clock: Clock, listens: bool
) -> None:
    stage.server.on("/from", slow(clock, (5.0, 302)))
    stage.server.on("/to", slow(clock, (2.0, 200)))
    with stage.block(stage.one(events=adieu.Events() if listens else None)) as client:
        response = stage.get(client, "/from")
    hops = [*response.history, response]
    assert [hop.elapsed.total_seconds() for hop in hops] == [5.0, 2.0]
    assert [hop.seconds for hop in hops] == [5.0, 2.0]


def test_elapsed_of_a_retry_does_not_count_the_attempts_before_it(
    stage: Stage, clock: Clock
) -> None:
    stage.server.on("/moody", slow(clock, (3.0, 503), (4.0, 503), (1.0, 200)))
    with stage.block(stage.one(retry=adieu.Retry(2, backoff=0))) as client:
        assert stage.get(client, "/moody").seconds == 1.0


def test_elapsed_of_an_answer_to_credentials_does_not_count_the_challenge(
    stage: Stage, clock: Clock
) -> None:
    stage.server.on("/guarded", slow(clock, (3.0, 401), (1.0, 200)))
    with stage.block(stage.one(auth=adieu.DigestAuth("me", "secret"))) as client:
        assert stage.get(client, "/guarded").seconds == 1.0
