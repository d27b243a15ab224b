"""The proxies of the environment variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.

There is no specification; this is what curl and other clients have in common. A variable in lower case comes before the
same one in capitals, and counts even if it is empty, which switches a proxy off. `HTTP_PROXY` in capitals is ignored in
a CGI program, where it is the `Proxy` field of somebody's request (CVE-2016-5385). A proxy without a scheme is an
http:// one.

`no_proxy` lists the origins that need no proxy, between commas or spaces: `*` is every origin; `example.org`,
`.example.org` and `*.example.org` are that name and all names below it; `127.0.0.1`, `::1` or `[::1]` an address;
`10.0.0.0/8` a network; `:8080` after any of them but a network is that port alone. An entry of another form matches
nothing, and is no error: the variable is for all programs on the machine. No name is looked up to compare addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.messages.url.host import bracketed, dns_host
from adieu.net.proxies.proxy import Proxy

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from adieu.messages.url import Origin

__all__ = ["Environment", "NoProxy"]

_SCHEMES = ("http", "https")
_BETWEEN = re.compile(r"[,\s]+")
_ENTRY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*|[^\[\]]*:[^\[\]]*:[^\[\]]*?)(?::([0-9]{1,5}))?")


class Environment:
    """The proxies of an environment, which is read once, here; each proxy is parsed when it is first needed."""

    __slots__ = ("_found", "_made", "_no_proxy")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._found: dict[str, tuple[str, str]] = {}
        self._made: dict[str, Proxy] = {}
        for_all = _variable(environ, "all_proxy")
        for scheme in _SCHEMES:
            found = _variable(environ, f"{scheme}_proxy") or for_all
            if found is not None:
                self._found[scheme] = found
        exempt = _variable(environ, "no_proxy") if self._found else None
        self._no_proxy = NoProxy(exempt[1]) if exempt is not None else None

    def __bool__(self) -> bool:
        """Whether there is any proxy."""
        return any(text for _, text in self._found.values())

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy for an origin; None: connect directly. Raises `InvalidRequest`, with the variable's name."""
        name, text = self._found.get(origin.scheme, ("", ""))
        if not text or (self._no_proxy is not None and self._no_proxy.covers(origin)):
            return None
        proxy = self._made.get(name)
        if proxy is None:
            try:
                proxy = Proxy(text if "://" in text else f"http://{text}")
            except InvalidRequest as error:
                raise InvalidRequest(
                    f"the environment variable {name} is not a proxy: {error}"
                ) from None
            self._made[name] = proxy
        return proxy


class NoProxy:
    """The origins in a `no_proxy` variable."""

    __slots__ = ("_all", "_hosts", "_network_texts", "_networks")

    def __init__(self, text: str) -> None:
        self._all = False
        # The ports of each name and address; None is every port.
        self._hosts: dict[str, set[int | None]] = {}
        # Parsed when an address is first looked for: that needs a module which most requests do without.
        self._networks: list[IPv4Network | IPv6Network] | None = None
        self._network_texts: list[str] = []
        for entry in _BETWEEN.split(text):
            if entry == "*":
                self._all = True
            elif "/" in entry:
                self._network_texts.append(entry)
            elif entry:
                self._add(entry)

    def _add(self, entry: str) -> None:
        match = _ENTRY.fullmatch(entry)
        if match is None:
            return
        host, port = match.groups()
        host = host.removeprefix("*.").removeprefix(".").rstrip(".")
        try:
            self._hosts.setdefault(dns_host(bracketed(host)), set()).add(
                None if port is None else int(port)
            )
        except InvalidRequest:
            pass

    def covers(self, origin: Origin) -> bool:
        """Whether this origin needs no proxy."""
        if self._all:
            return True
        host = origin.host.rstrip(".")
        if ":" in host or host[-1:].isdigit():  # No name ends in a digit (WHATWG).
            return self._has(host, origin.port) or self._in_a_network(host)
        return any(self._has(name, origin.port) for name in _with_parents(host))

    def _has(self, host: str, port: int | None) -> bool:
        ports = self._hosts.get(host)
        return ports is not None and (None in ports or port in ports)

    def _in_a_network(self, host: str) -> bool:
        if not self._network_texts:
            return False
        from ipaddress import IPv6Address, ip_address

        networks = self._networks
        if networks is None:
            self._networks = networks = _parsed(self._network_texts)
        address = ip_address(host)
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any(one in network for network in networks for one in (address, plain) if one)


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    for known in (name, name.upper()):
        value = environ.get(known)
        if value is not None and not (known == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
            return known, value.strip()
    return None


def _with_parents(name: str) -> Iterable[str]:
    while name:
        yield name
        name = name.partition(".")[2]


def _parsed(entries: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    from ipaddress import ip_network

    networks = []
    for entry in entries:
        try:
            networks.append(ip_network(entry.replace("[", "").replace("]", ""), strict=False))
        except ValueError:
            pass
    return networks
