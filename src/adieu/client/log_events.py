"""Events as lines of `logging`.

Invariants: no header field and no content is logged. A URL comes as `adieu.texts` shows it, its secrets masked. An
error is logged as the name of its class, because its text may quote content. A leak is a `ResourceWarning`, which
`logging.captureWarnings(True)` puts into the log, so there is no line for it here. This module, and `logging`, are
imported on first use.
"""

from __future__ import annotations

import logging

from adieu.lifecycle.events import Events

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

    def answered(
        self, connection: int, method: str, url: str, status: int, seconds: float, reused: bool
    ) -> None:
        self._exchange("%s %s: %d in %.3f s, %s", connection, method, url, status, seconds, reused)

    def failed(
        self, connection: int, method: str, url: str, error: str, seconds: float, reused: bool
    ) -> None:
        self._exchange(
            "%s %s: %s after %.3f s, %s", connection, method, url, error, seconds, reused
        )

    def _exchange(
        self,
        line: str,
        connection: int,
        method: str,
        url: str,
        end: int | str,
        seconds: float,
        reused: bool,
    ) -> None:
        if self.logger.isEnabledFor(self.level):
            age = "reused" if reused else "new"
            where = f"connection {connection}, {age}" if connection else "no connection"
            self.logger.log(self.level, line, method, url, end, seconds, where)

    def redirected(self, method: str, url: str, status: int) -> None:
        self._log("%s %s: followed, by a %d", method, url, status)

    def retrying(self, method: str, url: str, retry: int, wait: float, reason: str) -> None:
        facts = method, url, retry, wait, reason
        self._log("%s %s: retry %d in %.3f s, because of %s", *facts)

    def replayed(self, method: str, url: str) -> None:
        line = "%s %s: sent once more, because a kept connection had died"
        self._log(line, method, url)

    def cached(self, method: str, url: str, outcome: str, why: str) -> None:
        self._log("%s %s: cache %s (%s)", method, url, outcome, why)

    def connect_started(self, connection: int, origin: str) -> None:
        self._log("connection %d: connecting to %s", connection, origin)

    def connected(self, connection: int, seconds: float) -> None:
        self._log("connection %d: open after %.3f s", connection, seconds)

    def connect_failed(self, connection: int, error: str) -> None:
        self._log("connection %d: could not be opened", connection)

    def closed(self, connection: int, why: str) -> None:
        self._log("connection %d: closed (%s)", connection, why)

    def _log(self, line: str, *facts: object) -> None:
        self.logger.log(self.level, line, *facts)
