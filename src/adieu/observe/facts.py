"""What events tell, sorted by exchanges and connections: the common ground of timelines and of HAR files.

Invariants. It takes events of any number of clients and threads, in the order of their times, and a part of them too:
what began before the first event, or did not end, is known as far as it was told. No event is an error. Times
are those of the events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adieu.lifecycle.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from adieu.events import (
        Answered,
        BodyEnded,
        Cached,
        Closed,
        Connected,
        ConnectFailed,
        ConnectStarted,
        Decoded,
        Detached,
        DialEnded,
        DialStarted,
        Discarded,
        Event,
        ExchangeStarted,
        Failed,
        FirstByte,
        Leaked,
        Leased,
        LookupEnded,
        LookupStarted,
        PoolWaitEnded,
        PoolWaitStarted,
        Released,
        RequestSent,
        TLSEnded,
        TLSStarted,
    )

__all__ = ["ConnectionFacts", "ExchangeFacts", "Facts", "Span", "collected"]


class Span(NamedTuple):
    """A stretch of time. `end` is None while it goes on."""

    begin: float
    end: float | None = None


class ExchangeFacts:
    """One exchange. What is None, or empty, was not told."""

    def __init__(self, number: int, call: int) -> None:
        self.number = number
        self.call = call
        self.started: ExchangeStarted | None = None
        self.answered: Answered | None = None
        self.failed: Failed | None = None
        self.body_ended: BodyEnded | None = None
        self.sent: RequestSent | None = None
        self.leaked: Leaked | None = None
        self.leased: Leased | None = None
        self.let_go: Released | Discarded | None = None
        self.cached: Cached | None = None
        self.decoded: int | None = None
        self.first_byte_at: float | None = None
        self.waits: list[Span] = []
        self.last_at = 0.0

    @property
    def connection(self) -> int:
        """The number of its connection, or 0."""
        told = (self.leased, self.answered, self.failed, self.let_go)
        return next((event.connection for event in told if event and event.connection), 0)

    @property
    def method(self) -> str:
        """The method, or "" if that was not told."""
        return next((event.method for event in self._naming() if event), "")

    @property
    def url(self) -> str:
        """The URL, its secrets masked."""
        return next((event.url for event in self._naming() if event), "")

    @property
    def reused(self) -> bool:
        """Whether its connection had carried another exchange."""
        return self.leased is not None and self.leased.reused

    @property
    def began(self) -> float:
        """When it began, as far as that was told."""
        told = (self.started, self.leased, self.answered, self.failed, self.let_go)
        first = min((event.at for event in told if event), default=self.last_at)
        return min(first, self.waits[0].begin) if self.waits else first

    @property
    def ended(self) -> float | None:
        """When it ended: its body, or else with an error. None: it goes on."""
        for event in (self.body_ended, self.failed, self.leaked, self.let_go):
            if event is not None:
                return event.at
        return None

    @property
    def error(self) -> str | None:
        """The kind of the error that ended it, before its answer or in its body."""
        if self.failed is not None:
            return self.failed.error
        return self.body_ended.error if self.body_ended is not None else None

    def _naming(self) -> Iterator[ExchangeStarted | Leased | Answered | Failed | None]:
        yield from (self.started, self.leased, self.answered, self.failed)


class ConnectionFacts:
    """One connection, from the beginning of its opening to its end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.started: ConnectStarted | None = None
        self.connected: Connected | None = None
        self.failed: ConnectFailed | None = None
        self.closed: Closed | Detached | None = None
        self.lookups: list[Span] = []
        self.addresses: tuple[str, ...] = ()
        self.dials: list[tuple[str, Span, str | None]] = []
        self.handshakes: list[tuple[Span, TLSEnded | None]] = []
        self.idle: list[Span] = []
        self.first_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it was opened and has not ended, as far as was told: not every adapter tells it."""
        return self.connected is not None and self.closed is None


class Facts(Events):
    """A listener that sorts what it is told. It is no listener for a client: it takes no lock."""

    def __init__(self) -> None:
        self.exchanges: dict[int, ExchangeFacts] = {}
        self.connections: dict[int, ConnectionFacts] = {}

    def _exchange(self, event: Event) -> ExchangeFacts:
        found = self.exchanges.get(event.exchange)
        if found is None:
            found = ExchangeFacts(event.exchange, event.call)
            if event.exchange:
                self.exchanges[event.exchange] = found
        found.last_at = event.at
        return found

    def _connection(self, event: Event) -> ConnectionFacts:
        found = self.connections.get(event.connection)
        if found is None:
            found = ConnectionFacts(event.connection)
            found.first_at = event.at
            if event.connection:
                self.connections[event.connection] = found
        return found

    # -- exchanges -----------------------------------------------------------------------------------------------------

    def exchange_started(self, event: ExchangeStarted) -> None:
        self._exchange(event).started = event

    def pool_wait_started(self, event: PoolWaitStarted) -> None:
        self._exchange(event).waits.append(Span(event.at))

    def pool_wait_ended(self, event: PoolWaitEnded) -> None:
        waits = self._exchange(event).waits
        begin = waits.pop().begin if waits else event.at - event.seconds
        waits.append(Span(begin, event.at))

    def request_sent(self, event: RequestSent) -> None:
        self._exchange(event).sent = event

    def first_byte(self, event: FirstByte) -> None:
        exchange = self._exchange(event)
        if exchange.first_byte_at is None:
            exchange.first_byte_at = event.at

    def answered(self, event: Answered) -> None:
        self._exchange(event).answered = event

    def failed(self, event: Failed) -> None:
        self._exchange(event).failed = event

    def body_ended(self, event: BodyEnded) -> None:
        exchange = self._exchange(event)
        exchange.body_ended = event
        if exchange.decoded is None:
            exchange.decoded = event.decoded

    def decoded(self, event: Decoded) -> None:
        self._exchange(event).decoded = event.decoded

    def cached(self, event: Cached) -> None:
        self._exchange(event).cached = event

    def leaked(self, event: Leaked) -> None:
        self._exchange(event).leaked = event

    # -- leases --------------------------------------------------------------------------------------------------------

    def leased(self, event: Leased) -> None:
        exchange = self._exchange(event)
        # It is sent once more, on another connection: what was told of the former one is over.
        exchange.leased, exchange.let_go = event, None
        exchange.sent, exchange.first_byte_at = None, None
        idle = self._connection(event).idle
        if idle and idle[-1].end is None:
            idle.append(Span(idle.pop().begin, event.at))

    def released(self, event: Released) -> None:
        self._let_go(event)
        self._connection(event).idle.append(Span(event.at))

    def discarded(self, event: Discarded) -> None:
        self._let_go(event)

    def _let_go(self, event: Released | Discarded) -> None:
        self._exchange(event).let_go = event

    # -- connections ---------------------------------------------------------------------------------------------------

    def connect_started(self, event: ConnectStarted) -> None:
        self._connection(event).started = event

    def lookup_started(self, event: LookupStarted) -> None:
        self._connection(event).lookups.append(Span(event.at))

    def lookup_ended(self, event: LookupEnded) -> None:
        connection = self._connection(event)
        lookups = connection.lookups
        begin = lookups.pop().begin if lookups else event.at - event.seconds
        lookups.append(Span(begin, event.at))
        connection.addresses = event.addresses

    def dial_started(self, event: DialStarted) -> None:
        self._connection(event).dials.append((event.address, Span(event.at), None))

    def dial_ended(self, event: DialEnded) -> None:
        dials = self._connection(event).dials
        for number, (address, span, _) in enumerate(dials):
            if address == event.address and span.end is None:
                dials[number] = (address, Span(span.begin, event.at), event.error)
                return
        dials.append((event.address, Span(event.at - event.seconds, event.at), event.error))

    def tls_started(self, event: TLSStarted) -> None:
        self._connection(event).handshakes.append((Span(event.at), None))

    def tls_ended(self, event: TLSEnded) -> None:
        handshakes = self._connection(event).handshakes
        begin = event.at - event.seconds
        if handshakes and handshakes[-1][1] is None:
            begin = handshakes.pop()[0].begin
        handshakes.append((Span(begin, event.at), event))

    def connected(self, event: Connected) -> None:
        self._connection(event).connected = event

    def connect_failed(self, event: ConnectFailed) -> None:
        self._connection(event).failed = event

    def closed(self, event: Closed) -> None:
        self._end(event)

    def detached(self, event: Detached) -> None:
        self._end(event)

    def _end(self, event: Closed | Detached) -> None:
        connection = self._connection(event)
        connection.closed = event
        if connection.idle and connection.idle[-1].end is None:
            connection.idle.append(Span(connection.idle.pop().begin, event.at))


def collected(events: Iterable[Event]) -> Facts:
    """The facts of these events, by their times: two threads may tell of one connection out of turn."""
    facts = Facts()
    for event in sorted(events, key=lambda event: event.at):
        facts.on_event(event)
    return facts
