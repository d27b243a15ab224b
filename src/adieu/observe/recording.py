"""What a timeline and a HAR file are made of: the events of clients, and the lines of the user's that began exchanges.

Invariants. Events come from any thread and from finalizers, so it takes no lock: each event is one `append`. It keeps
values alone, so it keeps nothing open, and no more than a given number of them.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest
from adieu.lifecycle.events import Events
from adieu.lifecycle.exchange import caller
from adieu.observe.watcher import Watcher

if TYPE_CHECKING:
    from typing_extensions import Self

    from adieu.client.async_client import AsyncClient
    from adieu.client.client import Client
    from adieu.events import Event

__all__ = ["Recording"]


class _Kept(NamedTuple):
    event: Event
    line: str | None


class Recording(Watcher):
    """A listener that keeps what it is told: at most `most` events, the newest ones."""

    def __init__(self, *, most: int = 200_000) -> None:
        if type(most) is not int or most < 1:
            raise InvalidRequest(f"most= is a whole number of events from 1, not {most!r}")
        super().__init__()
        self._most = most
        self._dropped = 0
        self._kept: list[_Kept] = []
        self._stopped_at: float | None = None
        # Events have the time of a clock that never goes back; this makes it the time of day.
        self._epoch = time() - perf_counter()

    def watch(self, *clients: Client | AsyncClient) -> Self:
        """Listen to these clients, too, beside their other listeners."""
        super().watch(*clients)
        self._stopped_at = None
        return self

    def stop(self) -> None:
        """Listen no more to the clients that `watch` was given. What was recorded stays. Idempotent."""
        if self._watched:
            self._stopped_at = perf_counter()
        super().stop()

    def clear(self) -> None:
        """Forget what was recorded."""
        self._kept, self._dropped = [], 0

    def on_event(self, event: Event) -> None:
        line = caller() if event.kind == "exchange_started" else None
        self._kept.append(_Kept(event, line))
        if len(self._kept) > self._most:
            # A tenth at once, because the rest has to be moved.
            count = self._most // 10 + 1
            self._dropped += count
            del self._kept[:count]

    @property
    def events(self) -> list[Event]:
        """The events that were recorded, in the order in which they were told."""
        return [event for event, _ in self._kept[:]]

    @property
    def _until(self) -> float:
        """The end of what goes on still."""
        return perf_counter() if self._stopped_at is None else self._stopped_at

    def __len__(self) -> int:
        return len(self._kept)

    def __bool__(self) -> bool:
        return True  # An empty recording is one, too.

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} events>"

    def __reduce__(self) -> tuple[object, ...]:
        # A client may be pickled with its listeners. In another process, nobody reads this one.
        return Events, ()
