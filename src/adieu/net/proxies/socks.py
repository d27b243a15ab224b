"""SOCKS 4, 4A and 5 (RFC 1928, RFC 1929) over an open stream: as steps, for sync and async.

Why not a library: those for SOCKS open sockets of their own, which no scope would own, or leave reading whole messages
to the caller. Nothing is read beyond an answer, because the bytes that follow are the origin's.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from adieu.errors import ProxyError

if TYPE_CHECKING:
    from adieu.lifecycle.steps import Steps
    from adieu.net.proxies.proxy import ProxiedOrigin
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AnyStream

__all__ = ["ask", "resolves_here"]

# RFC 1928, section 6.
_REFUSALS = {
    1: "general failure",
    2: "its rules do not allow this connection",
    3: "the network cannot be reached",
    4: "the host cannot be reached, or its name is not known there",
    5: "the connection was refused",
    6: "the connection took too long (TTL expired)",
    7: "it does not know this command",
    8: "it does not know this kind of address",
}
# The field CD of the SOCKS4 memo of 1992.
_REFUSALS_4 = {
    91: "rejected or failed",
    92: "rejected, because it cannot reach identd here",
    93: "rejected, because identd here names another user",
}
_ADDRESS_SIZES = {1: 4, 4: 16}
_NO_AUTH, _PASSWORD = 0, 2


def resolves_here(scheme: str) -> bool:
    """Whether names are looked up here, and the proxy gets an address."""
    return scheme in ("socks5", "socks4")


def ask(
    stream: AnyStream, via: ProxiedOrigin, place: tuple[str, int], scope: ConnectScope
) -> Steps[None]:
    """Ask the proxy for a connection to this place: a name or an address, and the port.

    Raises `ProxyError` if it makes none, and what the stream raises.
    """
    host, port = place
    handshake = _Handshake(stream, via, scope)
    if via.proxy.scheme in ("socks5", "socks5h"):
        yield from _greet(handshake)
        yield from _ask_5(handshake, host, port)
    else:
        yield from _ask_4(handshake, host, port)


class _Handshake:
    """The stream to the proxy, and the proxy and origin that an error names."""

    __slots__ = ("_scope", "_stream", "via")

    def __init__(self, stream: AnyStream, via: ProxiedOrigin, scope: ConnectScope) -> None:
        self._stream = stream
        self._scope = scope
        self.via = via

    def send(self, data: bytes) -> Steps[None]:
        yield self._stream.send(data, self._scope)

    def recv(self, size: int) -> Steps[bytes]:
        """Exactly this many bytes."""
        data = b""
        while len(data) < size:
            piece = yield self._stream.recv(size - len(data), self._scope)
            if not piece:
                raise self.failed("it closed the connection in the middle of the handshake")
            data += piece
        return data

    def failed(self, why: str) -> ProxyError:
        proxy, origin = self.via
        return ProxyError(f"the proxy {proxy} made no connection to {origin}: {why}")


def _greet(handshake: _Handshake) -> Steps[None]:
    """RFC 1928, section 3, and RFC 1929."""
    auth = handshake.via.proxy.auth
    yield from handshake.send(b"\x05\x01\x00" if auth is None else b"\x05\x02\x00\x02")
    version, method = yield from handshake.recv(2)
    if version != 5:
        raise handshake.failed(
            f"it does not speak SOCKS5: its first bytes are {bytes((version, method))!r}"
        )
    if method == _PASSWORD and auth is not None:
        username, password = (text.encode() for text in auth)
        yield from handshake.send(
            b"\x01%c%b%c%b" % (len(username), username, len(password), password)
        )
        _, status = yield from handshake.recv(2)
        if status:
            raise handshake.failed("it refused the user name and password")
    elif method != _NO_AUTH:
        wanted = "refused all ways to authenticate" if auth is not None else "wants authentication"
        raise handshake.failed(f"it {wanted}: pass adieu.Proxy(url, auth=(user, password))")


def _ask_5(handshake: _Handshake, host: str, port: int) -> Steps[None]:
    """RFC 1928, sections 4 to 6."""
    yield from handshake.send(b"\x05\x01\x00" + _address(host) + port.to_bytes(2, "big"))
    version, code, _, kind = yield from handshake.recv(4)
    if version != 5:
        raise handshake.failed("it answers with something that is not SOCKS5")
    if code:
        # Some proxies close right after these bytes, and the rest contains no information.
        raise handshake.failed(
            _REFUSALS.get(code, f"it answers {code}, which RFC 1928 does not know")
        )
    size = _ADDRESS_SIZES.get(kind)
    if kind == 3:
        (size,) = yield from handshake.recv(1)
    if size is None:
        raise handshake.failed("it answers with an address of no known kind")
    yield from handshake.recv(size + 2)


def _ask_4(handshake: _Handshake, host: str, port: int) -> Steps[None]:
    auth = handshake.via.proxy.auth
    name = b""
    address = _packed(host)
    if address is None or len(address) != 4:
        if ":" in host:
            raise handshake.failed("SOCKS4 knows no IPv6 addresses")
        # SOCKS4A: an impossible address, and the name at the end.
        address, name = b"\0\0\0\x01", host.encode("ascii") + b"\0"
    user = auth[0].encode() if auth is not None else b""
    yield from handshake.send(
        b"\x04\x01%b%b%b\0%b" % (port.to_bytes(2, "big"), address, user, name)
    )
    answer = yield from handshake.recv(8)
    if answer[0] != 0:
        raise handshake.failed(f"it does not speak SOCKS4: its first bytes are {answer!r}")
    if answer[1] != 90:
        raise handshake.failed(_REFUSALS_4.get(answer[1], f"it answers {answer[1]}"))


def _address(host: str) -> bytes:
    packed = _packed(host)
    if packed is not None:
        return (b"\x01" if len(packed) == 4 else b"\x04") + packed
    name = host.encode("ascii")
    return b"\x03%c%b" % (len(name), name)


def _packed(host: str) -> bytes | None:
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host)
    if host[-1:].isdigit():  # No name ends in a digit (WHATWG).
        return socket.inet_pton(socket.AF_INET, host)
    return None
