"""The requests that are added to a map while it runs: the frontier of a crawler, the next page, a follow-up."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from adieu.client.map.arguments import NoRequest
from adieu.errors import ClientClosed

if TYPE_CHECKING:
    from adieu.client.map.outcome import Wanted

__all__ = ["Added"]


class Added:
    """They are sent before the rest of the source, first come, first served."""

    __slots__ = ("_ended", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Wanted] = deque()
        self._ended = False

    def add(self, request: Wanted) -> None:
        """Add a request. Raises `ClientClosed` when the map has ended."""
        if self._ended:
            raise ClientClosed("this map has ended, and takes no further request")
        self._waiting.append(request)

    def take(self) -> Wanted | NoRequest:
        """The next one."""
        return self._waiting.popleft() if self._waiting else NoRequest.EXHAUSTED

    def end(self) -> None:
        """The map has ended. Idempotent."""
        self._ended = True
        self._waiting.clear()
