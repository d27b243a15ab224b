"""The same bytes have the same outcome: a corpus of good and bad replies over every adapter, sync and async.

`adieu.testing.corpus` has the expected outcome of each reply. An error has the same class on every adapter, and after
every reply the next call on the same client gets its own answer.
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
    """Have the server send the replies of the corpus in packets of a few bytes."""
    known = {reply.name: reply for reply in REPLIES}

    def dribble(peer: Peer, request: Asked) -> Ending:
        reply = known[request.text("kind", "")]
        step = max(size, len(reply.raw) // 300)
        # Surplus bytes go with the end of the message: in a later packet the client could not know of them.
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
    """Check that the next call gets its own answer, by its number; return the connection of the answer."""
    response = stage.get(client, "/ok")
    facts = response.json()
    assert facts["request"] == stage.server.served
    assert response.headers["x-request-number"] == str(stage.server.served)
    number: int = facts["connection"]
    return number


@pytest.fixture(scope="module")
def both() -> Iterator[list[tuple[str, Runner]]]:
    """Every adapter, with the runner for its clients."""
    runners = [RUNNERS[mode]() for mode in MODES]
    yield [(name, runner) for runner in runners for name in runner.adapters]
    for runner in runners:
        runner.close()


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("pieces", [None, 1], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_every_adapter_has_the_same_outcome_for_a_reply(
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
        # Without a limit of the client, so that only the bytes can be the reason for an error.
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
def test_bytes_that_arrive_while_a_connection_is_idle_are_no_answer(bare: Stage, late: str) -> None:
    with bare.block(bare.one(max_body=None)) as client:
        for _ in range(5):
            assert bare.get(client, late).status_code == 200
            if bare.adapter != "close":
                _wait_for_bytes(bare, client)
            _own_answer(bare, client)


def _wait_for_bytes(stage: Stage, client: Any) -> None:
    """Wait until the system says that the idle connection has bytes to read, or the pool has closed it for that."""
    import os
    import select
    import socket

    rows = stage.watch.rows()
    if not rows:
        assert client.connections() == []
        return
    assert len(rows) == 1
    duplicate = socket.socket(fileno=os.dup(rows[0].fd))
    try:
        assert select.select([duplicate], [], [], 5)[0], "nothing came"
    finally:
        duplicate.close()
