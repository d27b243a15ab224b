"""A storage in memory.

Invariants. It has no lock, so a fork or an interrupt can leave none behind: each change is one store into a dictionary,
of a tuple that is never changed. Where two threads store under one key at once, one of both may be lost, as it might be
evicted. A forked child has a copy of its own.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from adieu_cache.collecting import CollectingStorage

if TYPE_CHECKING:
    import hishel

__all__ = ["MemoryStorage"]

_OVERHEAD = 1024
"""About what an entry takes besides its body, in bytes."""


class _Item:
    """One entry: its request and response without the stream, its body, and when it was used last."""

    __slots__ = ("body", "entry", "used")

    def __init__(self, entry: hishel.Entry, body: bytes, used: int) -> None:
        self.entry = entry
        self.body = body
        self.used = used


class MemoryStorage(CollectingStorage):
    """Keeps up to `max_size` bytes; what was not used for longest is dropped first.

    Several adapters may share one, in any threads. It is pickled empty.
    """

    def __init__(self, max_size: int = 64 * 1024 * 1024) -> None:
        super().__init__(max_size)
        self._items: dict[str, tuple[_Item, ...]] = {}
        self._keys: dict[UUID, str] = {}
        self._clock = count()
        # An estimate, because two threads may store at once; it is put right before anything is dropped.
        self._size = 0

    def _new_id(self, key: str) -> UUID:
        return uuid4()

    def _keep(self, entry: hishel.Entry, key: str, body: bytes) -> None:
        bare = replace(entry, response=replace(entry.response, stream=None))
        self._keys[entry.id] = key
        self._items[key] = (*self._items.get(key, ()), _Item(bare, body, next(self._clock)))
        self._size += len(body) + _OVERHEAD
        if self._size > self.max_size:
            self._evict()

    def _evict(self) -> None:
        items = [item for kept in list(self._items.values()) for item in kept]
        items.sort(key=lambda item: item.used)
        size = sum(len(item.body) + _OVERHEAD for item in items)
        for item in items:
            if size <= self.max_size:
                break
            self.remove_entry(item.entry.id)
            size -= len(item.body) + _OVERHEAD
        self._size = size

    def get_entries(self, key: str) -> list[hishel.Entry]:
        found = []
        for item in self._items.get(key, ()):
            item.used = next(self._clock)
            response = replace(item.entry.response, stream=iter((item.body,)))
            found.append(replace(item.entry, response=response))
        return found

    def update_headers(self, id: UUID, headers: hishel.Headers) -> None:
        key = self._keys.get(id, "")
        self._items[key] = tuple(
            _Item(_with_headers(item.entry, headers), item.body, next(self._clock))
            if item.entry.id == id
            else item
            for item in self._items.get(key, ())
        )

    def remove_entry(self, id: UUID) -> None:
        key = self._keys.pop(id, "")
        left = tuple(item for item in self._items.get(key, ()) if item.entry.id != id)
        if left:
            self._items[key] = left
        else:
            self._items.pop(key, None)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.max_size,)


def _with_headers(entry: hishel.Entry, headers: hishel.Headers) -> hishel.Entry:
    return replace(entry, response=replace(entry.response, headers=headers))
