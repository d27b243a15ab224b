"""The clients that a worker process makes for the maps of other processes.

Each pickled client is made once and used by all of its requests that come here. An executor does not tell its workers
that a map has ended, so a client is closed when it was idle for some seconds, by a thread that runs as long as there
are such clients.
"""

from __future__ import annotations

import os
import pickle
from time import monotonic, sleep
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

# typing's own cannot be generic before Python 3.11.
from typing_extensions import NamedTuple

from adieu.lifecycle.fork import call_after_fork
from adieu.lifecycle.lock import locked, new_lock
from adieu.lifecycle.threads import BackgroundThread

__all__ = ["IDLE_TIMEOUT", "BorrowedClient", "PackedClient", "pack"]

IDLE_TIMEOUT = 5.0
"""Seconds after its last request until a client is closed."""

_EVICT_INTERVAL = 0.5


class _Closable(Protocol):
    def close(self) -> object: ...


C = TypeVar("C", bound=_Closable)


class PackedClient(NamedTuple, Generic[C]):
    """A pickled client, and the random name of the client that it was made from.

    The name is part of the key: two clients of equal settings must not share one client elsewhere. Two users who
    signed in with them would share its cookies.
    """

    name: bytes
    settings: bytes


_names: WeakKeyDictionary[_Closable, bytes] = WeakKeyDictionary()
_clients: dict[PackedClient[Any], _CachedClient[Any]] = {}
_lock = new_lock()
_evictor: BackgroundThread | None = None


def pack(client: C) -> PackedClient[C]:
    """Pickle a client. The name is the same for every call with the same client."""
    return PackedClient(_names.setdefault(client, os.urandom(16)), pickle.dumps(client))


class _CachedClient(Generic[C]):
    """A client, how many requests use it now, and since when none does."""

    __slots__ = ("__weakref__", "client", "idle_since", "users")

    def __init__(self, client: C) -> None:
        self.client = client
        self.users = 0
        self.idle_since = 0.0
        call_after_fork(self, _CachedClient._after_fork)

    def _after_fork(self) -> None:
        self.users = 0  # A forked child has none of the threads that use it.

    def give_back(self) -> None:
        self.users -= 1
        self.idle_since = monotonic()

    def is_expired(self, now: float) -> bool:
        return not self.users and now - self.idle_since >= IDLE_TIMEOUT


class BorrowedClient(Generic[C]):
    """`with BorrowedClient(pack(client)) as own:` uses this process's own client of these settings."""

    __slots__ = ("_cached", "_packed")

    def __init__(self, packed: PackedClient[C]) -> None:
        self._packed = packed
        self._cached: _CachedClient[C] | None = None

    def __enter__(self) -> C:
        self._cached = cached = locked(_lock, self._borrow)
        return cached.client

    def __exit__(self, *error: object) -> None:
        assert self._cached is not None
        locked(_lock, self._cached.give_back)

    def _borrow(self) -> _CachedClient[C]:
        global _evictor
        packed = self._packed
        cached: _CachedClient[C] | None = _clients.get(packed)
        if cached is None:
            client: C = pickle.loads(packed.settings)  # noqa: S301 - from the process that uses it
            _clients[packed] = cached = _CachedClient(client)
        cached.users += 1
        # In a forked child the parent's thread is not alive.
        if _evictor is None or not _evictor.is_alive():
            _evictor = BackgroundThread(_evict_until_empty, name="adieu-map-clients")
            try:
                _evictor.begin()
            except RuntimeError:
                _evictor = None  # The system gives no thread: the next request tries again.
        return cached


def _evict_until_empty() -> None:
    while _evict_idle():
        sleep(_EVICT_INTERVAL)


def _evict_idle() -> bool:
    """Close the clients that were idle for long enough. True if there are others."""
    expired, others = locked(_lock, _pop_expired)
    for client in expired:
        client.close()
    return others


def _pop_expired() -> tuple[list[_Closable], bool]:
    global _evictor
    now = monotonic()
    expired = [packed for packed, cached in _clients.items() if cached.is_expired(now)]
    clients = [_clients.pop(packed).client for packed in expired]
    if not _clients:
        _evictor = None
    return clients, bool(_clients)
