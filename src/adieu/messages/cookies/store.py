"""Where a jar keeps its cookies: under their domains, so that a request looks into the few that its host can have.

Rules of the room: dictionary work alone, for one thread at a time; who shares it holds a lock meanwhile. `now` is
seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from adieu.messages.cookies.cookie import hosts_above, is_secure, path_matches

if TYPE_CHECKING:
    from adieu.messages.cookies.cookie import Cookie
    from adieu.messages.url import URL

__all__ = ["CookieStore"]

# Section 6.1 of RFC 6265bis wants room for 50 cookies of a domain and 3000 in all. What overflows is emptied down to
# these, and overflows a tenth later: looking for the least used is a sort, and not done for each new cookie.
_OF_A_DOMAIN = 150
_IN_ALL = 3000

_Key = tuple[
    str, str, bool
]  # Name, path, host-only: with the domain, what makes a cookie this one and no other.
# What goes first, by the end of section 5.7: within a domain, what is not secure; of all, what was used longest ago.
_secure_and_used = attrgetter("cookie.secure", "used")
_used = attrgetter("used")
_created = attrgetter("created")


class _Kept:
    """A cookie, when it came, and when it was last sent: as places in one order of events."""

    __slots__ = ("cookie", "created", "used")

    def __init__(self, cookie: Cookie, created: int, used: int) -> None:
        self.cookie = cookie
        self.created = created
        self.used = used


class CookieStore:
    """Cookies by domain, then by what tells them apart. False when there is none."""

    __slots__ = ("_domains", "_size", "_ticks")

    def __init__(self) -> None:
        self._domains: dict[str, dict[_Key, _Kept]] = {}
        self._size = 0
        self._ticks = count()

    def __bool__(self) -> bool:
        return bool(self._domains)

    def matching(self, url: URL, now: float) -> list[Cookie]:
        """The cookies of a request to this URL, in the order in which they are sent (section 5.8.3)."""
        host, path, secure = url.host_key, url.path, is_secure(url)
        found = []
        for domain in hosts_above(host):
            for kept in self._live(domain, now):
                cookie = kept.cookie
                if (
                    (domain == host or not cookie.host_only)
                    and (secure or not cookie.secure)
                    and path_matches(path, cookie.path)
                ):
                    found.append(kept)
        tick = next(self._ticks)
        for kept in found:
            kept.used = tick
        found.sort(key=lambda kept: (-len(kept.cookie.path), kept.created))
        return [kept.cookie for kept in found]

    def put(self, cookie: Cookie, now: float, careful: bool = False) -> None:
        """Take a cookie in. One that has expired takes the place of its older self, and is gone.

        A `careful` one leaves secure cookies alone: it came in clear, from who knows whom (section 5.7, step 16).
        """
        if careful and self._would_cover(cookie):
            return
        domain, key = cookie.domain, _key(cookie)
        if cookie.expires is not None and cookie.expires <= now:
            self._drop(domain, key)
            return
        tick = next(self._ticks)
        bucket = self._domains.setdefault(domain, {})
        old = bucket.get(key)
        if old is not None:
            # Its age stays (5.7, step 23): or a server that renews one of two would change their order.
            bucket[key] = _Kept(cookie, old.created, tick)
            return
        bucket[key] = _Kept(cookie, tick, tick)
        self._size += 1
        if len(bucket) > _OF_A_DOMAIN * 1.1:
            self._evict(self._live(domain, now), _OF_A_DOMAIN, _secure_and_used)
        if self._size > _IN_ALL * 1.1:
            self._evict(self._everything(now), _IN_ALL, _used)

    def remove(self, cookies: list[Cookie]) -> None:
        """Take these out, as far as they are there."""
        for cookie in cookies:
            self._drop(cookie.domain, _key(cookie))

    def everything(self, now: float) -> list[Cookie]:
        """All that have not expired, oldest first."""
        found = self._everything(now)
        found.sort(key=_created)
        return [kept.cookie for kept in found]

    def _would_cover(self, new: Cookie) -> bool:
        """Whether a secure cookie would be replaced by this one, or hidden from its host."""
        above = hosts_above(new.domain)
        below = "." + new.domain
        for domain, bucket in self._domains.items():
            if domain in above or domain.endswith(below):
                for kept in bucket.values():
                    old = kept.cookie
                    if old.secure and old.name == new.name and path_matches(new.path, old.path):
                        return True
        return False

    def _everything(self, now: float) -> list[_Kept]:
        return [kept for domain in list(self._domains) for kept in self._live(domain, now)]

    def _live(self, domain: str, now: float) -> list[_Kept]:
        """The cookies of a domain that have not expired; what has is thrown away."""
        bucket = self._domains.get(domain)
        if bucket is None:
            return []
        live = []
        for key, kept in list(bucket.items()):
            expires = kept.cookie.expires
            if expires is not None and expires <= now:
                self._drop(domain, key)
            else:
                live.append(kept)
        return live

    def _evict(self, kept: list[_Kept], limit: int, order: Callable[[_Kept], Any]) -> None:
        """Keep those that come last in this order."""
        kept.sort(key=order)
        for each in kept[: max(len(kept) - limit, 0)]:
            self._drop(each.cookie.domain, _key(each.cookie))

    def _drop(self, domain: str, key: _Key) -> None:
        bucket = self._domains.get(domain)
        if bucket is not None and bucket.pop(key, None) is not None:
            self._size -= 1
            if not bucket:
                del self._domains[domain]


def _key(cookie: Cookie) -> _Key:
    return cookie.name, cookie.path, cookie.host_only
