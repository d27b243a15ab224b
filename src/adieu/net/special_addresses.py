"""Addresses with a special purpose, and that purpose: from the IANA registries, and of a few clouds.

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), the IPv6 address space registry, and the
documents named in each line. The standard library's `is_private` and the like differ between Python's releases, ignore
the IPv4 address inside an IPv6 one, and know no clouds; this table is the same everywhere.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

__all__ = ["SPECIAL", "IPAddress", "IPNetwork", "embedded_ipv4"]

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

# An address that contains an IPv4 address is judged by that one.
_BY_CONTENT = None

_TABLE: dict[str | None, str] = {
    "a cloud's metadata service": (
        "169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 192.0.0.192 168.63.129.16 "
        "fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:42::42"
    ),
    "unspecified, which is this host (RFC 1122)": "0.0.0.0/8 ::/128",
    "loopback (RFC 1122, RFC 4291)": "127.0.0.0/8 ::1/128",
    "private (RFC 1918)": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "shared by a carrier's customers (RFC 6598)": "100.64.0.0/10",
    "link-local (RFC 3927, RFC 4291)": "169.254.0.0/16 fe80::/10",
    "unique local, which is private (RFC 4193)": "fc00::/7",
    "site-local, which was private (RFC 3879)": "fec0::/10",
    "multicast (RFC 5771, RFC 4291)": "224.0.0.0/4 ff00::/8",
    "broadcast (RFC 919)": "255.255.255.255/32",
    "for documentation (RFC 5737, RFC 3849, RFC 9637)": (
        "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"
    ),
    "for benchmarks (RFC 2544)": "198.18.0.0/15",
    "for protocols (RFC 6890)": "192.0.0.0/24 2001::/23",
    "for 6to4 relays (RFC 7526)": "192.88.99.0/24",
    "for NAT64 of a network's own (RFC 8215)": "64:ff9b:1::/48",
    "for what is to be dropped (RFC 6666, RFC 9780)": "100::/64 100:0:0:1::/64",
    "for segment routing (RFC 9602)": "5f00::/16",
    # All but 2000::/3, from which global addresses are assigned.
    "reserved (RFC 1112, RFC 4291)": "240.0.0.0/4 ::/3 4000::/2 8000::/1",
    # IPv4-mapped, IPv4-translated, IPv4-compatible, NAT64, Teredo, 6to4.
    _BY_CONTENT: "::ffff:0:0/96 ::ffff:0:0:0/96 ::/96 64:ff9b::/96 2001::/32 2002::/16",
}

SPECIAL: list[tuple[IPNetwork, str | None]] = [
    (ip_network(network), rule) for rule, networks in _TABLE.items() for network in networks.split()
]
"""Networks and their purposes; None: an address in it is judged by the IPv4 address that it contains."""

_LAST_32 = [ip_network(n) for n in ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96")]
_TEREDO, _SIX_TO_FOUR = ip_network("2001::/32"), ip_network("2002::/16")
_ALL_ONES = 0xFFFFFFFF


def embedded_ipv4(address: IPAddress) -> list[IPv4Address]:
    """The IPv4 addresses to which packets for an IPv6 address may go in the end."""
    if isinstance(address, IPv4Address):
        return []
    bits = int(address)
    if address in _SIX_TO_FOUR:  # RFC 3056, section 2.
        return [IPv4Address(bits >> 80 & _ALL_ONES)]
    if address in _TEREDO:  # RFC 4380, section 4: the server, and the client with inverted bits.
        return [IPv4Address(bits >> 64 & _ALL_ONES), IPv4Address(~bits & _ALL_ONES)]
    if any(address in network for network in _LAST_32):
        return [IPv4Address(bits & _ALL_ONES)]
    return []
