"""Events as lines of `logging`.

Invariants: no header field and no content is logged. A URL comes as `adieu.texts` shows it, its secrets masked. An
error is logged as the name of its class, because its text may quote content. A leak is a `ResourceWarning`, which
`logging.captureWarnings(True)` puts into the log, so there is no line for it here. This module, and `logging`, are
imported on first use.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from adieu.lifecycle.events import Events

if TYPE_CHECKING:
    from adieu import events

__all__ = ["LogEvents"]


class LogEvents(Events):
    """A line for each exchange, and for what happens to connections: `Client(events=adieu.LogEvents())`.

    `logger` is a logger or its name, "adieu" by default; `level` is the level of every line. The path of a URL, and
    parameters with harmless names, are shown.

    ```
    connection 3: connecting to https://api.example.org
    connection 3: open after 0.021 s
    GET https://api.example.org/items?token=***: 200 in 0.034 s, connection 3, new
    GET https://api.example.org/items: ReadTimeout after 5.003 s, connection 3, reused
    GET https://api.example.org/items: BodyTruncated in the body after 0.120 s, connection 3
    GET https://api.example.org/items: retry 1 in 0.153 s, because of ReadTimeout
    GET https://api.example.org/moved: followed, by a 302
    GET https://api.example.org/items: cache hit (fresh)
    connection 3: closed (ReadTimeout)
    ```
    """

    def __init__(
        self, logger: logging.Logger | str | None = None, *, level: int = logging.DEBUG
    ) -> None:
        self.logger = (
            logger if isinstance(logger, logging.Logger) else logging.getLogger(logger or "adieu")
        )
        self.level = level

    def answered(self, event: events.Answered) -> None:
        self._exchange("%s %s: %d in %.3f s, %s", event, event.status)

    def failed(self, event: events.Failed) -> None:
        self._exchange("%s %s: %s after %.3f s, %s", event, event.error)

    def body_ended(self, event: events.BodyEnded) -> None:
        if event.error is not None:
            where = f"connection {event.connection}" if event.connection else "no connection"
            line = "%s %s: %s in the body after %.3f s, %s"
            self._log(line, event.method, event.url, event.error, event.seconds, where)

    def _exchange(self, line: str, event: events.Answered | events.Failed, end: int | str) -> None:
        if self.logger.isEnabledFor(self.level):
            age = "reused" if event.reused else "new"
            number = event.connection
            where = f"connection {number}, {age}" if number else "no connection"
            facts = event.method, event.url, end, event.seconds, where
            self.logger.log(self.level, line, *facts)

    def redirected(self, event: events.Redirected) -> None:
        self._log("%s %s: followed, by a %d", event.method, event.url, event.status)

    def retrying(self, event: events.Retrying) -> None:
        facts = event.method, event.url, event.retry, event.wait, event.reason
        self._log("%s %s: retry %d in %.3f s, because of %s", *facts)

    def replayed(self, event: events.Replayed) -> None:
        line = "%s %s: sent once more, because a kept connection had died"
        self._log(line, event.method, event.url)

    def cached(self, event: events.Cached) -> None:
        self._log("%s %s: cache %s (%s)", event.method, event.url, event.outcome, event.why)

    def connect_started(self, event: events.ConnectStarted) -> None:
        proxy = "" if event.proxy is None else f" via {event.proxy}"
        self._log("connection %d: connecting to %s%s", event.connection, event.origin, proxy)

    def connected(self, event: events.Connected) -> None:
        self._log("connection %d: open after %.3f s", event.connection, event.seconds)

    def connect_failed(self, event: events.ConnectFailed) -> None:
        self._log("connection %d: could not be opened", event.connection)

    def closed(self, event: events.Closed) -> None:
        self._log("connection %d: closed (%s)", event.connection, event.why)

    def _log(self, line: str, *facts: object) -> None:
        self.logger.log(self.level, line, *facts)
