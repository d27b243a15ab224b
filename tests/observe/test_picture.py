"""From events to a picture, and from a picture to text: pure, so each case is a list of events."""

from __future__ import annotations

from typing import Any

import pytest

from adieu import events
from adieu.observe.as_text import as_text
from adieu.observe.build import build
from adieu.observe.picture import Bar, End, Picture, duration, size

ORIGIN = "https://api.example.org"
URL = f"{ORIGIN}/items?page=2"


class Told:
    """Events, told one after the other: 10 ms apart, unless the time is given."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.now = 100.0

    def __call__(
        self, event: events.Event, exchange: int = 1, connection: int = 1, after: float = 0.01
    ) -> Told:
        self.now += after
        event.told(self.now, exchange, exchange, connection)
        self.events.append(event)
        return self

    def picture(self, **options: Any) -> Picture:
        return build(self.events, self.now, **options)


def started(**changes: Any) -> events.ExchangeStarted:
    facts: dict[str, Any] = {"method": "GET", "url": URL, "hop": 0, "headers": (), "body": 0}
    return events.ExchangeStarted(**{**facts, **changes})


def answered(**changes: Any) -> events.Answered:
    facts: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "status": 200,
        "reason": "OK",
        "http_version": "HTTP/1.1",
        "headers": (),
        "seconds": 0.1,
        "reused": False,
    }
    return events.Answered(**{**facts, **changes})


def opened(told: Told, *, proxy: str | None = None) -> Told:
    """An exchange has begun, and its connection is open."""
    told(started())
    told(events.Leased(method="GET", url=URL, reused=False))
    told(events.ConnectStarted(origin=ORIGIN, proxy=proxy))
    told(events.LookupStarted(host="api.example.org"))
    told(
        events.LookupEnded(
            host="api.example.org", addresses=("10.0.0.1",), seconds=0.01, error=None
        )
    )
    told(events.DialStarted(address="[fd00::1]:443"))
    told(events.DialStarted(address="10.0.0.1:443"))
    told(events.DialEnded(address="[fd00::1]:443", seconds=0.02, error="no route to host"))
    told(events.DialEnded(address="10.0.0.1:443", seconds=0.02, error=None))
    told(events.TLSStarted(hostname="api.example.org"))
    told(
        events.TLSEnded(
            hostname="api.example.org",
            version="TLSv1.3",
            cipher="TLS_AES_256_GCM_SHA384",
            alpn="http/1.1",
            resumed=True,
            seconds=0.01,
            error=None,
        )
    )
    return told(events.Connected(seconds=0.08, peer="10.0.0.1:443", local="10.0.0.9:50000"))


def sent_and_answered(told: Told, exchange: int = 1) -> Told:
    told(events.RequestSent(head=100, body=20), exchange)
    told(events.FirstByte(seconds=0.02), exchange)
    return told(answered(), exchange)


def body_ended(why: str = "complete") -> events.BodyEnded:
    return events.BodyEnded(
        method="GET", url=f"{ORIGIN}/a", why=why, raw=300, decoded=None, seconds=0.2
    )


def phases_of(bar: Bar) -> list[tuple[str, float, float]]:
    return [(phase.name, round(phase.begin, 3), round(phase.end, 3)) for phase in bar.phases]


def test_a_whole_life_has_every_phase_once_and_in_order() -> None:
    told = sent_and_answered(opened(Told()))
    told(events.Released())
    told(body_ended(), after=0)
    told(events.Decoded(raw=300, decoded=900))
    told(events.Closed(why="client closed", requests=1, seconds=1.0), exchange=0)
    (track,) = told.picture().tracks
    opening = [(phase.name, round(phase.begin, 3), round(phase.end, 3)) for phase in track.opening]
    assert opening == [("dns", 0.03, 0.04), ("tcp", 0.05, 0.08), ("tls", 0.09, 0.1)]
    (bar,) = track.bars
    assert phases_of(bar) == [("send", 0.11, 0.12), ("answer", 0.12, 0.13), ("body", 0.13, 0.15)]
    assert (bar.begin, round(bar.end, 3), bar.status, bar.error) == (0.0, 0.15, 200, None)
    assert (bar.sent, bar.received, bar.decoded, bar.ended) == (120, 300, 900, End.RELEASED)
    assert [(phase.name, round(phase.begin, 3)) for phase in track.idle] == [("idle", 0.15)]
    assert (round(track.closed or 0, 3), track.why) == (0.17, "client closed")
    assert track.facts == (
        ("peer", "10.0.0.1:443"),
        ("TLS", "TLSv1.3, resumed"),
        ("ALPN", "http/1.1"),
        ("tried", "[fd00::1]:443 (no route to host)"),
    )


def test_what_is_no_lookup_nor_tcp_nor_tls_is_the_proxys() -> None:
    (track,) = opened(Told(), proxy="proxy:3128").picture().tracks
    assert [phase.name for phase in track.opening] == [
        "dns",
        "proxy",
        "tcp",
        "proxy",
        "tls",
        "proxy",
    ]
    for earlier, later in zip(track.opening, track.opening[1:], strict=False):
        assert earlier.end == pytest.approx(later.begin)


def test_the_wait_for_a_connection_is_a_phase_of_the_request() -> None:
    told = opened(Told())
    told(started(), exchange=2, connection=0)
    told(events.PoolWaitStarted(origin=ORIGIN), exchange=2, connection=0)
    sent_and_answered(told)
    told(events.Released())
    told(body_ended())
    told(events.PoolWaitEnded(seconds=0.06, error=None), exchange=2, connection=0)
    told(events.Leased(method="GET", url=URL, reused=True), exchange=2)
    sent_and_answered(told, exchange=2)
    (track,) = told.picture().tracks
    first, second = track.bars
    assert [phase.name for phase in second.phases] == ["wait", "send", "answer", "body"]
    assert not first.reused
    assert second.reused
    assert second.ended is End.OPEN
    # Idle from the release of the first to the lease of the second.
    (idle,) = track.idle
    assert (round(idle.begin, 3), round(idle.end, 3)) == (0.17, 0.2)


def test_a_wait_in_vain_has_no_connection() -> None:
    told = Told()
    told(started(), connection=0)
    told(events.PoolWaitStarted(origin=ORIGIN), connection=0)
    told(events.PoolWaitEnded(seconds=0.01, error="PoolTimeout"), connection=0)
    told(
        events.Failed(method="GET", url=URL, error="PoolTimeout", seconds=0.02, reused=False),
        connection=0,
    )
    (track,) = told.picture().tracks
    assert (track.connection, track.bars[0].outcome) == (0, "PoolTimeout")
    assert [phase.name for phase in track.bars[0].phases] == ["wait"]
    assert track.bars[0].ended is End.FAILED


@pytest.mark.parametrize(
    ("more", "ended", "why"),
    [
        ([], End.OPEN, ""),
        ([events.Released(), body_ended()], End.RELEASED, ""),
        ([events.Discarded(why="exit"), body_ended("exit")], End.CLOSED, "exit"),
        (
            [
                events.Discarded(why="abandoned"),
                body_ended("abandoned"),
                events.Leaked(method="GET", url=URL, seconds=1.0, opened_at="app.py:12 in load"),
            ],
            End.LEAKED,
            "abandoned",
        ),
    ],
)
def test_the_end_of_an_exchange_is_said(more: list[events.Event], ended: End, why: str) -> None:
    told = sent_and_answered(opened(Told()))
    for event in more:
        told(event)
    (bar,) = told.picture(lines={1: "app.py:12 in load"}).bars
    assert (bar.ended, bar.why, bar.opened_at) == (ended, why, "app.py:12 in load")
    assert bar.is_problem == bar.ended.is_fault == (ended in (End.OPEN, End.LEAKED))


def test_a_request_that_is_sent_once_more_is_drawn_where_it_succeeded() -> None:
    told = Told()
    told(started())
    told(events.Leased(method="GET", url=URL, reused=True), connection=7)
    told(events.RequestSent(head=100, body=0), connection=7)
    told(events.Discarded(why="stale"), connection=7)
    told(events.Leased(method="GET", url=URL, reused=False), connection=8)
    told(events.ConnectStarted(origin=ORIGIN, proxy=None), connection=8)
    told(events.Connected(seconds=0.01, peer="10.0.0.1:443", local=""), connection=8)
    told(events.RequestSent(head=100, body=0), connection=8)
    told(answered(), connection=8)
    bars = {track.connection: track.bars for track in told.picture().tracks}
    assert bars[7] == ()
    assert [name for name, _, _ in phases_of(bars[8][0])] == ["send", "answer", "body"]


def test_any_part_of_the_events_makes_a_picture() -> None:
    """What was told before a recording began, or is not told yet, is missing in it, and nothing fails."""
    told = sent_and_answered(opened(Told()))
    told(events.Released())
    told(body_ended())
    told(events.Closed(why="idle", requests=1, seconds=1.0), exchange=0)
    whole = told.events
    for first in range(len(whole)):
        for last in range(first, len(whole) + 1):
            part = whole[first:last]
            picture = build(part, told.now)
            for track in picture.tracks:
                for phase in (
                    *track.opening,
                    *track.idle,
                    *(p for b in track.bars for p in b.phases),
                ):
                    assert 0 <= phase.begin <= phase.end <= picture.seconds + 1e-9
            assert max(map(len, as_text(picture).splitlines())) <= 80


def test_the_text_shows_each_phase_and_each_fault_in_80_columns() -> None:
    told = sent_and_answered(opened(Told()))
    told(events.Discarded(why="abandoned"))
    told(events.Closed(why="abandoned", requests=1, seconds=0.1), after=0)
    told(body_ended("abandoned"), after=0)
    told(events.Leaked(method="GET", url=URL, seconds=1.0, opened_at="app.py:12 in load"), after=0)
    text = as_text(told.picture())
    assert text.splitlines() == [
        "1 request over 1 connection in 150 ms",
        "  1 dropped unread (LEAKED)",
        "",
        "connection 1  https://api.example.org",
        "  10.0.0.1:443, TLSv1.3, resumed, http/1.1, [fd00::1]:443 (no route to host)",
        "  open                           70 ms |       ddd   ccccccc   ttt             |",
        "  GET /items?page=2        200  150 ms |                            sss--bbbbb!|",
        "    LEAKED: dropped unread, opened at app.py:12 in load",
        "  closed: abandoned                    |                                      x|",
        "",
        "d DNS  c TCP  t TLS  s send  - wait for the answer  b body  ! fault  x closed",
    ]


def test_an_empty_picture_is_one_line() -> None:
    assert as_text(build([], 0.0)) == "0 requests over 0 connections in 0.0 ms"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0004, "0.4 ms"), (0.0345, "34 ms"), (2.514, "2.51 s"), (12345.6, "12,346 s")],
)
def test_durations_have_the_figures_that_count(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_are_bytes_and_then_thousands() -> None:
    assert [size(n) for n in (1, 9999, 12_345_678)] == ["1 byte", "9,999 bytes", "12,346 kB"]
