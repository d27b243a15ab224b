"""Drives a client for a test: the test is written once, and each colour has a runner.

A test calls `run(client.get(...))`. What a sync client gives has happened by then and is handed back; an async
client's awaitable would be awaited. The rest of the words are what differs between the colours besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import adieu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["RUNNERS", "Runner", "SyncRunner"]


class Runner(Protocol):
    """What a test needs to be written for every colour."""

    kind: type[Any]
    """The class of the clients."""

    def client(self, **options: Any) -> Any:
        """A client that nobody closes but the test."""
        ...

    def run(self, wish: Any) -> Any:
        """The result of a call."""
        ...

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        """A client or a stream as a `with` block."""
        ...

    def each(self, pieces: Any) -> Iterator[Any]:
        """The pieces of an `iter_...` method."""
        ...

    def one_shot(self, method: str, url: str, **options: Any) -> Any:
        """A call in a client of its own."""
        ...

    def one_stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[Any]:
        """A stream in a client of its own."""
        ...


class SyncRunner:
    """For `adieu.Client`."""

    kind = adieu.Client

    def client(self, **options: Any) -> Any:
        return adieu.Client(**options)

    def run(self, wish: Any) -> Any:
        return wish

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        held: AbstractContextManager[Any] = thing
        return held

    def each(self, pieces: Any) -> Iterator[Any]:
        return iter(pieces)

    def one_shot(self, method: str, url: str, **options: Any) -> Any:
        return adieu.request(method, url, **options)

    def one_stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[Any]:
        return adieu.stream(method, url, **options)


RUNNERS: dict[str, type[Runner]] = {"sync": SyncRunner}
