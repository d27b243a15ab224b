"""From facts to a picture: pure, and the one place that knows which events begin and end which phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import Closed, Discarded
from adieu.observe.facts import collected
from adieu.observe.picture import Bar, End, Phase, Picture, Track

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from adieu.events import Event
    from adieu.observe.facts import ConnectionFacts, ExchangeFacts

    Stretch: TypeAlias = tuple[str, float, float | None]
    """The name of a phase, its beginning, and its end, None while it goes on."""

__all__ = ["build", "opening_phases", "phases_of"]


def build(
    events: Sequence[Event],
    until: float,
    *,
    lines: Mapping[int, str] | None = None,
    dropped: int = 0,
) -> Picture:
    """The picture of these events, up to the time `until` on their clock.

    `lines`: the lines of the user's that began exchanges, by the number of the exchange. `dropped`: how many events
    before these are missing.
    """
    if not events:
        return Picture((), 0.0, dropped)
    facts = collected(events)
    times = [event.at for event in events]
    begin = min(times)
    scale = _Scale(begin, max(until, *times))
    by_connection: dict[int, list[ExchangeFacts]] = {}
    for exchange in facts.exchanges.values():
        number = exchange.connection
        by_connection.setdefault(number if number in facts.connections else 0, []).append(exchange)
    tracks = [
        _track(connection, by_connection.get(number, ()), scale, lines or {})
        for number, connection in facts.connections.items()
    ]
    if 0 in by_connection:
        bars = _bars(by_connection[0], None, scale, lines or {})
        tracks.append(Track(0, "", (), bars[0].begin, (), None, bars, (), None, "", False))
    return Picture(tuple(tracks), scale.until - begin, dropped)


class _Scale:
    """From the clock of the events to seconds since the beginning of the picture."""

    def __init__(self, begin: float, until: float) -> None:
        self.begin = begin
        self.until = until

    def at(self, time: float | None) -> float:
        """None is the end of the picture. What began before it begins with it."""
        return max((self.until if time is None else time) - self.begin, 0.0)

    def phases(self, phases: Iterable[tuple[str, float, float | None]]) -> tuple[Phase, ...]:
        """The same phases in the seconds of the picture; what is not over lasts to its end."""
        return tuple(Phase(name, self.at(begin), self.at(end)) for name, begin, end in phases)


def _track(
    connection: ConnectionFacts,
    exchanges: Iterable[ExchangeFacts],
    scale: _Scale,
    lines: Mapping[int, str],
) -> Track:
    started, failed, closed = connection.started, connection.failed, connection.closed
    why = "detached: it belongs to its user"
    if isinstance(closed, Closed):
        why = closed.why
    return Track(
        connection.number,
        started.origin if started else "(opened elsewhere)",
        tuple(_facts_of(connection)),
        scale.at(started.at if started else connection.first_at),
        scale.phases(opening_phases(connection)),
        failed.error if failed else None,
        _bars(exchanges, connection, scale, lines),
        scale.phases(("idle", span.begin, span.end) for span in connection.idle),
        None if closed is None else scale.at(closed.at),
        "" if closed is None else why,
        connection.is_open,
    )


def _facts_of(connection: ConnectionFacts) -> Iterator[tuple[str, str]]:
    """What a reader wants to know of it, as names and texts."""
    connected = connection.connected
    started = connection.started
    origin = started.origin if started else ""
    if connected is not None and connected.peer and not origin.endswith(f"//{connected.peer}"):
        yield "peer", connected.peer
    if started is not None and started.proxy:
        yield "proxy", started.proxy
    tls = connection.handshakes[-1][1] if connection.handshakes else None
    if tls is not None and tls.version:
        yield "TLS", f"{tls.version}, resumed" if tls.resumed else tls.version
    if tls is not None and tls.alpn:
        yield "ALPN", tls.alpn
    tried = [f"{address} ({error})" for address, _, error in connection.dials if error]
    if tried:
        yield "tried", "; ".join(tried)


def opening_phases(connection: ConnectionFacts) -> list[Stretch]:
    """The phases in which a connection was opened, one after the other, on the clock of the events."""
    spans: list[Stretch] = [("dns", begin, end) for begin, end in connection.lookups]
    if connection.dials:
        ends = [span.end for _, span, error in connection.dials if error is None]
        ends = ends or [span.end for _, span, _ in connection.dials]
        last = None if None in ends else max(end for end in ends if end is not None)
        spans.append(("tcp", min(span.begin for _, span, _ in connection.dials), last))
    spans += [("tls", begin, end) for (begin, end), _ in connection.handshakes]
    spans.sort(key=lambda stretch: stretch[1])
    over = connection.connected or connection.failed
    end = over.at if over else None
    if not spans:
        return [("tcp", connection.started.at, end)] if connection.started else []
    if connection.started is not None and connection.started.proxy:
        spans = [*_with_gaps(spans, end)]
    return [*_in_turn(spans, end)]


def _with_gaps(spans: Iterable[Stretch], end: float | None) -> Iterator[Stretch]:
    """What is neither lookup nor TCP nor TLS is the proxy's."""
    at: float | None = None
    for name, begin, until in spans:
        if at is not None and begin > at:
            yield "proxy", at, begin
        yield name, begin, until
        at = until
    if at is not None and (end is None or end > at):
        yield "proxy", at, end


def _in_turn(spans: Iterable[Stretch], end: float | None) -> Iterator[Stretch]:
    """No phase begins before the one before it has ended; none goes on after `end`."""
    at = float("-inf")
    for name, started, ended in spans:
        begin, until = max(started, at), end if ended is None else ended
        if until is None or until >= begin:
            yield name, begin, until
            at = begin if until is None else until


def phases_of(exchange: ExchangeFacts, connection: ConnectionFacts | None) -> list[Stretch]:
    """The phases of an exchange, without the opening of its connection, on the clock of the events."""
    stretches: list[Stretch] = [("wait", begin, end) for begin, end in exchange.waits]
    at = _ready(exchange, connection)
    end = exchange.ended
    if at is None:
        return stretches
    first = exchange.first_byte_at
    if first is None and exchange.answered is not None:
        first = exchange.answered.at
    if exchange.sent is not None and (first is None or exchange.sent.at <= first):
        stretches.append(("send", at, exchange.sent.at))
        at = exchange.sent.at
    stretches.append(("answer", at, end if first is None else first))
    if first is not None:
        stretches.append(("body", first, end))
    return [*_in_turn(stretches, end)]


def _ready(exchange: ExchangeFacts, connection: ConnectionFacts | None) -> float | None:
    """When its request could be sent; None: it never could."""
    if exchange.leased is None:
        # A wait that was in vain; or an adapter that tells nothing of its connections, or has none.
        return None if exchange.waits and exchange.failed else exchange.began
    at = exchange.leased.at
    if exchange.reused or connection is None or connection.started is None:
        return at
    if connection.connected is None:
        return None
    return max(at, connection.connected.at)


def _bars(
    exchanges: Iterable[ExchangeFacts],
    connection: ConnectionFacts | None,
    scale: _Scale,
    lines: Mapping[int, str],
) -> tuple[Bar, ...]:
    bars = [_bar(exchange, connection, scale, lines) for exchange in exchanges]
    return tuple(sorted(bars, key=lambda bar: (_first(bar), bar.exchange)))


def _first(bar: Bar) -> float:
    return next((phase.begin for phase in bar.phases if phase.name != "wait"), bar.begin)


def _bar(
    exchange: ExchangeFacts,
    connection: ConnectionFacts | None,
    scale: _Scale,
    lines: Mapping[int, str],
) -> Bar:
    answered, body, sent = exchange.answered, exchange.body_ended, exchange.sent
    end, why = _end(exchange)
    leak = exchange.leaked
    return Bar(
        exchange=exchange.number,
        call=exchange.call,
        hop=exchange.started.hop if exchange.started else 0,
        connection=connection.number if connection else 0,
        method=exchange.method,
        url=exchange.url,
        begin=scale.at(exchange.began),
        end=scale.at(exchange.ended),
        phases=scale.phases(phases_of(exchange, connection)),
        status=answered.status if answered else None,
        error=exchange.error,
        reused=exchange.reused,
        ended=end,
        why=why,
        opened_at=(leak.opened_at if leak else None) or lines.get(exchange.number),
        sent=sent.head + sent.body if sent else None,
        received=body.raw if body else None,
        decoded=exchange.decoded,
    )


def _end(exchange: ExchangeFacts) -> tuple[End, str]:
    let_go = exchange.let_go
    if exchange.leaked is not None:
        return End.LEAKED, "abandoned"
    if isinstance(let_go, Discarded):
        return End.CLOSED, let_go.why
    if let_go is not None:
        return End.RELEASED, ""
    if exchange.failed is not None:
        return End.FAILED, exchange.failed.error
    return (End.OPEN, "") if exchange.ended is None else (End.LOCAL, "")
