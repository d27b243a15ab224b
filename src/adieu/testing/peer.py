"""The server's end of one connection, as a route of the `FaultServer` sees it.

Invariants. Everything that touches the socket of an accepted connection is here. Reading is strict enough to notice a
client whose framing is wrong (such a request is answered with 400, and the connection closed). Writing is not checked,
because routes break the rules on purpose. No wait outlasts the server: closing it shuts the socket down, which ends
every read and every write.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import sys
import time
from typing import TYPE_CHECKING, Final, Literal

from adieu.testing.request import Refused, Request

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

__all__ = ["Ending", "HungUp", "Peer"]

Ending = Literal["keep", "close", "drop", "reset"]
"""How a connection goes on after a route.

``keep`` waits for the next request. ``close`` closes as a correct server does (TLS close_notify, FIN). ``drop`` closes
without a TLS close_notify. ``reset`` sends an RST (on a Unix socket, which has none, it closes).
"""

# The most bytes of a head, and of a body that is kept.
MAX_HEAD: Final = 1 << 20
MAX_KEPT: Final = 1 << 20
_PIECE: Final = 1 << 16
_REQUEST_LINE = re.compile(r"([!#$%&'*+\-.^_`|~\w]+) (\S+) (HTTP/1\.[01])", re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~\w]+):[ \t]*([^\r\n\0]*?)[ \t]*", re.ASCII)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?\r\n")


class HungUp(Exception):
    """The client closed the connection, or the server is being closed, during a read or a wait."""


class Peer:
    """One accepted connection.

    `number` is its number on the server, from 1; `served` counts its requests. `idle` is how long the server waits for
    the next request before it closes, in seconds, or None for ever. `answered` says whether a part of the answer to the
    present request was sent.
    """

    def __init__(self, sock: socket.socket, number: int, closing: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self.served = 0
        self.idle: float | None = None
        self.answered = False
        self._closing = closing
        self._buffer = bytearray()
        self._headless = False
        self._last = False

    def read_request(self) -> Request | None:
        """Read and count the next request, up to the end of its head.

        None if the client closed the connection, or was idle too long.
        """
        self.answered = False
        if not self._buffer:
            try:
                self._fill(self.idle)
            except (HungUp, TimeoutError):
                return None
        lines = bytes(self._until(b"\r\n\r\n", MAX_HEAD)).decode("latin-1").split("\r\n")
        start = _REQUEST_LINE.fullmatch(lines[0])
        fields = [_FIELD.fullmatch(line) for line in lines[1:-2]]
        if start is None or not all(fields):
            raise Refused("the head of the request is malformed")
        headers = [(field[1], field[2]) for field in fields if field is not None]
        request = Request(start[1], start[2], start[3], headers)
        self.served += 1
        request.connection, request.nth = self.number, self.served
        self._headless = request.method == "HEAD"
        self._last = request.wants_close
        return request

    def read_body(
        self,
        request: Request,
        *,
        send_continue: bool = True,
        before_read: Callable[[], None] = lambda: None,
        piece: int = _PIECE,
    ) -> None:
        """Read the body to its end.

        `send_continue`: answer ``Expect: 100-continue`` first (RFC 9110, section 10.1.1). `before_read` is called
        before each read of at most `piece` bytes.
        """
        if request.body_read:
            return
        expected = (request.header("expect") or "").lower() == "100-continue"
        if send_continue and expected and not self._buffer:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        coding, length = request.header("transfer-encoding"), request.header("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise Refused("the framing of the request is ambiguous")
            self._read_chunks(request, before_read, piece)
        elif length is not None:
            if not re.fullmatch("[0-9]+", length):
                raise Refused(f"content-length {length!r} is not a number")
            self._read_bytes(request, int(length), before_read, piece)
        request.body_read = True

    def _read_chunks(self, request: Request, before_read: Callable[[], None], piece: int) -> None:
        while True:
            size = _CHUNK.fullmatch(self._until(b"\r\n", MAX_HEAD))
            if size is None:
                raise Refused("the size of a chunk is malformed")
            length = int(size[1], 16)
            if not length:
                break
            self._read_bytes(request, length, before_read, piece)
            if self._until(b"\r\n", 2) != b"\r\n":
                raise Refused("a chunk is longer than its size")
        while (line := self._until(b"\r\n", MAX_HEAD)) != b"\r\n":
            field = _FIELD.fullmatch(line[:-2].decode("latin-1"))
            if field is None:
                raise Refused("a trailer is malformed")
            request.trailers.append((field[1], field[2]))

    def _read_bytes(
        self, request: Request, length: int, before_read: Callable[[], None], piece: int
    ) -> None:
        while length:
            before_read()
            if not self._buffer:
                self._fill(None, piece)
            taken = bytes(self._buffer[: min(length, piece)])
            del self._buffer[: len(taken)]
            length -= len(taken)
            request.body_length += len(taken)
            request.body += taken[: MAX_KEPT - len(request.body)]

    def read_raw(self) -> bytes:
        """The next bytes, without parsing; empty at the end of the stream."""
        if not self._buffer:
            try:
                self._fill(None)
            except HungUp:
                return b""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def _until(self, mark: bytes, most: int) -> bytes:
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) >= most:
                raise Refused(f"no end within {most} bytes")
            searched = max(0, len(self._buffer) - len(mark) + 1)
            self._fill(None)
        taken = bytes(self._buffer[: at + len(mark)])
        del self._buffer[: len(taken)]
        return taken

    def _fill(self, timeout: float | None, piece: int = _PIECE) -> None:
        self.sock.settimeout(timeout)
        data = self.sock.recv(piece)
        if not data:
            raise HungUp
        self._buffer += data

    def send(self, data: bytes) -> None:
        """Send these bytes exactly."""
        self.answered = True
        self._write(data)

    def _write(self, data: bytes) -> None:
        self.sock.settimeout(None)
        self.sock.sendall(data)

    def head(
        self, status: int | str, headers: Iterable[tuple[str, str]] = (), version: str = "1.1"
    ) -> bytes:
        """The bytes of a head, with ``Connection: close`` if the client sent that."""
        fields = list(headers)
        if self._last and not any(name.lower() == "connection" for name, _ in fields):
            fields.append(("connection", "close"))
        lines = [f"HTTP/{version} {status if isinstance(status, str) else f'{status} Scripted'}"]
        lines += [f"{name}: {value}" for name, value in fields]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def start(self, status: int | str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send a head."""
        self.send(self.head(status, headers))

    def body(self, data: bytes) -> None:
        """Send a piece of a body, unless the request was HEAD (RFC 9110, section 9.3.2)."""
        if data and not self._headless:
            self.send(data)

    def reply(
        self, status: int | str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Send a complete reply with a Content-Length, in one write."""
        self.send(self.packed(status, body, headers))

    def packed(
        self, status: int | str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """The bytes of a complete reply with a Content-Length."""
        head = self.head(status, [*headers, ("content-length", str(len(body)))])
        return head if self._headless else head + body

    def pause(self, seconds: float) -> None:
        """Wait, and raise `HungUp` if the client closes. What it sends is kept, up to a bound."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if len(self._buffer) >= MAX_KEPT:
                self.wait(left)
                return
            try:
                self._fill(left)
            except TimeoutError:
                return

    def wait(self, seconds: float) -> None:
        """Wait without reading anything, so the client's writes fill the buffers."""
        if self._closing.wait(seconds):
            raise HungUp

    def linger(self, seconds: float = 10.0) -> None:
        """Close the sending half, then read and drop what still comes.

        Closing with unread bytes would send an RST, at which the client's kernel may drop the answer.
        """
        self._send_close_notify()
        # The plain socket's methods: what comes is dropped without decrypting it.
        socket.socket.shutdown(self.sock, socket.SHUT_WR)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.sock.settimeout(left)
            if not socket.socket.recv(self.sock, _PIECE):
                return

    def end(self, ending: Ending) -> None:
        """Prepare the end of the connection. The server closes the descriptor."""
        if ending == "reset":
            layout = "hh" if sys.platform == "win32" else "ii"
            linger = struct.pack(layout, 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif ending == "close":
            self._send_close_notify()

    def _send_close_notify(self) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            # Non-blocking, so as not to wait for the client's close_notify.
            self.sock.setblocking(False)
            try:
                self.sock.unwrap()
            except (OSError, ValueError):
                pass
