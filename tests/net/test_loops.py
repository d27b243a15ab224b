"""A client belongs to one event loop: its use in another loop, and after the end of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
import threading
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.net.async_wire import AsyncTCPWire
from adieu.net.backends.asyncio_proactor import AsyncCompletionStream, watches
from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu_native import AsyncNativeAdapter
from support.clients import EventLog
from support.gate import Gate
from support.stage import COUNTS_REFERENCES, drop
from support.steering import (
    ASYNCIO_LOOPS,
    LOOPS,
    Unwatched,
    limited,
    run,
    sleep,
    spawn,
    to_thread,
)

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

every_loop = pytest.mark.parametrize("loop", LOOPS)


# Another loop


@every_loop
def test_a_client_is_used_in_one_loop_after_the_other(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    """As by several `asyncio.run` of a script, a notebook or a task queue."""
    log = EventLog()
    client = adieu.AsyncClient(fault_server.url, events=log)
    for number in range(1, 4):
        answer = run(client.get("/ok"), LOOPS[loop])
        assert answer.json()["connection"] == number
        assert census.count() == 1, "the idle connection of the loop before was dropped"
    report = run(client.close(), LOOPS[loop])
    assert (report.idle, report.in_use) == (1, 0)
    ended = ["its event loop has ended"] * 2
    assert log.close_reasons() == [*ended, "client closed"]
    log.check()


@every_loop
def test_a_response_left_open_in_an_ended_loop_takes_no_place_in_the_next(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    client = adieu.AsyncClient(fault_server.url, limits=adieu.Limits(1))

    async def opened() -> adieu.AsyncResponse:
        response: adieu.AsyncResponse = await client.stream("GET", "/drip?n=1000")
        return response

    async def then() -> None:
        for _ in range(2):
            assert (await client.get("/ok")).json()["connection"] == 2
        with pytest.raises(adieu.AdieuError, match="connection was closed"):
            await left_open.read()
        await client.close()

    left_open = run(opened(), LOOPS[loop])
    run(then(), LOOPS[loop])
    assert census.count() == 0


@every_loop
def test_a_closed_client_stays_closed_in_another_loop(loop: str, fault_server: FaultServer) -> None:
    adapter = AsyncNativeAdapter()
    client = adieu.AsyncClient(fault_server.url, adapter=adapter)
    run(client.get("/ok"), LOOPS[loop])
    run(client.close(), LOOPS[loop])
    other = adieu.AsyncClient(fault_server.url, adapter=adapter)
    with pytest.raises(adieu.ClientClosed, match="was closed"):
        run(other.get("/ok"), LOOPS[loop])


@every_loop
def test_a_client_used_in_a_second_loop_raises_and_goes_on_in_its_own(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    errors: list[BaseException] = []

    async def elsewhere(client: adieu.AsyncClient) -> None:
        with pytest.raises(
            adieu.ClientClosed, match="is not this one: make a client in each loop"
        ) as caught:
            await client.get("/ok")
        errors.append(caught.value)

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            await client.get("/ok")
            await to_thread(lambda: run(elsewhere(client), LOOPS[loop]))
            assert (await client.get("/ok")).json()["connection"] == 1

    run(main(), LOOPS[loop])
    assert len(errors) == 1
    assert census.count() == 0


def test_a_client_without_connections_may_move_to_another_loop(fault_server: FaultServer) -> None:
    """For example, one that was made at import time, or one without keep-alive."""
    client = adieu.AsyncClient(fault_server.url, adapter="close")
    for make in (*LOOPS.values(), *LOOPS.values()):
        assert run(client.get("/ok"), make).status_code == 200
    run(client.close())


@pytest.mark.skipif("trio" not in LOOPS, reason="trio is not installed")
@pytest.mark.parametrize("first", ["asyncio", "trio"])
def test_a_client_used_under_the_other_library_raises_as_long_as_its_loop_runs(
    first: str, fault_server: FaultServer, census: Watch
) -> None:
    """An asyncio client under trio, and a trio client under asyncio."""
    second = LOOPS["trio" if first == "asyncio" else "asyncio"]
    client = adieu.AsyncClient(fault_server.url)

    async def elsewhere() -> None:
        with pytest.raises(adieu.ClientClosed, match="is not this one"):
            await client.get("/ok")

    async def main() -> None:
        await client.get("/ok")
        await to_thread(lambda: run(elsewhere(), second))
        assert (await client.get("/ok")).json()["connection"] == 1

    run(main(), LOOPS[first])
    assert run(client.get("/ok"), second).json()["connection"] == 2
    run(client.close(), second)
    assert census.count() == 0


@every_loop
def test_a_response_read_in_another_loop_raises_and_is_ended(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    client = adieu.AsyncClient(fault_server.url)

    async def opened() -> adieu.AsyncResponse:
        async_response: adieu.AsyncResponse = await client.stream("GET", "/drip?n=1000")
        return async_response

    response: adieu.AsyncResponse = run(opened(), LOOPS[loop])

    async def read() -> None:
        with pytest.raises(adieu.ClientClosed, match="has ended"):
            await response.read()

    run(read(), LOOPS[loop])
    assert census.count() == 0
    assert response.is_closed


@every_loop
def test_a_client_closed_in_another_loop_is_closed(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    """In another thread it cannot close a descriptor at once, but it shuts the connection down at once."""

    async def main() -> None:
        client = adieu.AsyncClient(fault_server.url)
        await client.get("/ok")
        stalled = spawn(client.get("/stall-head"))
        dialled = spawn(client.get("/stall-head"))
        await sleep(0.02)
        report = await to_thread(lambda: run(client.close(), LOOPS[loop]))
        assert report.idle + report.in_use == 2
        for call in (stalled, dialled):
            with pytest.raises(adieu.ClientClosed):
                await call
        await sleep(0.01)
        assert census.count() == 0

    run(main(), LOOPS[loop])


# The end of a loop

_BEGINNING = """
import asyncio, sys
sys.path[:0] = {path!r}
import adieu
URL = {url!r}
{loop}
async def stream():
    return await client.stream("GET", URL + "/bytes?n=3000000")
"""

_LOOP_LINES = {
    "asyncio": "run = asyncio.run",
    "uvloop": "import uvloop; run = uvloop.run",
    "trio": "import trio; run = lambda main: trio.run(lambda: main)",
}

_IDLE = "an AsyncClient was not closed before its event loop ended; open connections: 1"
_UNREAD = "a response was dropped unread"

_PROGRAMS = {
    "an idle client": (
        """
        async def main():
            global client
            client = adieu.AsyncClient()
            await client.get(URL + "/ok")
        run(main())
        """,
        _IDLE,
    ),
    "a client in a cycle": (
        """
        async def main():
            client = adieu.AsyncClient()
            client.event_hooks = {"request": [lambda request: client and None]}
            await client.get(URL + "/ok")
        run(main())
        """,
        _IDLE,
    ),
    "a client, found by the collector": (
        """
        import gc
        async def main():
            client = adieu.AsyncClient()
            client.event_hooks = {"request": [lambda request: client and None]}
            await client.get(URL + "/ok")
        run(main())
        gc.collect()
        """,
        _IDLE,
    ),
    "a response that was dropped after its loop": (
        """
        async def main():
            global client
            client = adieu.AsyncClient()
            return await stream()
        response = run(main())
        del response
        """,
        _UNREAD,
    ),
    "a response in a cycle": (
        """
        import gc
        async def main():
            global client
            client = adieu.AsyncClient()
            ring = [await stream()]
            ring.append(ring)
        run(main())
        gc.collect()
        """,
        _UNREAD,
    ),
    "a program that leaves in the middle": (
        """
        async def main():
            global client
            client = adieu.AsyncClient()
            response = await stream()
            sys.exit(0)
        run(main())
        """,
        _UNREAD,
    ),
    "an iterator that was left": (
        """
        async def main():
            global client, pieces
            client = adieu.AsyncClient()
            response = await stream()
            pieces = response.iter_bytes()
            await pieces.__anext__()
        run(main())
        """,
        _UNREAD,
    ),
    "nothing, when everything was closed": (
        """
        async def main():
            global client
            async with adieu.AsyncClient() as client:
                await client.get(URL + "/ok")
                async with await stream() as response:
                    await response.read()
        run(main())
        """,
        None,
    ),
}


def _said(program: str, loop: str, url: str) -> list[str]:
    """The standard error of a program, without the source lines under its warnings."""
    beginning = _BEGINNING.format(path=sys.path, url=url, loop=_LOOP_LINES[loop])
    script = beginning + "\n".join(line[8:] for line in program.splitlines())
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", script]
    # Without the development mode of the test run, in which asyncio logs more.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=plain
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("  ")]
    if sys.version_info >= (3, 14):
        # In a cycle, the collector finalizes the socket first, which warns by itself.
        own = ("unclosed <socket", "Enable tracemalloc")
        lines = [line for line in lines if not any(text in line for text in own)]
    return lines


at_exit = pytest.mark.skipif(
    not COUNTS_REFERENCES, reason="PyPy ends without finalizers, so nobody is left to report"
)


@at_exit
@pytest.mark.parametrize("loop", [name for name in LOOPS if name in _LOOP_LINES])
@pytest.mark.parametrize("name", _PROGRAMS)
def test_a_client_whose_loop_has_ended_is_reported_once_and_without_a_traceback(
    name: str, loop: str, fault_server: FaultServer
) -> None:
    program, warning = _PROGRAMS[name]
    lines = _said(program, loop, fault_server.url)
    if warning is None:
        assert lines == []
    else:
        # Of what it finds in one round, the collector may finalize a socket before the client that would close it.
        own = [line for line in lines if not _OF_PYTHON(line)]
        assert len(own) == 1, lines
        assert f"ResourceWarning: {warning}" in own[0]


_OF_PYTHON = re.compile(
    r".*ResourceWarning: (?:unclosed <socket|Enable tracemalloc)|ResourceWarning: Enable tracemalloc"
).match


@at_exit
def test_a_loop_closed_under_waiting_tasks_leaves_no_traceback_of_adieu(
    fault_server: FaultServer,
) -> None:
    """Only asyncio itself logs something, about the tasks."""
    program = """
        async def main():
            global client, tasks
            client = adieu.AsyncClient(limits=adieu.Limits(connections=1))
            tasks = [asyncio.ensure_future(client.get(URL + "/stall-head")) for _ in range(3)]
            await asyncio.sleep(0.05)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        """
    lines = _said(program, "asyncio", fault_server.url)
    assert lines.count("Task was destroyed but it is pending!") == 3
    assert all(line.startswith(("Task was destroyed", "task: <Task pending")) for line in lines), (
        lines
    )


def test_an_unread_response_ended_after_its_loop_wakes_no_task(
    fault_server: FaultServer, census: Watch
) -> None:
    """A task that waited for its connection is in a loop that has ended; giving it the place must not raise."""
    held: list[Any] = []
    client = adieu.AsyncClient(fault_server.url, limits=adieu.Limits(connections=1))

    async def main() -> None:
        held.append(await client.stream("GET", "/bytes?n=3000000"))
        held.append(asyncio.ensure_future(client.get("/ok")))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    response, waiting = held
    response.body.abort("test")
    run(client.close())
    assert census.count() == 0
    # Its coroutine is closed here, because asyncio would log a task that never ended.
    waiting._log_destroy_pending = False
    waiting.get_coro().close()


def _drop(held: list[Any]) -> None:
    held.clear()
    drop()


# Dropped


@every_loop
def test_dropping_an_unread_response_frees_its_place(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            for _ in range(3):
                held = [await client.stream("GET", "/bytes?n=3000000")]
                assert census.count() == 1
                with pytest.warns(ResourceWarning, match=r"opened at .*test_loops.py:\d+ in main"):
                    _drop(held)
                assert census.count() == 0
                assert (await client.get("/ok")).status_code == 200

    run(main(), LOOPS[loop])


@every_loop
def test_dropping_one_in_a_cycle_frees_its_place_for_a_waiting_call(
    loop: str, fault_server: FaultServer
) -> None:
    """The collector is switched off; a full pool runs it before calls wait in vain."""

    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            ring: list[Any] = [await client.stream("GET", "/bytes?n=3000000")]
            ring.append(ring)
            del ring
            assert (await client.get("/ok")).status_code == 200

    gc.collect()
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="dropped unread"):
            run(main(), LOOPS[loop])
    finally:
        gc.enable()


@every_loop
def test_one_that_the_collector_finds_in_another_thread_wakes_a_waiting_call(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            held: list[Any] = [await client.stream("GET", "/bytes?n=3000000")]
            waiting = spawn(client.get("/ok"))
            await sleep(0)

            def elsewhere() -> None:
                with pytest.warns(ResourceWarning, match="dropped unread"):
                    _drop(held)

            # Not `to_thread`, because its future would also wake the loop.
            thread = threading.Thread(target=elsewhere)
            thread.start()
            assert (await waiting).status_code == 200
            thread.join()
            await sleep(0)
            assert census.count() == 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        run(main(), LOOPS[loop])
    assert census.count() == 0


# Idle connections, while no call is made


@every_loop
@pytest.mark.parametrize("why", ["the server closed it", "it was idle for too long"])
def test_an_idle_connection_is_closed_although_no_call_is_made(
    why: str, loop: str, fault_server: FaultServer, census: Watch
) -> None:
    path, idle = ("/close-after?n=1", None) if why == "the server closed it" else ("/ok", 0.05)

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url, limits=adieu.Limits(idle=idle)) as client:
            for expected in (1, 2):  # The second time in a client whose timer had ended.
                await client.get(path)
                await to_thread(lambda: fault_server.wait_until(lambda: census.count() == 0))
                assert client.connections() == []
                assert fault_server.accepted == expected

    run(main(), LOOPS[loop])


@every_loop
def test_a_connection_in_use_is_not_closed_with_those_that_are_idle(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        limits = adieu.Limits(idle=0.05)
        async with (
            adieu.AsyncClient(fault_server.url, limits=limits) as client,
            client.stream("GET", "/drip?n=1000") as response,
        ):
            await client.get("/ok")
            await to_thread(lambda: fault_server.wait_until(lambda: census.count() == 1))
            [line] = client.connections()
            assert line.state == "leased"
            assert await response.iter_raw().__anext__()

    run(main(), LOOPS[loop])


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="where references are not counted, it is later")
@every_loop
def test_a_client_that_is_dropped_in_its_loop_closes_its_idle_connections(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        client = adieu.AsyncClient(fault_server.url)
        await client.get("/ok")
        assert census.count() == 1
        del client
        assert census.count() == 0

    run(main(), LOOPS[loop])


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="where references are not counted, it is later")
# The `sock_recv` of the selector loop, which "unwatched" uses, makes a cycle of its own when it fails.
@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "unwatched"])
def test_neither_answers_nor_errors_nor_waiting_make_cycles(
    loop: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(fault_server.url, limits=limits) as client:
            held = await client.stream("GET", "/bytes?n=3000000")
            waiting = spawn(client.get("/ok"))
            await sleep(0)
            await held.close()
            await waiting
            with pytest.raises(adieu.ReadTimeout):
                await client.get("/stall-head", timeout=adieu.Timeout(read=0.01))
            with pytest.raises(adieu.PeerClosed):
                await client.get("/close")
            with pytest.raises(asyncio.TimeoutError):
                await limited(client.get("/stall-head"), 0.01)
            async with client.map(["/ok", "/reset", "/ok"], limit=2) as outcomes:
                assert len([outcome async for outcome in outcomes]) == 3

    gc.collect()
    gc.freeze()  # Without objects that a thread of an earlier test may still hold and free meanwhile.
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        run(main(), LOOPS[loop])
        gc.collect()
        ours = [thing for thing in gc.garbage if type(thing).__module__.startswith("adieu")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not ours, Counter(type(thing).__name__ for thing in ours)


# Loops of other kinds


def test_a_loop_without_add_reader_is_supported(fault_server: FaultServer, census: Watch) -> None:
    """The fallback for the proactor of Windows: every kind of exchange, without a call of `add_reader`."""
    made: list[type[object]] = []

    class Wire(AsyncTCPWire):
        async def open(self, origin: Any, scope: Any) -> Any:
            stream = await super().open(origin, scope)
            made.append(type(stream))
            return stream

    async def main() -> None:
        assert not watches(asyncio.get_running_loop())
        adapter = AsyncNativeAdapter(Wire())
        async with adieu.AsyncClient(fault_server.url, adapter=adapter) as client:
            assert len((await client.get("/bytes?n=1000000")).content) == 1_000_000
            answer = await client.post("/echo", content=[bytes(1_000_000)])
            assert answer.json()["length"] == 1_000_000
            assert (await client.post("/early", content=[bytes(9_000_000)])).status_code == 413
            with pytest.raises(adieu.ReadTimeout):
                await client.get("/stall-head", timeout=adieu.Timeout(read=0.02))
            timeout = adieu.Timeout(write=0.05)
            with pytest.raises(adieu.WriteTimeout):
                await client.post("/stall-read", content=[bytes(9_000_000)], timeout=timeout)
            cut = asyncio.ensure_future(client.get("/stall-head"))
            await asyncio.sleep(0.02)
        with pytest.raises(adieu.ClientClosed):
            await cut
        assert census.count() == 0

    run(main(), Unwatched)
    assert set(made) == {AsyncCompletionStream}


def test_every_other_loop_has_its_sockets_watched() -> None:
    for name, make in ASYNCIO_LOOPS.items():
        loop = make()
        assert watches(loop) == (name != "unwatched")
        loop.close()


def test_the_debug_mode_of_asyncio_finds_nothing(
    fault_server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It refuses calls from the wrong thread and logs tasks that block the loop."""

    def debugging() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop()
        loop.set_debug(True)
        loop.slow_callback_duration = 10
        return loop

    async def main() -> None:
        async with adieu.AsyncClient(
            fault_server.url, limits=adieu.Limits(connections=2)
        ) as client:
            answers = await asyncio.gather(*(client.get("/bytes?n=300000") for _ in range(10)))
            assert {len(answer.content) for answer in answers} == {300_000}
            response: Any = await client.stream("GET", "/bytes?n=3000000")
            await asyncio.to_thread(response.body.abort, "elsewhere")

    run(main(), debugging)
    assert not caplog.records


def test_the_wait_of_a_stream_is_a_future_for_asyncio(fault_server: FaultServer) -> None:
    """Tasks, groups and timeouts of asyncio treat a task that waits for a socket like any other."""

    async def main() -> None:
        gate = Gate(fault_server)
        async with adieu.AsyncClient(fault_server.url) as client:
            call = asyncio.ensure_future(client.get(gate.path))
            await asyncio.to_thread(gate.arrived.wait, 30)
            assert call in asyncio.all_tasks()
            assert "wait_for=" in repr(call)
            assert call.get_stack()
            done, pending = await asyncio.wait([call], timeout=0.001)
            assert (done, pending) == (set(), {call})
            gate.open()
            assert (await asyncio.shield(call)).status_code == 200
            call = asyncio.ensure_future(client.get("/stall-head"))
            await asyncio.sleep(0.01)
            call.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await call

    run(main())


def test_streams_are_of_one_class_on_loops_that_watch(fault_server: FaultServer) -> None:
    kinds: set[type[object]] = set()

    class Wire(AsyncTCPWire):
        async def open(self, origin: Any, scope: Any) -> Any:
            stream = await super().open(origin, scope)
            kinds.add(type(stream))
            return stream

    async def main() -> None:
        async with adieu.AsyncClient(
            fault_server.url, adapter=AsyncNativeAdapter(Wire())
        ) as client:
            await client.get("/ok")

    for name, make in ASYNCIO_LOOPS.items():
        if name != "unwatched":
            run(main(), make)
    assert kinds == {AsyncSocketStream}
