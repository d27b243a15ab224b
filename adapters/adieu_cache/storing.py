"""Putting responses into the storage, and taking out what a change has made invalid.

A response that was asked for before a change, and comes to its end after it, is older than the change, and is not
stored: so each key remembers its last invalidation for a while.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from adieu_cache.cache_control import CacheControl
from adieu_cache.facts import CacheFacts
from adieu_cache.freshness import initial_age, lifetime_of
from adieu_cache.question import Pending
from adieu_cache.rules import changed_urls, fields_to_store, is_safe, why_not_stored
from adieu_cache.stored import Stored, key_of, shown
from adieu_cache.stores import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from adieu import Headers
    from adieu_cache.question import Options, Question

    Steps = Generator[Any, Any, Any]

__all__ = ["Storing"]

_MOST_VARIANTS = 16
_MOST_INVALIDATIONS = 4096


class Storing:
    """The part of a cache that changes its storage."""

    def __init__(self, options: Options, store: Any) -> None:
        self._options = options
        self._store = store
        self._counter = count(1)
        self._invalidations = 0
        # By key, the last one of many; dictionaries are in the order of their insertions.
        self._invalidated: dict[str, int] = {}

    @property
    def invalidations(self) -> int:
        """How often stored responses have been invalidated."""
        return self._invalidations

    def at_end(
        self,
        question: Question,
        response: Any,
        found: list[Stored],
        asked: float,
        received: float,
        since: int,
    ) -> Any:
        """The server's response, of which a copy is stored when its body has come to its end."""
        status, headers = response.status_code, response.headers
        directives = CacheControl(headers)
        variant = question.variant(headers, directives)
        kept = fields_to_store(headers, directives, self._options.shared)
        age = initial_age(headers, asked, received)
        stored = Stored(status, response.reason, kept, received, age, variant)
        why = self._why_not(question, stored, headers, directives)
        facts = CacheFacts("miss", why or "; ".join(question.troubles) or "asked the server")
        question.told(response, facts)
        if why:
            return response
        replaces = tuple(_replaced(found, variant))
        return question.wrap(response, Pending(question, stored, replaces, facts, since))

    def _why_not(
        self, question: Question, stored: Stored, headers: Headers, directives: CacheControl
    ) -> str:
        options = self._options
        if question.request.method == "HEAD":
            return "the method is HEAD"
        if why := self._may_not(question, stored, headers, directives):
            return why
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > options.max_body:
            return f"the body is longer than max_body={options.max_body}"
        has_use = (
            any(map(headers.has, ("etag", "last-modified")))
            or any(map(directives.has, ("stale-if-error", "stale-while-revalidate")))
            or options.stale_if_error > 0
            or lifetime_of(stored, directives, options.shared, options.heuristic) > 0
        )
        return "" if has_use else "nothing says how long it is fresh, and it has no validator"

    def _may_not(
        self, question: Question, stored: Stored, headers: Headers, directives: CacheControl
    ) -> str:
        shared = self._options.shared
        return why_not_stored(question.request, stored.status, headers, directives, shared)

    def save(self, pending: Pending, body: bytes) -> Steps:
        """Store a response whose body is complete."""
        question, facts = pending.question, pending.facts
        if self._invalidated.get(question.key, 0) > pending.since:
            facts.why = "it was changed meanwhile"
            return
        try:
            yield self._store.save(question.key, shown(question.request), pending.stored, body)
            facts.stored = True
            yield self._store.remove([each.entry.id for each in pending.replaces if each.entry])
        except StorageFailed as error:
            facts.why = str(error)
        question.tell(facts)

    def refresh(self, question: Question, newer: Stored) -> Steps:
        """Replace the head of a stored response. It is taken out if the newer head forbids to store it."""
        directives = CacheControl(newer.headers)
        if self._may_not(question, newer, newer.headers, directives):
            yield from self.remove(question, newer)
            return
        try:
            # The newer head may have another Vary.
            variant = question.variant(newer.headers, directives)
            yield self._store.update(newer._replace(variant=variant))
        except StorageFailed as error:
            question.troubles.append(str(error))

    def remove(self, question: Question, outdated: Stored) -> Steps:
        """Take out a stored response."""
        assert outdated.entry is not None
        try:
            yield self._store.remove([outdated.entry.id])
        except StorageFailed as error:
            question.troubles.append(str(error))

    def invalidate(self, question: Question, response: Any) -> Steps:
        """Take out what a request has changed, if it may have changed something (RFC 9111, section 4.4)."""
        request = question.request
        if is_safe(request.method) or response.status_code >= 400:
            return
        try:
            for url in changed_urls(request.url, response.headers):
                key = key_of(request, url)
                self._note_invalidation(key)
                stored = yield self._store.entries(key)
                yield self._store.remove([each.entry.id for each in stored])
        except StorageFailed as error:
            question.troubles.append(str(error))

    def _note_invalidation(self, key: str) -> None:
        self._invalidations = number = next(self._counter)
        self._invalidated.pop(key, None)
        self._invalidated[key] = number
        if len(self._invalidated) > _MOST_INVALIDATIONS:
            self._invalidated.pop(next(iter(self._invalidated), ""), None)


def _replaced(found: list[Stored], variant: str) -> Iterable[Stored]:
    """What a response of this variant takes the place of, and the oldest ones if there are too many variants."""
    yield from (each for each in found if each.variant == variant)
    others = [each for each in found if each.variant != variant]
    others.sort(key=lambda each: each.received)
    yield from others[: max(0, len(others) + 1 - _MOST_VARIANTS)]
