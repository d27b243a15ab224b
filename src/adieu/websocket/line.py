"""Those that want to send a message: one at a time, first come, first served."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Line", "Place"]


class Place:
    """The place of one call in the line."""

    __slots__ = ("wake",)

    def __init__(self) -> None:
        # Called when the turn may have come; None: it does not wait.
        self.wake: Callable[[], object] | None = None


class Line:
    """Every change is one operation of a `deque`, which no other thread and no interrupt can cut in two."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: deque[Place] = deque()

    def join(self, place: Place) -> None:
        """Stand at the end."""
        self._places.append(place)

    def is_first(self, place: Place) -> bool:
        """Whether the turn has come."""
        return self._places[0] is place

    def leave(self, place: Place) -> None:
        """Give the place up, in the middle of the line too; the next one's turn has come then. Idempotent."""
        try:
            self._places.remove(place)
        except ValueError:
            return
        try:
            wake = self._places[0].wake
        except IndexError:
            return
        if wake is not None:
            wake()
