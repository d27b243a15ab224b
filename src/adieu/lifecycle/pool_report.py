"""What a pool is doing, as values and as one readable page: `client.explain()`.

Invariants: the values are texts and numbers, and keep nothing open. URLs are shown with their secrets masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adieu.texts import show_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from adieu.lifecycle.events import LeaseInfo
    from adieu.lifecycle.limits import ConnectionInfo

__all__ = ["ClosedConnection", "PoolReport", "WaitingExchange", "page", "summary"]

# How many lines of each kind a page has.
_MOST = 50


class ClosedConnection(NamedTuple):
    """A connection that was closed lately: when, in seconds before the report, at which age (seconds), and why."""

    id: int
    origin: str
    why: str
    ago: float
    age: float
    uses: int

    def __str__(self) -> str:
        return (
            f"connection {self.id} to {self.origin}: {self.why}, {self.ago:.1f} s ago, "
            f"after {_times(self.uses, 'request')} in {self.age:.1f} s"
        )


class WaitingExchange(NamedTuple):
    """A request that waits for a connection; its call began `seconds` ago, at this line of the user's."""

    origin: str
    method: str
    url: str
    seconds: float
    called_at: str | None

    def __str__(self) -> str:
        where = f", called at {self.called_at}" if self.called_at else ""
        return f"{self.method} {show_url(self.url)} waits, {self.seconds:.1f} s after its call began{where}"


class PoolReport(NamedTuple):
    """What a pool is doing now, and the connections that it closed lately, the last one first."""

    connections: Sequence[ConnectionInfo]
    waiting: Sequence[WaitingExchange] = ()
    closed: Sequence[ClosedConnection] = ()


def page(title: str, reports: Sequence[PoolReport], elsewhere: Sequence[LeaseInfo]) -> str:
    """The page of a client. `elsewhere`: open responses that have no connection, as of an app in this process."""
    connections = [line for report in reports for line in report.connections]
    leased = [line for line in connections if line.lease is not None]
    idle = [line for line in connections if line.lease is None]
    waiting = [line for report in reports for line in report.waiting]
    closed = [line for report in reports for line in report.closed]
    opened = _times(len(connections), "connection")
    lines = [f"{title}: {opened} open, {len(leased)} in use, {len(idle)} idle"]
    lines += _section("in use", map(_shown, leased), len(leased))
    lines += _section(
        "open, without a connection", map(_without_connection, elsewhere), len(elsewhere)
    )
    lines += _section("waiting for a connection", map(str, waiting), len(waiting))
    lines += _section("idle", map(_shown, idle), len(idle))
    lines += _section("closed lately", map(str, sorted(closed, key=_ago)), len(closed))
    return "\n".join(lines)


def summary(report: PoolReport, waiting: int) -> str:
    """What the text of a `PoolTimeout` says beside the leases: `waiting` is how many others wait."""
    parts = []
    if waiting:
        parts.append(f"{_times(waiting, 'other request')} waited too")
    if report.closed:
        parts.append(f"closed last was {report.closed[0]}")
    return f". {'; '.join(parts)}" if parts else ""


def _section(name: str, lines: Iterable[str], count: int) -> Iterator[str]:
    if count:
        yield f"{name}:"
        for line, _ in zip(lines, range(_MOST), strict=False):
            yield f"  {line}"
        if count > _MOST:
            yield f"  and {count - _MOST} more"


def _shown(line: ConnectionInfo) -> str:
    what = str(line.lease) if line.lease is not None else f"idle for {line.idle or 0:.1f} s"
    uses = _times(line.uses, "request")
    return f"connection {line.id} to {line.origin}: {what}; open for {line.age:.1f} s, {uses}"


def _without_connection(info: LeaseInfo) -> str:
    where = f", opened at {info.opened_at}" if info.opened_at else ""
    return f"{info.method} {show_url(info.url)}, {info.seconds:.1f} s after its call began{where}"


def _ago(line: ClosedConnection) -> float:
    return line.ago


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
