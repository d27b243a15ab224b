"""A small server with ten threads, each of which serves one connection until it ends.

Ten connections that a client holds without using them block it: the kernel accepts the eleventh connection, and no
thread reads its request.

Invariants. It needs the standard library alone, and every thread has ended when `close` returns.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["THREADS", "SmallServer"]

THREADS = 10
# Seconds that `close` gives each connection and each thread.
_GRACE = 2.0


class SmallServer:
    """Serves on a free loopback port, from its construction until `close`.

    ``/N`` answers with N bytes. Connections are kept alive unless the client says ``Connection: close``.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self._lock = threading.Lock()
        self._serving: set[socket.socket] = set()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [
            threading.Thread(target=self._work, name=f"small server {nth}", daemon=True)
            for nth in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def busy(self) -> int:
        """How many threads have a connection."""
        with self._lock:
            return len(self._serving)

    def close(self) -> None:
        """Stop listening, end every connection and every thread. Idempotent."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            for sock in self._serving:
                with contextlib.suppress(OSError):  # The client has closed it first.
                    sock.shutdown(socket.SHUT_RDWR)
        # Closing a listener wakes its `accept` on some platforms only; a connection wakes it on all of them.
        for _ in self._threads:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), _GRACE).close()
        for thread in self._threads:
            thread.join(_GRACE)
        self._listener.close()

    def _work(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except ConnectionError:  # The connection was reset before it was accepted.
                continue
            with sock:
                with self._lock:
                    if self._closing:
                        return
                    self._serving.add(sock)
                try:
                    self._serve(sock)
                except OSError:  # The client went away.
                    pass
                finally:
                    with self._lock:
                        self._serving.discard(sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock.makefile("rb") as lines:
            while _exchange(sock, lines):
                pass


def _exchange(sock: socket.socket, lines: BinaryIO) -> bool:
    """Answer one request; True if another one may follow."""
    start = lines.readline().split()
    head = b""
    while line := lines.readline().strip():
        head += line.lower() + b"\n"
    if not start:
        return False
    size = int(start[1][1:])
    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    return b"connection: close\n" not in head
