"""The algorithm of the cache, as steps for the sync and the async adapter.

Theory of operation. A request that the cache may answer is looked up. What is stored and fresh answers it, and nothing
is sent. What is stored and has to be checked is checked by a conditional request. The answer is a head: if it says that
the stored body is current (a 304, or the same strong validator on a 200), the stored body is the answer, and the client
ends what the server goes on sending as the cleanup policy says for a response that was replaced. Everything else is the
server's answer, of which a copy is stored when its body has come to its end.

No request is sent behind the back of a caller: there is no thread and no task, and so no connection without an owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from adieu import ClientClosed, Headers, PoolTimeout, TransportError
from adieu.events import Cached
from adieu.texts import show_url
from adieu_cache.cache_control import CacheControl
from adieu_cache.facts import CacheFacts
from adieu_cache.freshness import Use, age_now, initial_age, lifetime_of, may_serve_on_error, use_of
from adieu_cache.ranges import part_of
from adieu_cache.rules import (
    changed_urls,
    fields_to_store,
    is_safe,
    why_bypassed,
    why_not_stored,
)
from adieu_cache.stored import Stored, key_of, shown, variant_of
from adieu_cache.stores import StorageFailed
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
    from collections.abc import Callable, Generator

    from adieu import AsyncExchange, Exchange, Request
    from adieu_cache.stores import AsyncStore, Store

    Steps = Generator[Any, Any, Any]

__all__ = ["Cache", "Options", "Pending"]

_ERRORS = frozenset((500, 502, 503, 504))
_MOST_VARIANTS = 16
_MOST_SERVED_STALE = 4096


class Options(NamedTuple):
    """How a cache behaves; see `CacheAdapter`."""

    shared: bool
    methods: frozenset[str]
    max_body: int
    heuristic: float
    stale_if_error: float
    clock: Callable[[], float]


class Question(NamedTuple):
    """One request to the cache, with what the steps about it share. `troubles`: what has failed in the storage."""

    request: Request
    exchange: Any
    wanted: CacheControl
    key: str
    send: Callable[[Request, Any], Any]
    wrap: Callable[[Any, Pending], Any]
    troubles: list[str]

    @property
    def pragma(self) -> bool:
        return "no-cache" in self.request.headers.get("pragma", "").lower()


class Pending(NamedTuple):
    """A response that will be stored once its body has come to its end, in place of others."""

    question: Question
    stored: Stored
    replaces: tuple[Stored, ...]
    facts: CacheFacts


class Cache:
    """The decisions of one adapter, over its store."""

    def __init__(self, options: Options, store: Store | AsyncStore) -> None:
        self.options = options
        self.store: Any = store
        # The entries whose stale response has answered a call already: the next one asks the server.
        self._served_stale: set[object] = set()

    def answer(
        self,
        request: Request,
        exchange: Exchange | AsyncExchange,
        send: Callable[[Request, Any], Any],
        wrap: Callable[[Any, Pending], Any],
    ) -> Steps:
        """The response to a request. `wrap` lets the body of a response be collected, and stored at its end."""
        wanted = CacheControl(request.headers)
        if why := why_bypassed(request, wanted, self.options.methods):
            return (yield from self._bypass(request, exchange, send, why))
        question = Question(request, exchange, wanted, key_of(request), send, wrap, [])
        try:
            found: list[Stored] = yield self.store.entries(question.key)
        except StorageFailed as error:
            return (yield from self._bypass(request, exchange, send, str(error)))
        stored = self._select(question, found)
        if stored is not None:
            response = yield from self._serve_if_allowed(question, stored)
            if response is not None:
                return response
        if wanted.has("only-if-cached"):
            return self._told(
                question, exchange.respond(504, body=b""), CacheFacts("miss", "only-if-cached")
            )
        return (yield from self._ask(question, stored, found))

    # -- from the cache ----------------------------------------------------------------------------------------------

    def _select(self, question: Question, found: list[Stored]) -> Stored | None:
        """The newest stored response for the variant that is asked for (RFC 9111, section 4)."""
        matching = [
            stored
            for stored in found
            if stored.variant
            == self._variant(question, stored.headers, CacheControl(stored.headers))
        ]
        return max(matching, key=lambda stored: stored.received - stored.age, default=None)

    def _variant(self, question: Question, headers: Headers, directives: CacheControl) -> str:
        tls = question.exchange.connection.tls
        certificate = None if tls is None else tls.cert
        return variant_of(question.request, headers, directives, certificate)

    def _serve_if_allowed(self, question: Question, stored: Stored) -> Steps:
        options, now = self.options, self.options.clock()
        use = use_of(
            stored, question.wanted, question.pragma, now, options.shared, options.heuristic
        )
        if use is Use.CHECK:
            return None
        if use is Use.WHILE_REVALIDATE:
            assert stored.entry is not None
            if stored.entry.id in self._served_stale:
                return None
            if len(self._served_stale) >= _MOST_SERVED_STALE:
                self._served_stale.clear()
            self._served_stale.add(stored.entry.id)
        facts = CacheFacts("hit" if use is Use.FRESH else "stale", use.value)
        return (yield from self._serve(question, stored, facts))

    def _serve(self, question: Question, stored: Stored, facts: CacheFacts) -> Steps:
        """The answer from the cache. None: it cannot give one, because it has not this part, or the storage fails."""
        headers, wanted = stored.headers.copy(), question.request.headers
        facts.age = int(age_now(stored, self.options.clock()))
        headers["Age"] = str(facts.age)
        status, body = stored.status, b""
        if asks_itself(wanted) and is_current(wanted, stored, self.options.clock()):
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
        # What is stored has told its cookies when it came.
        response.extras["from_cache"] = facts.outcome != "revalidated"
        return self._told(question, response, facts)

    # -- from the server ---------------------------------------------------------------------------------------------

    def _bypass(
        self, request: Request, exchange: Any, send: Callable[[Request, Any], Any], why: str
    ) -> Steps:
        response = yield send(request, exchange)
        if not is_safe(request.method) and response.status_code < 400:
            try:
                for url in changed_urls(request.url, response.headers):
                    stored = yield self.store.entries(key_of(request, url))
                    yield self.store.remove([each.entry.id for each in stored])
            except StorageFailed as error:
                why = f"{why}; {error}"
        facts = CacheFacts("bypassed", why)
        response.extras["cache"] = facts
        _tell(exchange, facts)
        return response

    def _ask(self, question: Question, stored: Stored | None, found: list[Stored]) -> Steps:
        """Ask the server, by a conditional request if there is something to check."""
        request, exchange = question.request, question.exchange
        asking = None
        if stored is not None and request.method != "HEAD" and not self._asks_for_less(request):
            asking = conditional(request, stored)
        asked = self.options.clock()
        try:
            response = yield question.send(asking or request, exchange)
        except TransportError as error:
            instead = yield from self._instead_of(question, stored, error)
            if instead is None:
                raise
            return instead
        received = self.options.clock()
        if stored is not None:
            if response.status_code in _ERRORS:
                instead = yield from self._instead_of(question, stored, None)
                if instead is not None:
                    return instead
            current = yield from self._if_current(
                question, stored, response, asking, asked, received
            )
            if current is not None:
                return current
            if asking is not None and response.status_code == 304:
                # The stored body is gone, and the server has not sent it: once more, without a condition.
                asked = self.options.clock()
                response = yield question.send(request, exchange)
                received = self.options.clock()
        return self._stored_at_end(question, response, found, asked, received)

    @staticmethod
    def _asks_for_less(request: Request) -> bool:
        return request.headers.has("range") or asks_itself(request.headers)

    def _if_current(
        self,
        question: Question,
        stored: Stored,
        response: Any,
        asking: Request | None,
        asked: float,
        received: float,
    ) -> Steps:
        """The stored response with the fields of the newer head, if that says that the stored body is current."""
        status, headers = response.status_code, response.headers
        is_head = question.request.method == "HEAD"
        if status == 304:
            # To a condition of the caller's: about the stored response if the tag says so.
            ours = asking is not None or weakly_equal(
                headers.get("etag"), stored.headers.get("etag")
            )
        else:
            ours = is_unchanged(stored, status, headers)
        if not ours:
            if is_head and is_outdated(stored, status, headers):
                yield from self._remove(question, [stored])
            return None
        fields = fields_to_store(headers, CacheControl(headers), self.options.shared)
        newer = updated(stored, status, fields, asked, received)
        why = "304" if status == 304 else "the strong validator is unchanged"
        try:
            yield self.store.update(newer)
        except StorageFailed as error:
            why = f"{why}; {error}"
        assert stored.entry is not None
        self._served_stale.discard(stored.entry.id)
        if is_head or self._asks_for_less(question.request):
            return None  # The answer of the server is for the caller.
        if not fields.has("set-cookie"):
            newer = newer._replace(headers=_without_cookies(newer.headers))
        return (yield from self._serve(question, newer, CacheFacts("revalidated", why)))

    def _instead_of(
        self, question: Question, stored: Stored | None, error: TransportError | None
    ) -> Steps:
        """The stale response, where it may answer in place of an error."""
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
        facts = CacheFacts(
            "stale", f"instead of {type(error).__name__ if error else 'a 5xx status'}"
        )
        response = yield from self._serve(question, stored, facts)
        if response is not None and error is not None:
            question.exchange.end(False, type(error).__name__)
        return response

    def _stored_at_end(
        self,
        question: Question,
        response: Any,
        found: list[Stored],
        asked: float,
        received: float,
    ) -> Any:
        """The server's response, of which a copy is stored when its body has come to its end."""
        status, headers = response.status_code, response.headers
        directives = CacheControl(headers)
        variant = self._variant(question, headers, directives)
        kept = fields_to_store(headers, directives, self.options.shared)
        age = initial_age(headers, asked, received)
        stored = Stored(status, response.reason, kept, received, age, variant)
        why = self._why_not_stored(question, stored, headers, directives)
        facts = CacheFacts("miss", why or "; ".join(question.troubles) or "asked the server")
        self._told(question, response, facts)
        if why:
            return response
        replaces = [each for each in found if each.variant == variant]
        others = sorted(
            (each for each in found if each.variant != variant), key=lambda each: each.received
        )
        replaces += others[: max(0, len(others) + 1 - _MOST_VARIANTS)]
        return question.wrap(response, Pending(question, stored, tuple(replaces), facts))

    def _why_not_stored(
        self, question: Question, stored: Stored, headers: Headers, directives: CacheControl
    ) -> str:
        options = self.options
        why = why_not_stored(question.request, stored.status, headers, directives, options.shared)
        if why:
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

    def _remove(self, question: Question, outdated: list[Stored]) -> Steps:
        try:
            yield self.store.remove([each.entry.id for each in outdated if each.entry])
        except StorageFailed as error:
            question.troubles.append(str(error))

    def save(self, pending: Pending, body: bytes) -> Steps:
        """Store a response whose body is complete."""
        question, facts = pending.question, pending.facts
        try:
            yield self.store.save(question.key, shown(question.request), pending.stored, body)
            facts.stored = True
            yield self.store.remove([each.entry.id for each in pending.replaces if each.entry])
        except StorageFailed as error:
            facts.why = str(error)
        _tell(question.exchange, facts)

    def _told(self, question: Question, response: Any, facts: CacheFacts) -> Any:
        response.extras["cache"] = facts
        _tell(question.exchange, facts)
        return response


def _without_cookies(headers: Headers) -> Headers:
    """What is stored has told its cookies when it came: others may have been set since."""
    return Headers([pair for pair in headers.multi_items() if pair[0].lower() != "set-cookie"])


def _tell(exchange: Any, facts: CacheFacts) -> None:
    if exchange.events is not None:
        outcome: Any = "stored" if facts.stored else facts.outcome
        url = show_url(exchange.url)
        exchange.tell(Cached(method=exchange.method, url=url, outcome=outcome, why=facts.why))
