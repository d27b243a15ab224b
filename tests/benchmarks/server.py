"""The server of the benchmarks: a child process that only sends prepared bytes.

Run with a certificate file as its argument it prints one line with its three ports (kept connections, one request for
each connection, TLS) and serves until its standard input ends, which happens at every end of its parent.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BODY", "DOWNLOAD", "DOWNLOAD_SIZE"]

BODY: Final = (b'{"items": [' + b", ".join([b'{"id": 1234, "name": "a name"}'] * 31) + b"]}").ljust(
    1024
)
"""1 KiB of JSON."""

DOWNLOAD: Final = "/download"
DOWNLOAD_SIZE: Final = 64 * 1024 * 1024
_BLOCK: Final = bytes(1024 * 1024)


def _response(length: int, *fields: bytes) -> bytes:
    """A response with eight fields, and perhaps more."""
    lines = [
        b"HTTP/1.1 200 OK",
        b"Server: benchmark",
        b"Date: Sat, 01 Mar 2025 12:00:00 GMT",
        b"Content-Type: application/json",
        b"Content-Length: %d" % length,
        b"Cache-Control: no-cache, no-store",
        b'ETag: "5e1f-61c2a9d4b3f80"',
        b"Vary: Accept-Encoding",
        b"X-Request-Id: 5f0c6a1e-8d7b-4c3e-9a52-1b6f0d9e7c84",
        *fields,
    ]
    return b"\r\n".join([*lines, b"", b""])


_KEPT: Final = _response(len(BODY)) + BODY
_LAST: Final = _response(len(BODY), b"Connection: close") + BODY
_LARGE: Final = _response(DOWNLOAD_SIZE)


def _receive(connection: socket.socket) -> bytes:
    """One request with its content; b"" when the client has closed. Clients here never pipeline."""
    data = connection.recv(65_536)
    while data and not _complete(data):
        more = connection.recv(65_536)
        if not more:
            return b""
        data += more
    return data


def _complete(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    if end < 0 or data.startswith(b"GET "):
        return end >= 0
    length = data[:end].lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return len(data) >= end + 4 + int(length or 0)


def _keep(connection: socket.socket) -> None:
    """Serve one connection until its client closes it."""
    try:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := _receive(connection):
                if data.startswith(b"GET /download "):
                    connection.sendall(_LARGE)
                    for _ in range(DOWNLOAD_SIZE // len(_BLOCK)):
                        connection.sendall(_BLOCK)
                else:
                    connection.sendall(_KEPT)
    except OSError:
        pass  # A client that leaves early is one of the cases.


def _serve_kept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_keep, args=(connection,), daemon=True).start()


def _serve_tls(listener: socket.socket, context: ssl.SSLContext) -> None:
    def shake(plain: socket.socket) -> None:
        try:
            connection = context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
        else:
            _keep(connection)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=shake, args=(connection,), daemon=True).start()


def _serve_last(listener: socket.socket) -> None:
    """One request for each connection, without a thread for it, which would cost more than the request."""
    while True:
        connection, _ = listener.accept()
        try:
            with connection:
                if _receive(connection):
                    connection.sendall(_LAST)
        except OSError:
            pass


def _start(serve: Callable[..., None], *args: object) -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=serve, args=(listener, *args), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def main() -> None:
    """Serve until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    print(_start(_serve_kept), _start(_serve_last), _start(_serve_tls, context), flush=True)
    while os.read(0, 1024):
        pass


if __name__ == "__main__":
    main()
