"""The names in a certificate that was refused, and why none of them is the name that was checked.

Invariant: this is for error texts alone. OpenSSL has decided before, and nothing here decides again.
"""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

__all__ = ["CertificateNames", "mismatch", "names_of"]

_MAX_SHOWN = 8
_SUBJECT_ALT_NAME = b"\x06\x03\x55\x1d\x11"  # The identifier 2.5.29.17, in DER.
_OWNER = "else the server's owner has to issue a certificate with"


class CertificateNames(NamedTuple):
    """The alternative names of a certificate, as far as they can be names of a host."""

    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def names_of(sock: Any) -> CertificateNames | None:
    """The names in the certificate of a handshake that failed; None where Python gives no access to it."""
    try:
        if hasattr(sock, "get_unverified_chain"):  # Python 3.13
            leaf = sock.get_unverified_chain()[0]
        else:
            leaf = sock._sslobj.get_unverified_chain()[0].public_bytes(2)  # 2: DER
        return _alternative_names(leaf)
    except Exception:  # A certificate can contain anything.
        return None


def mismatch(name: str, names: CertificateNames | None, *, is_set: bool) -> tuple[str, str]:
    """The fault and its remedy, for a certificate that is not for this name or address.

    `is_set`: the name is the setting `server_hostname`, and not the host of a URL.
    """
    address = _is_address(name)
    kind = "address" if address else "name"
    if names is None:
        return f"its certificate is not for this {kind}", _other_name(name, names, is_set)
    if not names.hosts and not names.addresses:
        return (
            "its certificate has no alternative names, and a common name does not count (RFC 9110, section 4.3.4)",
            f"The server's owner has to issue one with {name} as an alternative name",
        )
    if address and name in names.hosts:
        return (
            "its certificate has this address as a DNS name, where addresses do not count (RFC 9110, section 4.3.5)",
            f"The server's owner has to issue one with {name} as an IP address",
        )
    if not address and (reason := _wildcard_fault(name.lower(), names.hosts)) is not None:
        return (
            f"its certificate is not for this name: {reason}",
            f"{_other_name(name, names, is_set)}; {_OWNER} {name} itself",
        )
    others = "not for this address, but for" if address else "for other names:"
    return f"its certificate is {others} {_shown(names)}", _other_name(name, names, is_set)


def _other_name(name: str, names: CertificateNames | None, is_set: bool) -> str:
    # The condition is for the case that the server is another one. Then each of its names is a wrong one.
    if is_set:
        advice = "set server_hostname= to a host name that the certificate has"
    elif not _is_address(name):
        advice = "use a host name that the certificate has"
    elif names is not None and not names.hosts:
        advice = "use an address that the certificate has"
    else:
        advice = (
            "use a host name that the certificate has; where DNS does not know it, "
            f"connect=adieu.Connect(addresses={{'that name': {name!r}}}) leads it to this address"
        )
    return f"If this is the server that you mean, {advice}"


def _wildcard_fault(name: str, hosts: tuple[str, ...]) -> str | None:
    """Why a name with a `*` does not match, if a reader could think that it does (RFC 9525, section 6.3)."""
    label, _, parent = name.partition(".")
    for host in map(str.lower, hosts):
        if "*" not in host:
            continue
        first, _, rest = host.partition(".")
        shown = repr(host)
        if first != "*" or "*" in rest:
            if _alike(host, name):
                return f"in {shown}, the * is not the whole first label, which alone counts"
        elif rest == parent and "." not in rest:
            return f"{shown} does not count, for its * stands for all names of a whole domain"
        elif rest == parent:
            bad = "".join(sorted({char for char in label if not (char.isalnum() or char == "-")}))
            if bad:
                return f"the * in {shown} stands for letters, digits and hyphens, and not for {bad!r} in {label!r}"
        elif rest == name:
            return f"{shown} is for the hosts below {rest}, and not for {rest} itself"
        elif name.endswith(f".{rest}"):
            several = name.removesuffix(f".{rest}")
            return f"the * in {shown} stands for one label, and not for {several!r}"
    return None


def _alike(pattern: str, name: str) -> bool:
    """Whether a name matches where every `*` stands for any characters."""
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern.replace("[", "").replace("?", ""))


def _is_address(name: str) -> bool:
    return ":" in name or name[-1:].isdigit()  # No name ends in a digit (WHATWG).


def _shown(names: CertificateNames) -> str:
    every = [*names.hosts, *names.addresses]
    more = f" and {len(every) - _MAX_SHOWN} more" if len(every) > _MAX_SHOWN else ""
    return ", ".join(name if len(name) <= 80 else f"{name[:77]}..." for name in every[:8]) + more


def _alternative_names(der: bytes) -> CertificateNames:
    """DNS names and addresses of the subjectAltName extension (RFC 5280, section 4.2.1.6)."""
    at = der.find(_SUBJECT_ALT_NAME)
    if at < 0:
        return CertificateNames()
    at += len(_SUBJECT_ALT_NAME)
    if der[at] == 0x01:  # BOOLEAN: whether it is critical.
        at = _element(der, at)[1]
    at = _element(der, at)[0]  # Into the OCTET STRING,
    at, end = _element(der, at)  # and the SEQUENCE in it.
    hosts, addresses = [], []
    while at < end:
        tag = der[at]
        start, at = _element(der, at)
        value = der[start:at]
        if tag == 0x82:
            name = value.decode("ascii", "replace")
            hosts.append(name if name.isprintable() else repr(name))
        elif tag == 0x87:
            family = socket.AF_INET if len(value) == 4 else socket.AF_INET6
            addresses.append(socket.inet_ntop(family, value))
    return CertificateNames(tuple(hosts), tuple(addresses))


def _element(der: bytes, at: int) -> tuple[int, int]:
    """The start and the end of the value of the element at this offset (X.690, section 8.1)."""
    length = der[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    return at, at + length
