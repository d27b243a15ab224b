"""Hosts: every spelling of a name or an address is normalised to one.

The host of an http or https URL is a DNS name or an IP address, and is parsed as in browsers
(https://url.spec.whatwg.org/#host-parsing): escapes are decoded, international names mapped by UTS 46, and `127.1` and
`0x7f000001` recognised as addresses. The host of any other scheme is opaque: its meaning is up to the adapter that
serves the scheme.

Names that DNS does not allow are refused here: `socket.getaddrinfo` fails on an empty or an overlong label with a bare
UnicodeError.
"""

from __future__ import annotations

import re

from adieu.errors import InvalidURL
from adieu.messages.url.percent import decode, encode_reg_name

__all__ = ["bracketed", "dns_host", "opaque_host"]

_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_NOT_IN_NAME = re.compile(r"[^a-z0-9_.-]")
_NOT_IN_OPAQUE = re.compile(r"[\x00-\x20#/:<>?@\[\\\]^|\x7f]")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME_LENGTH = 253  # RFC 1035, section 2.3.4, as text and without the trailing dot
_MAX_INPUT_LENGTH = (
    1024  # bounds the work of idna; mapping may shorten a name, but hardly by so much
)


def dns_host(host: str) -> str:
    """The host of an http or https URL: an A-label name, or an IP address without brackets.

    Raises `InvalidURL` for anything else.
    """
    if host[:1] == "[":
        return _ipv6(host)
    name = host.lower()
    if not _NAME.fullmatch(name) or "xn--" in name:
        name = _ascii_name(host)
    if len(name) - name.endswith(".") > _MAX_NAME_LENGTH:
        raise InvalidURL(
            f"host {_quoted(host)} is longer than the {_MAX_NAME_LENGTH} characters of a DNS name"
        )
    return _ipv4(name) or name


def bracketed(host: str) -> str:
    """A host as it stands in a URL, from one as it stands alone: an IPv6 address gets its brackets."""
    return f"[{host}]" if host.count(":") > 1 and host[0] != "[" else host


def opaque_host(host: str) -> str:
    """The host of any other scheme: an IPv6 address, or a name that the adapter gives a meaning.

    Names are lower-cased, except when they hold escapes: `http+unix://%2FUsers%2Fme%2Fapp.sock/`
    names a file, and files have case.
    """
    if host[:1] == "[":
        return _ipv6(host)
    bad = _NOT_IN_OPAQUE.search(host)
    if bad:
        raise _bad_character(host, bad)
    name = encode_reg_name(host)
    return name if "%" in name else name.lower()


def _ascii_name(host: str) -> str:
    name = decode(host)
    if name is None:
        raise InvalidURL(f"the escapes in host {_quoted(host)} are not UTF-8")
    if len(name) > _MAX_INPUT_LENGTH:
        raise InvalidURL(f"host {_quoted(host)} is too long for a DNS name")
    name = name.lower() if name.isascii() else name
    if not name.isascii() or "xn--" in name:
        name = _uts46(name)
    if _NAME.fullmatch(name):
        return name
    bad = _NOT_IN_NAME.search(name)
    if bad:
        raise _bad_character(name, bad)
    if max(map(len, name.split("."))) > 63:
        raise InvalidURL(f"host {_quoted(host)} has a label of more than 63 characters")
    raise InvalidURL(f"host {_quoted(host)} has an empty label: remove a dot")


def _uts46(name: str) -> str:
    """The A-labels of a name by UTS 46, section 4, with the flags of browsers.

    The flags are: non-transitional, CheckBidi and CheckJoiners, not CheckHyphens. `idna.encode` would
    apply IDNA 2008, which refuses names that exist, such as `i❤.ws` and `r3---sn-4g5e.münchen.de`.
    """
    import idna

    try:
        mapped = idna.uts46_remap(name, std3_rules=False)
        labels = [_unicode_label(label) for label in mapped.split(".")]
        if any(map(_has_rtl, labels)):
            for label in filter(None, labels):
                idna.check_bidi(label, check_ltr=True)
    except ValueError as error:
        raise InvalidURL(
            f"host {_quoted(name)} is not a valid international name (UTS 46): {error}"
        ) from None
    return ".".join(
        [
            label if label.isascii() else "xn--" + label.encode("punycode").decode()
            for label in labels
        ]
    )


def _unicode_label(label: str) -> str:
    import idna

    if label.startswith("xn--"):
        decoded = label[4:].encode().decode("punycode")
        # Another spelling than the canonical one would be a second name for the same host.
        if decoded.isascii() or decoded.encode("punycode").decode() != label[4:]:
            raise ValueError(f"{label!r} is not a canonical A-label")
        if decoded.startswith("xn--") or idna.uts46_remap(decoded, std3_rules=False) != decoded:
            raise ValueError(f"{label!r} encodes text that cannot be a label")
        label = decoded
    if not label.isascii():
        idna.check_initial_combiner(label)
        for position, character in enumerate(label):
            if character in "\u200c\u200d" and not idna.valid_contextj(label, position):
                raise ValueError(f"the joiner at position {position} of {label!r} joins nothing")
    return label


def _has_rtl(label: str) -> bool:
    from unicodedata import bidirectional

    return not label.isascii() and any(bidirectional(c) in ("R", "AL", "AN") for c in label)


def _ipv4(name: str) -> str | None:
    """The dotted form of an IPv4 address in any spelling of inet_aton; None for a name.

    A name that ends in a number is an address or is refused: some resolvers would take it for one.
    """
    parts = name.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    numbers = [_number(part) for part in parts]
    end = 256 ** (5 - len(parts)) if len(parts) <= 4 else 0  # the last number fills the other bytes
    if any(not 0 <= n < 256 for n in numbers[:-1]) or not 0 <= numbers[-1] < end:
        raise InvalidURL(f"host {_quoted(name)} ends in a number but is not an IPv4 address")
    address = numbers[-1]
    for index, number in enumerate(numbers[:-1]):
        address += number << (24 - 8 * index)
    return ".".join(map(str, address.to_bytes(4, "big")))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):  # int() would take "1_0" and "-0" as well
        return -1
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    try:
        return int(text, 8 if text.startswith("0") else 10)
    except ValueError:
        return -1


def _ipv6(host: str) -> str:
    from ipaddress import IPv6Address

    text, bracket, rest = host[1:].partition("]")
    if not bracket:
        raise InvalidURL(f'host {_quoted(host)} has no closing "]"')
    if rest:
        raise InvalidURL(f'host {_quoted(host)} has {_quoted(rest)} after its "]"')
    text, percent, zone = text.partition("%")
    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise InvalidURL(
            f"host {_quoted(host)} is not an IPv6 address, which alone has brackets: {error}"
        ) from None
    if percent:
        # RFC 9844 withdrew the syntax of RFC 6874; the zone of a client means nothing to a server.
        zone = zone.removeprefix("25")
        pin = f"{{{f'[{address}]'!r}: {_quoted(f'{address}%{zone}')}}}"
        give = f", and give the zone to the client: connect=adieu.Connect(addresses={pin})"
        raise InvalidURL(
            f"host {_quoted(host)} has a zone identifier, which no URL has (RFC 9844): "
            f"write '[{address}]'{give if zone else ''}"
        )
    if address.ipv4_mapped:
        # str() writes these with dots since Python 3.13; browsers write them without.
        high, low = divmod(int(address) & 0xFFFFFFFF, 1 << 16)
        return f"::ffff:{high:x}:{low:x}"
    return str(address)


def _bad_character(host: str, bad: re.Match[str]) -> InvalidURL:
    if bad[0] == ":":
        return InvalidURL(
            f"host {_quoted(host)} has a ':': an IPv6 address stands in brackets, as in http://[::1]:8080/, "
            "and a port is no part of a host"
        )
    return InvalidURL(
        f"host {_quoted(host)} has {bad[0]!r} at position {bad.start()}, which no host has"
    )


def _quoted(host: str) -> str:
    return repr(host if len(host) <= 80 else host[:77] + "...")
