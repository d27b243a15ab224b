"""The rest of a body that was read in pieces is never taken for its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.stage import caught

if TYPE_CHECKING:
    from support.stage import Stage


def _some(stage: Stage, response: Any) -> int:
    for piece in stage.runner.each(response.iter_bytes()):
        return len(piece)
    return 0


@pytest.mark.parametrize("much", [4, 300_000])
def test_the_rest_of_a_stream_is_not_the_content(stage: Stage, much: int) -> None:
    with stage.block(stage.one()) as client:
        response = stage.run(client.stream("GET", f"/bytes?n={much}"))
        if not response.is_closed:
            assert _some(stage, response) > 0
            error = caught(adieu.BodyClosed, stage.read, response)
            assert "read in pieces" in str(error)
            caught(adieu.BodyClosed, _some, stage, response)
        stage.run(response.close())
        stage.next_works(client)
    assert stage.nothing_open()


@pytest.mark.parametrize("much", [4, 300_000])
def test_a_hook_that_reads_a_part_leaves_no_half_content(stage: Stage, much: int) -> None:
    reads: list[int] = []

    def hook(response: Any) -> Any:
        if response.status_code != 200 or reads:
            return None
        if stage.runner.kind is adieu.Client:
            reads.append(len(next(response.iter_raw())))
            return None
        return _later(response)

    async def _later(response: Any) -> None:
        async for piece in response.iter_raw():
            reads.append(len(piece))
            break

    with stage.block(stage.one(event_hooks={"response": [hook]})) as client:
        response = stage.get(client, f"/bytes?n={much}")
        assert reads
        caught(adieu.BodyClosed, stage.read, response)
        stage.run(response.close())
        stage.next_works(client)
    assert stage.nothing_open()
