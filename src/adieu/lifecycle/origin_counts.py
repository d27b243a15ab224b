"""How many connections each origin has in a pool, known without looking at them all.

An index beside the pool's table, which is the truth. An interrupt may fall between a change of the table and that of
the index, and the step that was interrupted is repeated, perhaps in part. So nothing is added or subtracted: a
connection whose row is about to change is noted first, and before the next count, the index learns from the table
whether it has a row.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, Protocol, TypeVar

__all__ = ["OriginCounts"]


class _Keyed(Protocol):
    """A connection, with the key of its origin."""

    key: Hashable


C = TypeVar("C", bound=_Keyed)


class OriginCounts(Generic[C]):
    """The counts for a table whose keys are the connections. Used with the lock of the pool held."""

    __slots__ = ("_changing", "_members", "_rows")

    def __init__(self, rows: Mapping[C, object]) -> None:
        self._rows = rows
        self._members: dict[Hashable, set[C]] = {}
        self._changing: C | None = None

    def changing(self, conn: C) -> None:
        """To be called just before the connection gets a row in the table, or loses it."""
        self.settle()
        self._changing = conn

    def settle(self) -> None:
        """Learn from the table what has become of the connection that changed last."""
        conn = self._changing
        if conn is None:
            return
        members = self._members.get(conn.key)
        if conn in self._rows:
            if members is None:
                self._members[conn.key] = {conn}
            else:
                members.add(conn)
        elif members is not None:
            members.discard(conn)
            if not members:
                self._members.pop(conn.key, None)
        self._changing = None

    def of(self, key: Hashable) -> int:
        """The number of connections with this key."""
        self.settle()
        return len(self._members.get(key, ()))
