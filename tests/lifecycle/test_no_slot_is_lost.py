"""Whatever happens in an exchange, its place in the pool becomes free and its socket closes.

Each scenario runs on a client that may have one connection, without a collector, while its result stays referenced.
Then the next call works, the open sockets are those that the client lists as idle, and after the block none is open.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.scenarios import SCENARIOS, Failing, Oops, Scenario, play_twice
from support.stage import caught

if TYPE_CHECKING:
    from support.stage import Stage

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("uncollected")]

MODES = ("sync", "async", "async-trio")


def _named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS.values() if s.connects], ids=_named)
def test_the_next_call_works_and_nothing_is_open_after_the_block(
    stage: Stage, scenario: Scenario
) -> None:
    play_twice(stage, scenario)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS.values() if not s.connects], ids=_named)
def test_the_next_call_works_where_no_connection_was_made(bare: Stage, scenario: Scenario) -> None:
    play_twice(bare, scenario)


def test_a_redirect_is_not_followed_through_fifty_megabytes(stage: Stage) -> None:
    sent: list[int] = []

    def endless(peer: Any, request: Any) -> str:
        peer.start(302, [("location", "/ok"), ("content-length", "50000000")])
        for _ in range(50_000_000 // 65_536):
            peer.body(b"x" * 65_536)
            sent.append(65_536)
        return "close"

    stage.server.on("/endless", endless)  # type: ignore[arg-type]
    with stage.block(stage.one()) as client:
        assert stage.get(client, "/endless").status_code == 200
    # The buffers of the system take some megabytes; the body was not read.
    assert sum(sent) < 25_000_000


class Stop(BaseException):
    """An interrupt to which pytest does not react."""


@pytest.mark.parametrize("error", [Oops, Stop])
def test_a_policy_that_raises_when_the_client_closes_keeps_nothing_open(
    stage: Stage, error: type[BaseException]
) -> None:
    assert stage.policy is not None
    policy = Failing(stage.policy, "on_client_close", error)
    held: list[Any] = []
    with contextlib.suppress(error), stage.block(stage.client(cleanup=policy)) as client:
        held += [stage.run(client.stream("GET", "/bytes?n=1000000")) for _ in range(3)]
        held += [stage.get(client, "/ok")]
    assert stage.nothing_open()
    with contextlib.suppress(error):
        stage.run(client.close())
    for response in held[:3]:
        caught(adieu.ClientClosed, stage.read, response)
    caught(adieu.ClientClosed, stage.get, client, "/ok")
