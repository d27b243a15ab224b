"""Rules about the addresses that may be connected to, for programs that fetch URLs of untrusted origin (SSRF).

The rules are about addresses, not names. They are applied between looking up and connecting (`dial.permitted`), so the
address that was checked is the one that is connected to, and a name that has another address a moment later (DNS
rebinding) gains nothing. An address that the rules do not understand is refused.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias

from adieu.errors import GuardError, InvalidRequest
from adieu.net.special_addresses import SPECIAL, IPAddress, IPNetwork, embedded_ipv4

if TYPE_CHECKING:
    from adieu.net.address import Address, SocketAddress
    from adieu.net.proxies.proxy import ProxiedOrigin

__all__ = ["AddressRules", "Networks"]

_Network: TypeAlias = str | IPv4Address | IPv6Address | IPv4Network | IPv6Network
Networks: TypeAlias = _Network | Iterable[_Network]


class AddressRules:
    """The rules of a guard. Of the networks that contain an address, the narrowest one decides.

    Among equally narrow networks the user's decide, and among those a denial. An address in no network is allowed.
    """

    __slots__ = ("_allow", "_deny", "_ports", "_through_proxies")

    def __init__(
        self, allow: Networks, deny: Networks, ports: Iterable[int] | None, through_proxies: bool
    ) -> None:
        self._allow = _networks("allow", allow)
        self._deny = _networks("deny", deny)
        self._ports = _checked_ports(ports)
        self._through_proxies = through_proxies

    def permitted(self, addresses: Sequence[Address], target: object) -> list[Address]:
        """The addresses that may be connected to. Raises `GuardError` if none may."""
        refused = []
        allowed = []
        for family, sockaddr in addresses:
            why = self._judge_sockaddr(family, sockaddr)
            if why is None:
                allowed.append((family, sockaddr))
            else:
                refused.append((str(sockaddr[0] if isinstance(sockaddr, tuple) else sockaddr), why))
        if not allowed:
            raise _refusal(target, refused)
        return allowed

    def behind_proxy(self, via: ProxiedOrigin) -> None:
        """Check the origin behind a proxy. Raises `GuardError`, above all for names, which the proxy looks up."""
        host, port = via.origin.host.rstrip("."), via.origin.port
        address = _address(host)
        if address is not None:
            why = self._judge_port(port) or self.judge(address)
        elif host == "localhost" or host.endswith(".localhost"):
            why = "the proxy itself (RFC 6761)"
        else:
            why = self._judge_port(port)
            if not self._through_proxies and why is None:
                why = (
                    f"looked up by the proxy {via.proxy}, so that it cannot be checked here; "
                    "Guard(through_proxies=True) leaves it to the proxy, proxy=None does without"
                )
        if why is not None:
            raise _refusal(via.origin, [(host, why)])

    def bypassed(self, target: object, wire: object) -> GuardError:
        """The error for a wire that connected without asking."""
        return GuardError(
            f"the guard refuses {target}: {wire!r} connects without asking it (dial.permitted)"
        )

    def judge(self, address: IPAddress) -> str | None:
        """The reason why an address may not be connected to, or None."""
        why = self._judge_one(address)
        for inner in embedded_ipv4(address) if why is None else ():
            why = self._judge_one(inner)
            if why is not None:
                return f"another form of {inner}, which is {why}"
        return why

    def _judge_one(self, address: IPAddress) -> str | None:
        narrowest, verdict = -1, None
        for network, rule in SPECIAL:
            if address in network and network.prefixlen > narrowest:
                narrowest = network.prefixlen
                verdict = rule if rule is None else f"{rule}, in {network}"
        for network in self._allow:
            if address in network and network.prefixlen >= narrowest:
                narrowest, verdict = network.prefixlen, None
        for network in self._deny:
            if address in network and network.prefixlen >= narrowest:
                narrowest, verdict = network.prefixlen, f"denied, in {network}"
        return verdict

    def _judge_sockaddr(self, family: int, sockaddr: SocketAddress) -> str | None:
        if family not in (socket.AF_INET, socket.AF_INET6):
            return "no address of the Internet"
        # Without the zone of a link-local address.
        address = _address(str(sockaddr[0]).partition("%")[0])
        if address is None:
            return "no address, but would be looked up once more"
        return self._judge_port(sockaddr[1]) or self.judge(address)

    def _judge_port(self, port: int | None) -> str | None:
        if self._ports is None or port in self._ports:
            return None
        return f"asked for on port {port}, which is none of {', '.join(map(str, self._ports))}"

    def __repr__(self) -> str:
        parts = [
            f"{name}=[{', '.join(repr(str(item)) for item in items)}]"
            for name, items in (("allow", self._allow), ("deny", self._deny))
            if items
        ]
        if self._ports is not None:
            parts.append(f"ports={list(self._ports)}")
        if self._through_proxies:
            parts.append("through_proxies=True")
        return ", ".join(parts)


def _refusal(target: object, refused: list[tuple[str, str]]) -> GuardError:
    reasons = (
        "; ".join(f"{address} is {why}" for address, why in refused[:4]) or "it has no address"
    )
    more = f"; and {len(refused) - 4} more" if len(refused) > 4 else ""
    return GuardError(f"the guard refuses {target}: {reasons}{more}", refused=tuple(refused))


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _networks(name: str, given: object) -> list[IPNetwork]:
    if isinstance(given, (str, IPv4Address, IPv6Address, IPv4Network, IPv6Network)):
        given = (given,)
    if not isinstance(given, Iterable) or isinstance(given, (bytes, bytearray)):
        raise InvalidRequest(f"{name}= takes networks and addresses, not {given!r:.80}")
    networks: list[IPNetwork] = []
    for item in given:
        if isinstance(item, (bool, int, bytes)):
            # ip_network would read a number as an address.
            raise InvalidRequest(f"{name}= takes networks and addresses as text, not {item!r:.80}")
        if "%" in str(item):
            raise InvalidRequest(
                f"{name}= takes networks and addresses without a zone, for every interface, not {item!r:.80}"
            )
        try:
            networks.append(ip_network(item))
        except ValueError as error:
            raise InvalidRequest(f"{name}= takes networks and addresses: {error}") from error
    return networks


def _checked_ports(ports: Iterable[int] | None) -> tuple[int, ...] | None:
    if ports is None:
        return None
    numbers = tuple(ports) if isinstance(ports, Iterable) else (ports,)
    if not numbers or any(type(port) is not int or not 0 < port < 65536 for port in numbers):
        raise InvalidRequest(
            f"ports= takes numbers from 1 to 65535, or None for any, not {ports!r:.80}"
        )
    return tuple(sorted(set(numbers)))
