"""Checks of connection settings: each returns the setting in its one form, or raises with what is wrong with it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest, InvalidURL

if TYPE_CHECKING:
    from adieu.net.address import Address

__all__ = [
    "FAMILIES",
    "checked_interface",
    "checked_options",
    "checked_pins",
    "checked_seconds",
    "checked_source",
    "parse_address",
    "several",
]

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}

_KEY = re.compile(r"(\[[^\]]*\]|[^:\[\]/?#@\\\s]+)(?::([0-9]{1,5}))?")
_WITH_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::([0-9]{1,5}))?")


def parse_address(text: object, port: int) -> Address:
    """An address as text (or of `ipaddress`), perhaps with a port of its own, as (family, socket address).

    Raises `InvalidRequest`, for a name too: an address is used without a lookup.
    """
    from ipaddress import IPv4Address, IPv6Address, ip_address

    if isinstance(text, (IPv4Address, IPv6Address)):
        text = str(text)
    if not isinstance(text, str):
        raise InvalidRequest(f"an address is a text such as '10.0.0.1', not {text!r:.40}")
    host = text
    if text.count(":") <= 1 or text[0] == "[":
        match = _WITH_PORT.fullmatch(text)
        if match is not None:
            host = match[1] if match[1] is not None else match[2]
            if match[3] is not None:
                port = int(match[3])
    try:
        address = ip_address(host)
    except ValueError:
        raise InvalidRequest(
            f"{text!r:.80} is not an address, such as '10.0.0.1', '::1' or '[::1]:8443'"
        ) from None
    if port > 65535:
        raise InvalidRequest(f"{text!r} has a port beyond 65535")
    if isinstance(address, IPv4Address):
        return socket.AF_INET, (str(address), port)
    name, _, zone = str(address).partition("%")
    return socket.AF_INET6, (name, port, 0, _zone(zone) if zone else 0)


def _zone(zone: str) -> int:
    try:
        return (
            int(zone) & 0xFFFFFFFF
            if zone.isdecimal() and len(zone) < 11
            else socket.if_nametoindex(zone)
        )
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"there is no network interface {zone!r:.40}: {error}") from error


def several(given: object) -> Iterable[object]:
    return (given,) if isinstance(given, str) or not isinstance(given, Iterable) else given


def checked_pins(
    given: Mapping[str, object] | Iterable[tuple[str, object]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    from adieu.messages.url import URL

    try:
        items = dict(given).items()
    except (TypeError, ValueError):
        raise InvalidRequest(
            f"addresses= maps hosts to addresses, {{'api.example.org': '10.0.0.1'}}, not {given!r:.80}"
        ) from None
    pins = {}
    for key, value in items:
        match = _KEY.fullmatch(key) if isinstance(key, str) else None
        try:
            if match is None or int(match[2] or 0) > 65535:
                raise InvalidURL(_wrong_key(key))
            if "*" in key:
                raise InvalidURL("it names one host; resolver= answers for many")
            host = URL(f"http://{match[1]}").host
            name = f"[{host}]" if ":" in host else host.rstrip(".")
            if match[2] is not None:
                name += f":{int(match[2])}"
            if name in pins:
                raise InvalidURL("it occurs twice")
        except InvalidURL as error:
            raise InvalidRequest(f"addresses=: {key!r:.80} cannot be a key: {error}") from error
        texts = tuple(str(text) for text in several(value))
        for text in texts:
            parse_address(text, 0)
        if not texts:
            raise InvalidRequest(f"addresses=: there is no address for {key!r}")
        pins[name] = texts
    return tuple(pins.items())


def _wrong_key(key: object) -> str:
    if isinstance(key, str) and key.count(":") > 1 and "/" not in key:
        return "an IPv6 address stands in brackets, as in '[::1]' or '[::1]:443'"
    return "it is a host, perhaps with a port, without scheme and path"


def checked_interface(interface: object) -> str | None:
    if interface is None:
        return None
    if not isinstance(interface, str) or not 0 < len(interface.encode()) < 16 or "\0" in interface:
        raise InvalidRequest(
            f"interface= is the name of one, such as 'eth0', not {interface!r:.40}"
        )
    if not hasattr(socket, "SO_BINDTODEVICE"):
        raise InvalidRequest(
            "interface= works on Linux alone; elsewhere give source_address= an address of the interface"
        )
    return interface


def checked_options(
    given: Iterable[tuple[int, int, int | bytes]],
) -> tuple[tuple[int, int, int | bytes], ...]:
    options = list(given) if isinstance(given, Iterable) else [given]
    for option in options:
        if (
            not isinstance(option, (tuple, list))
            or [isinstance(part, int) for part in option[:2]] != [True, True]
            or len(option) != 3
            or not isinstance(option[2], (int, bytes))
        ):
            raise InvalidRequest(
                "socket_options= is a list of (level, option, value), as setsockopt takes them, "
                f"not {given!r:.80}"
            )
    return tuple((level, option, value) for level, option, value in options)


def checked_source(given: object, family: str | None) -> str | None:
    if given is None:
        return None
    address = str(given)
    try:
        found, place = parse_address(given, 0)
        if place[1]:
            raise InvalidRequest("the system chooses the port")
    except InvalidRequest as error:
        raise InvalidRequest(f"source_address=: {error}") from error
    if family in FAMILIES and FAMILIES[family] != found:
        raise InvalidRequest(f"source_address={address!r} is not of family={family!r}")
    return address


def checked_seconds(seconds: object) -> float | None:
    # TCP counts whole seconds, and no system takes more than this.
    if seconds is None or (
        isinstance(seconds, (int, float))
        and not isinstance(seconds, bool)
        and 1 <= seconds <= 32767
    ):
        return seconds
    raise InvalidRequest(f"tcp_keep_alive= is seconds from 1 to 32767, or None, not {seconds!r}")
