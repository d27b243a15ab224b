"""Retries: whether a request may be sent again, and after which wait (RFC 9110, sections 9.2.2 and 10.2.3).

Invariants. A request that may have reached the server is sent again only if it is idempotent: by its method, by an
Idempotency-Key, or because the user says so. A wait never ends after the call's deadline. No I/O: the caller gives the
functions that send and wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time
from typing import TYPE_CHECKING, ClassVar, TypeVar

from adieu._not_given import NOT_GIVEN, NotGiven
from adieu._value import Value
from adieu.errors import (
    ConnectError,
    DNSError,
    GuardError,
    InvalidRequest,
    PeerClosed,
    ProxyError,
    ReadError,
    ReadTimeout,
    TLSError,
    TransportError,
    WriteError,
    WriteTimeout,
)
from adieu.flow.retry_budget import RetryBudget
from adieu.messages.fields.date import parse_date

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Clock, Deadline
    from adieu.lifecycle.reporting import Report
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request
    from adieu.messages.response_head import ResponseHead

__all__ = ["Attempts", "Retry", "retried"]

R = TypeVar("R", bound="ResponseHead")
V = TypeVar("V", int, str)

# Statuses of temporary states: timeout, too early, too many requests, restarting, overloaded, or behind such a server.
_STATUSES = frozenset((408, 425, 429, 502, 503, 504))
# Errors of a peer that is gone or silent after the request has begun. A peer that broke the protocol would do it again.
_BROKEN = (ReadError, WriteError, PeerClosed, ReadTimeout, WriteTimeout)


class Retry(Value):
    """When a request is sent again, and how long to wait before.

    `limit`: how often to send again, after the first time. `statuses`: the response statuses after which to retry.
    `methods`: the methods that may be sent twice; the default is the idempotent ones of RFC 9110, and a request with an
    `Idempotency-Key` counts as one. Others are sent again only if no connection was made for them. Content that
    can be read only once is never sent again.

    The waits are random, between 0 and `backoff` seconds, then twice, four times, eight times as much, up to `longest`.
    A `Retry-After` is waited for in full; if it is more than `longest`, the response is returned instead. `budget`
    bounds the retries of all requests with this setting, for the sake of servers that are down; None is no bound. Each
    `Retry` has one of its own unless you give one. Equal ones have equal parameters, also those of their budgets.
    """

    __slots__ = ("backoff", "budget", "limit", "longest", "methods", "statuses")
    limit: int
    statuses: frozenset[int]
    methods: frozenset[str]
    backoff: float
    longest: float
    budget: RetryBudget | None

    IDEMPOTENT: ClassVar[frozenset[str]] = frozenset(
        ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY")
    )

    def __init__(
        self,
        limit: int = 3,
        *,
        statuses: Iterable[int] = _STATUSES,
        methods: Iterable[str] = IDEMPOTENT,
        backoff: float = 0.2,
        longest: float = 60.0,
        budget: RetryBudget | NotGiven | None = NOT_GIVEN,
    ) -> None:
        if type(limit) is not int or limit < 0:
            raise InvalidRequest(
                f"limit of a Retry is how often to send again, 0 or more, not {limit!r}"
            )
        if budget is NOT_GIVEN:
            budget = RetryBudget()
        elif budget is not None and not isinstance(budget, RetryBudget):
            raise InvalidRequest(f"budget of a Retry is a RetryBudget or None, not {budget!r}")
        self._set(
            limit=limit,
            statuses=_set_of("statuses", statuses, int),
            methods=frozenset(method.upper() for method in _set_of("methods", methods, str)),
            backoff=_seconds("backoff", backoff),
            longest=_seconds("longest", longest),
            budget=budget,
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._settings() == other._settings()

    def __hash__(self) -> int:
        return hash((type(self), self._settings()))

    def _settings(self) -> tuple[object, ...]:
        """The fields, with the budget as its parameters: how many tokens are left in it is no setting."""
        fields = self._fields()
        if self.budget is not None:
            fields["budget"] = (self.budget.tokens, self.budget.refill)
        return tuple(fields.values())

    @classmethod
    def of(cls, value: Retry | int | None) -> Retry | None:
        """The value of `retry=`, checked: a `Retry`, a number of retries, or None (and 0) for none."""
        if value is None or isinstance(value, Retry):
            return value if value is not None and value.limit else None
        if type(value) is int:
            return cls(value) if value else None
        hint = " (an instance of it: write it with parentheses)" if isinstance(value, type) else ""
        raise InvalidRequest(f"retry takes a Retry, a number or None, not {value!r}{hint}")

    def allows(self, request: Request, outcome: ResponseHead | TransportError) -> bool:
        """Whether the request may be sent again after this outcome."""
        if not request.content.sendable:
            return False
        if isinstance(outcome, ConnectError) and outcome.request_sent == "no":
            return _is_temporary(outcome, self.statuses)
        if request.method.upper() not in self.methods and "idempotency-key" not in request.headers:
            return False
        if isinstance(outcome, TransportError):
            return isinstance(outcome, _BROKEN)
        return outcome.status_code in self.statuses

    def wait(
        self,
        retries: int,
        outcome: ResponseHead | TransportError,
        chance: Callable[[], float],
        now: float,
    ) -> float | None:
        """Seconds to wait before the first, second, ... retry (`retries`); None: longer than `longest`.

        `chance` gives numbers from 0 to 1; `now` is in seconds since the epoch, for a Retry-After that is a date.
        """
        wait = chance() * min(self.backoff * 2.0 ** min(retries - 1, 64), self.longest)
        if isinstance(outcome, TransportError):
            return wait
        asked = _retry_after(outcome.headers.get("retry-after"), now)
        # With the random wait: clients that were given the same second should not all come back in it.
        return asked + wait if asked <= self.longest else None


class Attempts:
    """The attempts at one request so far. Call `after` when an attempt has ended."""

    __slots__ = ("_chance", "_deadline", "_events", "_request", "_retries", "_retry", "_wall")

    def __init__(
        self,
        retry: Retry,
        request: Request,
        deadline: Deadline,
        events: Report | None,
        *,
        chance: Callable[[], float] | None = None,
        wall: Clock = time,
    ) -> None:
        if chance is None:
            from random import random

            chance = random
        self._retry = retry
        self._request = request
        self._deadline = deadline
        self._events = events
        self._chance = chance
        self._wall = wall
        self._retries = 0

    def after(self, outcome: ResponseHead | TransportError) -> float | None:
        """Seconds to wait before the next attempt; None: there is no further attempt."""
        retry, request, deadline = self._retry, self._request, self._deadline
        if not isinstance(outcome, TransportError) and outcome.status_code not in retry.statuses:
            if retry.budget is not None and outcome.status_code < 500:
                retry.budget.earn()
            return None
        if self._retries >= retry.limit or not retry.allows(request, outcome):
            return None
        wait = retry.wait(self._retries + 1, outcome, self._chance, self._wall())
        if wait is None:
            return None
        if deadline.ends_at is not None and deadline.now() + wait >= deadline.ends_at:
            return None  # The call would fail during the wait.
        if retry.budget is not None and not retry.budget.take():
            return None
        self._retries += 1
        if self._events is not None:
            self._events.retrying(
                request.method, request.url, self._retries, wait, _reason(outcome)
            )
        return wait


def retried(
    attempts: Attempts,
    send: Callable[[], Steps[R]],
    discard: Callable[[R | None], Steps[None]],
    pause: Callable[[float], Steps[None]],
) -> Steps[R]:
    """Send until there is no further attempt, and return the last response or raise the last error.

    `discard` ends an attempt: it gets its response, or None after an error. So no connection is held during `pause`.
    """
    while True:
        response: R | None = None
        try:
            response = yield from send()
        except TransportError as error:
            wait = attempts.after(error)
            if wait is None:
                raise
        else:
            wait = attempts.after(response)
            if wait is None:
                return response
        yield from discard(response)
        del response
        yield from pause(wait)


def _reason(outcome: ResponseHead | TransportError) -> str:
    """The status, or the name of the error's class."""
    if isinstance(outcome, TransportError):
        return type(outcome).__name__
    return str(outcome.status_code)


def _is_temporary(error: ConnectError, statuses: frozenset[int]) -> bool:
    """Whether another try may connect. False: first a name, a certificate or a permission has to be corrected."""
    if isinstance(error, GuardError):
        return False
    if isinstance(error, ProxyError) and error.status is not None:
        return error.status in statuses
    cause = error.__cause__
    if isinstance(error, TLSError):
        from ssl import SSLCertVerificationError

        return isinstance(cause, OSError) and not isinstance(cause, SSLCertVerificationError)
    if isinstance(error, DNSError) and isinstance(cause, OSError):
        from socket import EAI_NONAME, gaierror

        return not (isinstance(cause, gaierror) and cause.errno == EAI_NONAME)
    return True


def _retry_after(text: str | None, now: float) -> float:
    """The seconds that a Retry-After field asks for; 0 if there is no valid one (RFC 9110, section 10.2.3)."""
    if text is None:
        return 0.0
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else float("inf")
    when = parse_date(text)
    return max(when - now, 0.0) if when is not None else 0.0


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 3e7:
        raise InvalidRequest(f"{name} of a Retry is in seconds, 0 or more, not {value!r}")
    return float(value)


def _set_of(name: str, values: Iterable[V], kind: type[V]) -> frozenset[V]:
    if isinstance(values, (str, bytes, int)):
        raise InvalidRequest(f"{name} of a Retry are a set: write {{{values!r}}}")
    found = frozenset(values)
    for value in found:
        if type(value) is not kind:
            raise InvalidRequest(f"{name} of a Retry holds {kind.__name__}s, not {value!r}")
    return found
