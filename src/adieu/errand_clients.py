"""The clients that a process keeps for errands from elsewhere: one for each that was pickled, until it is not needed.

Nobody here can be told that a map has ended, for an executor has no such message. So a client that had nothing to do
for some seconds is closed, by a thread that is there as long as there are such clients.
"""

from __future__ import annotations

import os
import pickle
from threading import RLock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from adieu.lifecycle.lock import free

if TYPE_CHECKING:
    from adieu.client import Client

__all__ = ["LINGER", "Borrowed", "packed"]

LINGER = 5.0
"""Seconds after its last request in which a client is closed."""

_PIECE = 0.5

_names: WeakKeyDictionary[Client, bytes] = WeakKeyDictionary()
_kept: dict[tuple[bytes, bytes], _Kept] = {}
_lock = RLock()
_caretaker: Thread | None = None


def packed(client: Client) -> tuple[bytes, bytes]:
    """A client as its name, which no other client in the world has, and its settings.

    By settings alone, two who signed in one after the other would share the cookies of one client.
    """
    name = _names.setdefault(client, os.urandom(16))
    return name, pickle.dumps(client)


class _Kept:
    __slots__ = ("client", "since", "users")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.users = 0
        self.since = 0.0


class Borrowed:
    """`with Borrowed(*packed(client)) as twin:` uses this process's own client of these settings."""

    __slots__ = ("_kept", "_key")

    def __init__(self, name: bytes, settings: bytes) -> None:
        self._key = (name, settings)
        self._kept: _Kept | None = None

    def __enter__(self) -> Client:
        try:
            with _lock:
                kept = _kept.get(self._key)
                if kept is None:
                    _kept[self._key] = kept = _Kept(pickle.loads(self._key[1]))  # noqa: S301 - the caller's own client
                kept.users += 1
                self._kept = kept
                _watch()
        except BaseException:
            free(_lock)
            raise
        return kept.client

    def __exit__(self, *error: object) -> None:
        kept = self._kept
        assert kept is not None
        try:
            with _lock:
                kept.users -= 1
                kept.since = monotonic()
        except BaseException:
            free(_lock)
            raise


def _watch() -> None:
    global _caretaker
    # In a forked child it is not alive.
    if _caretaker is None or not _caretaker.is_alive():
        _caretaker = Thread(target=_tend, name="adieu-map-clients", daemon=True)
        _caretaker.start()


def _tend() -> None:
    while _close_unused():
        sleep(_PIECE)


def _close_unused() -> bool:
    """Close what has had nothing to do for long enough; False: nothing is left."""
    global _caretaker
    now = monotonic()
    over: list[Any] = []
    with _lock:
        for key, kept in list(_kept.items()):
            if not kept.users and now - kept.since >= LINGER:
                over.append(_kept.pop(key).client)
        left = bool(_kept)
        if not left:
            _caretaker = None
    for client in over:
        client.close()
    return left
