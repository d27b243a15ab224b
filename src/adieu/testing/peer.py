"""The server's end of one connection, as a route of the `FaultServer` sees it.

Rules of the room: everything that touches the socket of an accepted connection is here. Reading is
strict enough to notice a client that lost its place in its own stream (such a request is answered
with 400, and the connection closed); writing is free, since breaking the rules is the purpose of
the house. No wait survives_close the server: closing it shuts the socket down, which ends every read and
every write at once.
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
"""How a route leaves its connection.

``keep`` waits for the next request. ``close`` says everything that a polite server says (TLS
close_notify, FIN). ``drop`` closes without TLS close_notify. ``reset`` sends an RST (on a Unix
socket, which knows none: closes).
"""

MOST_HEAD: Final = 1 << 20
MOST_KEPT: Final = 1 << 20
_PIECE: Final = 1 << 16
_REQUEST_LINE = re.compile(r"([!#$%&'*+\-.^_`|~\w]+) (\S+) (HTTP/1\.[01])", re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~\w]+):[ \t]*([^\r\n\0]*?)[ \t]*", re.ASCII)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?\r\n")


class HungUp(Exception):
    """The client went away, or the server is being closed, in the middle of something."""


class Peer:
    """One accepted connection.

    `number` counts the connections of the server from 1, `served` the requests that came on this
    one. `idle` is how long the server waits for the next request before it closes, in seconds, or
    None for ever. `answered` says whether anything of the present request's answer has been sent.
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
        """The next request up to its empty line, and counted.

        Nothing if the client closed instead, or was idle too long.
        """
        self.answered = False
        if not self._buffer:
            try:
                self._fill(self.idle)
            except (HungUp, TimeoutError):
                return None
        lines = bytes(self._until(b"\r\n\r\n", MOST_HEAD)).decode("latin-1").split("\r\n")
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
        invite: bool = True,
        between: Callable[[], None] = lambda: None,
        piece: int = _PIECE,
    ) -> None:
        """Read the body to its end.

        `invite` answers ``Expect: 100-continue`` first (RFC 9110, section 10.1.1). `between` is
        called before each read of at most `piece` bytes.
        """
        if request.body_read:
            return
        expected = (request.header("expect") or "").lower() == "100-continue"
        if invite and expected and not self._buffer:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        coding, length = request.header("transfer-encoding"), request.header("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise Refused("the framing of the request is ambiguous")
            self._read_chunks(request, between, piece)
        elif length is not None:
            if not re.fullmatch("[0-9]+", length):
                raise Refused(f"content-length {length!r} is not a number")
            self._read_bytes(request, int(length), between, piece)
        request.body_read = True

    def _read_chunks(self, request: Request, between: Callable[[], None], piece: int) -> None:
        while True:
            size = _CHUNK.fullmatch(self._until(b"\r\n", MOST_HEAD))
            if size is None:
                raise Refused("the size of a chunk is malformed")
            length = int(size[1], 16)
            if not length:
                break
            self._read_bytes(request, length, between, piece)
            if self._until(b"\r\n", 2) != b"\r\n":
                raise Refused("a chunk is longer than its size")
        while self._until(b"\r\n", MOST_HEAD) != b"\r\n":  # trailer fields
            pass

    def _read_bytes(
        self, request: Request, length: int, between: Callable[[], None], piece: int
    ) -> None:
        while length:
            between()
            if not self._buffer:
                self._fill(None, piece)
            taken = bytes(self._buffer[: min(length, piece)])
            del self._buffer[: len(taken)]
            length -= len(taken)
            request.body_length += len(taken)
            request.body += taken[: MOST_KEPT - len(request.body)]

    def read_raw(self) -> bytes:
        """Whatever comes next, as it is; empty at the end of the stream."""
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
        """A head, ready to be sent; it says ``Connection: close`` if the client did."""
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
        """A complete reply with a Content-Length, ready to be sent."""
        head = self.head(status, [*headers, ("content-length", str(len(body)))])
        return head if self._headless else head + body

    def pause(self, seconds: float) -> None:
        """Wait, and notice if the client goes away; what it sends is kept, up to a bound."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if len(self._buffer) >= MOST_KEPT:
                self.rest(left)
                return
            try:
                self._fill(left)
            except TimeoutError:
                return

    def rest(self, seconds: float) -> None:
        """Wait without reading anything, so that the client's writes pile up."""
        if self._closing.wait(seconds):
            raise HungUp

    def linger(self, seconds: float = 1.0) -> None:
        """End the sending half, then drop what still comes.

        Closing with unread bytes would be an RST, which takes the answer away from the client.
        """
        self._say_goodbye()
        # The plain socket's methods: what comes below TLS is dropped without being understood.
        socket.socket.shutdown(self.sock, socket.SHUT_WR)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.sock.settimeout(left)
            if not socket.socket.recv(self.sock, _PIECE):
                return

    def end(self, ending: Ending) -> None:
        """Prepare the end of the connection; closing the descriptor is the server's."""
        if ending == "reset":
            layout = "hh" if sys.platform == "win32" else "ii"
            linger = struct.pack(layout, 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif ending == "close":
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            # Without blocking: close_notify is sent, the client's own is not waited for.
            self.sock.setblocking(False)
            try:
                self.sock.unwrap()
            except (OSError, ValueError):
                pass
