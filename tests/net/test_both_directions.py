"""One thread may receive on a stream while another one sends, and a third one closes it."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from adieu.lifecycle.deadline import Deadline, Timeout, Wait, Within
from adieu.net.scope import ConnectScope
from adieu.net.socket_stream import SocketStream
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.stream import TLSStream
from support.threads import BackgroundCall, wait_until_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Authority

pytestmark = pytest.mark.lifecycle

# More than the buffers of two sockets hold.
LARGE = random.Random(8).randbytes(8_000_000)


class Peer(Protocol):
    """The other end, for one thread."""

    def recv(self, max_bytes: int) -> bytes: ...

    def sendall(self, data: bytes) -> None: ...


class InnerTLS:
    """The server's end of TLS over any other end."""

    def __init__(self, below: Peer, context: ssl.SSLContext) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._until_done(self._tls.do_handshake)

    def recv(self, max_bytes: int) -> bytes:
        data: bytes = self._until_done(lambda: self._tls.read(max_bytes))
        return data

    def sendall(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))

    def _until_done(self, operation: Callable[[], Any]) -> Any:
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                if not (data := self._below.recv(65_536)):
                    raise EOFError from None
                self._in.write(data)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._out.pending:
            self._below.sendall(self._out.read())


class Connection:
    """A stream, the socket below it, and the thread at the other end."""

    def __init__(self, layers: tuple[str, ...], authority: Authority) -> None:
        self._layers = layers
        self._authority = authority
        self.ours, self._theirs = socket.socketpair()
        self._scope = ConnectScope(
            Deadline(Timeout(connect=30)), TLSConfig(context=authority.client_context())
        )
        self.stream: Any = None
        self.server: BackgroundCall | None = None

    def start(self, serve: Callable[[Peer], object]) -> Any:
        """Begin to serve the other end; the stream of this one."""
        self.server = BackgroundCall(lambda: self._serve(serve))
        stream: Any = SocketStream(self.ours)
        for layer in self._layers:
            if layer == "socket":
                stream = stream.start_tls("localhost", self._scope)
                self.ours = stream.tls
            else:
                stream = TLSStream.start(stream, "localhost", self._scope)
        self.stream = stream
        return stream

    def _serve(self, serve: Callable[[Peer], object]) -> None:
        peer: Any = self._theirs
        peer.settimeout(30)
        context = self._authority.server_context()
        for layer in self._layers:
            if layer == "socket":
                peer = self._theirs = context.wrap_socket(peer, server_side=True)
            else:
                peer = InnerTLS(peer, context)
        with contextlib.suppress(OSError, EOFError):  # The stream was closed.
            serve(peer)

    def leave(self) -> None:
        """Close the other end, without a word."""
        self._theirs.close()

    def close(self) -> None:
        self._scope.close()
        self.stream.close()
        if self.server is not None:
            self.server.finished()
        self._theirs.close()


KINDS = {
    "plain": (),
    "TLS": ("socket",),
    "TLS over any stream": ("memory",),
    "TLS in TLS": ("socket", "memory"),
}


@pytest.fixture(params=KINDS)
def connection(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Connection]:
    made = Connection(KINDS[request.param], authority)
    yield made
    made.close()


def echo(peer: Peer) -> None:
    while data := peer.recv(65_536):
        peer.sendall(data)


def test_a_thread_sends_while_another_one_waits_in_recv(connection: Connection) -> None:
    stream = connection.start(echo)
    for message in (b"one", b"two"):
        reader = BackgroundCall(lambda: stream.recv(100, Within(30)))
        reader.wait_until_in("recv")
        stream.send(message, Within(30))
        assert reader.finished() == message


def test_large_data_goes_both_ways_at_once(connection: Connection) -> None:
    """An echo of more than the buffers hold needs both directions: the peer stops reading when it cannot send."""
    stream = connection.start(echo)
    sender = BackgroundCall(lambda: stream.send(LARGE, Within(30)))
    received = bytearray()
    while len(received) < len(LARGE):
        received += stream.recv(65_536, Within(30))
    assert sender.finished() is None
    assert received == LARGE


def test_the_timeout_of_a_recv_does_not_end_a_send(connection: Connection) -> None:
    may_read, received = threading.Event(), bytearray()

    def serve(peer: Peer) -> None:
        may_read.wait(30)
        while len(received) < len(LARGE):
            received.extend(peer.recv(65_536))

    stream = connection.start(serve)
    sender = BackgroundCall(lambda: stream.send(LARGE, Within(None)))
    sender.wait_until_in("send")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            stream.recv(100, Within(0.01))
    assert sender.is_alive()
    may_read.set()
    assert sender.finished() is None
    assert connection.server is not None
    assert connection.server.finished() is None
    assert received == LARGE


def test_the_timeout_of_a_send_does_not_end_a_recv(connection: Connection) -> None:
    may_answer = threading.Event()

    def serve(peer: Peer) -> None:
        may_answer.wait(30)
        peer.sendall(b"answer")

    stream = connection.start(serve)
    reader = BackgroundCall(lambda: stream.recv(100, Within(None)))
    reader.wait_until_in("recv")
    with pytest.raises(TimeoutError):
        stream.send(LARGE, Within(0.01))
    assert reader.is_alive()
    may_answer.set()
    assert reader.finished() == b"answer"


def test_close_ends_a_recv_and_a_send_of_other_threads(connection: Connection) -> None:
    over = threading.Event()
    stream = connection.start(lambda peer: over.wait(30))
    reader = BackgroundCall(lambda: stream.recv(100, Within(30)))
    writer = BackgroundCall(lambda: stream.send(LARGE, Within(None)))
    reader.wait_until_in("recv")
    writer.wait_until_in("send")
    closer = BackgroundCall(stream.close)
    assert closer.finished() is None
    assert connection.ours.fileno() == -1
    assert isinstance(reader.finished(), ConnectionAbortedError)
    assert isinstance(writer.finished(), ConnectionAbortedError)
    operations: list[Callable[[], object]] = [
        lambda: stream.recv(100, Within(30)),
        lambda: stream.send(b"x", Within(30)),
    ]
    for operation in operations:
        with pytest.raises(OSError, match="closed"):
            operation()
    over.set()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows cannot signal a thread")
def test_a_signal_handler_may_close_the_stream_that_its_thread_waits_for(
    connection: Connection,
) -> None:
    over = threading.Event()
    stream = connection.start(lambda peer: over.wait(30))
    main = threading.main_thread()
    former = signal.signal(signal.SIGUSR1, lambda number, frame: stream.close())

    def interrupt() -> None:
        wait_until_in(main, "recv")
        signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

    try:
        caller = BackgroundCall(interrupt)
        with pytest.raises(ConnectionAbortedError):
            stream.recv(100, Within(30))
        caller.finished()
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert connection.ours.fileno() == -1
    over.set()


def test_only_the_stream_class_itself_takes_a_tls_socket() -> None:
    """A subclass has the operations for plain sockets, which would misread the errors of TLS."""

    class Own(SocketStream):
        pass

    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with (
        theirs,
        context.wrap_socket(
            ours, server_hostname="localhost", do_handshake_on_connect=False
        ) as sock,
    ):
        with pytest.raises(TypeError, match="Own is for plain sockets"):
            Own(sock)
        stream = SocketStream(sock)
        assert stream.tls is sock
        stream.close()


def test_a_close_in_the_middle_of_a_handshake_is_an_abort(authority: Authority) -> None:
    """`SSLSocket` forgets its object of OpenSSL then, and the next step of the handshake would miss it."""

    class ClosedWhileItWaits(ConnectScope):
        def remaining(self, wait: Wait = "connect") -> float | None:
            self.close()
            return super().remaining(wait)

    ours, theirs = socket.socketpair()
    tls = TLSConfig(context=authority.client_context())
    with theirs, pytest.raises(ConnectionAbortedError):
        SocketStream(ours).start_tls(
            "localhost", ClosedWhileItWaits(Deadline(Timeout(connect=30)), tls)
        )


def test_a_peer_that_is_gone_is_an_error_of_the_system(connection: Connection) -> None:
    """With a context of the user's own, too: PyPy's sockets raise a `RuntimeError`, which no caller expects."""
    stream = connection.start(lambda peer: None)
    assert connection.server is not None
    connection.server.finished()
    connection.leave()
    sending = BackgroundCall(lambda: [stream.send(LARGE[:65_536], Within(30)) for _ in range(100)])
    assert isinstance(sending.finished(), OSError)
