"""What tests of clients share: the adapters they run over, and a listener that keeps books."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import adieu
from adieu.testing.census import established

if TYPE_CHECKING:
    from adieu.testing.faults import FaultServer

ADAPTERS = ("urllib3", "h11", "close")
"""Every adapter that adieu ships, by name."""


def sockets(server: FaultServer) -> int:
    """How many connections to this server the client side has open."""
    return established(to_ports={server.port})


class Books(adieu.Events):
    """Writes every event down, in order, and says whether each start has had its one end."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, str]] = []
        self.leaks: list[adieu.LeaseInfo] = []
        self.replays: list[tuple[str, str]] = []

    def connect_started(self, connection: int, origin: str) -> None:
        self.lines.append(("connect_started", connection, origin))

    def connected(self, connection: int, seconds: float) -> None:
        assert seconds >= 0
        self.lines.append(("connected", connection, ""))

    def connect_failed(self, connection: int, error: str) -> None:
        self.lines.append(("connect_failed", connection, error))

    def leased(self, connection: int, method: str, url: str, reused: bool) -> None:
        self.lines.append(("leased", connection, f"{method} {url}{' again' if reused else ''}"))

    def released(self, connection: int) -> None:
        self.lines.append(("released", connection, ""))

    def closed(self, connection: int, why: str) -> None:
        self.lines.append(("closed", connection, why))

    def informational(self, connection: int, status: int) -> None:
        self.lines.append(("informational", connection, str(status)))

    def replayed(self, method: str, url: str) -> None:
        self.replays.append((method, url))

    def leaked(self, lease: adieu.LeaseInfo) -> None:
        self.leaks.append(lease)

    def count(self) -> Counter[str]:
        """How often each event came."""
        return Counter(name for name, _, _ in self.lines)

    def whys(self) -> list[str]:
        """Why connections were closed, in order."""
        return [text for name, _, text in self.lines if name == "closed"]

    def check(self, *, over: bool = True) -> None:
        """Every start has had exactly one end, in the right order; if all is `over`, nothing is left open."""
        states: dict[int, str] = {}
        for line in self.lines:
            name, connection, _ = line
            before = states.get(connection, "new")
            allowed = _ORDER[before]
            assert name in allowed, f"{line} while the connection was {before}: {self.lines}"
            states[connection] = allowed[name]
        if over:
            open_still = {number: state for number, state in states.items() if state not in _ENDS}
            assert not open_still, f"no end for {open_still}: {self.lines}"


_ORDER = {
    "new": {"connect_started": "connecting"},
    "connecting": {"connected": "open", "connect_failed": "failed"},
    "open": {"leased": "leased", "closed": "closed"},
    "leased": {"informational": "leased", "released": "idle", "closed": "closed"},
    "idle": {"leased": "leased", "closed": "closed"},
    # A connection that never was cannot be closed: who counts what is open would count below nothing.
    "failed": {},
    "closed": {},
}
_ENDS = ("closed", "failed")
