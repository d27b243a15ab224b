"""A server whose answers a test writes, and the cache in front of it."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import adieu
from adieu_cache import AsyncCacheAdapter, CacheAdapter, CacheFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from adieu import events
    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request
    from support.runner import Runner

    Fields = dict[str, str] | list[tuple[str, str]]
    Answer = tuple[int, Fields, bytes]

__all__ = ["Cached", "Clock", "EventsOfCaches", "Origin", "fresh"]

NOON = 1_800_000_000.0
"""The time when a test begins."""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    def date(self, after: float = 0) -> str:
        """The time so many seconds after now, as an HTTP-date."""
        return formatdate(self.now + after, usegmt=True)


class EventsOfCaches(adieu.Events):
    """What caches have told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def cached(self, event: events.Cached) -> None:
        self.told.append((event.outcome, event.why))


def fresh(body: bytes = b"fresh", **fields: str) -> Callable[[Request], Answer]:
    """An answer that is fresh for a minute."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda request: (200, {"cache-control": "max-age=60", **headers}, body)


class Origin:
    """Answers at /thing and /other as the test says; `seen` has the requests that came."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.seen: list[Request] = []
        self.answer: Callable[[Request], Answer] = fresh()
        for path in ("/thing", "/other"):
            server.on(path, self._serve)

    def _serve(self, peer: Peer, request: Request) -> Ending:
        self.seen.append(request)
        status, headers, body = self.answer(request)
        fields: Iterable[tuple[str, str]] = (
            headers.items() if isinstance(headers, dict) else headers
        )
        if status in (204, 304):
            peer.start(status, fields)
        elif status == 0:
            return "close"
        else:
            peer.reply(status, body, fields)
        return "keep"


class Cached:
    """The cache in one mode, in front of an origin."""

    def __init__(self, runner: Runner, origin: Origin, folder: Path) -> None:
        self.runner = runner
        self.run = runner.run
        self.origin = origin
        self.folder = folder
        self.clock = Clock()
        self.events = EventsOfCaches()

    @property
    def is_async(self) -> bool:
        return self.runner.kind is adieu.AsyncClient

    def adapter(self, **options: Any) -> Any:
        """A new adapter, with the test's clock."""
        options.setdefault("limits", adieu.Limits(connections=1))
        kind: Any = AsyncCacheAdapter if self.is_async else CacheAdapter
        return kind(clock=self.clock, **options)

    def client(self, adapter: Any = None, **options: Any) -> AbstractContextManager[Any]:
        """A client with that adapter, or a new one, as a `with` block."""
        made = self.runner.client(
            base_url=self.origin.server.url,
            adapter=adapter or self.adapter(),
            timeout=30,
            events=self.events,
            **options,
        )
        return self.runner.block(made)

    def get(self, client: Any, path: str = "/thing", method: str = "GET", **options: Any) -> Any:
        response = self.run(client.request(method, path, **options))
        self.run(response.read())
        return response

    def outcome(self, client: Any, path: str = "/thing", **options: Any) -> str:
        """What the cache does with a request."""
        facts: CacheFacts = self.get(client, path, **options).extras["cache"]
        return facts.outcome
