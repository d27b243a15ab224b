"""The store of a jar: cookies by domain, so that a request looks only at those that its host can have.

Invariants: dictionary operations only, by one thread at a time; the jar holds its lock meanwhile. `now` is in seconds
since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from adieu.messages.cookies.cookie import hosts_above, is_secure, path_matches

if TYPE_CHECKING:
    from adieu.messages.cookies.cookie import Cookie
    from adieu.messages.url import URL

    _Order: TypeAlias = "Callable[[_Entry], float | tuple[bool, float]]"

__all__ = ["CookieStore"]

# RFC 6265bis, section 6.1, requires 50 cookies of a domain and 3000 in all. Eviction begins at a tenth more than these
# limits and goes down to them, because it sorts the cookies: too slow for each new one.
_PER_DOMAIN = 150
_IN_ALL = 3000

# Name, path, host-only: together with the domain, they identify a cookie.
_Key: TypeAlias = tuple[str, str, bool]
# The order of eviction (end of section 5.7): within a domain, cookies that are not secure go first; then, and among all
# domains, the least recently used ones.
_secure_and_used = attrgetter("cookie.secure", "used")
_used = attrgetter("used")
_created = attrgetter("created")


class _Entry:
    """A cookie, when it was added, and when it was last sent: as numbers of one count."""

    __slots__ = ("cookie", "created", "used")

    def __init__(self, cookie: Cookie, created: int, used: int) -> None:
        self.cookie = cookie
        self.created = created
        self.used = used


class CookieStore:
    """Cookies by domain, then by name, path and host-only. False when there are none."""

    __slots__ = ("_domains", "_size", "_ticks")

    def __init__(self) -> None:
        self._domains: dict[str, dict[_Key, _Entry]] = {}
        self._size = 0
        self._ticks = count()

    def __bool__(self) -> bool:
        return bool(self._domains)

    def matching(self, url: URL, now: float) -> list[Cookie]:
        """The cookies of a request to this URL, in the order in which they are sent (section 5.8.3)."""
        host, path, secure = url.host_key, url.path, is_secure(url)
        found = []
        for domain in hosts_above(host):
            for entry in self._live(domain, now):
                cookie = entry.cookie
                if (
                    (domain == host or not cookie.host_only)
                    and (secure or not cookie.secure)
                    and path_matches(path, cookie.path)
                ):
                    found.append(entry)
        tick = next(self._ticks)
        for entry in found:
            entry.used = tick
        found.sort(key=lambda entry: (-len(entry.cookie.path), entry.created))
        return [entry.cookie for entry in found]

    def put(self, cookie: Cookie, now: float, spare_secure: bool = False) -> None:
        """Add a cookie, or replace the one with the same name, path and domain. One that has expired deletes it.

        `spare_secure`: the cookie came without encryption, from an unknown sender, and is ignored if it would replace
        or hide a secure one (section 5.7, step 16).
        """
        if spare_secure and self._would_cover(cookie):
            return
        domain, key = cookie.domain, _key(cookie)
        if cookie.expires is not None and cookie.expires <= now:
            self._drop(domain, key)
            return
        tick = next(self._ticks)
        bucket = self._domains.setdefault(domain, {})
        old = bucket.get(key)
        if old is not None:
            # It keeps its age (section 5.7, step 23), so that renewing one of two cookies does not change their order.
            bucket[key] = _Entry(cookie, old.created, tick)
            return
        bucket[key] = _Entry(cookie, tick, tick)
        self._size += 1
        if len(bucket) > _PER_DOMAIN * 1.1:
            self._evict(self._live(domain, now), _PER_DOMAIN, _secure_and_used)
        if self._size > _IN_ALL * 1.1:
            self._evict(self._all_live(now), _IN_ALL, _used)

    def remove(self, cookies: list[Cookie]) -> None:
        """Remove these cookies; one that is not there is skipped."""
        for cookie in cookies:
            self._drop(cookie.domain, _key(cookie))

    def all(self, now: float) -> list[Cookie]:
        """All cookies that have not expired, oldest first."""
        found = self._all_live(now)
        found.sort(key=_created)
        return [entry.cookie for entry in found]

    def _would_cover(self, new: Cookie) -> bool:
        """Whether this cookie would replace a secure one, or be sent together with it under the same name."""
        above = hosts_above(new.domain)
        below = "." + new.domain
        for domain, bucket in self._domains.items():
            if domain in above or domain.endswith(below):
                for entry in bucket.values():
                    old = entry.cookie
                    if old.secure and old.name == new.name and path_matches(new.path, old.path):
                        return True
        return False

    def _all_live(self, now: float) -> list[_Entry]:
        return [entry for domain in list(self._domains) for entry in self._live(domain, now)]

    def _live(self, domain: str, now: float) -> list[_Entry]:
        """The cookies of a domain that have not expired; the others are removed."""
        bucket = self._domains.get(domain)
        if bucket is None:
            return []
        live = []
        for key, entry in list(bucket.items()):
            expires = entry.cookie.expires
            if expires is not None and expires <= now:
                self._drop(domain, key)
            else:
                live.append(entry)
        return live

    def _evict(self, entries: list[_Entry], limit: int, order: _Order) -> None:
        """Remove the first of these entries in this order, down to the limit."""
        entries.sort(key=order)
        for entry in entries[: max(len(entries) - limit, 0)]:
            self._drop(entry.cookie.domain, _key(entry.cookie))

    def _drop(self, domain: str, key: _Key) -> None:
        bucket = self._domains.get(domain)
        if bucket is not None and bucket.pop(key, None) is not None:
            self._size -= 1
            if not bucket:
                del self._domains[domain]


def _key(cookie: Cookie) -> _Key:
    return cookie.name, cookie.path, cookie.host_only
