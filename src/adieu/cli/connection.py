"""The options of the command line that say how requests are sent, and the settings of a client that they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal

import adieu
from adieu.cli.candidates import POLICIES
from adieu.errors import InvalidRequest
from adieu.transport.registry import find_adapter

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ConnectionArguments", "add_connection", "client_options", "keeps_alive"]

_DEFAULT = adieu.Timeout()
# Those that have a wire, which --unix-socket replaces.
_WITH_WIRE = ("native", "h11")


class ConnectionArguments(argparse.Namespace):
    """These options, as they were written."""

    adapter: str | None
    cleanup: str | None
    no_follow: bool
    max_redirects: int
    timeout: float | None
    max_time: float | None
    retry: int
    proxy: str | None
    insecure: bool
    cacert: str | None
    cert: str | None
    key: str | None
    system_trust: bool
    tls_min: Literal["1.2", "1.3"] | None
    server_name: str | None
    fingerprint: list[str]
    resolve: list[str]
    family: Literal["ipv4", "ipv6"] | None
    interface: str | None
    unix_socket: str | None


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add these options to a parser."""
    _add_sending(parser.add_argument_group("how it is sent"))
    _add_route(parser.add_argument_group("the connection"))
    _add_tls(parser.add_argument_group("TLS"))


def _add_sending(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--adapter",
        metavar="NAME",
        help="what sends the request: native, h11, urllib3, close, or an installed one",
    )
    add("--cleanup", choices=tuple(POLICIES), help="how the connection ends")
    add("--no-follow", action="store_true", help="do not follow redirects")
    add("--max-redirects", metavar="N", type=int, default=20, help="at most so many; 20 by default")
    add(
        "--timeout",
        metavar="SECONDS",
        type=float,
        help=f"for each wait: connecting ({_DEFAULT.connect:g} by default), the next bytes ({_DEFAULT.read:g})",
    )
    add(
        "-m", "--max-time", metavar="SECONDS", type=float, help="for all of it; no limit by default"
    )
    add("--retry", metavar="N", type=int, default=0, help="try again so often where that is safe")


def _add_route(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "-x",
        "--proxy",
        metavar="URL",
        help="through this proxy; none: not even through that of the environment",
    )
    add(
        "--resolve",
        metavar="HOST:PORT:ADDRESS",
        action="append",
        default=[],
        help="connect to this address instead of looking the host up, as curl takes it",
    )
    family = group.add_mutually_exclusive_group().add_argument
    family("-4", dest="family", action="store_const", const="ipv4", help="over IPv4 only")
    family("-6", dest="family", action="store_const", const="ipv6", help="over IPv6 only")
    add("--interface", metavar="NAME", help="through this network interface (Linux)")
    add("--unix-socket", metavar="FILE", help="through this Unix socket, whatever the URL's host")


def _add_tls(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("-k", "--insecure", action="store_true", help="do not check the server's certificate")
    add("--cacert", metavar="FILE", help="the authorities to trust, in PEM")
    add("--system-trust", action="store_true", help="trust the authorities of the system")
    add("--cert", metavar="FILE", help="a client certificate, in PEM")
    add("--key", metavar="FILE", help="its key, if it is not in the same file")
    add("--tls-min", choices=("1.2", "1.3"), help="the oldest version that will do; 1.2 by default")
    add("--server-name", metavar="NAME", help="the name that the certificate must have")
    add(
        "--fingerprint",
        metavar="SHA256",
        action="append",
        default=[],
        help="the certificate must have this one, or one of these",
    )


def client_options(arguments: ConnectionArguments) -> adieu.ClientOptions:
    """The options of the client. Raises `InvalidRequest`."""
    options: adieu.ClientOptions = {
        "follow_redirects": not arguments.no_follow,
        "max_redirects": arguments.max_redirects,
        "retry": arguments.retry,
    }
    if arguments.unix_socket is not None:
        options["adapter"] = _over_unix_socket(arguments.adapter or "native", arguments.unix_socket)
    elif arguments.adapter is not None:
        options["adapter"] = arguments.adapter
    if arguments.cleanup is not None:
        options["cleanup"] = POLICIES[arguments.cleanup]()
    each, total = arguments.timeout, arguments.max_time
    if each is not None:
        options["timeout"] = adieu.Timeout(
            connect=each, read=each, write=each, pool=each, total=total
        )
    elif total is not None:
        options["timeout"] = adieu.Timeout(total=total)
    if arguments.proxy is not None:
        options["proxy"] = None if arguments.proxy == "none" else arguments.proxy
    if arguments.resolve or arguments.family or arguments.interface:
        options["connect"] = adieu.Connect(
            addresses=_addresses(arguments.resolve),
            family=arguments.family,
            interface=arguments.interface,
        )
    tls = _tls(arguments)
    if tls is not None:
        options["tls"] = tls
    return options


def keeps_alive(arguments: ConnectionArguments) -> bool:
    """Whether the request leaves out that its connection is to be closed."""
    if arguments.adapter == "close":
        return False
    return arguments.cleanup is None or POLICIES[arguments.cleanup]().keep_alive


def _over_unix_socket(adapter: str, path: str) -> Any:
    if adapter not in _WITH_WIRE:
        raise InvalidRequest(f"--unix-socket is for --adapter native or h11, not for {adapter}")
    return find_adapter(adapter)(adieu.UnixWire(path))


def _addresses(given: Iterable[str]) -> dict[str, str]:
    addresses = {}
    for text in given:
        # The host may be an address of IPv6, in brackets; the address is the rest.
        host, bracket, rest = text.rpartition("]:") if text.startswith("[") else ("", "", text)
        name, _, rest = (host + "]", "", rest) if bracket else rest.partition(":")
        port, colon, address = rest.partition(":")
        if not (name and port.isdecimal() and colon and address):
            raise InvalidRequest(f"--resolve takes HOST:PORT:ADDRESS, not {text!r}")
        addresses[f"{name}:{port}"] = address
    return addresses


def _tls(arguments: ConnectionArguments) -> adieu.TLSConfig | None:
    """The TLS settings; None: the default ones."""
    if arguments.key is not None and arguments.cert is None:
        raise InvalidRequest("--key is the key of a certificate: name that by --cert")
    if arguments.insecure and arguments.cacert is not None:
        raise InvalidRequest("-k trusts every certificate, and --cacert only some: choose one")
    cert: str | tuple[str, str] | None = arguments.cert
    if arguments.cert is not None and arguments.key is not None:
        cert = (arguments.cert, arguments.key)
    config = adieu.TLSConfig(
        False if arguments.insecure else arguments.cacert or True,
        cert,
        trust="system" if arguments.system_trust else "certifi",
        minimum_version=arguments.tls_min,
        server_hostname=arguments.server_name,
        fingerprints=arguments.fingerprint,
    )
    return None if config == adieu.TLSConfig() else config
