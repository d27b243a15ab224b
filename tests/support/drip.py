"""A server that gives or takes a little at a time, and a clock that goes on only while it does.

Nothing here depends on the machine's speed. The clock of the client's deadline stands until the server begins to drip;
from then on each look at it takes one second. The server sends its next byte when the client has looked again. So a
client that asks its deadline before each wait runs out of time after a few bytes, and one that asked once never does.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from servers import KNOWN_PORTS
from support.threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Conversation", "DripClock", "DripServer"]

# How long the server waits for a look at the clock until the client counts as one that does not look (seconds).
_PATIENCE = 30
_A_MOMENT = 0.001


class DripClock:
    """Stands until `run`. Then each look takes a second."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._running = False
        self._over = False
        self._looked = threading.Event()

    def __call__(self) -> float:
        if self._running:
            self._seconds += 1.0
            self._looked.set()
        return self._seconds

    def run(self) -> None:
        """The server begins to drip."""
        self._running = True

    def stop(self) -> None:
        """The client's call is over."""
        self._running = False
        self._over = True
        self._looked.set()

    def next_look(self, do: Callable[[], object], patience: float) -> bool:
        """Do something, and wait until the client has looked at the clock since; False: it did not in this time."""
        self._looked.clear()
        if self._over:
            return False
        do()
        return self._looked.wait(patience)


class _Bytes(Protocol):
    def sendall(self, data: bytes) -> object: ...

    def recv(self, size: int) -> bytes: ...


class _Wire:
    """The server's end of the socket, which drips as soon as it is told to."""

    def __init__(self, sock: socket.socket, clock: DripClock) -> None:
        self.sock = sock
        self.clock = clock
        self.drips = False
        self.dripped = 0

    def recv(self, size: int) -> bytes:
        return self.sock.recv(size)

    def sendall(self, data: bytes) -> None:
        if not self.drips:
            self.sock.sendall(data)
            return
        for at in range(len(data)):
            piece = data[at : at + 1]
            self.dripped += 1
            if not self.clock.next_look(partial(self.sock.sendall, piece), _PATIENCE):
                raise TimeoutError("the client waits on without a look at the clock")


class _ServerTLS:
    """TLS over any bytes, so that its records can be cut."""

    def __init__(self, below: _Bytes, context: ssl.SSLContext) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def handshake(self, before_tickets: Callable[[], object] = lambda: None) -> None:
        """Shake hands; `before_tickets` is called when all but the session tickets were sent."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._below.sendall(self._out.read())
                self._in.write(self._received())
        before_tickets()
        if not self._out.pending:
            raise EOFError("no ticket is due")
        self._below.sendall(self._out.read())

    def _received(self) -> bytes:
        data = self._below.recv(65_536)
        if not data:
            raise EOFError
        return data

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._in.write(self._received())

    def sendall(self, data: bytes) -> None:
        self._tls.write(data)
        self._below.sendall(self._out.read())


class Conversation:
    """One accepted connection: what a script of a test does with it."""

    def __init__(self, sock: socket.socket, clock: DripClock, context: ssl.SSLContext) -> None:
        self._wire = _Wire(sock, clock)
        self._context = context
        self.stream: Any = self._wire

    def drip(self) -> None:
        """From now on, give one byte for each look at the clock."""
        self._wire.drips = True
        self._wire.clock.run()

    @property
    def dripped(self) -> int:
        """The number of bytes that were given one by one."""
        return self._wire.dripped

    def secure(self, before_tickets: Callable[[], object] = lambda: None) -> None:
        """Put TLS over what there is."""
        secured = _ServerTLS(self.stream, self._context)
        secured.handshake(before_tickets)
        self.stream = secured

    def head(self) -> bytes:
        """The head of the next request."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self.stream.recv(65_536)
            if not piece:
                raise EOFError
            got += piece
        return got

    def take(self, size: int) -> bool:
        """Take so many bytes of the socket, a few at a time: whether they all came.

        A look is no sign that the socket is full, and taking a little need not make it writable. So the client gets a
        moment, in which it fills its buffer again and has to wait.
        """
        clock, sock = self._wire.clock, self._wire.sock
        clock.run()
        while size > 0:
            clock.next_look(lambda: None, _A_MOMENT)
            data = sock.recv(2048)
            if not data:
                return False
            size -= len(data)
        return True


class DripServer:
    """Runs a script for each connection. `finished`: how many came to their end, and did not lose the client."""

    def __init__(
        self, clock: DripClock, context: ssl.SSLContext, script: Callable[[Conversation], object]
    ) -> None:
        self._clock = clock
        self._context = context
        self._script = script
        self._listener = socket.socket()
        # Before it listens, so that connections inherit it: the client has to wait until its request is taken.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        KNOWN_PORTS.add(self.port)
        self.finished = 0
        self._all: list[Conversation] = []
        self._talks: list[tuple[socket.socket, BackgroundCall]] = []
        self._accepting = BackgroundCall(self._accept)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._talks.append((sock, BackgroundCall(lambda sock=sock: self._talk(sock))))  # type: ignore[misc]

    def _talk(self, sock: socket.socket) -> None:
        talk = Conversation(sock, self._clock, self._context)
        self._all.append(talk)
        with sock, contextlib.suppress(OSError, EOFError):
            if self._script(talk) is not False:
                self.finished += 1

    @property
    def dripped(self) -> int:
        """The number of bytes that were given one by one."""
        return sum(talk.dripped for talk in self._all)

    def close(self) -> None:
        """End all conversations."""
        self._clock.stop()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.finished()
        for sock, talk in self._talks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            talk.finished()
