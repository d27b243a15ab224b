"""A sync adapter for async clients, in threads: the limit holds, cancelled calls end, and nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.deadline import Deadline
from adieu.transport import to_async
from adieu.transport.registry import find_adapter
from adieu.transport.thread_pool import Threads, ThreadSlot
from support.clients import ADAPTERS, EventLog
from support.stage import COUNTS_REFERENCES, POLICIES, drop, eventually, in_time
from support.steering import CANCELLATIONS, LOOPS, Cut, limited, outcome, settle
from support.steering import run as run_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census", "no_thread_is_left")]


class _Oops(Exception):
    pass


def own_threads() -> list[str]:
    """The running threads of `to_async`."""
    return [t.name for t in threading.enumerate() if t.name.startswith("adieu-to_async")]


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Check that the threads of a test have ended after it."""
    before = own_threads()
    yield
    drop()
    eventually(lambda: len(own_threads()) <= len(before))


@pytest.fixture(params=ADAPTERS)
def name(request: pytest.FixtureRequest) -> str:
    adapter: str = request.param
    return adapter


def run(main: Coroutine[Any, Any, object]) -> None:
    """As `asyncio.run`; errors that the loop would only log fail the test, and no task may be left."""
    complaints: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        await main
        await settle()

    asyncio.run(watched())
    assert complaints == []


def client_of(
    server: FaultServer, name: str = "urllib3", *, threads: int = 4, **options: Any
) -> adieu.AsyncClient:
    """A client over a sync adapter of adieu, in threads."""
    limits = options.pop("limits", None)
    inner = find_adapter(name)(limits=limits)
    return adieu.AsyncClient(server.url, adapter=adieu.to_async(inner, threads=threads), **options)


async def caught(kinds: Any, awaitable: Awaitable[object]) -> Any:
    """The exception that this raises, with its traceback and without a cycle through this frame."""
    try:
        await awaitable
    except kinds as error:
        kept: BaseException = error
    else:
        raise AssertionError(f"{awaitable} raised nothing")
    try:
        return kept
    finally:
        del kept


async def so(predicate: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait, for a bounded time, until a thread or the peer has done something."""
    until = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < until, f"not so after {seconds:g} s"
        await asyncio.sleep(0.002)


class Canned:
    """A sync adapter that answers with the result of a function, and records its close."""

    def __init__(self, answer: Callable[[adieu.Request, adieu.Exchange], Any]) -> None:
        self._answer = answer
        self.closed = 0

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        response: adieu.Response = self._answer(request, exchange)
        return response

    def close(self) -> None:
        self.closed += 1


class Counted(adieu.Lease):
    """A lease that returns these chunks, and records how it ended."""

    def __init__(self, *chunks: bytes, reusable: bool = True) -> None:
        self._chunks = list(chunks)
        self._reusable = reusable
        self.ends: list[tuple[bool, str]] = []

    @property
    def reusable(self) -> bool:
        return self._reusable

    def read(self, deadline: Deadline) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def finish(self, reuse: bool, why: str) -> None:
        self.ends.append((reuse, why))


def threads_of(client: Any) -> Threads:
    """The threads of its adapter."""
    threads: Threads = client.mounts.select(adieu.URL("http://inner.test")).adapter._threads
    return threads


def in_threads(answer: Callable[[adieu.Request, adieu.Exchange], Any], threads: int = 4) -> Any:
    return adieu.AsyncClient(
        "http://inner.test", adapter=adieu.to_async(Canned(answer), threads=threads)
    )


# Results


def test_calls_work_as_over_an_async_adapter(fault_server: FaultServer, name: str) -> None:
    async def main() -> None:
        async with client_of(fault_server, name) as client:
            assert (await client.get("/ok")).json()["request"] == 1
            echoed = (await client.post("/echo", json={"a": 1})).json()
            assert (echoed["method"], echoed["body"]) == ("POST", '{"a":1}')
            assert (await client.post("/echo", content=iter([b"a", b"b"]))).json()["body"] == "ab"
            assert (await client.head("/bytes?n=1000")).headers["content-length"] == "1000"
            assert len((await client.get("/redirect?n=3")).history) == 3
            assert len((await client.get("/gzip?n=5000")).content) == 5000
            assert (await client.get("/status/404?body=9")).status_code == 404
            async with client.stream("GET", "/bytes?n=1000000") as response:
                assert response.reason == "Scripted"
                assert sum([len(piece) async for piece in response.iter_bytes()]) == 1_000_000

    run(main())


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_is_carried_out(fault_server: FaultServer, name: str, policy: str) -> None:
    async def main() -> None:
        chosen = POLICIES[policy]()
        async with client_of(fault_server, name, cleanup=chosen) as client:
            for path in ("/bytes?n=300", "/chunked?n=20000", "/until-close?n=500", "/empty"):
                response = await client.get(path)
                await response.read()
            keeps = chosen.keep_alive and name != "close"
            assert len(client.connections()) == (1 if keeps else 0)

    run(main())


def test_errors_are_not_changed(fault_server: FaultServer, name: str) -> None:
    async def main() -> None:
        async with client_of(fault_server, name) as client:
            error = await caught(adieu.BodyTruncated, client.get("/truncated?n=1000&sent=500"))
            assert (error.received, error.expected) == (500, 1000)
            await caught(adieu.PeerClosed, client.get("/close"))
            short = adieu.Timeout(read=0.05)
            await caught(adieu.ReadTimeout, client.get("/stall-head?seconds=60", timeout=short))
            total = adieu.Timeout(total=0.05)
            await caught(adieu.DeadlineExceeded, client.get("/stall-body?seconds=5", timeout=total))
            await caught(adieu.InvalidURL, client.get("ftp://somewhere/"))
            assert [line for line in client.connections() if line.state != "idle"] == []

    run(main())


def test_a_drain_is_done_in_the_thread_and_keeps_the_connection(fault_server: FaultServer) -> None:
    async def main() -> None:
        async with client_of(fault_server, cleanup=adieu.ReleaseOnRead(within=2)) as client:
            for _ in range(3):
                async with client.stream("GET", "/chunked?n=30000&size=1000"):
                    pass
        assert fault_server.accepted == 1

    run(main())


def test_a_middleware_can_change_the_exchange(fault_server: FaultServer) -> None:
    async def main() -> None:
        async with client_of(fault_server, "close") as client:
            await client.get("/ok")
        assert fault_server.requests[0].header("connection") == "close"

    run(main())


def test_an_upgraded_connection_belongs_to_the_sync_adapter(fault_server: FaultServer) -> None:
    async def main() -> None:
        async with client_of(fault_server, "native", threads=1) as client:
            headers = {"Upgrade": "shout", "Connection": "upgrade"}
            response = await client.get("/upgrade", headers=headers)
            assert response.status_code == 101
            with response.upgraded as upgraded:
                upgraded.send(b"hello")
                assert upgraded.recv() == b"HELLO"
            assert (await client.get("/ok")).status_code == 200

    run(main())


def test_events_come_in_pairs_from_the_threads(fault_server: FaultServer) -> None:
    event_log = EventLog()

    async def main() -> None:
        async with client_of(fault_server, events=event_log) as client:
            await asyncio.gather(*(client.get("/ok") for _ in range(20)))
            async with client.stream("GET", "/bytes?n=1000000"):
                pass

    run(main())
    event_log.check()


def test_answers_without_a_connection_are_returned(tmp_path: Any) -> None:
    note = tmp_path / "note"
    note.write_bytes(b"from a file")
    held: list[Any] = []

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        if request.url.path == "/file":
            held.append(note.open("rb"))
            return adieu.Response(200, {"x-a": "1"}, held[-1])
        if request.url.path == "/pieces":
            return adieu.Response(206, body=iter([b"in ", b"pieces"]))
        return adieu.Response(201, body=b"in memory", reason="Made")

    async def main() -> None:
        async with in_threads(answer) as client:
            made = await client.get("/")
            assert (made.status_code, made.reason, made.content) == (201, "Made", b"in memory")
            file = await client.get("/file")
            assert (file.headers["x-a"], file.content) == ("1", b"from a file")
            assert (await client.get("/pieces")).content == b"in pieces"
            async with client.stream("GET", "/file"):
                pass
        assert [file.closed for file in held] == [True, True]

    run(main())


def test_content_is_read_in_the_thread_with_the_callers_context() -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        content = b"".join(request.content.chunks())

        def rest() -> Iterator[bytes]:
            yield b", " + who.get().encode()
            assert threading.current_thread().name.startswith("adieu-to_async")

        return adieu.Response(200, body=(piece for piece in (content, *rest())))

    def content() -> Iterator[bytes]:
        yield who.get().encode()

    async def main() -> None:
        who.set("the caller")
        async with in_threads(answer) as client:
            response = await client.post("/", content=content())
            assert response.text == "the caller, the caller"

    run(main())


def test_one_thread_carries_an_exchange_from_its_first_byte_to_its_last() -> None:
    seen: list[str] = []

    def note() -> None:
        seen.append(threading.current_thread().name)

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        def pieces() -> Iterator[bytes]:
            for _ in range(20):
                note()
                yield b"x"

        note()
        return adieu.Response(200, body=pieces())

    async def main() -> None:
        async with in_threads(answer) as client:
            await asyncio.gather(client.get("/"), client.get("/"))
            seen.clear()
            await client.get("/")
            assert len(seen) == 21
            assert len(set(seen)) == 1

    run(main())


def test_an_adapter_may_replace_a_lease_and_own_one_twice() -> None:
    first, second = Counted(b"first"), Counted(b"second")

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        for lease in (first, second, second):
            exchange.own(lease)
        return exchange.respond(200)

    async def main() -> None:
        async with in_threads(answer) as client:
            assert (await client.get("/")).content == b"second"
        assert first.ends[0] == (False, "replaced")
        assert second.ends[0] == (True, "complete")

    run(main())


def test_an_adapter_may_end_what_it_owned_and_answer_from_memory() -> None:
    lease = Counted(b"read by the adapter")

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        exchange.own(lease)
        content = lease.read(exchange.deadline)
        exchange.end(True, "read")
        return adieu.Response(200, body=content)

    async def main() -> None:
        async with in_threads(answer, 1) as client:
            for _ in range(2):
                assert (await client.get("/")).content in (b"read by the adapter", b"")
        assert lease.ends[0] == (True, "read")

    run(main())


def test_async_content_is_refused() -> None:
    async def content() -> Any:
        yield b""

    async def main() -> None:
        async with in_threads(lambda request, exchange: adieu.Response(200)) as client:
            with pytest.raises(adieu.InvalidRequest, match="cannot wait for in its thread"):
                await client.post("/", content=content())

    run(main())


def test_an_error_of_the_adapter_is_wrapped() -> None:
    def answer(request: adieu.Request, exchange: adieu.Exchange) -> Any:
        path = request.url.path
        if path == "/stop":
            raise StopIteration("enough")
        if path == "/none":
            return None
        raise _Oops("here")

    async def main() -> None:
        async with in_threads(answer) as client:
            error = await caught(adieu.TransportError, client.get("/"))
            assert isinstance(error.__cause__, _Oops)
            error = await caught(adieu.TransportError, client.get("/stop"))
            assert "StopIteration" in str(error)
            error = await caught(adieu.TransportError, client.get("/none"))
            assert "NoneType, not a Response" in str(error)

    run(main())


class AsyncAlready:
    async def send(self, request: Any, exchange: Any) -> Any: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    "wrong",
    [AsyncAlready(), object(), Canned, None],
    ids=["async adapter", "object", "class", "None"],
)
def test_an_object_that_is_no_sync_adapter_is_refused(wrong: Any) -> None:
    with pytest.raises(
        adieu.InvalidRequest,
        match=r"makes an async adapter of has send|is a class|is an async adapter",
    ):
        adieu.to_async(wrong)


@pytest.mark.parametrize("threads", [0, -1, 2.5, "10", True, None])
def test_an_invalid_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="threads is a whole number from 1"):
        adieu.to_async(Canned(lambda request, exchange: None), threads=threads)


def test_its_repr_shows_the_wrapped_adapter(fault_server: FaultServer) -> None:
    async def main() -> None:
        inner = find_adapter("native")()
        adapter = adieu.to_async(inner)
        assert adapter.schemes == ("http", "https")
        assert repr(adapter) == f"to_async({inner!r})"
        async with adieu.AsyncClient(fault_server.url, adapter=adapter) as client:
            await client.get("/ok")
            (line,) = client.connections()
            assert (line.state, line.uses) == ("idle", 1)

    run(main())


# The number of threads


class Crowd:
    """An adapter that counts its concurrent calls, and answers them when the test says so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.order: list[str] = []

    def __call__(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.order.append(request.url.path)
        assert self.go.wait(30)
        with self.lock:
            self.inside -= 1
        return adieu.Response(200)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_limit_of_threads_holds_and_waiting_calls_are_served_in_order(threads: int) -> None:
    crowd = Crowd()

    async def main() -> None:
        async with in_threads(crowd, threads) as client:
            calls = [asyncio.ensure_future(client.get(f"/{number}")) for number in range(12)]
            await so(lambda: crowd.inside == threads)
            assert len(own_threads()) == threads
            crowd.go.set()
            await asyncio.gather(*calls)
        assert crowd.most == threads
        if threads == 1:
            assert crowd.order == [f"/{number}" for number in range(12)]

    run(main())


def test_threads_are_made_when_needed_and_reused() -> None:
    async def main() -> None:
        async with in_threads(lambda request, exchange: adieu.Response(200), 50) as client:
            assert own_threads() == []
            for _ in range(50):
                await client.get("/")
                await so(lambda: threads_of(client)._idle)
            assert len(own_threads()) == 1

    run(main())


def test_the_pool_timeout_names_the_calls_that_have_the_threads() -> None:
    crowd = Crowd()

    async def main() -> None:
        async with in_threads(crowd, 2) as client:
            calls = [asyncio.ensure_future(client.get(f"/{number}")) for number in range(2)]
            await so(lambda: crowd.inside == 2)
            error = await caught(
                adieu.PoolTimeout, client.get("/", timeout=adieu.Timeout(pool=0.02))
            )
            text = "no thread became free for 0.02 s (Timeout.pool). All 2 are in use: GET http://inner"
            assert str(error).startswith(text)
            assert len(error.holders) == 2
            total = adieu.Timeout(total=0.02)
            await caught(adieu.DeadlineExceeded, client.get("/", timeout=total))
            crowd.go.set()
            await asyncio.gather(*calls)
            assert crowd.order == ["/0", "/1"]

    run(main())


@pytest.mark.parametrize("moves", [True, False])
def test_a_line_for_threads_is_waited_in_as_long_as_it_moves(
    moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wait takes four seconds of a clock, of five in which the line has to move."""
    now = [time.monotonic()]
    monkeypatch.setattr(to_async, "monotonic", lambda: now[0])
    adapter = adieu.to_async(Canned(lambda request, exchange: adieu.Response(200)), threads=1)

    class Result:
        waits = 0

        async def wait(self, seconds: float) -> bool:
            self.waits += 1
            now[0] += min(seconds, 4)
            if moves:
                adapter._threads._begun[0] = now[0]
            return self.waits == 20

    async def main() -> None:
        result: Any = Result()
        slot = ThreadSlot("GET", "http://a/")
        await adapter._wait(result, slot, Deadline(adieu.Timeout(pool=5)))
        assert result.waits == (20 if moves else 2)
        assert slot.claim() == moves, "one that was given up cannot be claimed"

    run(main())


def test_a_reader_never_waits_for_threads_that_wait_for_its_connection(
    fault_server: FaultServer,
) -> None:
    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with client_of(fault_server, threads=2, limits=limits) as client:
            async with client.stream("GET", "/bytes?n=1000000") as response:
                others = [asyncio.ensure_future(client.get("/ok")) for _ in range(5)]
                await asyncio.sleep(0.02)
                assert len(await response.read()) == 1_000_000
            assert {r.status_code for r in await asyncio.gather(*others)} == {200}

    run(main())


def test_a_stream_keeps_its_thread_until_its_end(fault_server: FaultServer) -> None:
    async def main() -> None:
        async with client_of(fault_server, threads=1) as client:
            async with client.stream("GET", "/bytes?n=1000000"):
                waiting = client.get("/ok", timeout=adieu.Timeout(pool=0.02))
                error = await caught(adieu.PoolTimeout, waiting)
                assert "/bytes?n=1000000" in str(error)
            assert (await client.get("/ok")).status_code == 200

    run(main())


# Cancellation


async def _plain(client: adieu.AsyncClient) -> object:
    return await client.get("/bytes?n=1000")


async def _large(client: adieu.AsyncClient) -> object:
    return await client.get("/bytes?n=700000")


async def _upload(client: adieu.AsyncClient) -> object:
    return await client.post("/echo", content=iter([b"x" * 1000] * 5))


async def _redirect(client: adieu.AsyncClient) -> object:
    return await client.get("/redirect?n=2&body=3000")


async def _read_partly(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/chunked?n=100000&size=9000") as response:
        async for _ in response.iter_raw():
            break


async def _stalling(client: adieu.AsyncClient) -> None:
    short = adieu.Timeout(read=0.03)
    await caught(adieu.ReadTimeout, client.get("/stall-body?seconds=60", timeout=short))


@pytest.mark.parametrize("how", CANCELLATIONS)
@pytest.mark.parametrize("play", [_plain, _large, _upload, _redirect, _read_partly, _stalling])
def test_a_call_cancelled_at_any_wait_leaves_nothing(
    fault_server: FaultServer, play: Callable[[adieu.AsyncClient], Any], how: str
) -> None:
    limits = adieu.Limits(connections=1)

    async def main() -> None:
        for nth in range(1, 300):
            async with client_of(fault_server, threads=2, limits=limits) as client:
                cut = Cut(play(client), nth, how)
                given = await outcome(cut)
                if not cut.happened:
                    assert not isinstance(given, BaseException)
                    return
                assert cut.after == 0
                assert (await client.get("/ok")).status_code == 200
                assert [line for line in client.connections() if line.state != "idle"] == []
        raise AssertionError("there is no end of waits")

    run(main())


def test_calls_cancelled_at_random_moments_leave_nothing(
    fault_server: FaultServer, census: Watch
) -> None:
    chance = random.Random(520)
    limits = adieu.Limits(connections=3)
    paths = [
        "/ok",
        "/bytes?n=300000",
        "/drip?n=20&seconds=0.05",
        "/stall-head?seconds=5",
        "/chunked",
    ]

    async def one(client: adieu.AsyncClient) -> None:
        task = asyncio.ensure_future(client.get(chance.choice(paths)))
        await asyncio.sleep(chance.random() * 0.03)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def main() -> None:
        async with client_of(fault_server, threads=6, limits=limits) as client:
            for _ in range(6):
                await asyncio.gather(*(one(client) for _ in range(25)))
                answers = await asyncio.gather(*(client.get("/ok") for _ in range(6)))
                assert {answer.status_code for answer in answers} == {200}
                assert [line for line in client.connections() if line.state != "idle"] == []
            assert len(own_threads()) <= 6
            assert census.count() == len(client.connections()) <= 3

    run(main())


def test_a_cancellation_closes_the_connection_on_which_its_thread_waits(
    fault_server: FaultServer, name: str, census: Watch
) -> None:
    async def main() -> None:
        async with client_of(fault_server, name, threads=1) as client:
            for path in ("/stall-head?seconds=60", "/stall-body?seconds=60"):
                served = fault_server.served
                task = asyncio.ensure_future(client.get(path))
                await so(lambda: fault_server.served > served)  # noqa: B023
                with in_time():
                    task.cancel()
                    await caught(asyncio.CancelledError, task)
                    assert census.count() == 0
                    # The only thread is free again.
                    assert (await client.get("/ok")).status_code == 200

    run(main())


def test_a_call_that_is_cancelled_before_it_has_a_thread_is_never_sent() -> None:
    crowd = Crowd()

    async def main() -> None:
        async with in_threads(crowd, 1) as client:
            first = asyncio.ensure_future(client.get("/first"))
            await so(lambda: crowd.inside == 1)
            second = asyncio.ensure_future(client.get("/second"))
            third = asyncio.ensure_future(client.get("/third"))
            await asyncio.sleep(0)
            second.cancel()
            await caught(asyncio.CancelledError, second)
            crowd.go.set()
            await asyncio.gather(first, third)
        assert crowd.order == ["/first", "/third"]

    run(main())


def test_a_lease_that_is_made_after_the_cancellation_is_ended_at_once() -> None:
    inside, go_on = threading.Event(), threading.Event()
    lease = Counted(b"late")
    raised: list[BaseException] = []

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        inside.set()
        assert go_on.wait(30)
        try:
            exchange.own(lease)
        except BaseException as error:
            raised.append(error)
            raise
        return exchange.respond(200)

    async def main() -> None:
        async with in_threads(answer) as client:
            task = asyncio.ensure_future(client.get("/"))
            await so(inside.is_set)
            task.cancel()
            await caught(asyncio.CancelledError, task)
            go_on.set()
            await so(lambda: lease.ends)
            assert lease.ends[0] == (False, "cancelled")
            await so(lambda: raised)
            assert "GET http://inner.test/ was given up by its caller" in str(raised[0])

    run(main())


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_an_answer_after_the_cancellation_is_dropped(kind: str, tmp_path: Any) -> None:
    inside, go_on = threading.Event(), threading.Event()
    path = tmp_path / "note"
    path.write_bytes(b"late")
    files: list[Any] = []

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        inside.set()
        assert go_on.wait(30)
        if kind == "bytes":
            return adieu.Response(200, body=b"late")
        files.append(path.open("rb"))
        return adieu.Response(200, body=files[0])

    async def main() -> None:
        async with in_threads(answer) as client:
            task = asyncio.ensure_future(client.get("/"))
            await so(inside.is_set)
            task.cancel()
            await caught(asyncio.CancelledError, task)
            go_on.set()
            if kind == "file":
                await so(lambda: files and files[0].closed)

    run(main())


def test_bytes_read_after_the_cancellation_are_dropped() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Counted):
        def read(self, deadline: Deadline) -> bytes:
            inside.set()
            assert go_on.wait(30)
            return super().read(deadline)

    lease = Slow(b"late")

    def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        exchange.own(lease)
        return exchange.respond(200)

    async def main() -> None:
        async with in_threads(answer) as client:
            response = await client.stream("GET", "/")
            task = asyncio.ensure_future(response.read())
            await so(inside.is_set)
            task.cancel()
            await caught(asyncio.CancelledError, task)
            assert lease.ends == [(False, "CancelledError")]
            go_on.set()
            await caught(adieu.BodyClosed, response.read())

    run(main())


# Other ends


@pytest.mark.parametrize("where", ["head", "body"])
def test_close_ends_the_waits_of_its_threads(
    fault_server: FaultServer, name: str, census: Watch, where: str
) -> None:
    async def main() -> None:
        client = client_of(fault_server, name, threads=3)
        path = f"/stall-{where}?n=100000&sent=50000&seconds=60"
        calls = [asyncio.ensure_future(client.get(path, timeout=None)) for _ in range(5)]
        await so(lambda: fault_server.served == 3)
        await asyncio.sleep(0.02)
        with in_time():
            await client.close()
        assert census.count() == 0
        assert own_threads() == []
        for call in calls:
            await caught(adieu.ClientClosed, call)
        await client.close()
        await caught(adieu.ClientClosed, client.get("/ok"))

    run(main())


def test_close_ends_open_streams(fault_server: FaultServer, census: Watch) -> None:
    async def main() -> None:
        client = client_of(fault_server)
        idle = await client.stream("GET", "/bytes?n=1000000")
        reading = await client.stream("GET", "/stall-body?n=100000&sent=1000&seconds=30")
        reader = asyncio.ensure_future(reading.read())
        await asyncio.sleep(0.02)
        report = await client.close()
        assert len(report.holders) == 2
        assert census.count() == 0
        await caught(adieu.ClientClosed, idle.read())
        await caught(adieu.ClientClosed, reader)
        assert own_threads() == []

    run(main())


def test_a_body_that_survives_the_close_is_read_to_its_end(
    fault_server: FaultServer, census: Watch
) -> None:
    class Patient(adieu.ReleaseOnRead):
        def on_client_close(self, view: adieu.View) -> Any:
            return adieu.STREAM

    async def main() -> None:
        client = client_of(fault_server, cleanup=Patient())
        response = await client.get("/bytes?n=1000000")
        await client.close()
        assert census.count() == 1
        assert len(await response.read()) == 1_000_000
        assert census.count() == 0

    run(main())


def test_close_leaves_a_thread_that_cannot_be_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adieu.transport.to_async._GRACE", 0.02)
    crowd = Crowd()

    async def main() -> None:
        client = in_threads(crowd, 1)
        first = asyncio.ensure_future(client.get("/"))
        await so(lambda: crowd.inside == 1)
        second = asyncio.ensure_future(client.get("/"))
        await asyncio.sleep(0)
        await client.close()
        assert len(own_threads()) == 1
        # A call that waited for a thread ends at once, and a call with a thread when that returns.
        await caught(adieu.ClientClosed, second)
        assert not first.done()
        crowd.go.set()
        await asyncio.wait([first], timeout=30)
        assert first.done()

    run(main())


def test_a_close_that_is_cancelled_has_closed() -> None:
    inner = Canned(lambda request, exchange: adieu.Response(200))

    async def main() -> None:
        adapter = adieu.to_async(inner)
        closing = asyncio.ensure_future(adapter.close())
        await asyncio.sleep(0)
        closing.cancel()
        await caught(asyncio.CancelledError, closing)
        await adapter.close()
        await so(lambda: inner.closed)
        async with adieu.AsyncClient("http://inner.test", adapter=adapter) as client:
            await caught(adieu.ClientClosed, client.get("/"))

    run(main())
    assert inner.closed == 1


def test_an_error_of_the_adapters_close_is_raised() -> None:
    class Failing(Canned):
        def close(self) -> None:
            raise _Oops("at the end")

    async def main() -> None:
        adapter = adieu.to_async(Failing(lambda request, exchange: None))
        with pytest.raises(_Oops, match="at the end"):
            await adapter.close()

    run(main())


def test_a_dropped_response_frees_its_connection_and_its_thread(
    fault_server: FaultServer, census: Watch
) -> None:
    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with client_of(fault_server, threads=1, limits=limits) as client:
            opened = [await client.stream("GET", "/bytes?n=1000000")]

            def forget() -> None:
                opened.clear()
                drop()

            with pytest.warns(ResourceWarning, match=r"dropped unread.*test_to_async\.py"):
                forget()
            assert census.count() == 0
            assert (await client.get("/ok")).status_code == 200

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def alive() -> set[int]:
    """The living exchanges and thread slots."""
    return {
        id(thing) for thing in gc.get_objects() if isinstance(thing, (adieu.Exchange, ThreadSlot))
    }


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references")
def test_no_cycle_is_left(fault_server: FaultServer) -> None:
    async def main() -> None:
        async with client_of(fault_server) as client:
            await client.get("/bytes?n=100000")
            short = adieu.Timeout(read=0.02)
            await caught(adieu.ReadTimeout, client.get("/stall-head?seconds=60", timeout=short))
            await caught(adieu.BodyTruncated, client.get("/truncated"))
            # A thread may need a moment to see that its slot is free.
            await so(lambda: alive() <= before)

    gc.collect()
    before = alive()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_an_adapter_that_is_dropped_lets_its_threads_end() -> None:
    async def main() -> None:
        adapter = adieu.to_async(Canned(lambda request, exchange: adieu.Response(200)), threads=3)
        client = adieu.AsyncClient("http://inner.test", adapter=adapter)
        await asyncio.gather(*(client.get("/") for _ in range(5)))
        assert own_threads()
        del adapter, client

    run(main())
    drop()
    eventually(lambda: own_threads() == [])


def test_several_event_loops_may_share_one_adapter(fault_server: FaultServer) -> None:
    adapter = adieu.to_async(find_adapter("native")(), threads=3)
    client = adieu.AsyncClient(fault_server.url, adapter=adapter)
    failures: list[BaseException] = []

    async def calls() -> None:
        answers = await asyncio.gather(*(client.get("/bytes?n=200000") for _ in range(10)))
        assert {len(answer.content) for answer in answers} == {200_000}

    def work() -> None:
        try:
            asyncio.run(calls())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    asyncio.run(_close(client))


async def _close(client: adieu.AsyncClient) -> None:
    await client.close()


def test_a_loop_that_ends_leaves_no_socket_and_logs_nothing(
    fault_server: FaultServer, census: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = client_of(fault_server)
    held: list[Any] = []

    async def main() -> None:
        held.append(await client.stream("GET", "/bytes?n=1000000"))
        held.append(asyncio.ensure_future(client.get("/stall-head?seconds=30")))
        await so(lambda: fault_server.served == 2)

    asyncio.run(main())
    assert census.count() == 1
    asyncio.run(_close(client))
    assert census.count() == 0
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_its_own_threads() -> None:
    adapter = adieu.to_async(Canned(lambda request, exchange: adieu.Response(200)), threads=1)
    client = adieu.AsyncClient("http://inner.test", adapter=adapter)

    async def call() -> None:
        assert (await client.get("/", timeout=30)).status_code == 200

    asyncio.run(call())
    child = os.fork()
    if not child:
        try:
            asyncio.run(call())
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(_close(client))


# Ends while the call waits, and trio


def test_a_cancelled_call_that_waits_in_the_pool_frees_its_thread(
    fault_server: FaultServer,
) -> None:
    """The pool wakes a lease that ends; otherwise the thread would wait for the whole of `Timeout.pool`."""

    async def main() -> None:
        limits, timeout = adieu.Limits(connections=1), adieu.Timeout(pool=30)
        client = client_of(fault_server, "native", limits=limits, timeout=timeout)
        async with client:
            held = await client.stream("GET", "/bytes?n=900000")
            waiting = [asyncio.ensure_future(client.get("/ok")) for _ in range(3)]
            threads = threads_of(client)
            await so(lambda: len(threads.holders()) == 4)
            await asyncio.sleep(0.02)  # Now the call is in the queue.
            waiting[1].cancel()
            waiting[2].cancel()
            await so(lambda: len(threads.holders()) == 2)
            await held.close()
            assert (await waiting[0]).status_code == 200

    run(main())


@pytest.mark.skipif("trio" not in LOOPS, reason="trio is not installed")
@pytest.mark.parametrize("name", ADAPTERS)
def test_calls_work_under_trio_too(name: str, fault_server: FaultServer) -> None:
    async def main() -> None:
        async with client_of(fault_server, name, threads=2) as client:
            assert (await client.post("/echo", json={"a": 1})).status_code == 200
            async with client.stream("GET", "/bytes?n=900000") as response:
                assert len(await response.read()) == 900_000
            with pytest.raises(adieu.PeerClosed):
                await client.get("/close")
            first, second = [await client.stream("GET", "/bytes?n=900000") for _ in range(2)]
            with pytest.raises(adieu.PoolTimeout, match="All 2 are in use"):
                await client.get("/ok", timeout=adieu.Timeout(pool=0.05))
            await first.close()
            await second.close()
            with pytest.raises(asyncio.TimeoutError):
                await limited(client.get("/stall-head"), 0.02)
            assert (await client.get("/ok")).status_code == 200

    run_in(main(), LOOPS["trio"])


@pytest.mark.skipif("trio" not in LOOPS, reason="trio is not installed")
@pytest.mark.parametrize("how", CANCELLATIONS)
def test_under_trio_a_call_cancelled_anywhere_ends_at_once(
    how: str, fault_server: FaultServer
) -> None:
    async def main() -> None:
        for nth in range(1, 50):
            async with client_of(fault_server, "native", threads=1) as client:
                cut = Cut(client.get("/bytes?n=300000"), nth, how)
                await outcome(cut)
                assert cut.after == 0
                assert (await client.get("/ok")).status_code == 200
            if not cut.happened:
                return
        raise AssertionError("it never ended")

    run_in(main(), LOOPS["trio"])
