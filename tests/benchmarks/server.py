"""The server of the benchmarks: a child process that only sends prepared bytes.

Run with a certificate file as its argument, or "", it prints one line with its four ports (kept connections and one
request for each connection, plain and with TLS) and serves until its standard input ends, which happens at every end of
its parent.
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

__all__ = ["BODY", "CHUNKED", "DOWNLOAD", "SIZE", "UPLOAD"]

BODY: Final = (b'{"items": [' + b", ".join([b'{"id": 1234, "name": "a name"}'] * 31) + b"]}").ljust(
    1024
)
"""1 KiB of JSON."""

DOWNLOAD: Final = "/download"
CHUNKED: Final = "/chunked"
UPLOAD: Final = "/upload"
SIZE: Final = 64 * 1024 * 1024
"""The size of a transfer, in bytes."""
_BLOCK: Final = bytes(1024 * 1024)
_CHUNK: Final = b"10000\r\n%b\r\n" % bytes(65_536)


def _response(framing: bytes, *fields: bytes) -> bytes:
    """A response with eight fields, and perhaps more."""
    lines = [
        b"HTTP/1.1 200 OK",
        b"Server: benchmark",
        b"Date: Sat, 01 Mar 2025 12:00:00 GMT",
        b"Content-Type: application/json",
        framing,
        b"Cache-Control: no-cache, no-store",
        b'ETag: "5e1f-61c2a9d4b3f80"',
        b"Vary: Accept-Encoding",
        b"X-Request-Id: 5f0c6a1e-8d7b-4c3e-9a52-1b6f0d9e7c84",
        *fields,
    ]
    return b"\r\n".join([*lines, b"", b""])


_LENGTH: Final = b"Content-Length: %d" % len(BODY)
_KEPT: Final = _response(_LENGTH) + BODY
_LAST: Final = _response(_LENGTH, b"Connection: close") + BODY
_LARGE: Final = _response(b"Content-Length: %d" % SIZE)


def _download(connection: socket.socket) -> None:
    connection.sendall(_LARGE)
    for _ in range(SIZE // len(_BLOCK)):
        connection.sendall(_BLOCK)


def _chunked(connection: socket.socket) -> None:
    connection.sendall(_response(b"Transfer-Encoding: chunked"))
    for _ in range(SIZE // 65_536):
        connection.sendall(_CHUNK)
    connection.sendall(b"0\r\n\r\n")


def _receive(connection: socket.socket) -> bytes:
    """The head of one request, after its content has come; b"" when the client has closed. Clients never pipeline."""
    data = connection.recv(65_536)
    while data and (end := data.find(b"\r\n\r\n")) < 0:
        data += connection.recv(65_536)
    if not data:
        return b""
    head, data = data[:end], data[end + 4 :]
    if not head.startswith(b"GET "):
        _skip(connection, head.lower(), data)
    return head


def _skip(connection: socket.socket, head: bytes, data: bytes) -> None:
    """Receive the content of a request, of which this much has come."""
    if b"expect: 100-continue" in head:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    buffer = bytearray(1024 * 1024)
    if b"chunked" in head:
        tail = data[-5:]
        while tail != b"0\r\n\r\n":
            count = connection.recv_into(buffer)
            tail = (tail + buffer[max(count - 5, 0) : count])[-5:]
    else:
        left = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0) - len(data)
        while left > 0:
            left -= connection.recv_into(buffer)


def _keep(connection: socket.socket, answer: bytes) -> None:
    """Serve one connection until its client closes it, or until its only answer."""
    try:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := _receive(connection):
                if head.startswith(b"GET /download "):
                    _download(connection)
                elif head.startswith(b"GET /chunked "):
                    _chunked(connection)
                else:
                    connection.sendall(answer)
                if answer is _LAST:
                    break
    except OSError:
        pass  # A client may leave early.


def _serve(listener: socket.socket, answer: bytes, context: ssl.SSLContext | None) -> None:
    def secured(plain: socket.socket) -> None:
        assert context is not None
        try:
            connection = context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
        else:
            _keep(connection, answer)

    while True:
        connection, _ = listener.accept()
        if context is None and answer is _LAST:
            _keep(connection, answer)  # Without a thread, which would cost more than the request.
        elif context is None:
            threading.Thread(target=_keep, args=(connection, answer), daemon=True).start()
        else:
            threading.Thread(target=secured, args=(connection,), daemon=True).start()


def _start(serve: Callable[..., None], *args: object) -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=serve, args=(listener, *args), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def main() -> None:
    """Serve until standard input ends."""
    ports = [_start(_serve, _KEPT, None), _start(_serve, _LAST, None)]
    if sys.argv[1]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        ports += [_start(_serve, _KEPT, context), _start(_serve, _LAST, context)]
    print(*ports, flush=True)
    while os.read(0, 1024):
        pass


if __name__ == "__main__":
    main()
