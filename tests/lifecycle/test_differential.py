"""The same bytes, the same outcome: a corpus of good and bad replies, over every adapter, sync and async, in every way.

What a reply is worth is written down in `adieu.testing.corpus`. An error is an error on every adapter, and of the same
class; and whatever a connection has said, the next call on the same client gets the answer that is its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import REPLIES, FaultServer, Reply
from support.runner import RUNNERS
from support.stage import ADAPTERS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, Peer
    from adieu.testing.faults import Request as Asked
    from support.runner import Runner
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

MODES = ("sync", "async")

Outcome = tuple[Any, ...]


def _in_pieces(server: FaultServer, size: int) -> None:
    """Lets the server say the replies of the corpus a few bytes at a time, each in a packet of its own."""
    known = {reply.name: reply for reply in REPLIES}

    def dribble(peer: Peer, request: Asked) -> Ending:
        reply = known[request.text("kind", "")]
        step = max(size, len(reply.raw) // 300)
        # What comes after the end comes with the end: a packet later, and nobody could know of it.
        last = len(reply.raw) - 100 if reply.name.startswith("surplus") else len(reply.raw)
        for start in range(0, last, step):
            peer.send(reply.raw[start : min(start + step, last)])
        if rest := reply.raw[max(last, 0) :]:
            peer.send(rest)
        return "close" if reply.closes else "keep"

    server.on("/garbage", dribble)


def _outcome(stage: Stage, client: Any, reply: Reply, streaming: bool) -> Outcome:
    path = f"/garbage?kind={reply.name}"
    try:
        if streaming:
            with stage.block(client.stream(reply.request_method, path)) as response:
                body = b"".join(stage.runner.each(response.iter_raw()))
        else:
            response = stage.get(client, path, reply.request_method)
            body = stage.read(response)
    except adieu.AdieuError as error:
        return ("error", type(error).__name__)
    return ("ok", response.status_code, body)


def _own_answer(stage: Stage, client: Any) -> int:
    """The next call gets the answer to itself: the server numbers them. Gives the connection that it came on."""
    response = stage.get(client, "/ok")
    facts = response.json()
    assert facts["request"] == stage.server.served
    assert response.headers["x-request-number"] == str(stage.server.served)
    number: int = facts["connection"]
    return number


@pytest.fixture(scope="module")
def both() -> Iterator[list[tuple[str, Runner]]]:
    """Every adapter that there is, with the runner for its clients."""
    runners = [RUNNERS[mode]() for mode in MODES]
    yield [(name, runner) for runner in runners for name in runner.adapters]
    for runner in runners:
        runner.close()


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("pieces", [None, 1], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_every_adapter_makes_the_same_of_a_reply(
    both: list[tuple[str, Runner]],
    fault_server: FaultServer,
    census: Watch,
    reply: Reply,
    pieces: int | None,
    streaming: bool,
) -> None:
    if pieces is not None:
        _in_pieces(fault_server, pieces)
    outcomes: dict[tuple[str, str], Outcome] = {}
    for name, runner in both:
        stage = Stage(runner, name, None, fault_server, census)
        # Without a bound of the client's own: what is refused here, the wire is to be blamed for.
        with stage.block(stage.one(max_body=None)) as client:
            outcomes[runner.kind.__name__, name] = _outcome(stage, client, reply, streaming)
            assert stage.in_use(client) == []
            used = stage.server.requests[-1].connection
            again = _own_answer(stage, client)
            if name == "close" or not reply.reusable:
                assert again != used, "the connection served again"
            else:
                assert again == used, "the connection could have served again"
        assert stage.nothing_open()
    assert len(set(outcomes.values())) == 1, outcomes
    outcome = outcomes["AsyncClient", "native"]
    if reply.verdict == "ok":
        assert outcome == ("ok", reply.status, reply.body), reply.why
    else:
        assert outcome[0] == "error", reply.why
        assert issubclass(getattr(adieu, outcome[1]), adieu.ProtocolError), outcome


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_in_any_order_every_call_gets_its_own_answer(
    runner: Runner, adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    chance = random.Random(520)
    stage = Stage(runner, adapter, adieu.ReleaseOnRead(), fault_server, census)
    with stage.block(stage.one(max_body=None)) as client:
        for _ in range(400):
            if chance.random() < 0.5:
                reply = chance.choice(REPLIES)
                outcome = _outcome(stage, client, reply, chance.random() < 0.5)
                if reply.verdict == "ok":
                    assert outcome == ("ok", reply.status, reply.body), reply.why
                else:
                    assert outcome[0] == "error", reply.why
            else:
                _own_answer_read_later(stage, client)
    assert stage.nothing_open()


def _own_answer_read_later(stage: Stage, client: Any) -> None:
    with stage.block(client.stream("GET", "/ok")) as response:
        stage.read(response)
        assert response.json()["request"] == stage.server.served


@pytest.mark.parametrize("late", ["/late-surplus?ms=5", "/idle-408?ms=5", "/close-after"])
def test_what_comes_while_a_connection_is_idle_is_nobodys_answer(bare: Stage, late: str) -> None:
    with bare.block(bare.one(max_body=None)) as client:
        for _ in range(5):
            assert bare.get(client, late).status_code == 200
            if bare.adapter != "close":
                _wait_for_bytes(bare, client)
            _own_answer(bare, client)


def _wait_for_bytes(stage: Stage, client: Any) -> None:
    """Until the idle connection has something to read, by the system's own word."""
    import os
    import select
    import socket

    rows = stage.watch.rows()
    assert len(rows) == 1
    duplicate = socket.socket(fileno=os.dup(rows[0].fd))
    try:
        assert select.select([duplicate], [], [], 5)[0], "nothing came"
    finally:
        duplicate.close()
