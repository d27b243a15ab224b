"""Reaching a storage, sync and async. Whatever is wrong with it is a `StorageFailed`, and never breaks a request.

A storage with a path is opened when it is first used, again in a forked child (SQLite must not be used across a fork),
and again where it was unpickled. A storage that the user gives is the user's: it is neither opened nor closed here.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hishel

from adieu import ClientClosed, InvalidRequest
from adieu_cache.files import FileStorage
from adieu_cache.memory import MemoryStorage
from adieu_cache.stored import Stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from uuid import UUID

__all__ = ["AsyncStore", "StorageFailed", "Store", "async_store", "placed", "sync_store"]

T = TypeVar("T")

_DATABASES = frozenset((".db", ".sqlite", ".sqlite3"))
# How long one use of a database waits for another process. After that it fails, and the server answers.
_MOST_MILLISECONDS = 250
# Connections of parents of this process: closing one here could harm the file that the parent uses.
_inherited: list[hishel.BaseStorage] = []


class StorageFailed(Exception):
    """The storage could not do it; the text says why."""


class Store:
    """A sync storage: whole entries in, whole entries out."""

    # For the finalizer, whatever happens in the constructor.
    _opened: hishel.BaseStorage | None = None

    def __init__(self, given: hishel.BaseStorage | Path) -> None:
        self._given = given
        self._closed = False

    def entries(self, key: str) -> list[Stored]:
        """What is stored under a key, without the bodies."""
        return self._do(lambda storage: _ours(storage.get_entries(key)))

    def body(self, stored: Stored) -> bytes:
        """The whole body of what `entries` has found. It can be read once."""
        assert stored.entry is not None
        stream = stored.entry.response.stream
        return self._do(lambda _: b"".join(stream) if isinstance(stream, Iterable) else b"")

    def save(self, key: str, request: hishel.Request, stored: Stored, body: bytes) -> None:
        """Store a response that has come to its end."""

        def save(storage: hishel.BaseStorage) -> None:
            response = hishel.Response(stored.status, stored.fields(), iter((body,)))
            entry = storage.create_entry(request, response, key)
            assert isinstance(entry.response.stream, Iterable)
            for _ in entry.response.stream:
                pass  # The entry is stored once its stream has been read.
            _check_kept(entry, storage.get_entries(key))

        self._do(save)

    def update(self, stored: Stored) -> None:
        """Replace the head of an entry."""
        entry = stored.entry
        assert entry is not None
        self._do(lambda storage: storage.update_headers(entry.id, stored.fields()))

    def remove(self, ids: Iterable[UUID]) -> None:
        """Remove entries."""
        self._do(lambda storage: [storage.remove_entry(each) for each in ids])

    def _do(self, work: Callable[[hishel.BaseStorage], T]) -> T:
        try:
            return work(self._storage())
        except Exception as error:
            raise StorageFailed(f"the storage failed with {type(error).__name__}") from error

    def _storage(self) -> hishel.BaseStorage:
        if self._closed:
            raise ClientClosed("the cache was closed")
        if not isinstance(self._given, Path):
            return self._given
        if self._opened is None:
            self._opened = _open(self._given)
        return self._opened

    def close(self) -> None:
        """Close what was opened here. Idempotent."""
        self._closed = True
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def after_fork(self) -> None:
        """Leave the parent's connection alone."""
        if self._opened is not None:
            _inherited.append(self._opened)
            self._opened = None

    def __del__(self) -> None:
        if self._opened is not None:
            self.close()


class AsyncStore:
    """The same for an async adapter: in the event loop for what does not wait, in threads for files."""

    def __init__(self, store: Store, waits: bool) -> None:
        self._store = store
        self._waits = waits

    async def entries(self, key: str) -> list[Stored]:
        return await self._run(self._store.entries, key)

    async def body(self, stored: Stored) -> bytes:
        return await self._run(self._store.body, stored)

    async def save(self, key: str, request: hishel.Request, stored: Stored, body: bytes) -> None:
        await self._run(self._store.save, key, request, stored, body)

    async def update(self, stored: Stored) -> None:
        await self._run(self._store.update, stored)

    async def remove(self, ids: Iterable[UUID]) -> None:
        await self._run(self._store.remove, ids)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        if not self._waits:
            return work(*arguments)
        from anyio import to_thread

        # A cancelled call does not wait for a disk: the thread goes on alone, and changes one entry, or none.
        return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True)

    async def close(self) -> None:
        self._store.close()

    def after_fork(self) -> None:
        self._store.after_fork()


class _AwaitedStore(AsyncStore):
    """Over an async storage of hishel's, or of a user's."""

    def __init__(self, storage: hishel.AsyncBaseStorage) -> None:
        self._storage = storage
        self._closed = False

    async def entries(self, key: str) -> list[Stored]:
        async def entries() -> list[Stored]:
            return _ours(await self._storage.get_entries(key))

        return await self._do(entries)

    async def body(self, stored: Stored) -> bytes:
        assert stored.entry is not None
        stream = stored.entry.response.stream
        return await self._do(lambda: _joined(stream))

    async def save(self, key: str, request: hishel.Request, stored: Stored, body: bytes) -> None:
        response = hishel.Response(stored.status, stored.fields(), _once(body))

        async def save() -> None:
            entry = await self._storage.create_entry(request, response, key)
            await _joined(entry.response.stream)
            _check_kept(entry, await self._storage.get_entries(key))

        await self._do(save)

    async def update(self, stored: Stored) -> None:
        entry = stored.entry
        assert entry is not None
        await self._do(lambda: self._storage.update_headers(entry.id, stored.fields()))

    async def remove(self, ids: Iterable[UUID]) -> None:
        for each in ids:
            await self._do(partial(self._storage.remove_entry, each))

    async def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except Exception as error:
            raise StorageFailed(f"the storage failed with {type(error).__name__}") from error

    async def close(self) -> None:
        """Nothing: the storage is the user's."""

    def after_fork(self) -> None:
        """Nothing: the storage is the user's."""


def _ours(found: list[hishel.Entry]) -> list[Stored]:
    return [stored for stored in map(Stored.of, found) if stored is not None]


class NotKept(Exception):
    """A storage has not stored an entry, and has not said why: those of hishel write that to their log."""


def _check_kept(entry: hishel.Entry, found: list[hishel.Entry]) -> None:
    if all(other.id != entry.id for other in found):
        raise NotKept


async def _joined(stream: object) -> bytes:
    if not isinstance(stream, AsyncIterable):
        return b""
    return b"".join([chunk async for chunk in stream])


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _open(path: Path) -> hishel.BaseStorage:
    if path.suffix not in _DATABASES:
        return FileStorage(path)
    import sqlite3  # Not every Python has it.

    # Before SQLite does, which would make it with the umask's mode. The files beside it get the mode of this one.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        # What was not used for a minute may be evicted: a hit writes its time only twice a minute, then.
        storage = hishel.SqliteStorage(connection=connection, soft_delete_ttl=60)
        # That sets the connection up, with a wait of up to five seconds for other processes.
        storage.get_entries("")
        connection.execute(f"PRAGMA busy_timeout={_MOST_MILLISECONDS}")
        return storage
    except BaseException:
        connection.close()
        raise


def placed(storage: object) -> object:
    """What was given as `storage=`; of a path, the absolute one. Raises `InvalidRequest` for what is no storage."""
    if storage is None or isinstance(storage, (hishel.BaseStorage, hishel.AsyncBaseStorage)):
        return storage
    if not isinstance(storage, (str, os.PathLike)):
        raise InvalidRequest(f"storage= is a path, or a storage of hishel's, not {storage!r:.80}")
    path = Path(os.fsdecode(storage)).absolute()
    if not path.parent.is_dir():
        raise InvalidRequest(f"storage={str(storage)!r}: there is no folder {str(path.parent)!r}")
    return path


def sync_store(storage: object) -> Store:
    """The store for a storage that is `placed`. Raises `InvalidRequest` for an async one."""
    if isinstance(storage, (hishel.BaseStorage, Path)):
        return Store(storage)
    if storage is None:
        return Store(MemoryStorage())
    raise InvalidRequest(f"storage={storage!r:.80}: an async storage is for an AsyncCacheAdapter")


def async_store(storage: object) -> AsyncStore:
    """The same for an async adapter."""
    if isinstance(storage, hishel.AsyncBaseStorage):
        return _AwaitedStore(storage)
    waits = not (storage is None or isinstance(storage, MemoryStorage))
    return AsyncStore(sync_store(storage), waits)
