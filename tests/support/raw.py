"""Bytes to a server and back, over a plain socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.testing.faults import FaultServer


def connect(server: FaultServer) -> socket.socket:
    """A connected socket; every wait on it ends after 30 s."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def request(
    path: str, *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1"
) -> bytes:
    """A request, with a Content-Length if it has a body."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def read_to_end(sock: socket.socket) -> bytes:
    """All bytes up to the end of the stream."""
    got = b""
    while piece := sock.recv(65_536):
        got += piece
    return got


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """All bytes up to the mark, and those that arrived with it."""
    got = b""
    while mark not in got:
        piece = sock.recv(65_536)
        assert piece, f"the stream ended before {mark!r}: {got!r}"
        got += piece
    return got


def whole(
    server: FaultServer, path: str, *fields: str, method: str = "GET", body: bytes = b""
) -> bytes:
    """All bytes that the server sends for one request with `Connection: close`."""
    with connect(server) as sock:
        sock.sendall(request(path, "Connection: close", *fields, method=method, body=body))
        return read_to_end(sock)


def split(raw: bytes) -> tuple[str, dict[str, str], bytes]:
    """The status line, the fields, and the bytes after the head."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return status, dict(line.lower().split(": ", 1) for line in lines), rest
