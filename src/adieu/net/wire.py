"""Wires: what opens a byte stream. TCP, Unix sockets, and whatever a user writes.

Invariants: a wire knows origins and deadlines, and no HTTP. Every socket is given to the `ConnectScope` as soon as it
exists, before it is connected, configured or wrapped. So whatever fails or interrupts in between, the scope closes it:
the losers of a connection race, a socket whose `setsockopt` failed, half a TLS handshake.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from adieu.errors import ClientClosed, ConnectError, InvalidRequest, RequestTimeout
from adieu.lifecycle.steps import drive
from adieu.net import dial
from adieu.net.stream import ByteStream, SocketStream

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.messages.url import Origin
    from adieu.net.address_rules import AddressRules
    from adieu.net.connect import Connect
    from adieu.net.dial import Address, Closable
    from adieu.net.tls.config import TLSConfig

__all__ = ["ConnectScope", "TCPWire", "UnixWire", "Wire"]


class ConnectScope:
    """Owner of everything that opening one stream creates, until the stream stands.

    `tls` says how to encrypt, `connect` how to connect, `guard` which addresses are allowed, `remaining()` how long a
    wait may last. `closed`: it was ended, perhaps from another thread. `checked`: the guard was asked.
    """

    __slots__ = (
        "_deadline",
        "_ends_at",
        "_owned",
        "checked",
        "closed",
        "connect",
        "guard",
        "tls",
    )

    def __init__(
        self,
        deadline: Deadline,
        tls: TLSConfig | None,
        connect: Connect | None = None,
        guard: AddressRules | None = None,
    ) -> None:
        self._deadline = deadline
        limit = deadline.timeout.connect
        self._ends_at = None if limit is None else deadline.now() + limit
        self.tls = tls
        self.connect = connect
        self.guard = guard
        self.checked = False
        self._owned: list[Closable] = []
        self.closed = False

    def remaining(self) -> float | None:
        """Seconds left for the name, the connection and TLS together (None: no limit); raises when none is."""
        whole = self._deadline.remaining("connect")
        if self._ends_at is None:
            return whole
        left = self._ends_at - self._deadline.now()
        if left <= 0:
            raise self._deadline.exceeded("connect")
        return left if whole is None or left < whole else whole

    def exceeded(self) -> RequestTimeout:
        """The error to raise when `remaining()` has passed."""
        return self._deadline.exceeded("connect")

    def own(self, thing: Closable) -> None:
        """Take over something with a `close()`, as soon as it exists."""
        self._owned.append(thing)
        if self.closed:
            dial.shut(thing)
            raise ClientClosed("the client was closed while a connection was being opened")

    def close(self) -> None:
        """Close whatever has been made so far. Never raises; any number of calls."""
        self.closed = True
        for thing in reversed(self._owned):  # What watches a socket goes before the socket.
            dial.shut(thing)


class Wire(Protocol):
    """Opens byte streams: the middle level of writing an adapter.

    For an https origin the engine adds TLS on top, unless the wire has an attribute `does_tls` that is true. Under a
    `Guard`, only what `dial.permitted` lets through may be connected to; a wire that asks it has a true `guards`.

    To reach a proxy, a wire is asked for an origin of the scheme "tcp", and gives a plain stream. One that does TLS has
    `secured(stream, hostname, scope)` as well, for origins behind a tunnel; one with a true `is_direct` goes past all
    proxies.
    """

    def open(self, origin: Origin, scope: ConnectScope) -> ByteStream:
        """A stream to this origin. Raises `OSError` or a `ConnectError`; what was given to `scope` is closed then."""
        ...


class TCPWire:
    """TCP, over IPv6 and IPv4: addresses are tried in turn, each with a short head start (RFC 8305)."""

    guards = True

    def open(self, origin: Origin, scope: ConnectScope) -> ByteStream:
        return SocketStream(self.connect(origin, scope))

    def connect(self, origin: Origin, scope: ConnectScope) -> socket.socket:
        """A connected socket, owned by `scope`."""
        host, port = origin.host, origin.port
        if not host or port is None:
            raise ConnectError(f"{origin} names no host and port to connect to")
        addresses = dial.permitted(self.addresses(host, port, scope), origin, scope)
        if len(addresses) == 1:
            sock = dial.single(addresses[0], origin, scope)
        else:
            sock = drive(dial.race(addresses, origin, scope, dial.writable))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def addresses(self, host: str, port: int, scope: ConnectScope) -> Sequence[Address]:
        """Where to connect to: (address family, socket address), the preferred one first. Overwrite it to pin or map.

        The system's resolver cannot be interrupted, so a name is looked up in a thread, which is left behind (it ends
        by itself) when the deadline comes first.
        """
        connect = scope.connect
        if connect is not None and (pinned := connect.pinned(host, port)) is not None:
            return pinned
        if ":" in host or host[-1].isdigit():
            # A name cannot end in a digit (WHATWG): an address needs no resolver.
            return dial.lookup(host, port)
        look_up = dial.lookup if connect is None else connect.look_up
        seconds = scope.remaining()
        if seconds is None:
            return look_up(host, port)
        answers = dial.lookup_within(host, port, seconds, scope, look_up)
        if answers is None:
            raise scope.exceeded()
        return answers


class UnixWire:
    """A Unix domain socket at `path`; the origin of the URL only fills the Host header."""

    is_direct = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not hasattr(socket, "AF_UNIX"):
            raise InvalidRequest("this platform has no Unix sockets")

    def open(self, origin: Origin, scope: ConnectScope) -> ByteStream:
        sock = dial.new_socket(scope, socket.AF_UNIX)
        sock.settimeout(scope.remaining())
        try:
            sock.connect(self.path)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectError(f"cannot connect to the Unix socket {self.path}: {error}") from error
        return SocketStream(sock)

    def __repr__(self) -> str:
        return f"UnixWire({self.path!r})"
