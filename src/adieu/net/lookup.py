"""From a name to addresses, by the system's resolver, which blocks."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from adieu.errors import DNSError

if TYPE_CHECKING:
    from adieu.net.address import Address, SocketAddress

    LookUp: TypeAlias = Callable[[str, int], list[Address]]

__all__ = ["LookUp", "interleaved", "lookup"]


def lookup(host: str, port: int) -> list[Address]:
    """The addresses of a name from the system's resolver, with IPv6 and IPv4 in turn.

    An IPv4 address is its own: the resolver would load Python's codec for international names first.
    """
    if host[-1:].isdigit() and ":" not in host:
        try:
            socket.inet_pton(socket.AF_INET, host)
        except OSError:
            pass  # A name after all; or not one that the resolver takes, which then says so.
        else:
            return [(socket.AF_INET, (host, port))]
    try:
        found = cast(
            "list[tuple[int, int, int, str, SocketAddress]]",  # bytes only in a Python without IPv6
            socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM),
        )
    except UnicodeError as error:
        # The resolver's own codec refuses labels that are empty or too long.
        raise DNSError(f"the host name {host!r} cannot be looked up: {error}") from (
            error.with_traceback(None)
        )
    except socket.gaierror as error:
        raise DNSError(f"the host name {host!r} could not be resolved: {error.strerror}") from (
            error.with_traceback(
                None
            )  # It would keep the caller's frames alive: see `lookup_threads`.
        )
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    return interleaved(addresses)


def interleaved(addresses: list[Address]) -> list[Address]:
    """The addresses in the resolver's order, with the two families in turn (RFC 8305, section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(other))):
        mixed += first[index : index + 1] + other[index : index + 1]
    return mixed
