"""HAR 1.2: the requests of clients as a file that browsers' developer tools and many other programs open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from adieu._version import __version__
from adieu.observe.facts import collected
from adieu.observe.har_entry import entry_of
from adieu.observe.recording import Recording

if TYPE_CHECKING:
    import os

    from adieu.client.async_client import AsyncClient
    from adieu.client.client import Client

__all__ = ["HAR", "har"]


class HAR(Recording):
    """A listener that makes a HAR file: an entry for each exchange, redirects and retries too.

    An entry has the heads of both messages, all timings (`blocked`, `dns`, `connect`, `ssl`, `send`, `wait`,
    `receive`), the sizes as sent and as decoded, the server's address, and the number of the connection. In header
    fields and URLs, secrets are masked; cookies and content are left out. So a file can be attached to a bug report.

    ```python
    with adieu.har(client) as har:
        run(client)
    har.save("run.har")
    ```

    `Client(events=adieu.HAR())` records from the first request on.
    """

    def log(self) -> dict[str, object]:
        """The whole file as a value for JSON: `{"log": ...}`."""
        kept = self.events
        facts = collected(kept)
        entries = [
            entry_of(
                exchange,
                facts.connections.get(exchange.connection),
                epoch=self._epoch,
                until=max(self._until, exchange.began),
            )
            for exchange in sorted(facts.exchanges.values(), key=lambda each: each.began)
            if exchange.method  # Without it, what was kept is only its end.
        ]
        creator = {"name": "adieu", "version": __version__}
        return {"log": {"version": "1.2", "creator": creator, "entries": entries}}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it into a file. Raises `OSError`."""
        text = json.dumps(self.log(), indent=1, ensure_ascii=False)
        Path(path).write_text(text, encoding="utf-8")


def har(*clients: Client | AsyncClient, most: int = 200_000) -> HAR:
    """Begin a `HAR` of these clients, beside their other listeners. As a `with` block it ends with the block."""
    return HAR(most=most).watch(*clients)
