"""What the steps of the cache share about one request, and the settings of an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from adieu.events import Cached
from adieu.texts import show_url
from adieu_cache.cache_control import CacheControl
from adieu_cache.stored import Stored, key_of, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu import AsyncExchange, Exchange, Headers, Request
    from adieu_cache.facts import CacheFacts, Outcome

__all__ = ["Options", "Pending", "Question"]


class Options(NamedTuple):
    """How a cache behaves; see `CacheAdapter`."""

    shared: bool
    methods: frozenset[str]
    max_body: int
    heuristic: float
    stale_if_error: float
    clock: Callable[[], float]


class Question:
    """One request to the cache.

    `send` sends a request with an exchange. `wrap` lets the body of a response be collected, and stored at its end.
    `wanted`: the directives of the request. `troubles`: what has failed in the storage.
    """

    __slots__ = ("exchange", "key", "request", "send", "troubles", "wanted", "wrap")

    def __init__(
        self,
        request: Request,
        exchange: Exchange | AsyncExchange,
        send: Callable[[Request, Any], Any],
        wrap: Callable[[Any, Pending], Any],
    ) -> None:
        self.request = request
        # One of both kinds, which answers and ends in the same words.
        self.exchange: Any = exchange
        self.send = send
        self.wrap = wrap
        self.wanted = CacheControl(request.headers)
        self.key = ""
        self.troubles: list[str] = []

    def find_key(self) -> str:
        """The key under which its answers are stored: for a request whose content is in memory."""
        self.key = key_of(self.request)
        return self.key

    @property
    def has_pragma(self) -> bool:
        """It has `Pragma: no-cache`."""
        return "no-cache" in self.request.headers.get("pragma", "").lower()

    def variant(self, headers: Headers, directives: CacheControl) -> str:
        """The variant of a response with these fields, if it answered this request."""
        return variant_of(self.request, headers, directives, self.exchange.connection)

    def told(self, response: Any, facts: CacheFacts) -> Any:
        """The response, with the facts about it, which listeners get, too."""
        response.extras["cache"] = facts
        self.tell(facts)
        return response

    def tell(self, facts: CacheFacts) -> None:
        """Tell the listeners."""
        if self.exchange.events is None:
            return
        outcome: Outcome | Literal["stored"] = facts.outcome
        if facts.stored:
            outcome = "stored"
        method, url = self.request.method, show_url(self.request.url)
        self.exchange.tell(Cached(method=method, url=url, outcome=outcome, why=facts.why))


class Pending(NamedTuple):
    """A response that is stored once its body has come to its end, in place of others.

    `since`: how often stored responses had been invalidated when the server was asked.
    """

    question: Question
    stored: Stored
    replaces: tuple[Stored, ...]
    facts: CacheFacts
    since: int
