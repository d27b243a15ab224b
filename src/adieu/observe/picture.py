"""The picture of a run: connections, the exchanges on each, and the phases of both. `as_text` and `as_page` draw it.

Invariants. Times are seconds since the beginning of the picture, and ends are never before beginnings. The exchanges of
a connection are in the order of their beginnings. Texts are masked already, and nothing here holds a connection.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from adieu.texts import show_url

__all__ = [
    "PHASES",
    "SHORT",
    "Bar",
    "End",
    "Phase",
    "Picture",
    "Track",
    "counted",
    "duration",
    "size",
]


class Phase(NamedTuple):
    """A stretch of time with one name, one of `PHASES`."""

    name: str
    begin: float
    end: float


PHASES = {
    "wait": "waits for a connection",
    "dns": "looks the name up",
    "tcp": "connects",
    "proxy": "asks the proxy",
    "tls": "TLS handshake",
    "send": "sends the request",
    "answer": "waits for the answer",
    "body": "reads the body",
    "idle": "idle in the pool",
}
"""The names of phases, in the order in which they happen, and what a connection or an exchange does meanwhile."""


SHORT = {
    "wait": "wait for a connection",
    "dns": "DNS",
    "tcp": "TCP",
    "proxy": "proxy",
    "tls": "TLS",
    "send": "send",
    "answer": "wait for the answer",
    "body": "body",
    "idle": "idle",
}
"""The same in a word or two, for what has the time of the phase beside it."""


class End(Enum):
    """How an exchange left its connection. The values are for readers."""

    OPEN = "STILL OPEN"
    RELEASED = "released"
    CLOSED = "closed"
    LEAKED = "LEAKED: dropped unread"
    FAILED = "failed"
    LOCAL = "without a connection"

    @property
    def is_fault(self) -> bool:
        """Whether the connection was left to chance."""
        return self in (End.OPEN, End.LEAKED)


class Bar(NamedTuple):
    """One exchange.

    `exchange` and `call` are the numbers of the events; `connection` is 0 where there was none. `status` is None where
    no answer came. `error` is the name of the error's class, where no answer came or its body broke. `why` is the
    reason of a close. Bytes are None where unknown.
    """

    exchange: int
    call: int
    hop: int
    connection: int
    method: str
    url: str
    begin: float
    end: float
    phases: tuple[Phase, ...]
    status: int | None
    error: str | None
    reused: bool
    ended: End
    why: str
    opened_at: str | None
    sent: int | None
    received: int | None
    decoded: int | None

    @property
    def seconds(self) -> float:
        """From its beginning, the wait for a connection included, to the end of its body."""
        return self.end - self.begin

    @property
    def request(self) -> str:
        """The method and the URL."""
        return f"{self.method} {show_url(self.url)}"

    @property
    def outcome(self) -> str:
        """The status, the name of the error, both if the body broke, or "-" while neither is there."""
        known = [str(self.status)] if self.status is not None else []
        return " ".join([*known, self.error] if self.error is not None else known) or "-"

    @property
    def is_problem(self) -> bool:
        """An error, a status of 4xx or 5xx, or a connection that was left to chance."""
        return self.ended.is_fault or self.error is not None or (self.status or 0) >= 400


class Track(NamedTuple):
    """One connection.

    `facts` are texts: its peer, protocol, TLS. `closed` is None while it is open, or if its end was not told, and `why`
    is the reason. `is_open`: it was opened, and has not ended.

    The track of exchanges that had no connection has the number 0.
    """

    connection: int
    origin: str
    facts: tuple[tuple[str, str], ...]
    begin: float
    opening: tuple[Phase, ...]
    error: str | None
    bars: tuple[Bar, ...]
    idle: tuple[Phase, ...]
    closed: float | None
    why: str
    is_open: bool


class Picture(NamedTuple):
    """All of it, and its length in seconds. `dropped`: so many of the oldest events are not in it."""

    tracks: tuple[Track, ...]
    seconds: float
    dropped: int = 0

    @property
    def bars(self) -> list[Bar]:
        """The exchanges of all tracks, by their beginnings."""
        return sorted(
            (bar for track in self.tracks for bar in track.bars),
            key=lambda bar: (bar.begin, bar.exchange),
        )

    @property
    def _opened(self) -> list[Track]:
        return [track for track in self.tracks if track.connection and track.error is None]

    @property
    def title(self) -> str:
        """What the picture shows, in one sentence."""
        return (
            f"{counted(len(self.bars), 'request')} over {counted(len(self._opened), 'connection')} "
            f"in {duration(self.seconds)}"
        )

    @property
    def summary(self) -> list[str]:
        """Counts that a reader wants first; only those that are not zero."""
        bars = self.bars
        counts = {
            "reused a connection": sum(bar.reused for bar in bars),
            "answered by 4xx or 5xx": sum((bar.status or 0) >= 400 for bar in bars),
            "failed": sum(bar.error is not None for bar in bars),
            "could not connect": sum(track.error is not None for track in self.tracks),
            "dropped unread (LEAKED)": sum(bar.ended is End.LEAKED for bar in bars),
            "STILL OPEN": sum(bar.ended is End.OPEN for bar in bars),
        }
        lines = [f"{count:,} {what}" for what, count in counts.items() if count]
        idle = sum(
            track.is_open and all(bar.ended is not End.OPEN for bar in track.bars)
            for track in self.tracks
        )
        if idle:
            lines.append(f"{counted(idle, 'connection')} open and idle")
        if self.dropped:
            lines.append(f"the oldest {counted(self.dropped, 'event')} not shown")
        return lines


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 request", "1,000 requests"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds for a reader, with two or three figures that count: "0.4 ms", "34 ms", "2.51 s"."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def size(count: int) -> str:
    """Bytes for a reader."""
    return counted(count, "byte") if count < 10_000 else f"{count / 1000:,.0f} kB"
