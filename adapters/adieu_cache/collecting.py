"""What the storages in memory and in files have in common: an entry is kept when its body is complete."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import hishel

from adieu import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

__all__ = ["CollectingStorage"]


class CollectingStorage(hishel.BaseStorage):
    """Keeps up to `max_size` bytes. Raises `InvalidRequest` for what is no number of bytes."""

    def __init__(self, max_size: int) -> None:
        super().__init__()
        if not isinstance(max_size, int) or max_size < 0:
            raise InvalidRequest(f"max_size must be a number of bytes, not {max_size!r}")
        self.max_size = max_size

    def create_entry(
        self,
        request: hishel.Request,
        response: hishel.Response,
        key: str,
        *,
        ttl: float | None = None,
        tti: float | None = None,
    ) -> hishel.Entry:
        """See `hishel.BaseStorage`. Entries do not expire by themselves: `ttl` and `tti` are not used."""
        entry = hishel.Entry(self._new_id(key), request, response)
        return replace(entry, response=replace(response, stream=self._saving(entry, key)))

    def _saving(self, entry: hishel.Entry, key: str) -> Iterator[bytes]:
        stream = entry.response.stream
        chunks: list[bytes] = []
        if isinstance(stream, Iterable):
            for chunk in stream:
                chunks.append(chunk)
                yield chunk
        self._keep(entry, key, b"".join(chunks))

    @abstractmethod
    def _new_id(self, key: str) -> UUID:
        """The id of a new entry with this key."""

    @abstractmethod
    def _keep(self, entry: hishel.Entry, key: str, body: bytes) -> None:
        """Store an entry and its body."""
