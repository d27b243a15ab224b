"""A listener for server-sent events, which goes on where it stopped, also after a restart.

`python examples/sse_listener.py https://example.org/feed` prints the events. The number of the last
one is kept in a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import adieu

__all__ = ["listen"]


def listen(url: str, handle: Callable[[adieu.ServerSentEvent], bool], state: Path) -> None:
    """Give each event to `handle` until it returns False. `state`: a file for the last event's id."""
    last = state.read_text(encoding="utf-8") if state.exists() else ""
    quiet = adieu.Timeout(read=120)  # The server sends something at least every two minutes.
    with (
        adieu.Client(timeout=quiet) as client,
        client.event_stream(url, last_event_id=last, wait=1.0, attempts=10) as events,
    ):
        for event in events:
            goes_on = handle(event)
            state.write_text(events.last_event_id, encoding="utf-8")
            if not goes_on:
                return


def show(event: adieu.ServerSentEvent) -> bool:
    """Print an event."""
    print(event.event, event.data)
    return True


if __name__ == "__main__":
    listen(sys.argv[1], show, Path("last-event-id"))
