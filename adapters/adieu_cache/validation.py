"""Asking whether a stored response is still current, and what the answer changes in it (RFC 9111, section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import Headers
from adieu_cache.dates import parse_http_date
from adieu_cache.freshness import initial_age

if TYPE_CHECKING:
    from adieu import Request, ResponseHead
    from adieu_cache.stored import Stored

__all__ = [
    "asks_itself",
    "conditional",
    "is_current",
    "is_outdated",
    "is_unchanged",
    "updated",
    "weakly_equal",
]

# Section 3.2, and what describes the stored bytes, which an answer without them cannot replace.
_OF_THE_BYTES = frozenset(
    ("content-digest", "content-encoding", "content-length", "content-md5", "content-range")
)


def asks_itself(headers: Headers) -> bool:
    """The caller's request is conditional: it has a copy of its own."""
    return headers.has("if-none-match") or headers.has("if-modified-since")


def conditional(request: Request, stored: Stored) -> Request | None:
    """The request that asks the server whether a stored response is current; None: it has no validator."""
    etag, changed = stored.headers.get("etag"), stored.headers.get("last-modified")
    if etag is None and changed is None:
        return None
    asking = request.copy()
    if etag is not None:
        asking.headers["If-None-Match"] = etag
    if changed is not None:
        asking.headers["If-Modified-Since"] = changed
    return asking


def is_unchanged(stored: Stored, status: int, headers: Headers) -> bool:
    """The server has sent the whole response again, and its strong validator says that the stored bytes are the same.

    RFC 9110, section 8.8.1. The length and the coding must agree, too, where servers forget that the tag belongs to
    one coding of the content.
    """
    etag = headers.get("etag", "")
    if status != 200 or stored.status != 200 or not etag.startswith('"'):
        return False
    same = ("etag", "content-encoding", "content-type")
    if any(headers.get(name) != stored.headers.get(name) for name in same):
        return False
    length = headers.get("content-length")
    return length is None or length == stored.headers.get("content-length")


def is_outdated(stored: Stored, response: ResponseHead) -> bool:
    """The answer to a HEAD tells of another body than the stored one (RFC 9111, section 4.3.5)."""
    headers = response.headers
    told = ("etag", "last-modified", "content-length")
    return response.status_code == 200 and any(
        headers.has(name) and headers[name] != stored.headers.get(name) for name in told
    )


def updated(stored: Stored, status: int, headers: Headers, asked: float, received: float) -> Stored:
    """The stored response with the fields of a newer answer about it (sections 3.2 and 4.3.4).

    The tag stays: the request named this one, whatever the answer says about another.
    """
    kept_out = _OF_THE_BYTES | {"etag"} if status == 304 else _OF_THE_BYTES
    newer = [pair for pair in headers.multi_items() if pair[0].lower() not in kept_out]
    names = {name.lower() for name, _ in newer} | {"age"}
    older = [pair for pair in stored.headers.multi_items() if pair[0].lower() not in names]
    age = initial_age(headers, asked, received)
    return stored._replace(headers=Headers([*older, *newer]), received=received, age=age)


def weakly_equal(one: str | None, other: str | None) -> bool:
    """Two entity tags match by the weak comparison (RFC 9110, section 8.8.3.2)."""
    return bool(one and other) and str(one).removeprefix("W/") == str(other).removeprefix("W/")


def is_current(wanted: Headers, stored: Stored, now: float) -> bool:
    """The copy that a conditional request tells of is the stored one: the answer is a 304 (section 4.3.2)."""
    if stored.status != 200:
        return False
    if wanted.has("if-none-match"):
        tags = [tag.strip() for tag in wanted["if-none-match"].split(",")]
        etag = stored.headers.get("etag")
        return "*" in tags or any(weakly_equal(tag, etag) for tag in tags)
    since = parse_http_date(wanted.get("if-modified-since"), now)
    changed = parse_http_date(stored.headers.get("last-modified"), now)
    return since is not None and changed is not None and changed <= since
