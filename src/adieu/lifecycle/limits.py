"""The limits of a pool, and its reports: values that users give and get."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adieu._value import Value
from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from adieu.lifecycle.events import LeaseInfo

__all__ = ["DEFAULT_LIMITS", "CloseReport", "ConnectionInfo", "Limits"]


class Limits(Value):
    """How many connections a client may have, and for how long. Counts and seconds; None is no limit.

    `connections` in all: further calls wait in line, and a thousand at once are no error (see `Timeout.pool`). Without
    such a limit they would open a thousand sockets, which few servers like, and few systems allow one process.
    `per_origin` to one origin (or through one route to it); `idle`: seconds a connection may wait
    unused (a server's shorter `Keep-Alive: timeout=` wins); `age`: seconds after which it is not used again (None;
    useful where addresses behind a name change); `requests`: exchanges after which it is not used again.

    An `AsyncClient` closes idle connections that are too old, or that the server has closed, by a timer of its event
    loop, about once a second. A `Client` has no timer: it closes them at the end of the next call, to any origin.
    """

    __slots__ = ("age", "connections", "idle", "per_origin", "requests")
    connections: int | None
    per_origin: int | None
    idle: float | None
    age: float | None
    requests: int | None

    def __init__(
        self,
        connections: int | None = 100,
        per_origin: int | None = None,
        *,
        idle: float | None = 15.0,
        age: float | None = None,
        requests: int | None = None,
    ) -> None:
        counts: dict[str, object] = {
            "connections": connections,
            "per_origin": per_origin,
            "requests": requests,
        }
        for name, number in counts.items():
            if number is not None and (type(number) is not int or number < 1):
                raise InvalidRequest(
                    f"limits: {name} takes a whole number from 1 or None, not {number!r}"
                )
        times: dict[str, float | None] = {"idle": idle, "age": age}
        for name, seconds in times.items():
            number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
            if seconds is not None and not (number and seconds >= 0):
                raise InvalidRequest(f"limits: {name} takes seconds or None, not {seconds!r}")
        self._set(
            connections=connections, per_origin=per_origin, idle=idle, age=age, requests=requests
        )


DEFAULT_LIMITS = Limits()


class CloseReport(NamedTuple):
    """What `close()` found: how many connections were idle, how many in use, and for what."""

    idle: int
    in_use: int
    holders: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing was in use."""
        return not self.in_use and not self.holders

    def __str__(self) -> str:
        held = f": {'; '.join(self.holders)}" if self.holders else ""
        return f"closed {self.idle} idle connections and {self.in_use} in use{held}"


class ConnectionInfo(NamedTuple):
    """One line of `client.connections()`. Times are seconds."""

    id: int
    origin: str
    state: str
    age: float
    uses: int
    idle: float | None
    lease: LeaseInfo | None

    def __str__(self) -> str:
        doing = str(self.lease) if self.lease else f"idle for {self.idle or 0:.1f} s"
        return f"connection {self.id} to {self.origin}: {self.state}, {doing}"
