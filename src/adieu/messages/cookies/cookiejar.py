"""The cookies of a jar of `http.cookiejar`, which requests and mechanize use, as `Cookie` values."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.messages.cookies.cookie import Cookie, checked

if TYPE_CHECKING:
    import http.cookiejar

    from typing_extensions import TypeIs

__all__ = ["from_cookiejar", "is_cookiejar"]


def is_cookiejar(thing: object) -> TypeIs[http.cookiejar.CookieJar]:
    """Whether it is a `CookieJar`. As long as its module is not imported, nothing is."""
    module = sys.modules.get("http.cookiejar")
    return module is not None and isinstance(thing, module.CookieJar)


def from_cookiejar(jar: http.cookiejar.CookieJar) -> list[Cookie]:
    """Its cookies. Raises `InvalidRequest` for one without a domain, and for one that cannot be sent unchanged."""
    return [_converted(cookie) for cookie in jar]


def _converted(cookie: http.cookiejar.Cookie) -> Cookie:
    # It has a cookie without a name as one without a value.
    name, value = ("", cookie.name) if cookie.value is None else (cookie.name, cookie.value)
    domain = cookie.domain.removeprefix(".").lower()
    if domain == "localhost.local":
        domain = "localhost"  # It gives hosts without a dot this end.
    if not domain:
        raise InvalidRequest(
            f"the cookie {name!r} of the jar has no domain, and sending it to every host would reveal it: "
            f"give it by name, as in cookies={{{name!r}: ...}}, for the host of base_url, or of the call"
        )
    return checked(
        Cookie(
            name,
            value,
            domain,
            cookie.path or "/",
            None if cookie.expires is None else float(cookie.expires),
            cookie.secure,
            http_only=cookie.has_nonstandard_attr("HttpOnly")
            or cookie.has_nonstandard_attr("httponly"),
            host_only=not cookie.domain.startswith("."),
        )
    )
