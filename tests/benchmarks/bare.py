"""The references: a socket without HTTP, and h11 as its documentation uses it, without pool, timeouts or redirects."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.calls import PIECE, Calls, pieces
from benchmarks.server import BODY, CHUNKED, DOWNLOAD, SIZE, UPLOAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.surroundings import Site

__all__ = ["h11_loop", "sockets"]


class Connector:
    """Opens sockets to one site. With TLS its context is made once; `resumes`: a session serves the next connection."""

    def __init__(self, site: Site, resumes: bool = False) -> None:
        address = urlsplit(site.url)
        self.host = address.netloc
        self._address = "127.0.0.1", address.port or 0
        self._context: ssl.SSLContext | None = None
        if address.scheme == "https":
            self._context = ssl.create_default_context(cafile=site.ca)
        self.kept: socket.socket | None = None
        self._resumes = resumes
        self._session: ssl.SSLSession | None = None

    def open(self) -> socket.socket:
        """A new connection."""
        sock = socket.create_connection(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            return self._context.wrap_socket(
                sock, server_hostname="127.0.0.1", session=self._session
            )
        return sock

    def answered(self, sock: socket.socket) -> None:
        """Keep the session of a connection, whose ticket has come before its answer."""
        if self._resumes and isinstance(sock, ssl.SSLSocket):
            self._session = sock.session

    def connection(self) -> socket.socket:
        """The kept connection."""
        if self.kept is None:
            self.kept = self.open()
        return self.kept

    def close(self) -> None:
        """Close the kept one."""
        if self.kept is not None:
            self.kept.close()


def _head(host: str, target: str, *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def _answer(sock: socket.socket) -> bytes:
    """The body of a small answer."""
    data = sock.recv(PIECE)
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + len(BODY):
        data += sock.recv(PIECE)
    return data[end + 4 :]


def _download(sock: socket.socket) -> int:
    data = sock.recv(PIECE)
    size = len(data) - data.find(b"\r\n\r\n") - 4
    while size < SIZE:
        size += len(sock.recv(PIECE * 4))
    return size


def _chunked(sock: socket.socket) -> int:
    tail, size = b"", 0
    while tail != b"0\r\n\r\n":
        data = sock.recv(PIECE * 4)
        size += len(data)
        tail = (tail + data[-5:])[-5:]
    return SIZE if size > SIZE else 0


def _upload(sock: socket.socket, path: str) -> bytes:
    block = bytearray(PIECE)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            sock.sendall(block)
    return _answer(sock)


def _generate(sock: socket.socket) -> bytes:
    for piece in pieces():
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    sock.sendall(b"0\r\n\r\n")
    return _answer(sock)


def sockets(site: Site, resumes: bool = False) -> Calls:
    """It sends prepared bytes and reads bytes, which is the lower limit for every client."""
    connector = Connector(site, resumes)

    def sent(target: str, *fields: str, method: str = "GET") -> Callable[[], socket.socket]:
        """Send this on the kept connection, and give it."""
        head = _head(connector.host, target, *fields, method=method)

        def send() -> socket.socket:
            sock = connector.connection()
            sock.sendall(head)
            return sock

        return send

    def once() -> bytes:
        with connector.open() as sock:
            sock.sendall(asked)
            body = _answer(sock)
            connector.answered(sock)
            return body

    asked, get = _head(connector.host, "/items"), sent("/items")
    down, chunks = sent(DOWNLOAD), sent(CHUNKED)
    by_length = sent(UPLOAD, f"Content-Length: {SIZE}", method="PUT")
    in_chunks = sent(UPLOAD, "Transfer-Encoding: chunked", method="PUT")
    return Calls(
        get=lambda: _answer(get()),
        once=once,
        download=lambda: _download(down()),
        chunked=lambda: _chunked(chunks()),
        upload=lambda: _upload(by_length(), site.file),
        generate=lambda: _generate(in_chunks()),
        close=connector.close,
    )


def h11_loop(site: Site) -> Calls:
    """One write for all events, reads of 64 KiB, the body joined."""
    import h11

    connector = Connector(site)
    parser = h11.Connection(h11.CLIENT)
    fields = [
        ("Host", connector.host),
        ("User-Agent", "benchmark/1"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip, deflate"),
    ]

    def get() -> bytes:
        sock = connector.connection()
        request: Any = h11.Request(method="GET", target="/items", headers=fields)
        data = parser.send(request)
        assert data is not None
        sock.sendall(data + (parser.send(h11.EndOfMessage()) or b""))
        body = []
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                parser.receive_data(sock.recv(PIECE))
            elif isinstance(event, h11.Data):
                body.append(event.data)
        parser.start_next_cycle()
        return b"".join(body)

    return Calls(get=get, close=connector.close)
