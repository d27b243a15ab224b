"""Which requests a cache looks at, which responses it stores and which of their fields, and what a change invalidates.

RFC 9111, sections 3 and 4.4. Each rule gives the reason for which it says no, for the facts that the user sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import AdieuError, Headers
from adieu_cache.freshness import HEURISTIC_STATUSES

if TYPE_CHECKING:
    from adieu import URL, Request
    from adieu_cache.cache_control import CacheControl

__all__ = ["changed_urls", "fields_to_store", "is_safe", "why_bypassed", "why_not_stored"]

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "QUERY"))
_UNDERSTOOD = frozenset((*range(200, 206), *range(300, 304), 307, 308, *range(400, 418), 421, 422, 426, 428, 429, 431,
                         451, *range(500, 506), 511))  # fmt: skip
# RFC 9110, section 7.6.1, and RFC 9111, section 3.1.
_OF_ONE_CONNECTION = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
))  # fmt: skip
_PRECONDITIONS = ("if-match", "if-unmodified-since")


def is_safe(method: str) -> bool:
    """The method changes nothing on the server (RFC 9110, section 9.2.1)."""
    return method in _SAFE


def why_bypassed(request: Request, wanted: CacheControl, methods: frozenset[str]) -> str:
    """Why a cache leaves a request alone; "" if it does not."""
    method = request.method
    if method != "HEAD" and method not in methods:
        return f"the method is {method}"
    if wanted.has("no-store"):
        return "the request has no-store"
    headers = request.headers
    if method in ("GET", "HEAD") and request.content.is_given:
        return "the request has content"
    if request.content.is_given and request.content.body is None:
        return "the content of the request is not in memory"
    if headers.has("upgrade"):
        return "the request asks for another protocol"
    if any(map(headers.has, _PRECONDITIONS)):
        return "the request has a precondition"
    return ""


def why_not_stored(
    request: Request, status: int, headers: Headers, directives: CacheControl, shared: bool
) -> str:
    """Why a response is not stored (section 3); "" if it may be."""
    if reason := _of_status(status, directives):
        return reason
    if "*" in (name.strip() for name in headers.get("vary", "").split(",")):
        return "Vary is *"
    if shared and (reason := _of_sharing(request, headers, directives)):
        return reason
    if status not in HEURISTIC_STATUSES and not any(
        map(directives.has, ("public", "max-age", "s-maxage" if shared else "private"))
    ):
        return "" if headers.has("expires") else f"the status is {status}, and nothing allows it"
    return ""


def _of_status(status: int, directives: CacheControl) -> str:
    if status < 200 or status in (206, 304):
        return f"the status is {status}"
    if directives.has("must-understand"):
        # Section 5.2.2.3: with it, no-store is for caches that do not know the directive.
        return "" if status in _UNDERSTOOD else f"the status {status} has to be understood"
    return "the response has no-store" if directives.has("no-store") else ""


def _of_sharing(request: Request, headers: Headers, directives: CacheControl) -> str:
    """Sections 3.5 and 5.2.2.7; and a cookie is for the one who gets it, whatever the server forgot to say."""
    if directives.is_plain("private"):
        return "the response is private"
    allowed = any(map(directives.has, ("public", "s-maxage", "must-revalidate")))
    if request.headers.has("authorization") and not allowed:
        return "the request has Authorization"
    if headers.has("set-cookie") or headers.has("set-cookie2"):
        return "the response sets a cookie"
    return ""


def fields_to_store(headers: Headers, directives: CacheControl, shared: bool) -> Headers:
    """The fields without those of one connection, and those that a directive excepts (section 3.1)."""
    left_out = _OF_ONE_CONNECTION | {
        name.strip().lower() for name in headers.get("connection", "").split(",")
    }
    left_out |= directives.fields("no-cache")
    if shared:
        left_out |= directives.fields("private")
    return Headers([pair for pair in headers.multi_items() if pair[0].lower() not in left_out])


def changed_urls(url: URL, headers: Headers) -> list[URL]:
    """The URLs whose stored responses a change has made invalid (section 4.4): all of the one origin."""
    urls = [url]
    for name in ("location", "content-location"):
        if headers.has(name):
            try:
                named = url.join(headers[name])
            except AdieuError:
                continue  # It is no URL.
            if named.origin == url.origin:
                urls.append(named)
    return urls
