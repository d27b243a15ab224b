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
    from adieu.lifecycle.steps import Steps
    from adieu.messages.url import Origin
    from adieu.net.address import Address, SocketAddress
    from adieu.net.connect import Connect
    from adieu.net.scope import ConnectScope

__all__ = ["RaceScope", "new_socket", "permitted", "race", "single", "writable"]

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
    """The owner of the sockets of a race, and how long they may take."""

    def remaining(self) -> float | None: ...

    def exceeded(self) -> RequestTimeout: ...


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
    try:
        sock.connect(sockaddr)
    except TimeoutError:
        raise
    except (OSError, OverflowError) as error:  # OverflowError: a port above 65535.
        raise ConnectError(f"cannot connect to {origin}: {_reason(sockaddr, error)}") from error
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
            code = _start_connecting(sock, sockaddr)
            if code not in _IN_PROGRESS:
                # Refused at once (no such network): the socket does not keep this error.
                sock.close()
                failures.append((sockaddr, OSError(code, os.strerror(code))))
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
                continue
            sock.close()
            if code:
                failures.append((sockaddr, OSError(code, os.strerror(code))))
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
