"""One cookie, and the rules for setting and sending it (RFC 6265bis, sections 5.1 and 5.7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest
from adieu.messages.cookies.public_suffix import is_public_suffix
from adieu.messages.cookies.set_cookie import (
    LONGEST_ATTRIBUTE,
    LONGEST_PAIR,
    parse_set_cookie,
)

if TYPE_CHECKING:
    from adieu.messages.url import URL

__all__ = [
    "Cookie",
    "admitted",
    "checked",
    "hosts_above",
    "is_secure",
    "path_matches",
    "prefix_fault",
]

# As a cookies.txt can hold them. A default path may have a ";", which a Path attribute cannot.
_PATH = re.compile(r"/[^\x00-\x1f\x7f\u0100-\U0010ffff]*").fullmatch
_DOMAIN = re.compile(r"[^\x00-\x20\x7f\u0100-\U0010ffff]{1,255}").fullmatch
_MAX_EXPIRES = 1e12  # Some 30000 years from now: a larger number is in milliseconds, or infinite.
_MAX_AGE = 400 * 86400.0  # Section 5.5: the longest time that a server may ask for.


class Cookie(NamedTuple):
    """A cookie as a jar keeps it.

    `domain`: a host, A-labels in lower case; with `host_only` for that host alone, otherwise for every host below it,
    too. `path`: the cookie is for this path and the paths below it. `expires`: seconds since the epoch, None for a
    session cookie, which lives as long as the jar. `secure`: never sent without encryption. `http_only` and
    `same_site` are kept, but have no effect: they protect web pages.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    host_only: bool = True
    same_site: str | None = None

    def __repr__(self) -> str:
        # Without the value, which is usually a credential.
        where = f"{'' if self.host_only else '.'}{self.domain}{self.path}"
        return f"<Cookie {self.name}=*** for {where}>"


def admitted(url: URL, field: str, now: float) -> Cookie | None:
    """The cookie that a response from this URL may set with this field, or None (section 5.7, steps 1 to 22).

    A cookie that has expired already is returned, too: it deletes an older one. Every one passes `checked`, so that a
    jar with it can be saved, pickled and copied.
    """
    parsed = parse_set_cookie(field)
    host = url.host_key
    if parsed is None or not host:
        return None
    domain, host_only = host, True
    if parsed.domain is not None:
        if parsed.domain != host and not _is_below(host, parsed.domain):
            return None
        if not _is_address(host) and not is_public_suffix(parsed.domain):
            domain, host_only = parsed.domain, False
        elif parsed.domain != host:
            return None  # The hosts under a public suffix are independent; an address has no hosts below it.
    if parsed.secure and not is_secure(url):
        return None
    if parsed.same_site == "None" and not parsed.secure:
        return None
    expires = parsed.expires
    if parsed.max_age is not None:
        expires = now + parsed.max_age if parsed.max_age > 0 else 0.0
    cookie = Cookie(
        parsed.name,
        parsed.value,
        domain,
        parsed.path or _default_path(url.path),
        None if expires is None else min(expires, now + _MAX_AGE),
        parsed.secure,
        parsed.http_only,
        host_only,
        parsed.same_site,
    )
    if (
        _fault(cookie) is not None
        or prefix_fault(cookie) is not None
        or (cookie.name[:7].lower() == "__host-" and not parsed.path)
    ):
        return None  # The prefix requires the attribute "Path=/", not only this path by default.
    return cookie


def checked(cookie: Cookie) -> Cookie:
    """A cookie made by the caller, or read from a file. Raises `InvalidRequest` if it could not be sent unchanged."""
    for part in (cookie.name, cookie.value, cookie.domain, cookie.path):
        if not isinstance(part, str):
            raise InvalidRequest(
                f"name, value, domain and path of a cookie are text, not {type(part).__name__}"
            )
    fault = _fault(cookie)
    if fault is not None:
        raise InvalidRequest(fault)
    return cookie


def _fault(cookie: Cookie) -> str | None:
    """The reason for which a jar refuses this cookie, be it from a server, the caller, a file or a pickle; or None."""
    name, value, domain, path, expires = cookie[:5]
    if _PATH(path) is None or len(path) > LONGEST_ATTRIBUTE:
        return (
            "the path of a cookie begins with '/', and has no control characters, Latin-1 only, and "
            f"{LONGEST_ATTRIBUTE} bytes at most, not {path[:80]!r}"
        )
    if _DOMAIN(domain) is None:
        return f"the domain of a cookie is a host, without spaces, not {domain[:80]!r}"
    # If the parser here changes it, so does that of a server.
    parsed = parse_set_cookie(f"{name}={value}")
    if parsed is None or (parsed.name, parsed.value) != (name, value):
        return (
            f"the cookie {name[:80]!r} cannot be sent as it is: its name has no '='; name and value have no ';', no "
            f"control characters, no spaces at their ends, Latin-1 only, and {LONGEST_PAIR} bytes at most together; "
            "encode the rest, as with urllib.parse.quote"
        )
    if expires is not None and not (
        isinstance(expires, (int, float)) and 0 <= expires < _MAX_EXPIRES
    ):
        return f"expires= of a cookie is in seconds since 1970, or None for the end of the session, not {expires!r}"
    return None


def prefix_fault(cookie: Cookie) -> str | None:
    """Why a cookie may not have the prefix of its name (section 4.1.3); None if it may, or has no such prefix."""
    # A cookie without a name is sent as its value, which a server may take for a name.
    name = (cookie.name or cookie.value).lower()
    if not name.startswith(("__secure-", "__host-")):
        return None
    if not cookie.name:
        return "the prefix is in the value of a cookie without a name"
    if not cookie.secure:
        return "it is not secure"
    if name.startswith("__host-") and not (cookie.host_only and cookie.path == "/"):
        return "it is not for one host alone, with the path /"
    return None


def is_secure(url: URL) -> bool:
    """Whether a request to this URL cannot be read on its way: https, or this machine, as in browsers."""
    if url.scheme in ("https", "wss"):
        return True
    host = url.host_key
    return (
        host in ("localhost", "::1")
        or host.endswith(".localhost")
        or (host.startswith("127.") and _is_address(host))
    )


def hosts_above(host: str) -> list[str]:
    """The domains whose cookies may be for a host: the host itself, and the name after each of its dots."""
    found = [host]
    if not _is_address(host):
        at = host.find(".")
        while at >= 0:
            found.append(host[at + 1 :])
            at = host.find(".", at + 1)
    return found


def path_matches(path: str, cookie_path: str) -> bool:
    """Whether a request to `path` gets the cookies of `cookie_path` (section 5.1.4): whole segments only."""
    if not path.startswith(cookie_path):
        return False
    end = len(cookie_path)
    return len(path) == end or cookie_path[-1:] == "/" or path[end] == "/"


def _default_path(path: str) -> str:
    """Section 5.1.4: the path up to its last slash."""
    return path[: path.rfind("/")] or "/" if path[:1] == "/" else "/"


def _is_below(host: str, domain: str) -> bool:
    return host.endswith("." + domain) and not _is_address(host)


def _is_address(host: str) -> bool:
    # The host of a URL that ends in a number is an IPv4 address: other such names are refused.
    return ":" in host or host.rpartition(".")[2].isdigit()
