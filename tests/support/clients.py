"""For tests of clients: the adapters that they run over, and a listener that records all events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import adieu
from adieu.testing.socket_table import established

if TYPE_CHECKING:
    from adieu import events
    from adieu.testing.faults import FaultServer

ADAPTERS = ("urllib3", "native", "close")
"""Every adapter that adieu ships, by name."""


def sockets(server: FaultServer) -> int:
    """The number of open client connections to this server."""
    return established(to_ports={server.port})


class EventLog(adieu.Events):
    """Records every event in order, and checks that each start has exactly one end."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, str]] = []
        self.leaks: list[events.Leaked] = []
        self.replays: list[tuple[str, str]] = []
        self.ends: list[str | int] = []

    def connect_started(self, event: events.ConnectStarted) -> None:
        self._add(event, event.origin)

    def connected(self, event: events.Connected) -> None:
        assert event.seconds >= 0
        self._add(event)

    def connect_failed(self, event: events.ConnectFailed) -> None:
        self._add(event, event.error)

    def leased(self, event: events.Leased) -> None:
        self._add(event, f"{event.method} {event.url}{' again' if event.reused else ''}")

    def released(self, event: events.Released) -> None:
        self._add(event)

    def discarded(self, event: events.Discarded) -> None:
        self._add(event, event.why)

    def closed(self, event: events.Closed) -> None:
        self._add(event, event.why)

    def detached(self, event: events.Detached) -> None:
        self._add(event)

    def informational(self, event: events.Informational) -> None:
        self._add(event, str(event.status))

    def replayed(self, event: events.Replayed) -> None:
        self.replays.append((event.method, event.url))

    def answered(self, event: events.Answered) -> None:
        assert event.seconds >= 0
        self.ends.append(event.status)

    def failed(self, event: events.Failed) -> None:
        assert event.seconds >= 0
        self.ends.append(event.error)

    def leaked(self, event: events.Leaked) -> None:
        self.leaks.append(event)

    def _add(self, event: events.Event, text: str = "") -> None:
        self.lines.append((event.kind, event.connection, text))

    def count(self) -> Counter[str]:
        """The number of events of each kind."""
        return Counter(name for name, _, _ in self.lines)

    def close_reasons(self) -> list[str]:
        """The reasons for closed connections, in order."""
        return [text for name, _, text in self.lines if name == "closed"]

    def check(self, *, over: bool = True) -> None:
        """Every start has had exactly one end; with `over`, nothing is left open."""
        states: dict[int, _State] = {}
        for line in self.lines:
            name, connection, _ = line
            problem = states.setdefault(connection, _State()).take(name)
            assert problem is None, f"{line}: {problem}, in {self.lines}"
        if over:
            for number, state in states.items():
                assert not state.pending(), f"{number} is still {state.pending()}: {self.lines}"


class _State:
    """The state of one connection according to its events."""

    def __init__(self) -> None:
        self.connecting = "not begun"
        self.leased = False
        self.closed = False

    def take(self, name: str) -> str | None:
        """Take the next event; return the problem with it, if there is one."""
        if name == "connect_started":
            ok, self.connecting = self.connecting == "not begun", "begun"
        elif name in {"connected", "connect_failed"}:
            # This may follow the close: another thread may have closed the client meanwhile.
            ok = self.connecting == "begun"
            self.connecting = "done" if name == "connected" else "failed"
        elif name == "leased":
            ok, self.leased = not self.leased and not self.closed, True
        elif name == "released":
            ok, self.leased = self.leased and self.connecting == "done", False
        elif name == "discarded":
            ok, self.leased = self.leased, False
        elif name == "informational":
            ok = self.leased and self.connecting == "done"
        else:
            assert name in {"closed", "detached"}
            ok, self.closed = self.connecting == "done" and not self.closed, True
        if ok:
            return None
        return f"connecting was {self.connecting}, leased {self.leased}, closed {self.closed}"

    def pending(self) -> str:
        """The start that has no end yet."""
        if self.connecting == "begun":
            return "connecting"
        if self.leased:
            return "leased"
        return "open" if self.connecting == "done" and not self.closed else ""
