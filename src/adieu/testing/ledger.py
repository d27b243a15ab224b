"""The ledger: which exchange was opened by which line, over which connection, and how it ended.

Invariants. It listens to events, which may come from any thread and from finalizers, so it takes no lock: each event is
one store into a dictionary or a list. It keeps texts and numbers alone, so it keeps nothing open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.events import Events, LeaseInfo
from adieu.lifecycle.exchange import caller

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu import events

__all__ = ["Ledger", "LedgerLine", "opened"]


class LedgerLine:
    """One exchange on a connection.

    `opened_at` is the line of the user's that made the call. `ended` is "" while the exchange goes on, then "released"
    or "closed: " with the reason. `leaked`: its response was dropped unread, and a finalizer has closed the connection.
    """

    __slots__ = ("connection", "ended", "leaked", "method", "opened_at", "origin", "reused", "url")

    def __init__(
        self, connection: int, origin: str, method: str, url: str, reused: bool, at: str | None
    ) -> None:
        self.connection = connection
        self.origin = origin
        self.method = method
        self.url = url
        self.reused = reused
        self.opened_at = at
        self.ended = ""
        self.leaked = False

    def __str__(self) -> str:
        how = f"connection {self.connection}{', reused' if self.reused else ''}"
        at = f", opened at {self.opened_at}" if self.opened_at else ""
        state = "dropped unread" if self.leaked else self.ended or "STILL OPEN"
        return f"{self.method} {self.url} ({how}){at}: {state}"


class Ledger(Events):
    """Records the exchanges of the clients that it is given to as `events`."""

    def __init__(self) -> None:
        self.lines: list[LedgerLine] = []
        self.leaks: list[LeaseInfo] = []
        self._current: dict[int, LedgerLine] = {}
        # The connections that are open, with their origins.
        self._connections: dict[int, str] = {}

    def connect_started(self, event: events.ConnectStarted) -> None:
        self._connections[event.connection] = event.origin

    def connect_failed(self, event: events.ConnectFailed) -> None:
        self._connections.pop(event.connection, None)

    def leased(self, event: events.Leased) -> None:
        origin = self._connections.get(event.connection, "")
        line = LedgerLine(event.connection, origin, event.method, event.url, event.reused, caller())
        self._current[event.connection] = line
        self.lines.append(line)

    def released(self, event: events.Released) -> None:
        self._end(event.connection, "released")

    def discarded(self, event: events.Discarded) -> None:
        self._end(event.connection, f"closed: {event.why}")

    def closed(self, event: events.Closed) -> None:
        self._connections.pop(event.connection, None)

    def detached(self, event: events.Detached) -> None:
        self._connections.pop(event.connection, None)

    def leaked(self, event: events.Leaked) -> None:
        lease = LeaseInfo(event.connection, event.method, event.url, event.seconds, event.opened_at)
        self.leaks.append(lease)
        for line in self.lines:
            if line.connection == lease.connection and line.ended == "closed: abandoned":
                line.leaked = True

    def _end(self, connection: int, how: str) -> None:
        line = self._current.pop(connection, None)
        if line is not None:
            line.ended = how

    def idle(self) -> set[int]:
        """The connections that are open and carry no exchange."""
        return set(self._connections) - set(self._current)

    def faults(self, lines: Iterable[LedgerLine]) -> list[str]:
        """What is wrong with these lines, a text each."""
        return [str(line) for line in lines if not line.ended or line.leaked]

    def leaks_elsewhere(self) -> list[str]:
        """The dropped responses that had no connection, and so no line: of an app, a file or a mock. A text each."""
        return [f"{opened(leak)}: dropped unread" for leak in self.leaks if leak.connection == 0]

    def forget(self) -> None:
        """Drop the lines of all exchanges that have ended."""
        self.lines = [line for line in self.lines if not line.ended]
        self.leaks = []

    def __reduce__(self) -> tuple[object, ...]:
        return Events, ()  # In another process, nobody reads it.


def opened(info: LeaseInfo) -> str:
    """What was opened, and by which line."""
    return f"{info.method} {info.url}{f', opened at {info.opened_at}' if info.opened_at else ''}"
