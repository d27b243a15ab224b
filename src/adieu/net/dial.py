"""ConnectRace: from a name to addresses, and from addresses to one connected socket.

Every socket belongs to the scope as soon as it exists. The race between addresses is written once, as steps; what
waits for a socket to become writable is passed in.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import ClientClosed, ConnectError, DNSError
from adieu.lifecycle.lock import begin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adieu.lifecycle.steps import Steps
    from adieu.messages.url import Origin
    from adieu.net.connect import Connect
    from adieu.net.wire import ConnectScope

__all__ = [
    "Address",
    "Closable",
    "interleaved",
    "look_up_aside",
    "lookup",
    "lookup_within",
    "new_socket",
    "permitted",
    "race",
    "shut",
    "single",
    "writable",
]

Address = tuple[int, Any]
LookUp = Callable[[str, int], "list[Address]"]

_UNIX = getattr(socket, "AF_UNIX", None)

_UNDER_WAY = frozenset(
    getattr(errno, name)
    for name in ("EINPROGRESS", "EWOULDBLOCK", "EINTR", "WSAEWOULDBLOCK", "EALREADY")
    if hasattr(errno, name)
) | {0}

# RFC 8305, section 5: how long one address may keep the next one waiting (seconds).
_HEAD_START = 0.25


class Closable(Protocol):
    """Anything with a `close()`."""

    def close(self) -> object: ...


class Owner(Protocol):
    """What sockets belong to while they are being connected: an `ConnectScope`, or the race in it."""

    closed: bool

    @property
    def connect(self) -> Connect | None: ...

    def own(self, thing: Any) -> None: ...


def new_socket(owner: Owner, family: int) -> socket.socket:
    """A new stream socket, which is owned before it has a descriptor: an interrupt finds none without an owner."""
    sock = socket.socket.__new__(socket.socket)
    owner.own(sock)
    sock.__init__(family, socket.SOCK_STREAM)  # type: ignore[misc]
    if owner.closed:  # Meanwhile, by another thread, which found nothing to close.
        shut(sock)
        raise ClientClosed("the client was closed while a connection was being opened")
    if owner.connect is not None and family != _UNIX:
        owner.connect.prepare(sock)
    return sock


def shut(thing: Closable) -> None:
    """Close it, and wake whoever waits for it. Never raises."""
    try:
        if isinstance(thing, socket.socket):
            _wake(thing)
            # Python's own half of a socket may be missing still; the descriptor is in the other half.
            socket.SocketType.close(thing)
        thing.close()
    except Exception:
        pass  # One that cannot be closed must not keep the others open.


def _wake(sock: socket.socket) -> None:
    """End a `connect` or a handshake that waits in another thread, which closing a descriptor does not."""
    try:
        # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # Not connecting (any more).


def lookup(host: str, port: int) -> list[Address]:
    """The addresses of a name, as the system's resolver has them, the families taking turns."""
    try:
        found: list[Any] = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError as error:
        # The resolver's own codec refuses labels that are empty or too long.
        raise DNSError(f"the host name {host!r} cannot be looked up: {error}") from (
            error.with_traceback(None)
        )
    except socket.gaierror as error:
        raise DNSError(f"the host name {host!r} could not be resolved: {error.strerror}") from (
            error.with_traceback(
                None
            )  # It would lead to the frames of whoever called; see `look_up_aside`.
        )
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    return interleaved(addresses)


def look_up_aside(
    host: str, port: int, answer: Callable[[Any], object], look_up: LookUp = lookup
) -> None:
    """Look up in a thread of its own, which gives the addresses or the exception to `answer`."""

    def look() -> None:
        try:
            found = look_up(host, port)
        except Exception as error:
            # Without frames, of which this one refers to `answer`: an error that nobody takes would refer to itself.
            answer(error.with_traceback(None))
            return
        answer(found)

    begin(threading.Thread(target=look, name=f"adieu-dns-{host}", daemon=True))


class _Nothing:
    """Ends the wait for an answer: a scope that is closed closes it."""

    __slots__ = ("_put",)

    def __init__(self, put: Callable[[Any], object]) -> None:
        self._put = put

    def close(self) -> None:
        self._put(ClientClosed("the client was closed while a name was being looked up"))


def lookup_within(
    host: str, port: int, seconds: float, scope: ConnectScope, look_up: LookUp = lookup
) -> list[Address] | None:
    """Look up, for so many seconds at most; None when they have passed. Closing the scope ends the wait, too."""
    import queue

    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    scope.own(_Nothing(answers.put))
    look_up_aside(host, port, answers.put, look_up)
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


def interleaved(addresses: list[Address]) -> list[Address]:
    """The resolver's order, with the families taking turns (RFC 8305, section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(other))):
        mixed += first[index : index + 1] + other[index : index + 1]
    return mixed


def permitted(
    addresses: Sequence[Address], target: Origin, scope: ConnectScope
) -> Sequence[Address]:
    """Those of the addresses that the settings and the guard let us connect to. Raises if none is left.

    What comes out of here is connected to as it is: no name is looked up again.
    """
    if scope.connect is not None:
        addresses = scope.connect.chosen(addresses, target)
    if scope.guard is not None:
        addresses = scope.guard.permitted(addresses, target)
        scope.checked = True
    return addresses


def single(address: Address, origin: Origin, scope: ConnectScope) -> socket.socket:
    """Connect to the one address there is, blocking."""
    family, place = address
    sock = new_socket(scope, family)
    sock.settimeout(scope.remaining())
    try:
        sock.connect(place)
    except TimeoutError:
        raise
    except (OSError, OverflowError) as error:  # The latter for a port beyond all ports.
        raise ConnectError(f"cannot connect to {origin}: {_reason(place, error)}") from error
    return sock


def race(
    addresses: Sequence[Address],
    origin: Origin,
    scope: ConnectScope,
    ready: Callable[[Iterable[socket.socket], float | None], Any],
) -> Steps[socket.socket]:
    """Connect to the first address that answers; the losers are closed before this returns (RFC 8305).

    `ready(sockets, seconds)` gives those of the sockets that are connected or have failed, when one is.
    """
    waiting = list(addresses)
    failures: list[str] = []
    running: dict[socket.socket, Any] = {}
    winner: socket.socket | None = None
    while winner is None and (waiting or running):
        if waiting:
            family, place = waiting.pop(0)
            try:
                sock = new_socket(scope, family)
            except OSError as error:
                # A kernel without IPv6, as containers have: the other family may do.
                failures.append(_reason(place, error))
                continue
            code = _begin(sock, place)
            if code not in _UNDER_WAY:
                # Refused on the spot (no such network): the socket's own error says nothing of it afterwards.
                sock.close()
                failures.append(_reason(place, OSError(code, os.strerror(code))))
                continue
            running[sock] = place
        left = scope.remaining()
        patience = left
        if waiting:
            patience = _HEAD_START if left is None else min(_HEAD_START, left)
        done = yield ready(list(running), patience)
        if not done and not waiting:
            raise scope.exceeded()
        for sock in done:
            place = running.pop(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0 and winner is None:
                winner = sock
                continue
            sock.close()
            if code:
                failures.append(_reason(place, OSError(code, os.strerror(code))))
    for sock in running:
        sock.close()
    if winner is None:
        raise ConnectError(f"cannot connect to {origin}: {'; '.join(failures)}")
    return winner


def _begin(sock: socket.socket, place: Any) -> int:
    """Begin to connect without blocking: the system's error number."""
    sock.setblocking(False)
    try:
        return sock.connect_ex(place)
    except OverflowError:
        return errno.EADDRNOTAVAIL  # A port beyond all ports.


def writable(sockets: Iterable[socket.socket], seconds: float | None) -> list[Any]:
    """Block until one of the sockets can be written to."""
    # A selector without a descriptor of its own, so that there is nothing more to lose.
    selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
    for sock in sockets:
        selector.register(sock, selectors.EVENT_WRITE)
    return [key.fileobj for key, _ in selector.select(seconds)]


def _reason(address: Any, error: Exception) -> str:
    where = address[0] if isinstance(address, tuple) else address
    return f"{where}: {getattr(error, 'strerror', None) or error}"
