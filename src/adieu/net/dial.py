"""From addresses to one connected socket.

Every socket belongs to the scope as soon as it exists. The race between addresses is written once, as steps; the
function that waits for a socket to become writable is passed in.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from typing import TYPE_CHECKING, Protocol

from adieu.errors import ClientClosed, ConnectError
from adieu.net.closing import shut
from adieu.net.system_errors import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from adieu.errors import RequestTimeout
    from adieu.lifecycle.reporting import Connecting, Dial
    from adieu.lifecycle.steps import Steps
    from adieu.messages.url import Origin
    from adieu.net.address import Address, SocketAddress
    from adieu.net.connect import Connect
    from adieu.net.scope import ConnectScope

__all__ = [
    "RaceScope",
    "address_text",
    "looked_up",
    "new_socket",
    "permitted",
    "race",
    "report_ends",
    "single",
    "writable",
]

_UNIX = getattr(socket, "AF_UNIX", None)

_IN_PROGRESS = frozenset(
    getattr(errno, name)
    for name in ("EINPROGRESS", "EWOULDBLOCK", "EINTR", "WSAEWOULDBLOCK", "EALREADY")
    if hasattr(errno, name)
) | {0}

# RFC 8305, section 5: how long one address may keep the next one waiting (seconds).
_HEAD_START = 0.25


class Owner(Protocol):
    """The owner of sockets while they are being connected: a `ConnectScope`, or the race inside one."""

    closed: bool

    @property
    def connect(self) -> Connect | None: ...

    def own(self, sock: socket.socket, /) -> None: ...


class RaceScope(Owner, Protocol):
    """The owner of the sockets of a race, and how long they may take. `events`: tells the listeners, or None."""

    @property
    def events(self) -> Connecting | None: ...

    def remaining(self) -> float | None: ...

    def exceeded(self) -> RequestTimeout: ...


class Dials:
    """What listeners are told of a race: each address that was tried, and how that ended."""

    __slots__ = ("_events", "_open")

    def __init__(self, events: Connecting | None) -> None:
        self._events = events
        self._open: dict[socket.socket, Dial] = {}

    def start(self, sock: socket.socket, address: SocketAddress) -> None:
        if self._events is not None:
            self._open[sock] = self._events.dial(address_text(address))

    def won(self, sock: socket.socket) -> None:
        if self._events is not None:
            self._open.pop(sock).ended()

    def failed(self, sock: socket.socket, code: int) -> OSError:
        """Give the error with this number."""
        error = OSError(code, os.strerror(code))
        if self._events is not None:
            self._open.pop(sock).ended(error.strerror)
        return error

    def over(self, reason: str) -> None:
        """The others end now."""
        for dial in self._open.values():
            dial.ended(reason)


def address_text(address: SocketAddress | str | bytes) -> str:
    """An address for a text: "10.0.0.1:443", "[::1]:443", or the path of a Unix socket."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return os.fsdecode(address)


def report_ends(sock: socket.socket, scope: ConnectScope) -> None:
    """Tell the listeners the addresses of a connected socket."""
    assert scope.events is not None
    try:
        ends = sock.getpeername(), sock.getsockname()
    except OSError:
        return  # The peer has hung up already.
    scope.events.peer, scope.events.local = map(address_text, ends)


def new_socket(owner: Owner, family: int) -> socket.socket:
    """A new stream socket, owned before it has a descriptor: an interrupt leaves no descriptor without an owner."""
    sock = socket.socket.__new__(socket.socket)
    owner.own(sock)
    sock.__init__(family, socket.SOCK_STREAM)  # type: ignore[misc]
    if owner.closed:  # Meanwhile, by another thread, before there was a descriptor to close.
        shut(sock)
        raise ClientClosed("the client was closed while a connection was being opened")
    if owner.connect is not None and family != _UNIX:
        owner.connect.prepare(sock)
    return sock


def looked_up(
    look_up: Callable[[str, int, ConnectScope], object], host: str, port: int, scope: ConnectScope
) -> Steps[Sequence[Address]]:
    """The addresses of a host, by a wire. Listeners are told of it, unless they were known before."""
    events = scope.events
    assert events is not None
    addresses: Sequence[Address]
    if _is_known(host, port, scope.connect):
        addresses = yield look_up(host, port, scope)
        return addresses
    phase = events.lookup(host)
    try:
        addresses = yield look_up(host, port, scope)
    except BaseException as error:
        phase.failed(error)
        raise
    phase.found(str(address[0]) for _, address in addresses)
    return addresses


def _is_known(host: str, port: int, connect: Connect | None) -> bool:
    """It is an address, or the addresses of this name are among the settings."""
    if ":" in host or host[-1].isdigit():
        return True
    return connect is not None and connect.pinned(host, port) is not None


def permitted(
    addresses: Sequence[Address], target: Origin, scope: ConnectScope
) -> Sequence[Address]:
    """The addresses that the settings and the guard permit. Raises if none is left.

    They are connected to as they are: no name is looked up again.
    """
    if scope.connect is not None:
        addresses = scope.connect.chosen(addresses, target)
    if scope.guard is not None:
        addresses = scope.guard.permitted(addresses, target)
        scope.checked = True
    return addresses


def single(address: Address, origin: Origin, scope: ConnectScope) -> socket.socket:
    """Connect to the only address, and block meanwhile."""
    family, sockaddr = address
    sock = new_socket(scope, family)
    sock.settimeout(scope.remaining())
    dial = None if scope.events is None else scope.events.dial(address_text(sockaddr))
    try:
        sock.connect(sockaddr)
    except BaseException as error:
        if dial is not None:
            dial.failed(error)
        if isinstance(error, TimeoutError) or not isinstance(error, (OSError, OverflowError)):
            raise  # OverflowError: a port above 65535.
        raise ConnectError(f"cannot connect to {origin}: {_reason(sockaddr, error)}") from error
    if dial is not None:
        dial.ended()
    return sock


def race(
    addresses: Sequence[Address],
    origin: Origin,
    scope: RaceScope,
    ready: Callable[[Iterable[socket.socket], float | None], object],
) -> Steps[socket.socket]:
    """Connect to the first address that answers; the other sockets are closed before this returns (RFC 8305).

    `ready(sockets, seconds)` waits until a socket is connected or has failed: all that are, at that time.
    """
    events = scope.events
    steps = _race(addresses, origin, scope, ready, dials := Dials(events))
    return steps if events is None else _reported(steps, dials)


def _reported(steps: Steps[socket.socket], dials: Dials) -> Steps[socket.socket]:
    try:
        winner = yield from steps
    except BaseException as error:
        dials.over(str(error) or type(error).__name__)
        raise
    dials.over("lost the race")
    return winner


def _race(
    addresses: Sequence[Address],
    origin: Origin,
    scope: RaceScope,
    ready: Callable[[Iterable[socket.socket], float | None], object],
    dials: Dials,
) -> Steps[socket.socket]:
    waiting = list(addresses)
    failures: list[tuple[SocketAddress, OSError]] = []
    running: dict[socket.socket, SocketAddress] = {}
    winner: socket.socket | None = None
    while winner is None and (waiting or running):
        if waiting:
            family, sockaddr = waiting.pop(0)
            try:
                sock = new_socket(scope, family)
            except OSError as error:
                # A kernel without IPv6, as in some containers: the other family may work.
                failures.append((sockaddr, error.with_traceback(None)))
                continue
            dials.start(sock, sockaddr)
            code = _start_connecting(sock, sockaddr)
            if code not in _IN_PROGRESS:
                # Refused at once (no such network): the socket does not keep this error.
                sock.close()
                failures.append((sockaddr, dials.failed(sock, code)))
                continue
            running[sock] = sockaddr
        left = scope.remaining()
        patience = left
        if waiting:
            patience = _HEAD_START if left is None else min(_HEAD_START, left)
        done = yield ready(list(running), patience)
        if not done and not waiting:
            raise scope.exceeded()
        for sock in done:
            sockaddr = running.pop(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0 and winner is None:
                winner = sock
                dials.won(sock)
                continue
            sock.close()
            if code:
                failures.append((sockaddr, dials.failed(sock, code)))
    for sock in running:
        sock.close()
    if winner is None:
        reasons = "; ".join(_reason(sockaddr, error) for sockaddr, error in failures)
        raise ConnectError(f"cannot connect to {origin}: {reasons}") from failures[-1][1]
    return winner


def _start_connecting(sock: socket.socket, sockaddr: SocketAddress) -> int:
    """Start to connect, without blocking: the system's error number."""
    sock.setblocking(False)
    try:
        return sock.connect_ex(sockaddr)
    except OverflowError:
        return errno.EADDRNOTAVAIL  # A port above 65535.


def writable(sockets: Iterable[socket.socket], seconds: float | None) -> list[socket.socket]:
    """Block until one of the sockets can be written to."""
    # A selector that has no descriptor of its own, which an interrupt could leave open.
    selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
    for sock in sockets:
        selector.register(sock, selectors.EVENT_WRITE, sock)
    return [key.data for key, _ in selector.select(seconds)]


def _reason(address: SocketAddress, error: Exception) -> str:
    where = address[0] if isinstance(address, tuple) else address
    said = reason(error)
    if isinstance(error, OSError) and error.errno == errno.EINVAL and _lacks_zone(address):
        said += (
            ", because a link-local address is one of a network interface: name that by "
            f"connect=adieu.Connect(addresses={{'[{address[0]}]': '{address[0]}%eth0'}})"
        )
    return f"{where}: {said}"


def _lacks_zone(address: SocketAddress) -> bool:
    """It is a link-local address of IPv6 (RFC 4291, section 2.5.6) without the number of an interface."""
    return (
        len(address) == 4
        and not address[3]
        and address[0].lower()[:3] in ("fe8", "fe9", "fea", "feb")
    )
