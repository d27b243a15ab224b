"""One cookie, and the rules about whom it is for (RFC 6265bis, sections 5.1 and 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest
from adieu.messages.cookies.public_suffix import is_public_suffix
from adieu.messages.cookies.set_cookie import parse_set_cookie

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

_END_OF_TIME = 1e12  # Some 30000 years from now: what is beyond is in milliseconds, or no number.
_LONGEST_AGE = 400 * 86400.0  # Section 5.5: what a server may ask for at most.


class Cookie(NamedTuple):
    """A cookie as a jar keeps it.

    `domain`: a host, A-labels in lower case; with `host_only` for that host alone, otherwise for every host below it
    too. `path`: where it begins to hold. `expires`: seconds since the epoch, None: when the jar is thrown away.
    `secure`: never sent in clear. `http_only` and `same_site` are kept, and decide nothing here: there is no page.
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
        # Values are credentials as a rule.
        where = f"{'' if self.host_only else '.'}{self.domain}{self.path}"
        return f"<Cookie {self.name}=*** for {where}>"


def admitted(url: URL, field: str, now: float) -> Cookie | None:
    """The cookie that an answer from this URL may set with this field; None: none (section 5.7, steps 1 to 22).

    One that has expired is a cookie all the same: it takes the place of an older one, and is gone.
    """
    said = parse_set_cookie(field)
    host = url.host_key
    if said is None or not host:
        return None
    domain, host_only = host, True
    if said.domain is not None:
        if said.domain != host and not _is_below(host, said.domain):
            return None
        if not _is_address(host) and not is_public_suffix(said.domain):
            domain, host_only = said.domain, False
        elif said.domain != host:
            return None  # Those who share a suffix are strangers; an address has nothing below it.
    if said.secure and not is_secure(url):
        return None
    if said.same_site == "None" and not said.secure:
        return None
    expires = said.expires
    if said.max_age is not None:
        expires = now + said.max_age if said.max_age > 0 else 0.0
    cookie = Cookie(
        said.name,
        said.value,
        domain,
        said.path or _default_path(url.path),
        None if expires is None else min(expires, now + _LONGEST_AGE),
        said.secure,
        said.http_only,
        host_only,
        said.same_site,
    )
    if prefix_fault(cookie) is not None or (cookie.name[:7].lower() == "__host-" and not said.path):
        return None  # The prefix wants "Path=/" said, not only so by default.
    return cookie


def checked(cookie: Cookie) -> Cookie:
    """A cookie made by hand, or found in a file. Raises `InvalidRequest` if it could not be sent as it is."""
    for part in (cookie.name, cookie.value, cookie.domain, cookie.path):
        if not isinstance(part, str):
            raise InvalidRequest(
                f"name, value, domain and path of a cookie are text, not {type(part).__name__}"
            )
    name, value, path, expires = cookie.name, cookie.value, cookie.path, cookie.expires
    # What would be read otherwise than it is written, here, would be so by the server.
    placed = parse_set_cookie(f"a; path={path}")
    if placed is None or placed.path != path:
        raise InvalidRequest(
            f"the path of a cookie begins with '/', and has no ';', no control characters, no space at its end, and "
            f"1024 bytes at most, not {path[:80]!r}"
        )
    said = parse_set_cookie(f"{name}={value}")
    if said is None or (said.name, said.value) != (name, value):
        raise InvalidRequest(
            f"the cookie {name[:80]!r} cannot be sent as it is: its name has no '='; name and value have no ';', no "
            "control characters, no spaces at their ends, Latin-1 only, and 4096 bytes at most together; encode the "
            "rest, as with urllib.parse.quote"
        )
    if expires is not None and not (
        isinstance(expires, (int, float)) and 0 <= expires < _END_OF_TIME
    ):
        raise InvalidRequest(
            f"expires= of a cookie is in seconds since 1970, or None for the end of the session, not {expires!r}"
        )
    return cookie


def prefix_fault(cookie: Cookie) -> str | None:
    """What keeps a cookie from having a name with this prefix (section 4.1.3), if anything."""
    # Without a name, the value stands where servers look for one.
    name = (cookie.name or cookie.value).lower()
    if not name.startswith(("__secure-", "__host-")):
        return None
    if not cookie.name:
        return "the prefix stands in a value without a name"
    if not cookie.secure:
        return "it is not secure"
    if name.startswith("__host-") and not (cookie.host_only and cookie.path == "/"):
        return "it is not for one host alone, with the path /"
    return None


def is_secure(url: URL) -> bool:
    """Whether nobody between can read what goes there: https, and what stays on this machine, as browsers have it."""
    if url.scheme in ("https", "wss"):
        return True
    host = url.host_key
    return (
        host in ("localhost", "::1")
        or host.endswith(".localhost")
        or (host.startswith("127.") and _is_address(host))
    )


def hosts_above(host: str) -> list[str]:
    """The domains whose cookies may be for a host: itself, and what stands behind each of its dots."""
    found = [host]
    if not _is_address(host):
        at = host.find(".")
        while at >= 0:
            found.append(host[at + 1 :])
            at = host.find(".", at + 1)
    return found


def path_matches(path: str, cookie_path: str) -> bool:
    """Whether a request to a path gets the cookies of another (section 5.1.4): whole segments only."""
    if not path.startswith(cookie_path):
        return False
    rest = len(cookie_path)
    return len(path) == rest or cookie_path[-1:] == "/" or path[rest] == "/"


def _default_path(path: str) -> str:
    """Section 5.1.4: the path up to its last slash."""
    return path[: path.rfind("/")] or "/" if path[:1] == "/" else "/"


def _is_below(host: str, domain: str) -> bool:
    return host.endswith("." + domain) and not _is_address(host)


def _is_address(host: str) -> bool:
    # A URL's host that ends in a number is an IPv4 address, or would have been refused.
    return ":" in host or host.rpartition(".")[2].isdigit()
