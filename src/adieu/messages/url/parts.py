"""Parts: each raw part of a URL, normalised or refused.

A part of a parsed text has passed the grammar. A part that a caller gives alone, to `URL.replace`, has not: the
`given_...` functions first check its type, and that it has no characters that are forbidden everywhere in a URL.
"""

from __future__ import annotations

import re

from adieu.errors import InvalidURL
from adieu.messages.url.host import bracketed, dns_host, opaque_host
from adieu.messages.url.origin import DEFAULT_PORTS
from adieu.messages.url.percent import encode_path
from adieu.messages.url.split import refuse_controls

__all__ = [
    "given_credential",
    "given_host",
    "given_optional",
    "given_port",
    "given_scheme",
    "given_text",
    "normal_host",
    "normal_path",
]

_DOT_SEGMENT = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:/|$)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def normal_host(scheme: str, host: str) -> str:
    """The normal form of a host for this scheme. An IPv6 address is given with brackets and returned without."""
    if scheme not in DEFAULT_PORTS:
        return opaque_host(host) if host else ""
    if not host:
        raise InvalidURL(f"the {scheme} URL has no host")
    return dns_host(host)


def normal_path(path: str) -> str:
    """Encoded and without dot segments (RFC 3986, section 5.2.4); "/" if there is nothing.

    `%2e` counts as a dot, as in browsers: otherwise a server that decodes first would leave the path
    that a mount has matched.
    """
    path = encode_path(path) or "/"
    if path[0] != "/" or not _DOT_SEGMENT.search(path):
        return path
    kept = [""]
    dots = ""
    for segment in path.split("/")[1:]:
        dots = segment.lower().replace("%2e", ".")
        if dots == ".." and len(kept) > 1:
            kept.pop()
        elif dots not in {".", ".."}:
            kept.append(segment)
    if dots in {".", ".."}:
        kept.append("")
    return "/".join(kept)


def given_scheme(scheme: object) -> str:
    """A scheme in lower case."""
    name = given_text(scheme, "scheme").lower()
    if not _SCHEME.fullmatch(name):
        raise InvalidURL(f"{name!r} is not a scheme (RFC 3986, section 3.1)")
    return name


def given_host(host: object) -> str:
    """A host as in the text of a URL; the brackets of an IPv6 address are added if missing."""
    return bracketed(given_text(host, "host"))


def given_port(port: object) -> int | None:
    """A port, or None for the default of the scheme."""
    if port is None or (type(port) is int and 0 <= port <= 65535):
        return port
    raise InvalidURL(f"the port of a URL is an int from 0 to 65535, or None, not {port!r}")


def given_text(text: object, part: str) -> str:
    """A str without control characters."""
    if not isinstance(text, str):
        raise InvalidURL(f"the {part} of a URL is a str, not {type(text).__name__}")
    refuse_controls(text, f"the {part}")
    return text


def given_optional(text: object, part: str) -> str | None:
    """A str without control characters, or None."""
    return None if text is None else given_text(text, part)


def given_credential(text: object, part: str) -> str | None:
    """A user name or password: any text that UTF-8 can encode. No error shows it."""
    if text is not None and (not isinstance(text, str) or _SURROGATE.search(text)):
        raise InvalidURL(f"the {part} of a URL is a str that UTF-8 can encode, or None")
    return text
