"""Wires: what opens a byte stream. TCP, Unix sockets, and whatever a user writes.

Rules of the room: a wire knows origins and deadlines, and no HTTP. Every socket is given to the `Opening` the moment it
exists, before it is connected, configured or wrapped, so whatever fails or interrupts in between, the opening closes it:
the losers of a connection race, a socket whose `setsockopt` failed, half a TLS handshake.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import ClientClosed, ConnectError, DNSError, InvalidRequest, RequestTimeout
from adieu.transport.stream import ByteStream, SocketStream

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.messages.origin import Origin
    from adieu.transport.tls import TLSConfig

__all__ = ["Opening", "TCPWire", "UnixWire", "Wire"]

# RFC 8305, section 5: how long one address may keep the next one waiting (seconds).
_HEAD_START = 0.25

Address = tuple[int, Any]


class _Closable(Protocol):
    def close(self) -> object: ...


class Opening:
    """Owner of everything that opening one stream creates, until the stream stands.

    `tls` says how to encrypt, `left()` how long a wait may last.
    """

    __slots__ = ("_closed", "_deadline", "_ends_at", "_owned", "tls")

    def __init__(self, deadline: Deadline, tls: TLSConfig | None) -> None:
        self._deadline = deadline
        limit = deadline.timeout.connect
        self._ends_at = None if limit is None else deadline.now() + limit
        self.tls = tls
        self._owned: list[_Closable] = []
        self._closed = False

    def left(self) -> float | None:
        """Seconds left for the name, the connection and TLS together (None: no limit); raises when none is."""
        whole = self._deadline.left("connect")
        if self._ends_at is None:
            return whole
        left = self._ends_at - self._deadline.now()
        if left <= 0:
            raise self._deadline.exceeded("connect")
        return left if whole is None or left < whole else whole

    def exceeded(self) -> RequestTimeout:
        """The error to raise when `left()` has passed."""
        return self._deadline.exceeded("connect")

    def own(self, thing: _Closable) -> None:
        """Take over something with a `close()`, as soon as it exists."""
        self._owned.append(thing)
        if self._closed:
            thing.close()
            raise ClientClosed("the client was closed while a connection was being opened")

    def close(self) -> None:
        """Close whatever has been made so far. Never raises; any number of calls."""
        self._closed = True
        for thing in self._owned:
            try:
                thing.close()
            except Exception:
                pass  # One that cannot be closed must not keep the others open.


class Wire(Protocol):
    """Opens byte streams: the middle level of writing an adapter.

    For an https origin the engine adds TLS on top, unless the wire has an attribute `does_tls` that is true.
    """

    def open(self, origin: Origin, opening: Opening) -> ByteStream:
        """A stream to this origin. Raises `OSError` or a `ConnectError`; what was given to `opening` is closed then."""
        ...


class TCPWire:
    """TCP, over IPv6 and IPv4: addresses are tried in turn, each with a short head start (RFC 8305)."""

    def open(self, origin: Origin, opening: Opening) -> ByteStream:
        return SocketStream(self.connect(origin, opening))

    def connect(self, origin: Origin, opening: Opening) -> socket.socket:
        """A connected socket, owned by `opening`."""
        host, port = origin.host, origin.port
        if not host or port is None:
            raise ConnectError(f"{origin} names no host and port to connect to")
        sock = _connect(self.addresses(host, port, opening), origin, opening)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def addresses(self, host: str, port: int, opening: Opening) -> Sequence[Address]:
        """Where to connect to: (address family, socket address), the preferred one first. Overwrite it to pin or map.

        The system's resolver cannot be interrupted, so a name is looked up in a thread, which is left behind (it ends by
        itself) when the deadline comes first.
        """
        if ":" in host or host[-1].isdigit():  # A name cannot end in a digit (WHATWG): an address needs no resolver.
            return _lookup(host, port)
        seconds = opening.left()
        if seconds is None:
            return _lookup(host, port)
        answers = _lookup_within(host, port, seconds)
        if answers is None:
            raise opening.exceeded()
        return answers


class UnixWire:
    """A Unix domain socket at `path`; the origin of the URL only fills the Host header."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not hasattr(socket, "AF_UNIX"):
            raise InvalidRequest("this platform has no Unix sockets")

    def open(self, origin: Origin, opening: Opening) -> ByteStream:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opening.own(sock)
        sock.settimeout(opening.left())
        try:
            sock.connect(self.path)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectError(f"cannot connect to the Unix socket {self.path}: {error}") from error
        return SocketStream(sock)

    def __repr__(self) -> str:
        return f"UnixWire({self.path!r})"


def _lookup(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError as error:  # The resolver's own codec refuses labels that are empty or too long.
        raise DNSError(f"the host name {host!r} cannot be looked up: {error}") from error
    except socket.gaierror as error:
        raise DNSError(f"the host name {host!r} could not be resolved: {error.strerror}") from error
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    return _interleaved(addresses)


def _lookup_within(host: str, port: int, seconds: float) -> list[Address] | None:
    import queue
    import threading

    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look() -> None:
        try:
            answers.put(_lookup(host, port))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=look, name=f"adieu-dns-{host}", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        return None
    if isinstance(answer, Exception):
        try:
            raise answer
        finally:
            del answer  # Or the exception's traceback would refer to the exception: a cycle.
    return answer  # type: ignore[no-any-return]


def _interleaved(addresses: list[Address]) -> list[Address]:
    """The resolver's order, with the families taking turns (RFC 8305, section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(other))):
        mixed += first[index : index + 1] + other[index : index + 1]
    return mixed


def _connect(addresses: Sequence[Address], origin: Origin, opening: Opening) -> socket.socket:
    if len(addresses) == 1:
        family, address = addresses[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        opening.own(sock)
        sock.settimeout(opening.left())
        try:
            sock.connect(address)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectError(f"cannot connect to {origin}: {_reason(address, error)}") from error
        return sock
    return _race(addresses, origin, opening)


def _race(addresses: Sequence[Address], origin: Origin, opening: Opening) -> socket.socket:
    """Connect to the first address that answers; the losers are closed before this returns."""
    waiting = list(addresses)
    failures: list[str] = []
    running: dict[socket.socket, Any] = {}
    # A selector without a descriptor of its own, so that there is nothing more to lose.
    selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
    winner: socket.socket | None = None
    while winner is None and (waiting or running):
        if waiting:
            family, address = waiting.pop(0)
            sock = socket.socket(family, socket.SOCK_STREAM)
            opening.own(sock)
            sock.setblocking(False)
            running[sock] = address
            sock.connect_ex(address)
            selector.register(sock, selectors.EVENT_WRITE)
        left = opening.left()
        ready = selector.select(min(_HEAD_START, left or _HEAD_START) if waiting else left)
        if not ready and not waiting:
            raise opening.exceeded()
        for key, _ in ready:
            sock = key.fileobj
            selector.unregister(sock)
            address = running.pop(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0 and winner is None:
                winner = sock
                continue
            sock.close()
            if code:
                failures.append(_reason(address, OSError(code, os.strerror(code))))
    for sock in running:
        sock.close()
    if winner is None:
        raise ConnectError(f"cannot connect to {origin}: {'; '.join(failures)}")
    return winner


def _reason(address: Any, error: OSError) -> str:
    where = address[0] if isinstance(address, tuple) else address
    return f"{where}: {error.strerror or error}"
