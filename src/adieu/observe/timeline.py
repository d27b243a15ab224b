"""The timeline: what connections and requests did, and when. Recorded from events, and read as text or as a page."""

from __future__ import annotations

from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from adieu.observe.build import build
from adieu.observe.recording import Recording

if TYPE_CHECKING:
    import os

    from adieu.client.async_client import AsyncClient
    from adieu.client.client import Client
    from adieu.observe.picture import Picture

__all__ = ["Timeline", "timeline"]


class Timeline(Recording):
    """A listener that draws: each connection, the requests it carried, and the phases of both.

    The phases are the wait for a connection, lookup, TCP, proxy, TLS, sending, waiting for the answer, the body, and
    idling in the pool; how each request left its connection, and why a connection was closed. A response that was
    dropped unread, or is still open, has the line of yours that made the request.

    ```python
    with adieu.timeline(client) as timeline:
        run(client)
    print(timeline)
    timeline.save("timeline.html")
    ```

    `Client(events=adieu.Timeline())` records from the first request on. `most`: the newest so many events are kept, of
    which a request makes about ten.
    """

    def picture(self) -> Picture:
        """What was recorded so far, as values."""
        kept, dropped = self._kept[:], self._dropped
        lines = {event.exchange: line for event, line in kept if line is not None}
        return build([event for event, _ in kept], self._until, lines=lines, dropped=dropped)

    def text(self, width: int | None = None) -> str:
        """The picture for a terminal, in `width` columns: by default those of the terminal, between 80 and 160."""
        from adieu.observe.as_text import as_text

        if width is None:
            width = min(max(get_terminal_size().columns, 80), 160)
        return as_text(self.picture(), width)

    def html(self) -> str:
        """The picture as one page for a browser, which needs no network."""
        from adieu.observe.as_page import as_page

        return as_page(self.picture())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `html()` into a file. Raises `OSError`."""
        Path(path).write_text(self.html(), encoding="utf-8")

    def __str__(self) -> str:
        return self.text()


def timeline(*clients: Client | AsyncClient, most: int = 200_000) -> Timeline:
    """Begin a `Timeline` of these clients, beside their other listeners. As a `with` block it ends with the block."""
    return Timeline(most=most).watch(*clients)
