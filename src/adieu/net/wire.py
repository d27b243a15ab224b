"""Wires open byte streams: over TCP, over Unix sockets, or as a user's own subclass does.

Invariants: a wire knows origins and deadlines, and no HTTP. Every socket is given to the `ConnectScope` as soon as it
exists, before it is connected, configured or wrapped. So the scope closes it, whatever fails in between: a socket that
lost a race, one whose `setsockopt` failed, one in the middle of a TLS handshake.
"""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from adieu.errors import ConnectError, InvalidRequest
from adieu.lifecycle.steps import drive
from adieu.net import dial
from adieu.net.lookup import lookup
from adieu.net.lookup_threads import lookup_within
from adieu.net.socket_stream import SocketStream
from adieu.net.tls.start import start_tls

if TYPE_CHECKING:
    from adieu.messages.url import Origin
    from adieu.net.address import Address
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import ByteStream

__all__ = ["TCPWire", "UnixWire", "Wire"]


class Wire(ABC):
    """Opens byte streams: a base class, the middle level of writing an adapter. `open` is the one required method."""

    does_tls: bool = False
    """For an https origin, `open` gives a stream that is under TLS already. Default: the engine adds TLS."""

    guards: bool = False
    """The wire connects only to what `dial.permitted` lets through, so that a `Guard` can be put around it."""

    is_direct: bool = False
    """The wire goes past all proxies."""

    @abstractmethod
    def open(self, origin: Origin, scope: ConnectScope) -> ByteStream:
        """A stream to this origin. Raises `OSError` or a `ConnectError`; what was given to `scope` is closed then.

        To reach a proxy, a wire is asked for an origin of the scheme "tcp", and gives a plain stream.
        """

    def addresses(self, host: str, port: int, scope: ConnectScope) -> Sequence[Address] | None:
        """The addresses of a host, for proxies that must be given one. Default: None, for a wire that looks up none."""
        return None

    def start_tls(self, stream: ByteStream, hostname: str, scope: ConnectScope) -> ByteStream:
        """A stream to an origin under TLS, after the handshake. A wire that does TLS may do it in its own way here."""
        return start_tls(stream, hostname, scope)


class TCPWire(Wire):
    """TCP, over IPv6 and IPv4: addresses are tried one after the other, each with a short head start (RFC 8305)."""

    guards = True

    def open(self, origin: Origin, scope: ConnectScope) -> ByteStream:
        return SocketStream(self.connect(origin, scope))

    def connect(self, origin: Origin, scope: ConnectScope) -> socket.socket:
        """A connected socket, owned by `scope`."""
        host, port = origin.host, origin.port
        if not host or port is None:
            raise ConnectError(f"{origin} names no host and port to connect to")
        if scope.events is None:
            found = self.addresses(host, port, scope)
        else:
            found = drive(dial.looked_up(self.addresses, host, port, scope))
        addresses = dial.permitted(found, origin, scope)
        if len(addresses) == 1:
            sock = dial.single(addresses[0], origin, scope)
        else:
            sock = drive(dial.race(addresses, origin, scope, dial.writable))
        if scope.events is not None:
            dial.report_ends(sock, scope)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def addresses(self, host: str, port: int, scope: ConnectScope) -> Sequence[Address]:
        """The addresses of a host, the preferred one first. Override it to choose the addresses yourself.

        The system's resolver cannot be interrupted, so a name is looked up in a thread: see `lookup_threads`. If the
        deadline comes first, the thread is left alone, and ends by itself.
        """
        connect = scope.connect
        if connect is not None and (pinned := connect.pinned(host, port)) is not None:
            return pinned
        if ":" in host or host[-1].isdigit():
            # No name ends in a digit (WHATWG), so this is an address, which needs no resolver.
            return lookup(host, port)
        look_up = lookup if connect is None else connect.look_up
        seconds = scope.remaining()
        if seconds is None:
            return look_up(host, port)
        return lookup_within(host, port, seconds, scope, look_up)


class UnixWire(Wire):
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
        if scope.events is not None:
            dial.report_ends(sock, scope)
        return SocketStream(sock)

    def __repr__(self) -> str:
        return f"UnixWire({self.path!r})"
