"""How TCP connections are made: from where, over what, to which addresses. A value, for all adapters, sync and async.

Invariants: a setting that cannot work on this machine, and an address that is none, are refused where they are set.
Names occur only as keys and as questions to a resolver. A resolver must answer with addresses, so that no name is
looked up a second time.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from adieu._portable import portable
from adieu._value import Value
from adieu.errors import ConnectError, DNSError, InvalidRequest
from adieu.net import _connect_checks as checks
from adieu.net.lookup import interleaved, lookup

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from adieu.net.address import Address

    Addresses: TypeAlias = (
        str | IPv4Address | IPv6Address | Iterable[str | IPv4Address | IPv6Address]
    )
    Resolver: TypeAlias = Callable[[str, int], Addresses | Awaitable[Addresses]]

__all__ = ["Connect"]

Family: TypeAlias = Literal["ipv4", "ipv6", "prefer-ipv4", "prefer-ipv6"]


class Connect(Value):
    """How TCP connections are made, to servers and to proxies: `Client(connect=...)`, or for one mount.

    - `addresses`: the addresses of hosts, instead of DNS: `{"api.example.org": "10.0.0.1"}`. A key may have a port
      (`"api.example.org:443"`), a value may be several addresses, and each may have a port of its own
      (`"10.0.0.1:8443"`, `"[::1]:8443"`). The certificate's name and the Host field stay those of the URL.
    - `resolver`: a function (for `AsyncClient` it may be a coroutine function) that gets host and port and returns
      addresses, as in `addresses`, in the order in which to try them. Addresses in URLs are not looked up.
    - `family`: "ipv4" or "ipv6" for that one only; "prefer-ipv4" or "prefer-ipv6" for the order. None: as resolved.
    - `source_address`: the address to connect from. Destinations of the other family are left out.
    - `interface`: the name of the network interface to use (Linux).
    - `socket_options`: arguments of `setsockopt`, which is called before connecting: `[(level, option, value)]`.
    - `tcp_keep_alive`: seconds of silence after which the system asks whether the peer is still there, and between its
      questions (`SO_KEEPALIVE`). None: it does not ask.

    Raises `InvalidRequest` for a value that cannot work.

    ```python
    adieu.Client(connect=adieu.Connect(addresses={"api.example.org": ["10.0.0.1", "10.0.0.2"]}))
    ```
    """

    __slots__ = (
        "addresses",
        "family",
        "interface",
        "resolver",
        "socket_options",
        "source_address",
        "tcp_keep_alive",
    )

    addresses: tuple[tuple[str, tuple[str, ...]], ...]
    family: Family | None
    interface: str | None
    resolver: Resolver | None
    socket_options: tuple[tuple[int, int, int | bytes], ...]
    source_address: str | None
    tcp_keep_alive: float | None

    def __init__(
        self,
        *,
        addresses: Mapping[str, Addresses] | Iterable[tuple[str, Addresses]] = (),
        resolver: Resolver | None = None,
        family: Family | None = None,
        source_address: str | IPv4Address | IPv6Address | None = None,
        interface: str | None = None,
        socket_options: Iterable[tuple[int, int, int | bytes]] = (),
        tcp_keep_alive: float | None = None,
    ) -> None:
        if resolver is not None and not callable(resolver):
            raise InvalidRequest(f"resolver= is a function of host and port, not {resolver!r}")
        if family is not None and (
            not isinstance(family, str) or family.removeprefix("prefer-") not in checks.FAMILIES
        ):
            raise InvalidRequest(
                f"family= is 'ipv4', 'ipv6', 'prefer-ipv4', 'prefer-ipv6' or None, not {family!r}"
            )
        self._set(
            addresses=checks.checked_pins(addresses),
            family=family,
            interface=checks.checked_interface(interface),
            resolver=resolver,
            socket_options=checks.checked_options(socket_options),
            source_address=checks.checked_source(source_address, family),
            tcp_keep_alive=checks.checked_seconds(tcp_keep_alive),
        )

    def __hash__(self) -> int:
        # Computed for each request, as a part of the pool's key, so of few fields. Equality compares them all.
        return hash((self.addresses, self.source_address, self.interface))

    def __getstate__(self) -> dict[str, object]:
        if self.resolver is not None:
            portable(
                "resolver= of a Connect",
                self.resolver,
                "a function can be, if it stands at the top of a module",
            )
        return super().__getstate__()

    def pinned(self, host: str, port: int) -> list[Address] | None:
        """The addresses set for this host, or None."""
        if not self.addresses:
            return None
        name = f"[{host}]" if ":" in host else host.rstrip(".")
        pins = dict(self.addresses)
        texts = pins.get(f"{name}:{port}") or pins.get(name)
        return [checks.parse_address(text, port) for text in texts] if texts else None

    @property
    def awaits(self) -> bool:
        """The resolver is a coroutine function."""
        if self.resolver is None:
            return False
        from inspect import iscoroutinefunction

        return iscoroutinefunction(self.resolver) or iscoroutinefunction(
            type(self.resolver).__call__
        )

    def look_up(self, host: str, port: int) -> list[Address]:
        """The answer of the resolver, or of the system's if there is none. May block."""
        if self.resolver is None:
            return lookup(host, port)
        try:
            found = self.resolver(host, port)
        except DNSError:
            raise
        except Exception as error:
            raise self._failed(host, error) from error.with_traceback(None)
        if isinstance(found, Awaitable):
            if isinstance(found, Coroutine):
                found.close()  # Otherwise Python would warn that it was never awaited.
            raise InvalidRequest(
                f"{self.resolver!r} has to be awaited, which only AsyncClient does, for an `async def`"
            )
        return self._answered(host, port, found)

    async def look_up_async(self, host: str, port: int) -> list[Address]:
        """See `look_up`, with a resolver that is a coroutine function."""
        assert self.resolver is not None
        try:
            found: object = await self.resolver(host, port)  # type: ignore[misc]
        except DNSError:
            raise
        except Exception as error:
            raise self._failed(host, error) from error.with_traceback(None)
        return self._answered(host, port, found)

    def _failed(self, host: str, error: Exception) -> DNSError:
        return DNSError(
            f"{self.resolver!r} could not resolve {host!r}: {str(error) or repr(error)}"
        )

    def _answered(self, host: str, port: int, found: object) -> list[Address]:
        try:
            addresses = [checks.parse_address(text, port) for text in checks.several(found)]
        except (InvalidRequest, TypeError) as error:
            raise DNSError(
                f"{self.resolver!r} must return addresses for {host!r}, and returned {found!r:.80}: {error}"
            ) from error.with_traceback(None)
        if not addresses:
            raise DNSError(f"{self.resolver!r} knows no address of {host!r}")
        return addresses

    def chosen(self, addresses: Sequence[Address], target: object) -> list[Address]:
        """The addresses that these settings permit, in the order to try. Raises `ConnectError` if none is left."""
        kept = list(addresses)
        only: list[tuple[str, str, int]] = []
        source = self.source_address
        if source is not None:
            only.append(("source_address", source, checks.parse_address(source, 0)[0]))
        if self.family is not None:
            wanted = checks.FAMILIES[self.family.removeprefix("prefer-")]
            if self.family.startswith("prefer-"):
                kept.sort(key=lambda address: address[0] != wanted)
                kept = interleaved(kept)
            else:
                only.append(("family", self.family, wanted))
        for name, value, family in only:
            left = [address for address in kept if address[0] == family]
            if not left:
                has = ", ".join(str(place[0]) for _, place in kept[:4])
                raise ConnectError(
                    f"cannot connect to {target}: it has no address for {name}={value!r}, only {has}"
                )
            kept = left
        return kept

    def prepare(self, sock: socket.socket) -> None:
        """Apply the settings to a socket before it connects. Raises `ConnectError`, with the setting that failed."""
        for option in self.socket_options:
            _try(f"socket option {option}", sock.setsockopt, *option)
        if self.tcp_keep_alive is not None:
            for option in _keep_alive(self.tcp_keep_alive):
                _try(f"tcp_keep_alive={self.tcp_keep_alive!r}", sock.setsockopt, *option)
        if self.interface is not None:
            level, option_name = socket.SOL_SOCKET, getattr(socket, "SO_BINDTODEVICE", 0)
            device = self.interface.encode() + b"\0"
            _try(f"interface={self.interface!r}", sock.setsockopt, level, option_name, device)
        if self.source_address is not None:
            _, place = checks.parse_address(self.source_address, 0)
            _try(f"source_address={self.source_address!r}", sock.bind, place)


def _keep_alive(seconds: float) -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # macOS calls the first one TCP_KEEPALIVE.
    for names in (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), ("TCP_KEEPINTVL",)):
        known = [getattr(socket, name) for name in names if hasattr(socket, name)]
        options += [(socket.IPPROTO_TCP, option, int(seconds)) for option in known[:1]]
    return options


def _try(what: str, call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except OSError as error:
        raise ConnectError(f"{what} cannot be used: {error.strerror or error}") from error
