"""`FaultServer`: a server over real sockets that does, on request, all that servers do to clients.

Its routes are in two tables: `adieu.testing.routes` keep the rules of HTTP, `adieu.testing.fault_routes` break them.
`FaultServer.reply` answers with exact bytes, `FaultServer.on` with any other behaviour.

Invariants. One thread accepts, one serves each connection; all are daemons, and all have ended when `close` returns.
The server counts accepted and open connections itself, so a client's own counts can be checked against it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from adieu.net.tls.pypy_ssl import patched
from adieu.testing.fault_routes import ROUTES
from adieu.testing.peer import Ending, HungUp, Peer
from adieu.testing.request import Refused, Request
from adieu.testing.routing import Entry, Route, first_segment, payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["Ending", "FaultServer", "Peer", "Request", "payload"]

GRACE: Final = 10.0
"""Seconds that `FaultServer.close` gives its threads."""

_MAX_REQUESTS = 10_000


class FaultServer:
    """A server that behaves as each request asks, from its construction until `close`.

    >>> from urllib.request import urlopen
    >>> with FaultServer() as server, urlopen(server.url + "/chunked?n=70000") as answer:
    ...     len(answer.read()), server.accepted
    (70000, 1)

    `host` is the address to listen on, and `port` the port; 0 is a free one. `unix` is the path of a Unix socket to
    listen on instead; `close` removes it. `tls` is the context of a server; the connection's thread makes the
    handshake. The attributes `port` (0 with `unix`) and `url` are its address. Every count may be read from any thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unix: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        backlog: int = 128,
    ) -> None:
        self.path = None if unix is None else os.fspath(unix)
        self.port = 0
        self._tls = None if tls is None else patched(tls)
        self._listener = self._listen(host, port, backlog)
        scheme = "http" if tls is None else "https"
        authority = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.url = f"{scheme}://{'localhost' if unix is not None else authority}"
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._accepted = 0
        self._served = 0
        self._peers: dict[int, Peer] = {}
        self._threads: list[threading.Thread] = []
        self._requests: deque[Request] = deque(maxlen=_MAX_REQUESTS)
        self._own_routes: dict[str, Entry] = {}
        self._wake, self._alarm = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept_all, name=f"{self!r} accepts", daemon=True
        )
        self._acceptor.start()

    def _listen(self, host: str, port: int, backlog: int) -> socket.socket:
        if self.path is not None:
            listener = socket.socket(socket.AF_UNIX)
            address: str | tuple[str, int] = self.path
        else:
            listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            address = (host, port)
            if port and os.name == "posix":
                # Connections of an earlier server in TIME_WAIT do not keep the port.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(backlog)
            # A connection that was reset before it was accepted must not block the accepting thread.
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        if self.path is None:
            self.port = listener.getsockname()[1]
        return listener

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FaultServer {self.path or self.url}>"

    @property
    def accepted(self) -> int:
        """The connections accepted so far."""
        with self._changed:
            return self._accepted

    @property
    def open(self) -> int:
        """The connections that neither side has closed, as far as the server knows."""
        with self._changed:
            return len(self._peers)

    @property
    def served(self) -> int:
        """The requests received so far."""
        with self._changed:
            return self._served

    @property
    def requests(self) -> list[Request]:
        """The last 10,000 requests, in the order of their heads. A body may still be on its way."""
        with self._changed:
            return list(self._requests)

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until the predicate is true. It is checked at every change of the server and every 10 ms.

        Raises `AssertionError`, with the server's counts, after `timeout` seconds.
        """
        until = monotonic() + timeout
        while not predicate():
            if monotonic() > until:
                raise AssertionError(
                    f"not true after {timeout:g} s; {self!r} accepted {self.accepted} connections, "
                    f"{self.open} are open, and had {self.served} requests, "
                    f"the last of them {self.requests[-5:]}"
                )
            with self._changed:
                self._changed.wait(0.01)

    def reply(self, path: str, raw: bytes, *, close: bool = False) -> None:
        """Answer requests for this path with exactly these bytes, and then close if `close`."""

        def route(peer: Peer, request: Request) -> Ending:
            peer.send(raw)
            return "close" if close else "keep"

        self.on(path, route)

    def on(self, path: str, route: Route, *, early: bool = False) -> None:
        """Answer requests for this path with a route of your own.

        An `early` route is called before the body of the request was read.
        """
        with self._changed:
            self._own_routes[path] = Entry(route, early)

    def hang_up(self) -> None:
        """End every open connection now, as a server does when it restarts or finds them idle."""
        with self._changed:
            for peer in self._peers.values():
                # A TLS socket's own method would drop the TLS state while its thread uses it.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(peer.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening, end every connection and every thread. Idempotent.

        Raises `RuntimeError` if a route of your own does not end within ten seconds.
        """
        with self._changed:
            if self._closing.is_set():
                return
            self._closing.set()
        until = monotonic() + GRACE
        self._alarm.close()
        self._acceptor.join(GRACE)
        self._wake.close()
        self._listener.close()
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.hang_up()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - monotonic()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late and late != [threading.current_thread().name]:
            raise RuntimeError(f"still running {GRACE:g} s after {self!r} was closed: {late}")

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                selector.select()
                if self._closing.is_set():
                    return
                try:
                    sock, _ = self._listener.accept()
                except BlockingIOError:
                    continue
                except (
                    OSError
                ):  # It was reset before it was accepted, or there are no more descriptors.
                    self._closing.wait(0.01)
                    continue
                self._start_serving(sock)

    def _start_serving(self, sock: socket.socket) -> None:
        with self._changed:
            self._accepted += 1
            number = self._accepted
            try:
                sock.setblocking(True)
                if self.path is None:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
            except OSError:  # It was reset.
                sock.close()
                return
            peer = self._peers[number] = Peer(sock, number, self._closing)
            name = f"{self!r} serves {number}"
            thread = threading.Thread(target=self._serve, args=(peer,), name=name, daemon=True)
            self._threads = [known for known in self._threads if known.is_alive()]
            self._threads.append(thread)
            self._changed.notify_all()
        thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            if isinstance(peer.sock, ssl.SSLSocket):
                peer.sock.do_handshake()
            while (ending := self._exchange(peer)) == "keep":
                pass
            peer.end(ending)
        except (OSError, HungUp):
            pass
        finally:
            # Under the lock: `hang_up` must not find a descriptor that another connection has by now.
            with self._changed:
                peer.sock.close()
                del self._peers[peer.number]
                self._changed.notify_all()

    def _exchange(self, peer: Peer) -> Ending:
        try:
            request = peer.read_request()
            if request is None:
                return "close"
            with self._changed:
                self._served += 1
                request.number = self._served
                self._requests.append(request)
                self._changed.notify_all()
                own = self._own_routes.get(request.path)
            entry = own or ROUTES.get(first_segment(request.path), _NOT_FOUND)
            if not entry.early:
                peer.read_body(request)
                with self._changed:
                    self._changed.notify_all()
            ending = entry.serve(peer, request)
        except Refused as why:
            # After the first bytes of an answer, a 400 would be read as a part of it.
            if peer.answered:
                return "drop"
            peer.reply(400, f"{why}\n".encode(), [("connection", "close")])
            peer.linger()
            return "drop"
        if ending == "keep" and request.wants_close:
            return "close"
        return ending


def _not_found(peer: Peer, request: Request) -> Ending:
    peer.reply(404, f"no route {request.path}\n".encode())
    return "keep"


_NOT_FOUND = Entry(_not_found, early=False)
