"""From addresses to one connected socket.

Every socket belongs to the scope as soon as it exists. The race between addresses is written once, as steps; the
function that waits for a socket to become writable is passed in.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import ClientClosed, ConnectError
from adieu.net.closing import shut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from adieu.lifecycle.steps import Steps
    from adieu.messages.url import Origin
    from adieu.net.address import Address
    from adieu.net.connect import Connect
    from adieu.net.scope import ConnectScope

__all__ = ["new_socket", "permitted", "race", "single", "writable"]

_UNIX = getattr(socket, "AF_UNIX", None)

_UNDER_WAY = frozenset(
    getattr(errno, name)
    for name in ("EINPROGRESS", "EWOULDBLOCK", "EINTR", "WSAEWOULDBLOCK", "EALREADY")
    if hasattr(errno, name)
) | {0}

# RFC 8305, section 5: how long one address may keep the next one waiting (seconds).
_HEAD_START = 0.25


class Owner(Protocol):
    """What sockets belong to while they are being connected: a `ConnectScope`, or the race in it."""

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
