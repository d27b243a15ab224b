"""The Cookie field of one hop.

Invariants. The field is computed for every hop, on a copy of its request, so a redirect, which is made from the
original, takes no cookie along. A Cookie field that the user set is sent as it is. A client without cookies calls
nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.messages.cookies.jar import Cookie, Cookies
    from adieu.messages.request import Request
    from adieu.messages.url import URL

__all__ = ["as_jar", "for_one_call", "with_cookies"]


def for_one_call(
    request: Request, cookies: Mapping[str, str] | Iterable[Cookie] | None
) -> Cookies | None:
    """The jar for the `cookies=` of a call. Names and values are for the host of its URL alone."""
    if cookies is None:
        return None
    if "cookie" in request.headers:
        raise InvalidRequest(
            "cookies= and a Cookie header field were given: which of the two is to be sent?"
        )
    return as_jar(cookies, request.url)


def as_jar(cookies: Mapping[str, str] | Iterable[Cookie], url: URL | None) -> Cookies:
    """The value of `cookies=` as a jar: itself if it is one, else a new one whose cookies are for the URL's host."""
    from adieu.messages.cookies.jar import Cookies

    if isinstance(cookies, Cookies):
        return cookies
    if not isinstance(cookies, Iterable):
        raise InvalidRequest(
            f"cookies= takes a mapping of names to values, or Cookies, not {type(cookies).__name__}"
        )
    return Cookies(cookies, url=url)


def with_cookies(request: Request, jar: Cookies | None, own: Cookies | None) -> Request:
    """The request with the cookies for its URL. A cookie of the call replaces one of the same name in the jar."""
    if "cookie" in request.headers:
        return request
    field = jar.header_for(request.url) if jar is not None else None
    ours = own.header_for(request.url) if own is not None else None
    if field and ours:
        named = {pair.partition("=")[0] for pair in ours.split("; ")}
        kept = [pair for pair in field.split("; ") if pair.partition("=")[0] not in named]
        field = "; ".join((*kept, ours))
    field = field or ours
    if not field:
        return request
    request = request.copy()
    request.headers["Cookie"] = field
    return request
