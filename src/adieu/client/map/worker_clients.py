"""The clients that a process keeps for errands from elsewhere: one for each that was pickled, until it is not needed.

Nobody here can be told that a map has ended, for an executor has no such message. So a client that had nothing to do
for some seconds is closed, by a thread that is there as long as there are such clients.
"""

from __future__ import annotations

import os
import pickle
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from adieu.lifecycle.lock import locked, process_lock

if TYPE_CHECKING:
    from adieu.client.client import Client

__all__ = ["LINGER", "Borrowed", "packed"]

LINGER = 5.0
"""Seconds after its last request in which a client is closed."""

_PIECE = 0.5

_names: WeakKeyDictionary[Client, bytes] = WeakKeyDictionary()
_kept: dict[tuple[bytes, bytes], _CachedClient] = {}
_lock = process_lock()
_caretaker: Thread | None = None


def packed(client: Client) -> tuple[bytes, bytes]:
    """A client as its name, which no other client in the world has, and its settings.

    By settings alone, two who signed in one after the other would share the cookies of one client.
    """
    name = _names.setdefault(client, os.urandom(16))
    return name, pickle.dumps(client)


class _CachedClient:
    __slots__ = ("client", "since", "users")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.users = 0
        self.since = 0.0

    def give_back(self) -> None:
        self.users -= 1
        self.since = monotonic()


class Borrowed:
    """`with Borrowed(*packed(client)) as twin:` uses this process's own client of these settings."""

    __slots__ = ("_kept", "_key")

    def __init__(self, name: bytes, settings: bytes) -> None:
        self._key = (name, settings)
        self._kept: _CachedClient | None = None

    def __enter__(self) -> Client:
        self._kept = kept = locked(_lock, _taken, self._key)
        return kept.client

    def __exit__(self, *error: object) -> None:
        assert self._kept is not None
        locked(_lock, self._kept.give_back)


def _taken(key: tuple[bytes, bytes]) -> _CachedClient:
    global _caretaker
    kept = _kept.get(key)
    if kept is None:
        _kept[key] = kept = _CachedClient(pickle.loads(key[1]))  # noqa: S301 - the caller's own client
    kept.users += 1
    # In a forked child it is not alive.
    if _caretaker is None or not _caretaker.is_alive():
        _caretaker = Thread(target=_evict_idle, name="adieu-map-clients", daemon=True)
        _caretaker.start()
    return kept


def _evict_idle() -> None:
    while _close_unused():
        sleep(_PIECE)


def _close_unused() -> bool:
    """Close what has had nothing to do for long enough; False: nothing is left."""
    unused, left = locked(_lock, _without_work)
    for client in unused:
        client.close()
    return left


def _without_work() -> tuple[list[Client], bool]:
    global _caretaker
    now = monotonic()
    over = [key for key, kept in _kept.items() if not kept.users and now - kept.since >= LINGER]
    unused = [_kept.pop(key).client for key in over]
    if not _kept:
        _caretaker = None
    return unused, bool(_kept)
