"""The algorithm of the cache, as steps for the sync and the async adapter.

Theory of operation. A request that the cache may answer is looked up. What is stored and fresh answers it, and nothing
is sent. What is stored and has to be checked is checked by a conditional request. The answer is a head: if it says that
the stored body is current (a 304, or the same strong validator on a 200), the stored body is the answer, and the client
ends what the server goes on sending as the cleanup policy says for a response that was replaced. Everything else is the
server's answer, of which a copy is stored when its body has come to its end (`storing`).

No request is sent behind the back of a caller: there is no thread and no task, and so no connection without an owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu import ClientClosed, Headers, PoolTimeout, TransportError
from adieu_cache.cache_control import CacheControl
from adieu_cache.facts import CacheFacts
from adieu_cache.freshness import Use, age_now, may_serve_on_error, use_of
from adieu_cache.ranges import part_of
from adieu_cache.rules import fields_to_store, why_bypassed
from adieu_cache.stores import StorageFailed
from adieu_cache.storing import Storing
from adieu_cache.validation import (
    asks_itself,
    conditional,
    is_current,
    is_outdated,
    is_unchanged,
    updated,
    weakly_equal,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from adieu import Request
    from adieu_cache.question import Options, Question
    from adieu_cache.stored import Stored
    from adieu_cache.stores import AsyncStore, Store

    Steps = Generator[Any, Any, Any]

__all__ = ["Cache"]

_ERRORS = frozenset((500, 502, 503, 504))
_MOST_SERVED_STALE = 4096


class Cache:
    """The decisions of one adapter, over its store."""

    def __init__(self, options: Options, store: Store | AsyncStore) -> None:
        self.options = options
        self.store: Any = store
        self.storing = Storing(options, store)
        # The entries whose stale response has answered a call already: the next one asks the server.
        self._served_stale: set[object] = set()

    def answer(self, question: Question) -> Steps:
        """The response to a request."""
        if why := why_bypassed(question.request, question.wanted, self.options.methods):
            return (yield from self._bypass(question, why))
        try:
            found: list[Stored] = yield self.store.entries(question.find_key())
        except StorageFailed as error:
            return (yield from self._bypass(question, str(error)))
        stored = _newest(question, found)
        if stored is not None:
            response = yield from self._serve_if_allowed(question, stored)
            if response is not None:
                return response
        if question.wanted.has("only-if-cached"):
            nothing = question.exchange.respond(504, body=b"")
            return question.told(nothing, CacheFacts("miss", "only-if-cached"))
        return (yield from self._ask(question, stored, found))

    def _bypass(self, question: Question, why: str) -> Steps:
        response = yield question.send(question.request, question.exchange)
        yield from self.storing.invalidate(question, response)
        return question.told(response, CacheFacts("bypassed", "; ".join([why, *question.troubles])))

    # -- from the cache ----------------------------------------------------------------------------------------------

    def _serve_if_allowed(self, question: Question, stored: Stored) -> Steps:
        options, now = self.options, self.options.clock()
        use = use_of(
            stored, question.wanted, question.has_pragma, now, options.shared, options.heuristic
        )
        if use is Use.CHECK or (use is Use.WHILE_REVALIDATE and self._has_served_stale(stored)):
            return None
        facts = CacheFacts("hit" if use is Use.FRESH else "stale", use.value)
        return (yield from self._serve(question, stored, facts))

    def _has_served_stale(self, stored: Stored) -> bool:
        """Whether it has before; it will have from now on."""
        assert stored.entry is not None
        if stored.entry.id in self._served_stale:
            return True
        if len(self._served_stale) >= _MOST_SERVED_STALE:
            self._served_stale.clear()
        self._served_stale.add(stored.entry.id)
        return False

    def _serve(self, question: Question, stored: Stored, facts: CacheFacts) -> Steps:
        """The answer from the cache. None: it cannot give one, because it has not this part, or the storage fails."""
        headers, wanted = stored.headers.copy(), question.request.headers
        now = self.options.clock()
        facts.age = int(age_now(stored, now))
        headers["Age"] = str(facts.age)
        status, body = stored.status, b""
        if asks_itself(wanted) and is_current(wanted, stored, now):
            status = 304
            headers.pop("content-length", None)
        elif question.request.method != "HEAD":
            try:
                body = yield self.store.body(stored)
            except StorageFailed as error:
                question.troubles.append(str(error))
                return None
            if wanted.has("range"):
                part = part_of(wanted, stored, len(body))
                if part is None:
                    return None
                status, body = 206, body[part.first : part.last + 1]
                headers["Content-Range"], headers["Content-Length"] = str(part), str(len(body))
        reason = stored.reason if status == stored.status else None
        response = question.exchange.respond(status, headers, body, reason=reason)
        # Then no server was asked, and the client does not take the stored cookies for new ones.
        response.extras["from_cache"] = facts.outcome != "revalidated"
        return question.told(response, facts)

    # -- from the server ---------------------------------------------------------------------------------------------

    def _ask(self, question: Question, stored: Stored | None, found: list[Stored]) -> Steps:
        """Ask the server, by a conditional request if there is something to check."""
        request, exchange, clock = question.request, question.exchange, self.options.clock
        since = self.storing.invalidations
        asking = None if stored is None else _question_about(request, stored)
        asked = clock()
        try:
            response = yield question.send(asking or request, exchange)
        except TransportError as error:
            instead = yield from self._instead_of(question, stored, error)
            if instead is None:
                raise
            return instead
        received = clock()
        if stored is not None:
            if response.status_code in _ERRORS:
                instead = yield from self._instead_of(question, stored, None)
                if instead is not None:
                    return instead
            newer = self._newer(stored, response, asking, asked, received)
            if newer is not None:
                current = yield from self._refresh(question, newer, response)
                if current is not None:
                    return current
            elif request.method == "HEAD" and is_outdated(stored, response):
                yield from self.storing.remove(question, stored)
            if asking is not None and response.status_code == 304:
                # The stored body is gone, and the server has not sent it: once more, without a condition.
                asked = clock()
                response = yield question.send(request, exchange)
                received = clock()
        return self.storing.at_end(question, response, found, asked, received, since)

    def _newer(
        self, stored: Stored, response: Any, asking: Request | None, asked: float, received: float
    ) -> Stored | None:
        """The stored response with the fields of the newer head, if that says that the stored body is current."""
        status, headers = response.status_code, response.headers
        if status == 304:
            # To a condition of the caller's: about the stored response if the tag says so.
            own_tag = stored.headers.get("etag")
            is_about_it = asking is not None or weakly_equal(headers.get("etag"), own_tag)
        else:
            is_about_it = is_unchanged(stored, status, headers)
        if not is_about_it:
            return None
        fields = fields_to_store(headers, CacheControl(headers), self.options.shared)
        return updated(stored, status, fields, asked, received)

    def _refresh(self, question: Question, newer: Stored, response: Any) -> Steps:
        """Store the newer head. The answer with the stored body, unless the caller has asked for less than that."""
        assert newer.entry is not None
        yield from self.storing.refresh(question, newer)
        self._served_stale.discard(newer.entry.id)
        if _asks_for_less(question.request):
            return None
        if not response.headers.has("set-cookie"):
            newer = newer._replace(headers=_without_cookies(newer.headers))
        why = "304" if response.status_code == 304 else "the strong validator is unchanged"
        facts = CacheFacts("revalidated", "; ".join([why, *question.troubles]))
        return (yield from self._serve(question, newer, facts))

    def _instead_of(
        self, question: Question, stored: Stored | None, error: TransportError | None
    ) -> Steps:
        """The stale response, where it may answer in place of an error (None: of a 5xx status)."""
        options = self.options
        if stored is None or isinstance(error, (ClientClosed, PoolTimeout)):
            return None
        if not may_serve_on_error(
            stored,
            question.wanted,
            options.clock(),
            options.shared,
            options.heuristic,
            options.stale_if_error,
        ):
            return None
        what = "a 5xx status" if error is None else type(error).__name__
        facts = CacheFacts("stale", f"instead of {what}")
        response = yield from self._serve(question, stored, facts)
        if response is not None and error is not None:
            # Not drained: the connection may be in the middle of anything.
            question.exchange.end(False, what)
        return response


def _newest(question: Question, found: list[Stored]) -> Stored | None:
    """The newest stored response for the variant that is asked for (RFC 9111, section 4)."""
    matching = [
        stored
        for stored in found
        if stored.variant == question.variant(stored.headers, CacheControl(stored.headers))
    ]
    return max(matching, key=lambda stored: stored.received - stored.age, default=None)


def _asks_for_less(request: Request) -> bool:
    """For a head, for a part, or for whether the caller's own copy is current."""
    headers = request.headers
    return request.method == "HEAD" or headers.has("range") or asks_itself(headers)


def _question_about(request: Request, stored: Stored) -> Request | None:
    """The conditional request about a stored response. None: it is sent as it is."""
    return None if _asks_for_less(request) else conditional(request, stored)


def _without_cookies(headers: Headers) -> Headers:
    """What is stored has told its cookies when it came: others may have been set since."""
    return Headers([pair for pair in headers.multi_items() if pair[0].lower() != "set-cookie"])
