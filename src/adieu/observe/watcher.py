"""A listener that can be put on clients that are there, beside their other listeners, and taken off again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.client.base import ClientBase
from adieu.errors import InvalidRequest
from adieu.lifecycle.events import Events

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.client.async_client import AsyncClient
    from adieu.client.client import Client

__all__ = ["Watcher"]


class Watcher(Events):
    """`Client(events=...)` takes it, or `watch` puts it on clients. As a `with` block it stops at the end."""

    def __init__(self) -> None:
        self._watched: list[Client | AsyncClient] = []

    def watch(self, *clients: Client | AsyncClient) -> Self:
        """Listen to these clients, too, beside their other listeners. Raises `InvalidRequest` without any."""
        if not clients:
            raise InvalidRequest(
                f"there is no client to listen to: give it one, or Client(events=adieu.{type(self).__name__}())"
            )
        for client in clients:
            if not isinstance(client, ClientBase):
                raise InvalidRequest(f"it watches clients of adieu, not {type(client).__name__}")
        for client in clients:
            self._attach(client)
            self._watched.append(client)
        return self

    def stop(self) -> None:
        """Listen no more to the clients that `watch` was given. Idempotent."""
        while self._watched:
            self._detach(self._watched.pop())

    def _attach(self, client: Client | AsyncClient) -> None:
        client.events = (*client.events, self)

    def _detach(self, client: Client | AsyncClient) -> None:
        client.events = tuple(each for each in client.events if each is not self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
