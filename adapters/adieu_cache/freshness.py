"""How old a stored response is, how long it is fresh, and whether it may answer a request (RFC 9111, section 4.2)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from adieu_cache.cache_control import CacheControl
from adieu_cache.dates import parse_http_date

if TYPE_CHECKING:
    from adieu import Headers
    from adieu_cache.stored import Stored

__all__ = ["Use", "age_now", "initial_age", "lifetime_of", "may_serve_on_error", "use_of"]

HEURISTIC_STATUSES = frozenset((200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501))
"""RFC 9110, section 15.1."""


class Use(Enum):
    """What may be done with a stored response."""

    FRESH = "fresh"
    STALE = "stale, which the request allows"
    WHILE_REVALIDATE = "stale, within stale-while-revalidate"
    CHECK = "the server has to be asked"


def initial_age(headers: Headers, asked: float, received: float) -> float:
    """The age of a response when it came (RFC 9111, section 4.2.3): as its Date and its Age say, and never less."""
    date = parse_http_date(headers.get("date"), received)
    apparent = max(0.0, received - date) if date is not None else 0.0
    return max(apparent, _age_field(headers) + max(0.0, received - asked))


def _age_field(headers: Headers) -> int:
    """Section 5.1: the first member counts, and a value that is no number is ignored."""
    if not headers.has("age"):
        return 0
    first = headers.get_list("age")[0].partition(",")[0].strip()
    return min(int(first), 2**31) if first.isascii() and first.isdecimal() else 0


def age_now(stored: Stored, now: float) -> float:
    """The age of a stored response now, in seconds."""
    return stored.age + max(0.0, now - stored.received)


def lifetime_of(stored: Stored, directives: CacheControl, shared: bool, heuristic: float) -> float:
    """For how many seconds of its age a response is fresh (section 4.2.1); 0 if nothing says so.

    `heuristic`: the part of the time since its last change that a response without any such statement is fresh, for
    at most a week (section 4.2.2).
    """
    for name in ("s-maxage", "max-age") if shared else ("max-age",):
        if (seconds := directives.seconds(name)) is not None:
            return seconds
    headers = stored.headers
    date = parse_http_date(headers.get("date"), stored.received)
    generated = stored.received - stored.age if date is None else date
    if headers.has("expires"):
        expires = parse_http_date(headers["expires"], stored.received)
        return 0 if expires is None else max(0.0, expires - generated)
    changed = parse_http_date(headers.get("last-modified"), stored.received)
    may_guess = stored.status in HEURISTIC_STATUSES or directives.has("public")
    if not heuristic or changed is None or not may_guess:
        return 0
    return min(heuristic * max(0.0, generated - changed), 7 * 86_400.0)


def use_of(
    stored: Stored, wanted: CacheControl, pragma: bool, now: float, shared: bool, heuristic: float
) -> Use:
    """What may be done with a stored response for a request with these directives.

    `pragma`: the request has `Pragma: no-cache`, which counts if it has no Cache-Control (section 5.4).
    """
    directives = CacheControl(stored.headers)
    if directives.is_plain("no-cache") or wanted.has("no-cache") or (pragma and not wanted):
        return Use.CHECK
    age = age_now(stored, now)
    lifetime = lifetime_of(stored, directives, shared, heuristic)
    oldest, freshest = wanted.seconds("max-age"), wanted.seconds("min-fresh")
    if oldest is not None and age > oldest and not wanted.has("max-stale"):
        return Use.CHECK
    if age + (freshest or 0) < lifetime:
        return Use.FRESH
    if freshest is not None or _forbids_stale(directives, shared):
        return Use.CHECK
    staleness = age - lifetime
    if wanted.is_plain("max-stale") or staleness <= (wanted.seconds("max-stale") or -1):
        return Use.STALE
    if staleness <= (directives.seconds("stale-while-revalidate") or -1):
        return Use.WHILE_REVALIDATE
    return Use.CHECK


def may_serve_on_error(
    stored: Stored, wanted: CacheControl, now: float, shared: bool, heuristic: float, own: float
) -> bool:
    """Whether a stale response may answer because the server cannot (RFC 5861, section 4).

    `own`: for how many seconds the user allows that, whatever the server and the request say.
    """
    directives = CacheControl(stored.headers)
    if (
        directives.is_plain("no-cache")
        or wanted.has("no-cache")
        or _forbids_stale(directives, shared)
    ):
        return False
    staleness = age_now(stored, now) - lifetime_of(stored, directives, shared, heuristic)
    allowed = (directives.seconds("stale-if-error"), wanted.seconds("stale-if-error"), own)
    return staleness <= max(seconds or 0 for seconds in allowed) > 0


def _forbids_stale(directives: CacheControl, shared: bool) -> bool:
    """Sections 4.2.4, 5.2.2.2, 5.2.2.8 and 5.2.2.10."""
    for_shared = directives.has("proxy-revalidate") or directives.has("s-maxage")
    return directives.has("must-revalidate") or (shared and for_shared)
