"""TLS through memory buffers, sync and async: truncated, early and large messages."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import ssl
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import adieu
from adieu.lifecycle.deadline import Deadline, Timeout, Within
from adieu.net.async_backend import current_backend
from adieu.net.scope import ConnectScope
from adieu.net.socket_stream import SocketStream
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.stream import AsyncTLSStream, TLSStream
from support.portal import TrioPortal
from support.stage import in_time
from support.steering import ASYNCIO_LOOPS, LOOPS, run, sleep, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.lifecycle.deadline import TimeLimit
    from servers import Authority, TLSServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle


class Driver(Protocol):
    """Drives a stream for a test that is written once."""

    def start(self, sock: socket.socket, hostname: str, scope: ConnectScope) -> Any:
        """A secured stream over the socket."""
        ...

    def run(self, awaitable: Callable[[], Any]) -> Any:
        """The result of an operation of the stream."""
        ...

    def close(self) -> None: ...


class Sync:
    """`TLSStream`, over a stream that cannot start TLS by itself."""

    def start(self, sock: socket.socket, hostname: str, scope: ConnectScope) -> Any:
        return TLSStream.start(SocketStream(sock), hostname, scope)

    def run(self, awaitable: Callable[[], Any]) -> Any:
        return awaitable()

    def close(self) -> None:
        pass


class Bare(Sync):
    """`TLSStream`, over a stream with the required methods only."""

    def start(self, sock: socket.socket, hostname: str, scope: ConnectScope) -> Any:
        return TLSStream.start(BareStream(SocketStream(sock)), hostname, scope)


class BareStream(adieu.ByteStream):
    """A stream with the required methods only."""

    def __init__(self, inner: adieu.ByteStream) -> None:
        self._inner = inner

    def recv(self, max_bytes: int, limit: adieu.TimeLimit) -> bytes:
        return self._inner.recv(max_bytes, limit)

    def send(self, data: bytes, limit: adieu.TimeLimit) -> None:
        self._inner.send(data, limit)

    def readable(self) -> bool:
        return self._inner.readable()

    def close(self) -> None:
        self._inner.close()


class Async:
    """`AsyncTLSStream`, in a loop that runs during each call."""

    def __init__(self, loop: str) -> None:
        self.loop = ASYNCIO_LOOPS[loop]()

    def start(self, sock: socket.socket, hostname: str, scope: ConnectScope) -> Any:
        sock.setblocking(False)

        async def started() -> object:
            inner = current_backend().stream(sock, scope)
            return await AsyncTLSStream.start(inner, hostname, scope)

        return self.run(started)

    def run(self, awaitable: Callable[[], Any]) -> Any:
        async def awaited() -> object:
            return await awaitable()

        return self.loop.run_until_complete(awaited())

    def close(self) -> None:
        self.loop.close()


class Trio(Async):
    """The same, in a trio run in a thread of its own."""

    def __init__(self) -> None:
        portal = TrioPortal()
        self.run, self.close = portal.run, portal.close  # type: ignore[method-assign]


DRIVERS: dict[str, Callable[[], Driver]] = {"sync": Sync, "bare": Bare}
for _name in LOOPS:
    DRIVERS[f"async, {_name}"] = Trio if _name == "trio" else partial(Async, _name)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    made = DRIVERS[request.param]()
    yield made
    made.close()


class Secured:
    """A stream under TLS, and the thread that is its peer."""

    def __init__(
        self, driver: Driver, authority: Authority, serve: Callable[[ssl.SSLSocket], object]
    ) -> None:
        self.driver = driver
        self.authority = authority
        self.errors: list[BaseException] = []
        self._serve = serve
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._peer)
        self.stream: Any = None

    def _peer(self) -> None:
        self._theirs.settimeout(30)
        context = self.authority.server_context()
        try:
            with context.wrap_socket(
                self._theirs,
                server_side=True,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            ) as sock:
                sock.do_handshake()
                self._serve(sock)
        except OSError as error:
            self.errors.append(error)

    def start(self, hostname: str = "localhost", *, seconds: float = 30, **options: Any) -> Secured:
        context = self.authority.client_context()
        for name, value in options.items():
            setattr(context, name, value)
        deadline = Deadline(Timeout(connect=seconds))
        self.scope = ConnectScope(deadline, TLSConfig(context=context))
        self.scope.own(self._ours)
        self._thread.start()
        self.stream = self.driver.start(self._ours, hostname, self.scope)
        return self

    def recv(self, max_bytes: int = 65_536, timeout: float | None = 30) -> bytes:
        data: bytes = self.driver.run(lambda: self.stream.recv(max_bytes, Within(timeout)))
        return data

    def send(self, data: bytes, timeout: float | None = 30) -> None:
        self.driver.run(lambda: self.stream.send(data, Within(timeout)))

    def send_or_recv(self, data: memoryview, timeout: float | None = 30) -> Any:
        return self.driver.run(lambda: self.stream.send_or_recv(data, Within(timeout)))

    def __enter__(self) -> Secured:
        return self

    def __exit__(self, *error: object) -> None:
        if self.stream is not None:
            self.stream.close()
        if hasattr(self, "scope"):
            self.scope.close()
            self._thread.join(30)
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def secured(
    driver: Driver, authority: Authority
) -> Callable[[Callable[[ssl.SSLSocket], object]], Secured]:
    return lambda serve: Secured(driver, authority, serve)


def _echo(sock: ssl.SSLSocket) -> None:
    while data := sock.recv(65_536):
        sock.sendall(data)


def _say_goodbye(sock: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        sock.unwrap()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_are_sent_in_both_directions(secured: Any, version: ssl.TLSVersion) -> None:
    def serve(sock: ssl.SSLSocket) -> None:
        assert sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2"}.get(version, "TLSv1.3")
        _echo(sock)

    with secured(serve).start(maximum_version=version) as both:
        for message in (b"hello", b"x", bytes(1000)):
            both.send(message)
            got = b""
            while len(got) < len(message):
                got += both.recv()
            assert got == message
            assert not both.stream.readable()


def test_large_transfers_arrive_whole_in_both_directions(secured: Any) -> None:
    data = random.Random(520).randbytes(5_000_000)
    seen = hashlib.sha256()

    def serve(sock: ssl.SSLSocket) -> None:
        size = 0
        while size < len(data):
            piece = sock.recv(65_536)
            seen.update(piece)
            size += len(piece)
        sock.sendall(data)
        _say_goodbye(sock)

    with secured(serve).start() as both:
        both.send(data)
        got = bytearray()
        while piece := both.recv(262_144):
            assert len(piece) <= 262_144
            got += piece
    assert seen.digest() == hashlib.sha256(data).digest()
    assert got == data


def test_several_records_that_came_together_are_given_together(secured: Any) -> None:
    sent = threading.Event()

    def serve(sock: ssl.SSLSocket) -> None:
        for _ in range(10):
            sock.sendall(b"x" * 100)
        sent.set()
        _say_goodbye(sock)

    with secured(serve).start() as both:
        assert sent.wait(30)
        assert both.recv(950) == b"x" * 950
        assert both.stream.readable()
        assert both.recv(950) == b"x" * 50
        assert both.recv() == b""
        assert both.recv() == b""


def test_an_end_without_close_notify_is_an_error_and_not_an_end(secured: Any) -> None:
    def serve(sock: ssl.SSLSocket) -> None:
        sock.sendall(b"the beginning")
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    with secured(serve).start() as both:
        assert both.recv() == b"the beginning"
        for _ in range(2):
            with pytest.raises(ssl.SSLEOFError):
                both.recv()


def test_close_notify_is_an_end_though_the_connection_stays_open(secured: Any) -> None:
    done = threading.Event()

    def serve(sock: ssl.SSLSocket) -> None:
        sock.setblocking(False)
        _say_goodbye(sock)
        done.wait(30)

    with secured(serve).start() as both:
        for _ in range(2):
            assert both.recv() == b""
        done.set()


def test_a_wait_ends_at_its_limit_and_nothing_is_lost(secured: Any) -> None:
    late = threading.Event()

    def serve(sock: ssl.SSLSocket) -> None:
        late.wait(30)
        sock.sendall(b"late")
        _say_goodbye(sock)

    with secured(serve).start() as both:
        with pytest.raises(TimeoutError):
            both.recv(timeout=0.02)
        late.set()
        assert both.recv() == b"late"


def test_a_handshake_that_stalls_ends_in_time(driver: Driver, authority: Authority) -> None:
    both = Secured(driver, authority, _echo)
    both._peer = lambda: None  # type: ignore[method-assign]
    both._thread = threading.Thread(target=lambda: None)
    with both, pytest.raises((TimeoutError, adieu.ConnectTimeout)):
        both.start(seconds=0.05)


def test_the_error_of_a_certificate_names_its_hosts_and_the_server_gets_an_alert(
    secured: Any, driver: Driver
) -> None:
    both = secured(_echo)
    with both:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            both.start("elsewhere.example")
        # The alert is sent before the connection is closed.
        both._thread.join(30)
    assert "localhost" in vars(caught.value)["certificate_names"].hosts
    assert "alert" in str(both.errors[0]).lower()


# Uploads


def test_an_upload_arrives_whole_while_the_client_listens(secured: Any) -> None:
    data = random.Random(520).randbytes(3_000_000)
    got = bytearray()

    def serve(sock: ssl.SSLSocket) -> None:
        while len(got) < len(data):
            got.extend(sock.recv(65_536))
        sock.sendall(b"thanks")
        _say_goodbye(sock)

    with secured(serve).start() as both:
        rest = memoryview(data)
        while rest:
            done = both.send_or_recv(rest)
            assert isinstance(done, int)
            rest = rest[done:]
        assert both.recv() == b"thanks"
    assert got == data


# A stream that can only send or receive reads an answer if it came before the next piece is sent.
@pytest.mark.parametrize("driver", [name for name in DRIVERS if name != "bare"], indirect=True)
def test_an_answer_in_the_middle_of_an_upload_is_read(secured: Any) -> None:
    """The peer answers and reads no more: a plain send would wait until its timeout."""
    over = threading.Event()

    def serve(sock: ssl.SSLSocket) -> None:
        sock.recv(1000)
        time.sleep(0.05)  # By then no more can be sent.
        sock.sendall(b"enough")
        over.wait(60)

    with secured(serve).start() as both:
        data = memoryview(bytes(9_000_000))
        sent = 0
        while isinstance(done := both.send_or_recv(data[sent:]), int):
            sent += done
        assert done == b"enough"
        assert sent < len(data)
        over.set()


def test_encrypted_data_is_sent_on_from_where_it_was_interrupted(secured: Any) -> None:
    """An interim answer in the middle of an upload: no record may be repeated, lost, or out of order."""
    data = random.Random(520).randbytes(4_000_000)
    got = bytearray()

    def serve(sock: ssl.SSLSocket) -> None:
        nth = 0
        while len(got) < len(data):
            if len(got) > nth * 500_000:
                sock.sendall(b"still here %d" % nth)
                nth += 1
            got.extend(sock.recv(65_536))
        sock.sendall(b"done")
        _say_goodbye(sock)

    with secured(serve).start() as both:
        rest, said = memoryview(data), b""
        while rest:
            done = both.send_or_recv(rest)
            if isinstance(done, int):
                rest = rest[done:]
            else:
                said += done
        while piece := both.recv():
            said += piece
    assert said.startswith(b"still here 0")
    assert said.endswith(b"done")
    assert got == data


def test_a_plain_send_goes_on_where_an_upload_was_interrupted(secured: Any) -> None:
    """As when an answer is so long that no more of it is read before the upload is complete."""
    data = random.Random(520).randbytes(4_000_000)
    got = bytearray()

    def serve(sock: ssl.SSLSocket) -> None:
        got.extend(sock.recv(1000))
        time.sleep(0.05)  # By then the client waits in the middle of a piece.
        sock.sendall(b"here")
        while len(got) < len(data):
            got.extend(sock.recv(65_536))
        sock.sendall(b"done")
        _say_goodbye(sock)

    with secured(serve).start() as both:
        rest = memoryview(data)
        while isinstance(done := both.send_or_recv(rest), int):
            rest = rest[done:]
        both.send(bytes(rest))
        said = done
        while piece := both.recv():
            said += piece
    assert said == b"heredone"
    assert got == data


class Scripted(adieu.ByteStream):
    """A stream that asks for the time before each wait, as it has to. Nothing comes."""

    def __init__(self) -> None:
        self.sent = b""

    def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        limit.remaining("read")
        raise TimeoutError

    def send(self, data: bytes, limit: TimeLimit) -> None:
        limit.remaining("write")
        self.sent += data

    def readable(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_a_reply_to_new_keys_goes_however_short_the_read_is(authority: Authority) -> None:
    """RFC 8446, section 4.6.3: a KeyUpdate is answered. A look at the connection has no time at all."""
    below = Scripted()
    scope = ConnectScope(Deadline(adieu.Timeout()), tls=TLSConfig(authority.pem))
    stream = TLSStream(below, "localhost", scope)
    stream._out.write(b"the answer to a KeyUpdate")
    look = Within(0.0)
    look.remaining(
        "read"
    )  # The wait for the record that asked for them was the only one it allows.
    with pytest.raises(TimeoutError):
        stream.recv(1000, look)
    assert below.sent == b"the answer to a KeyUpdate"


# HTTP over it


@pytest.mark.parametrize("loop", LOOPS)
def test_every_kind_of_exchange_works_over_tls(
    loop: str, tls_server: TLSServer, census: Watch
) -> None:
    async def main() -> None:
        async with adieu.AsyncClient(tls_server.url, verify=tls_server.client_context) as client:
            for _ in range(3):
                assert (await client.get("/ok")).json()["connection"] == 1
            assert len((await client.get("/bytes?n=5000000")).content) == 5_000_000
            assert len((await client.get("/chunked?n=70000")).content) == 70_000
            assert len((await client.get("/until-close?n=70000")).content) == 70_000
            sent = await client.post("/echo", content=[bytes(1_000_000)])
            assert sent.json()["length"] == 1_000_000
            early = await client.post("/early", content=[bytes(20_000_000)])
            assert early.status_code == 413
            with pytest.raises(adieu.BodyTruncated, match="in the middle of the body"):
                await client.get("/until-close?n=70000&abrupt=1")
            with pytest.raises(adieu.ReadTimeout):
                await client.get("/stall-head", timeout=adieu.Timeout(read=0.02))
            assert (await client.get("/race")).status_code == 200
            assert (await client.get("/race")).status_code == 200
        assert census.count() == 0

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_an_early_answer_over_tls_is_read_long_before_the_write_timeout(
    loop: str, tls_server: TLSServer
) -> None:
    """The server reads no more, and its answer says why."""
    over = threading.Event()

    def answer(peer: Any, request: Any) -> str:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.reply(413, b"too much", [("connection", "close")])
        over.wait(60)
        return "drop"

    tls_server.server.on("/no", answer, early=True)  # type: ignore[arg-type]

    async def main() -> None:
        timeout = adieu.Timeout(write=60)
        verify = tls_server.client_context
        async with adieu.AsyncClient(tls_server.url, verify=verify, timeout=timeout) as client:
            with in_time():
                response = await client.post("/no", content=[bytes(60_000_000)])
            assert (response.status_code, response.content) == (413, b"too much")
            over.set()

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_fast_download_over_tls_does_not_starve_the_other_tasks(
    loop: str, tls_server: TLSServer
) -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await sleep(0)

        verify = tls_server.client_context
        async with adieu.AsyncClient(tls_server.url, verify=verify) as client:
            other = spawn(tick())
            assert len((await client.get("/bytes?n=20000000")).content) == 20_000_000
            other.cancel()
        assert ticks >= 20_000_000 / (16 * 262_144)

    run(main(), LOOPS[loop])
