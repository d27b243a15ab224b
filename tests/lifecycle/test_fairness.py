"""An event loop lets its other tasks run, however much work a peer makes of few bytes; and it is time that counts.

The clock of these tests goes on by a millisecond each time that it is asked. A task beside counts how often it runs.
"""

from __future__ import annotations

import gzip
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle import fairness
from adieu.lifecycle.deadline import Deadline, Timeout, Within
from adieu.net.async_backend import current_backend
from adieu.net.backends import asyncio_stream
from adieu.net.scope import ConnectScope
from support.steering import LOOPS, run, sleep, spawn, wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.lifecycle

every_loop = pytest.mark.parametrize("loop", LOOPS)

_STEPS = 400
# A turn is two milliseconds, and the clock may be asked only once in each step.
_LEAST = _STEPS // 4
# So many small writes find room in every system's buffer.
_WRITES = 100


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a millisecond each time that it is asked."""
    now = [1000.0]

    def monotonic() -> float:
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr(fairness, "monotonic", monotonic)
    monkeypatch.setattr(asyncio_stream, "monotonic", monotonic)


async def _turns(work: Callable[[], Awaitable[object]]) -> int:
    """How often another task runs while this work is done."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await sleep(0)
            turns += 1

    counting = spawn(count())
    await sleep(0)
    turns = 0
    try:
        await work()
        return turns
    finally:
        counting.cancel()


@adieu.adapter
async def _chunks(request: adieu.Request) -> adieu.AsyncResponse:
    """Answers with a body in small chunks, none of which has to be waited for."""
    return adieu.AsyncResponse(200, body=[b"ab"] * _STEPS)


async def _read_whole() -> None:
    async with adieu.AsyncClient(adapter=_chunks) as client:
        response = await client.get("http://chunks.test/")
        assert response.content == b"ab" * _STEPS


async def _read_stream_whole() -> None:
    async with (
        adieu.AsyncClient(adapter=_chunks) as client,
        client.stream("GET", "http://chunks.test/") as response,
    ):
        assert await response.read() == b"ab" * _STEPS


async def _read_in_pieces() -> None:
    async with (
        adieu.AsyncClient(adapter=_chunks) as client,
        client.stream("GET", "http://chunks.test/") as response,
    ):
        assert b"".join([piece async for piece in response.iter_bytes()]) == b"ab" * _STEPS


async def _iterate_what_is_there() -> None:
    response = adieu.AsyncResponse(200, body="line\n" * _STEPS)
    assert [line async for line in response.iter_lines()] == ["line"] * _STEPS


@every_loop
@pytest.mark.parametrize(
    "work", [_read_whole, _read_stream_whole, _read_in_pieces, _iterate_what_is_there]
)
def test_a_body_of_many_small_pieces_lets_other_tasks_run(
    work: Callable[[], Awaitable[object]], loop: str
) -> None:
    assert run(_turns(work), LOOPS[loop]) >= _LEAST


@every_loop
@pytest.mark.parametrize("how", ["prefetched", "read"])
def test_a_body_that_decodes_to_a_long_one_lets_other_tasks_run(how: str, loop: str) -> None:
    long = bytes(15 << 20)
    coded = gzip.compress(long)

    @adieu.adapter
    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        return adieu.AsyncResponse(200, headers={"Content-Encoding": "gzip"}, body=[coded])

    async def work() -> None:
        async with adieu.AsyncClient(adapter=answer) as client:
            if how == "prefetched":
                assert (await client.get("http://long.test/")).content == long
            else:
                async with client.stream("GET", "http://long.test/") as response:
                    assert await response.read() == long

    # Steps of 64 KiB, 128 KiB and so on, at most of 1 MiB.
    assert run(_turns(work), LOOPS[loop]) >= 4


@every_loop
def test_reads_that_all_succeed_at_once_let_other_tasks_run(loop: str) -> None:
    async def work(stream: Any) -> None:
        for _ in range(_STEPS):
            assert await stream.recv(1, Within(30)) == b"x"

    assert _with_a_stream(work, loop, b"x" * _STEPS) >= _LEAST


@every_loop
def test_writes_that_all_succeed_at_once_let_other_tasks_run(loop: str) -> None:
    async def work(stream: Any) -> None:
        for _ in range(_WRITES):
            assert await stream.send_or_recv(memoryview(b"x"), Within(30)) == 1

    assert _with_a_stream(work, loop, b"") >= _WRITES // 4


def _with_a_stream(work: Callable[[Any], Awaitable[None]], loop: str, sent: bytes) -> int:
    async def main() -> int:
        with ExitStack() as stack:
            ours, peer = socket.socketpair()
            stack.enter_context(peer)
            ours.setblocking(False)
            peer.sendall(sent)
            scope = ConnectScope(Deadline(Timeout()), None)
            stream = current_backend().stream(ours, scope)
            stack.callback(stream.close)
            return await _turns(lambda: work(stream))

    turns: int = run(main(), LOOPS[loop])
    return turns


@every_loop
def test_a_task_that_is_cancelled_while_it_lets_others_run_does_not_end_the_body_cleanly(
    loop: str,
) -> None:
    """What it has read until then is lost, so nobody may take the rest for the whole."""

    async def main() -> None:
        async with (
            adieu.AsyncClient(adapter=_chunks) as client,
            client.stream("GET", "http://chunks.test/") as response,
        ):
            reading = spawn(response.read())
            await sleep(0)
            await sleep(0)
            assert not reading.done()
            reading.cancel()
            await wait([reading])
            assert reading.cancelled()
            with pytest.raises(adieu.BodyClosed, match="failed before"):
                await response.read()

    run(main(), LOOPS[loop])
