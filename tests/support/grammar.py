"""The grammar of events: a listener that keeps every event, and checks that they are well formed.

`adieu.events` states the grammar. Events of one call come in order, but for a connection that two threads hand over; so
they are looked at in the order of their times.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

import adieu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.events import Event

__all__ = ["Trace"]

STARTS = {
    "call_started": ("call_ended",),
    "exchange_started": ("answered", "failed"),
    "answered": ("body_ended",),
    "pool_wait_started": ("pool_wait_ended",),
    "leased": ("released", "discarded"),
    "connect_started": ("connected", "connect_failed"),
    "connected": ("closed", "detached"),
    "lookup_started": ("lookup_ended",),
    "dial_started": ("dial_ended",),
    "tls_started": ("tls_ended",),
}
_ENDS = {end: start for start, ends in STARTS.items() for end in ends}
_PAIRED_BY: dict[str, Callable[[Event], object]] = {
    "call_started": attrgetter("call"),
    "exchange_started": attrgetter("exchange"),
    "answered": attrgetter("exchange"),
    "pool_wait_started": attrgetter("exchange"),
    "dial_started": attrgetter("connection", "address"),
}
_BY_CONNECTION = attrgetter("connection")
# Each happens only while this one has begun and has not ended.
_WITHIN = {
    "connect_started": "leased",
    "lookup_started": "connect_started",
    "dial_started": "connect_started",
    "tls_started": "connect_started",
    "request_sent": "leased",
    "first_byte": "leased",
    "informational": "leased",
}
# What belongs to an exchange has its number, and what belongs to a call that of the call.
_OF_AN_EXCHANGE = {
    "exchange_started",
    "answered",
    "failed",
    "body_ended",
    "request_sent",
    "first_byte",
    "leased",
}


class Trace(adieu.Events):
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        """The kinds of the events, in the order in which they came."""
        return [event.kind for event in self.events]

    def count(self) -> Counter[str]:
        """The number of events of each kind."""
        return Counter(self.kinds())

    def of(self, kind: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if event.kind == kind]

    def check(self, *, over: bool = True) -> None:
        """The trace is well formed; with `over`, every start has its end."""
        faults = list(_faults(sorted(self.events, key=attrgetter("at")), over))
        shown = "\n".join(map(repr, self.events))
        assert not faults, f"{faults} in\n{shown}"


def _faults(events: Iterable[Event], over: bool) -> Iterable[str]:
    open_starts: dict[tuple[str, object], Event] = {}
    calls: dict[int, int] = {}
    for event in events:
        kind = event.kind
        key = _key(kind, event)
        if (start := _ENDS.get(kind)) is not None:
            begun = open_starts.pop((start, _key(start, event)), None)
            if begun is None:
                yield f"{kind} without {start}: {event}"
            elif start != "connected" and event.call != begun.call:
                yield f"{kind} of another call than its {start}: {event}"
        if kind in STARTS:
            if (kind, key) in open_starts:
                yield f"{kind} twice: {event}"
            open_starts[kind, key] = event
        if (around := _WITHIN.get(kind)) and (around, event.connection) not in open_starts:
            yield f"{kind} outside of {around}: {event}"
        if kind in _OF_AN_EXCHANGE and not (event.exchange and event.call):
            yield f"{kind} without the ids of its exchange: {event}"
        if event.exchange and calls.setdefault(event.exchange, event.call) != event.call:
            yield f"{kind} has the exchange of another call: {event}"
    if over:
        yield from (f"{kind} has no end: {event}" for (kind, _), event in open_starts.items())


def _key(kind: str, event: Event) -> object:
    return _PAIRED_BY.get(kind, _BY_CONNECTION)(event)
