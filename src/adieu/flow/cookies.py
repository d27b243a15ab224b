"""Cookies on their way: which Cookie field goes with one hop, and which fields of a response fill the jar.

Rules of the room: the field is computed for every hop anew, on a copy of its request, so that no cookie is left in what
a redirect is made from. A Cookie field set by hand is sent as it is, and nothing is added to it. Nothing here is called
for a client without cookies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.messages.cookies.jar import Cookie, Cookies
    from adieu.messages.request import Request
    from adieu.messages.url import URL

__all__ = ["as_jar", "for_one_call", "with_cookies"]


def for_one_call(
    request: Request, cookies: Mapping[str, str] | Iterable[Cookie] | None
) -> Cookies | None:
    """A jar for what a call was given as `cookies=`: names and values are for the host of its URL alone."""
    if cookies is None:
        return None
    if "cookie" in request.headers:
        raise InvalidRequest(
            "cookies= and a Cookie header field were given: which of the two is to be sent?"
        )
    return as_jar(cookies, request.url)


def as_jar(cookies: Mapping[str, str] | Iterable[Cookie], url: URL | None) -> Cookies:
    """What `cookies=` was given, as a jar: itself if it is one, else one whose cookies are for the URL's host."""
    from adieu.messages.cookies.jar import Cookies

    if isinstance(cookies, Cookies):
        return cookies
    if not hasattr(cookies, "__iter__"):
        raise InvalidRequest(
            f"cookies= takes a mapping of names to values, or Cookies, not {type(cookies).__name__}"
        )
    return Cookies(cookies, url=url)


def with_cookies(request: Request, jar: Cookies | None, own: Cookies | None) -> Request:
    """The request with the cookies for its URL: the call's own, and those of the jar that it does not overrule."""
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
