"""A stream over an own socket: its waits, its limits, and an end that is one call from any place."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.deadline import Deadline, Timeout, Within
from adieu.net.async_backend import current_backend
from adieu.net.async_wire import AsyncTCPWire, AsyncUnixWire
from adieu.net.backends.asyncio_stream import AsyncSocketStream
from adieu.net.backends.asyncio_wait import Wait
from adieu.net.scope import ConnectScope
from adieu.testing import FaultServer
from adieu_native import AsyncNativeAdapter
from support.stage import COUNTS_REFERENCES, eventually, in_time
from support.steering import ASYNCIO_LOOPS, LOOPS, later, run, sleep, spawn, to_thread, wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

every_loop = pytest.mark.parametrize("loop", LOOPS)


def _stream_over(sock: socket.socket) -> Any:
    return current_backend().stream(sock, ConnectScope(Deadline(Timeout()), None))


@contextlib.asynccontextmanager
async def _pair() -> AsyncIterator[tuple[Any, socket.socket]]:
    """A stream, and the other end as a blocking socket that is never waited for."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(30)
    stream = _stream_over(ours)
    try:
        yield stream, theirs
    finally:
        stream.close()
        theirs.close()


def _play(loop: str, test: Any) -> None:
    async def main() -> None:
        async with _pair() as (stream, peer):
            await test(stream, peer)

    run(main(), LOOPS[loop])


# Reading -----------------------------------------------------------------------------------------------------------


@every_loop
def test_recv_gives_what_is_there_and_waits_for_what_is_not(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        peer.send(b"here")
        assert await stream.recv(3, Within(30)) == b"her"
        assert await stream.recv(100, Within(30)) == b"e"
        later(0.01, peer.send, b"later")
        assert await stream.recv(100, Within(30)) == b"later"
        later(0.01, peer.close)
        assert await stream.recv(100, Within(30)) == b""
        assert await stream.recv(100, Within(30)) == b""

    _play(loop, test)


@every_loop
def test_recv_ends_at_its_limit_and_loses_nothing_by_that(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await stream.recv(100, Within(0.03))
        assert time.monotonic() - started > 0.028
        later(0.01, peer.send, b"after all")
        assert await stream.recv(100, Within(30)) == b"after all"

    _play(loop, test)


@every_loop
def test_every_wait_has_a_limit_of_its_own(loop: str) -> None:
    """The timer is set once and moved; it must not end a later wait, and must not forget a shorter one."""

    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        async def byte(pause: float, limit: float | None) -> None:
            """Wait for a byte that comes after this pause, before this limit."""
            while True:
                later(pause, peer.send, b"x")
                try:
                    assert await stream.recv(100, Within(limit)) == b"x"
                except TimeoutError:  # The machine has stood still for longer.
                    assert await stream.recv(100, Within(30)) == b"x"
                else:
                    return

        for pause, limit in ((0.001, 0.05), (0.06, 30), (0.001, None), (0.02, 30), (0.001, 0.01)):
            await byte(pause, limit)
        later(0.002, peer.send, b"x")
        await stream.recv(100, Within(60))
        for limit in (0.02, 0.01, 0.03):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                await stream.recv(100, Within(limit))
            assert time.monotonic() - started > limit - 0.003

    _play(loop, test)


@every_loop
def test_a_cancelled_recv_loses_nothing(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        for _ in range(5):
            reading = spawn(stream.recv(100, Within(30)))
            await sleep(0.002)
            reading.cancel()
            peer.send(b"for the next")
            await wait([reading])
            assert reading.cancelled()
            assert await stream.recv(100, Within(30)) == b"for the next"

    _play(loop, test)


@every_loop
def test_a_connection_that_is_reset_is_an_error(loop: str) -> None:
    async def main() -> None:
        with FaultServer() as server:
            async with adieu.AsyncClient(server.url) as client:
                with pytest.raises(adieu.ReadError) as caught:
                    await client.get("/reset")
        assert isinstance(caught.value.__cause__, ConnectionResetError)

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "unwatched"])
def test_a_second_reader_is_refused(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        first = spawn(stream.recv(100, Within(30)))
        await sleep(0.01)
        with pytest.raises(RuntimeError, match="another task is waiting for this connection"):
            await stream.recv(100, Within(30))
        peer.send(b"for the first")
        assert await first == b"for the first"

    _play(loop, test)


@every_loop
def test_readable_says_whether_something_is_there_and_does_not_take_it(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        assert not stream.readable()
        peer.send(b"x")
        assert stream.readable()
        assert await stream.recv(100, Within(30)) == b"x"
        assert not stream.readable()
        peer.close()
        assert stream.readable()
        stream.close()
        assert stream.readable()

    _play(loop, test)


class _Counting(asyncio.SelectorEventLoop):
    """Counts what its tables are asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 0
        self.removed = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "add_reader":
            self.added += 1
        elif name == "remove_reader":
            self.removed += 1
        return super().__getattribute__(name)


def test_the_reader_is_registered_once_for_all_exchanges() -> None:
    loop = _Counting()

    async def main() -> None:
        async with _pair() as (stream, peer):
            for _ in range(10):
                later(0.001, peer.send, b"x")
                await stream.recv(100, Within(30))
            assert (loop.added, loop.removed) == (1, 0)
            # What comes while nobody reads must not make the loop spin: it is taken out once.
            peer.send(b"surplus")
            await sleep(0.01)
            assert (loop.added, loop.removed) == (1, 1)

    run(main(), lambda: loop)


# Writing -----------------------------------------------------------------------------------------------------------


def _drain(peer: socket.socket, size: int, rest: float = 0.0) -> tuple[threading.Thread, bytearray]:
    """Reads so many bytes in a thread."""
    got = bytearray()

    def read() -> None:
        while len(got) < size:
            got.extend(peer.recv(65_536))
            time.sleep(rest)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, got


@every_loop
def test_send_sends_everything_however_slowly_it_is_taken(loop: str) -> None:
    data = bytes(range(256)) * 8192

    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        thread, got = _drain(peer, len(data), 0.001)
        await stream.send(data, Within(30))
        thread.join(30)
        assert got == data

    _play(loop, test)


@every_loop
def test_the_limit_of_a_send_is_for_each_wait_and_not_for_all_of_it(loop: str) -> None:
    data = bytes(5_000_000)

    class Counted:
        """A limit that counts how often it is asked: before each wait."""

        asked = 0

        def remaining(self, wait: str) -> float:
            self.asked += 1
            return 30.0

    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        thread, got = _drain(peer, len(data))
        limit = Counted()
        await stream.send(data, limit)
        thread.join(30)
        assert limit.asked > 5
        assert len(got) == len(data)
        with pytest.raises(TimeoutError):
            await stream.send(bytes(9_000_000), Within(0.03))

    _play(loop, test)


@every_loop
def test_one_task_may_read_while_another_one_writes(loop: str) -> None:
    data = bytes(3_000_000)

    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        reading = spawn(stream.recv(100, Within(30)))
        writing = spawn(stream.send(data, Within(30)))
        await sleep(0.01)
        peer.send(b"meanwhile")
        assert await reading == b"meanwhile"
        assert not writing.done()
        thread, got = _drain(peer, len(data))
        await writing
        thread.join(30)
        assert len(got) == len(data)

    _play(loop, test)


@every_loop
def test_send_or_recv_gives_what_the_peer_says_in_the_middle(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        data = memoryview(bytes(9_000_000))
        sent = 0
        said: list[bytes] = []
        later(0.05, peer.send, b"stop")
        while not said:
            done = await stream.send_or_recv(data[sent:], Within(30))
            if isinstance(done, int):
                sent += done
            else:
                said.append(done)
        assert said == [b"stop"]
        assert 0 < sent < len(data)
        with pytest.raises(TimeoutError):
            await stream.send_or_recv(data, Within(0.02))
        # What was registered for it is out of the loop's tables: the stream reads as before.
        later(0.01, peer.send, b"more")
        assert await stream.recv(100, Within(30)) == b"more"

    _play(loop, test)


# Ends --------------------------------------------------------------------------------------------------------------


@every_loop
def test_closing_ends_whoever_waits(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        waiting: list[Any] = [spawn(stream.recv(100, Within(30)))]
        if loop != "unwatched":  # Its imitation, over a selector, would stumble over two at once.
            waiting.append(spawn(stream.send(bytes(9_000_000), Within(30))))
        await sleep(0.01)
        stream.close()
        for task in waiting:
            with pytest.raises(ConnectionAbortedError, match="the connection was closed"):
                await task
        stream.close()
        with pytest.raises(ConnectionAbortedError, match="the connection was closed"):
            await stream.recv(100, Within(30))

    _play(loop, test)


@every_loop
def test_closing_from_another_thread_tells_the_peer_at_once(loop: str) -> None:
    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        reading = spawn(stream.recv(100, Within(30)))
        await sleep(0.005)
        thread = threading.Thread(target=stream.close)
        thread.start()
        thread.join()
        # The loop has had no turn: the descriptor is still there, so nobody else can have it; the connection is not.
        assert stream._sock.fileno() >= 0
        assert peer.recv(1) == b""
        await wait([reading])
        assert reading.result() == b"" if reading.exception() is None else True
        await sleep(0)
        assert stream._sock.fileno() == -1

    _play(loop, test)


@pytest.mark.parametrize("loop", ASYNCIO_LOOPS)
def test_closing_when_the_loop_does_not_run_closes_at_once(loop: str) -> None:
    made = ASYNCIO_LOOPS[loop]()

    async def opened() -> tuple[AsyncSocketStream, socket.socket]:
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        stream = _stream_over(ours)
        with contextlib.suppress(TimeoutError):
            await stream.recv(1, Within(0.001))
        return stream, peer

    for closing in ("stopped", "closed"):
        stream, peer = made.run_until_complete(opened())
        if closing == "closed":
            made.close()
        thread = threading.Thread(target=stream.close)
        thread.start()
        thread.join()
        assert stream._sock.fileno() == -1, closing
        peer.close()


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="where references are not counted, it is later")
@every_loop
def test_a_closed_stream_is_not_kept_by_its_loop(loop: str) -> None:
    """Neither its reader nor a timer that would fire in an hour."""

    async def main() -> None:
        gc.disable()
        async with _pair() as (stream, peer):
            reading = spawn(stream.recv(100, Within(3600)))
            await sleep(0.002)
            peer.send(b"x")
            await reading
            gone = weakref.ref(stream._sock)
            stream.close()
        del stream, reading
        assert gone() is None

    try:
        run(main(), LOOPS[loop])
    finally:
        gc.enable()


def test_a_forked_child_forgets_without_touching_the_loop() -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"loop.{name}")

    ours, theirs = socket.socketpair()
    loop: Any = Untouchable()
    stream = AsyncSocketStream(ours, loop)
    stream.forget()
    stream.close()
    assert ours.fileno() == -1
    theirs.close()


# The wait itself ---------------------------------------------------------------------------------------------------


def test_a_wait_that_is_over_before_it_is_awaited_does_not_suspend() -> None:
    async def main() -> None:
        wait = Wait(asyncio.get_running_loop())
        for _ in range(3):
            wait.begin(5)
            wait.resume()
            await wait
            wait.end()
        wait.begin(5)
        wait.fail(ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await wait
        wait.end()
        assert not wait.cancel()
        wait.close()

    run(main())


def test_a_wait_knows_one_end_only() -> None:
    """Whatever comes first counts: ready, cancelled, closed or too late."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ends: dict[str, Any] = {
            "ready": Wait.resume,
            "closed": Wait.close,
            "failed": lambda wait: wait.fail(KeyError()),
        }
        for first, end in ends.items():
            for second in ends.values():
                wait = Wait(loop)

                async def waiting(wait: Wait = wait) -> str:
                    wait.begin(5)
                    try:
                        await wait
                    except ConnectionAbortedError:
                        return "closed"
                    except KeyError:
                        return "failed"
                    finally:
                        wait.end()
                    return "ready"

                task = asyncio.ensure_future(waiting())
                await asyncio.sleep(0)
                loop.call_soon(end, wait)
                loop.call_soon(second, wait)
                assert await task == first
                wait.close()

    run(main())


def test_the_context_of_the_task_is_the_one_it_goes_on_in() -> None:
    """Resuming it in a callback of the loop must not let it see that callback's variables."""
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody")

    async def test(stream: AsyncSocketStream, peer: socket.socket) -> None:
        async def reader(name: str) -> None:
            variable.set(name)
            for _ in range(3):
                await stream.recv(100, Within(30))
                assert variable.get() == name

        task = asyncio.ensure_future(reader("reader"))
        variable.set("writer")
        for _ in range(3):
            await asyncio.sleep(0.002)
            peer.send(b"x")
        await task
        assert variable.get() == "writer"

    _play("asyncio", test)


# Opening -----------------------------------------------------------------------------------------------------------


@every_loop
def test_a_unix_socket_is_opened_and_named_in_its_errors(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        adapter: Any = AsyncNativeAdapter(AsyncUnixWire(path))
        async with adieu.AsyncClient("http://localhost", adapter=adapter) as client:
            with FaultServer(unix=path):
                assert (await client.get("/ok")).status_code == 200
            with pytest.raises(adieu.ConnectError, match=f"Unix socket {path}: No such file"):
                await client.get("/ok")

    run(main(), LOOPS[loop])


@every_loop
def test_a_unix_socket_whose_queue_is_full_is_asked_again(loop: str, tmp_path: Path) -> None:
    """Its connect does not wait, as that of TCP does: it fails, and nothing tells when there is room."""
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(0)
    fillers = []
    while True:
        filler = socket.socket(socket.AF_UNIX)
        fillers.append(filler)
        filler.setblocking(False)
        if filler.connect_ex(path):
            break

    async def main() -> None:
        adapter: Any = AsyncNativeAdapter(AsyncUnixWire(path))
        async with adieu.AsyncClient("http://localhost", adapter=adapter) as client:
            with pytest.raises(adieu.ConnectTimeout):
                await client.get("/", timeout=adieu.Timeout(connect=0.03))
            call = spawn(client.get("/"))
            await sleep(0.02)
            accepted = [listener.accept()[0] for _ in fillers[1:]]
            peer = await to_thread(lambda: listener.accept()[0])
            peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert (await call).status_code == 204
            for sock in (*accepted, peer):
                sock.close()

    try:
        run(main(), LOOPS[loop])
    finally:
        for sock in (listener, *fillers):
            sock.close()


@every_loop
def test_a_client_closed_while_a_name_is_looked_up_tells_its_callers_at_once(
    loop: str, monkeypatch: pytest.MonkeyPatch, census: Watch
) -> None:
    answered = threading.Event()

    def slow(host: str, port: int) -> object:
        answered.wait(60)
        return []

    monkeypatch.setattr("adieu.net.async_wire.lookup", slow)

    async def main() -> None:
        client = adieu.AsyncClient()
        call = spawn(client.get("http://slow.example/"))
        await sleep(0.01)
        with in_time():
            await client.close()
            with pytest.raises(adieu.ClientClosed):
                await call

    run(main(), LOOPS[loop])
    answered.set()
    eventually(lambda: not [t for t in threading.enumerate() if "adieu-dns" in t.name])
    assert census.count() == 0


@every_loop
def test_a_name_is_not_looked_up_for_longer_than_connecting_may_take(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(
        "adieu.net.async_wire.lookup", lambda host, port: answered.wait(30) and None
    )

    async def main() -> None:
        async with adieu.AsyncClient(timeout=adieu.Timeout(connect=0.03)) as client:
            with pytest.raises(adieu.ConnectTimeout):
                await client.get("http://slow.example/")

    run(main(), LOOPS[loop])
    answered.set()
    eventually(lambda: not [t for t in threading.enumerate() if "adieu-dns" in t.name])


@every_loop
def test_a_wire_of_ones_own_says_where_to_connect(loop: str) -> None:
    class Pinned(AsyncTCPWire):
        async def addresses(self, host: str, port: int, scope: Any) -> Any:
            assert (host, port) == ("pinned.example", 80)
            return [(socket.AF_INET, ("127.0.0.1", server.port))]

    async def main() -> None:
        adapter: Any = AsyncNativeAdapter(Pinned())
        async with adieu.AsyncClient(adapter=adapter) as client:
            response = await client.get("http://pinned.example/echo")
            assert dict(response.json()["headers"])["Host"] == "pinned.example"

    with FaultServer() as server:
        run(main(), LOOPS[loop])
