"""The cache as a middleware, sync and async: two drivers of the steps in `flow`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from adieu import AsyncMiddleware, ClientClosed, InvalidRequest, Middleware
from adieu.lifecycle.steps import adrive, drive
from adieu.transport.registry import inner_adapter
from adieu_cache.flow import Cache
from adieu_cache.question import Options, Question
from adieu_cache.stores import async_store, placed, sync_store

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    import hishel

    from adieu import (
        Adapter,
        AsyncAdapter,
        AsyncExchange,
        AsyncResponse,
        CloseReport,
        Exchange,
        Limits,
        Request,
        Response,
    )
    from adieu_cache.question import Pending

    Path = str | os.PathLike[str]

__all__ = ["AsyncCacheAdapter", "CacheAdapter"]

C = TypeVar("C", bound="CacheAdapter | AsyncCacheAdapter")

_CACHEABLE = frozenset(("GET", "POST", "QUERY"))


class CacheAdapter(Middleware):
    """Answers from a cache what it may (RFC 9111), around any adapter (the default one, if none is given).

    - `inner`: an adapter, or the name of one.
    - `storage`: None for memory (up to 64 MiB); the path of an SQLite database, if it ends in ".sqlite", ".sqlite3" or
      ".db", or else of a folder for files; or a storage of hishel's, which stays yours to close.
    - `shared`: it serves several users, so private responses, responses to requests with credentials, and responses
      that set cookies are not stored unless the server allows it.
    - `methods`: whose responses are stored: "GET", and if you ask for it "QUERY" and "POST", with content in memory.
    - `max_body`: the longest body that is stored, in bytes. It is collected while it is read.
    - `heuristic`: how long a response is fresh about which the server says nothing, as a part of the time since its
      `Last-Modified`. By default the server is asked.
    - `stale_if_error`: for how many seconds a response that has become stale may answer while the server cannot, even
      if the server does not say so.
    - `clock`: seconds since the epoch, for tests.

    What the cache did is in `response.extras["cache"]`, a `CacheFacts`, and told to `Events.cached`.
    """

    def __init__(
        self,
        inner: Adapter | Callable[..., Response] | str | None = None,
        *,
        storage: Path | hishel.BaseStorage | None = None,
        shared: bool = False,
        methods: Iterable[str] = ("GET",),
        max_body: int = 8 * 1024 * 1024,
        heuristic: float = 0.0,
        stale_if_error: float = 0.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        options = _options(shared, methods, max_body, heuristic, stale_if_error, clock)
        place = placed(storage)
        store = sync_store(place)
        super().__init__(_inner(inner, limits, "adieu.adapters"))
        self._given = place, options
        self._cache = Cache(options, store)
        self._closed = False

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Answer from the cache, or send, and store what may be stored."""
        _refuse_closed(self._closed)
        question = Question(request, exchange, self.inner.send, self._collecting)
        response: Response = drive(self._cache.answer(question))
        return response

    def _collecting(self, response: Response, pending: Pending) -> Response:
        cache = self._cache

        def collect(chunks: Iterator[bytes]) -> Iterator[bytes]:
            collected = _Collected(cache.options.max_body)
            for chunk in chunks:
                collected.add(chunk)
                yield chunk
            if collected.is_whole:
                drive(cache.storing.save(pending, b"".join(collected.chunks)))

        return response.wrap(collect)

    def close(self) -> CloseReport | None:
        self._closed = True
        try:
            self._cache.store.close()
        finally:
            report = self.inner.close()
        return report

    def after_fork(self) -> None:
        self._cache.store.after_fork()

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.inner, *self._given)


class AsyncCacheAdapter(AsyncMiddleware):
    """`CacheAdapter` around an async adapter. `storage` may be a `hishel.AsyncBaseStorage`, too.

    A storage of files, SQLite's too, is reached in threads.
    """

    def __init__(
        self,
        inner: Adapter | AsyncAdapter | Callable[..., Any] | str | None = None,
        *,
        storage: Path | hishel.BaseStorage | hishel.AsyncBaseStorage | None = None,
        shared: bool = False,
        methods: Iterable[str] = ("GET",),
        max_body: int = 8 * 1024 * 1024,
        heuristic: float = 0.0,
        stale_if_error: float = 0.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        options = _options(shared, methods, max_body, heuristic, stale_if_error, clock)
        place = placed(storage)
        store = async_store(place)
        super().__init__(_inner(inner, limits, "adieu.async_adapters"))
        self._given = place, options
        self._cache = Cache(options, store)
        self._closed = False

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Answer from the cache, or send, and store what may be stored."""
        _refuse_closed(self._closed)
        question = Question(request, exchange, self.inner.send, self._collecting)
        response: AsyncResponse = await adrive(self._cache.answer(question))
        return response

    def _collecting(self, response: AsyncResponse, pending: Pending) -> AsyncResponse:
        cache = self._cache

        async def collect(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            collected = _Collected(cache.options.max_body)
            async for chunk in chunks:
                collected.add(chunk)
                yield chunk
            if collected.is_whole:
                await adrive(cache.storing.save(pending, b"".join(collected.chunks)))

        return response.wrap(collect)

    async def close(self) -> CloseReport | None:
        self._closed = True
        try:
            await self._cache.store.close()
        finally:
            report = await self.inner.close()
        return report

    def after_fork(self) -> None:
        self._cache.store.after_fork()

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.inner, *self._given)


class _Collected:
    """The chunks of a body, up to a bound."""

    __slots__ = ("_left", "chunks")

    def __init__(self, bound: int) -> None:
        self._left = bound
        self.chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        if self._left < 0:
            return
        self._left -= len(chunk)
        if self._left < 0:
            self.chunks.clear()
        else:
            self.chunks.append(chunk)

    @property
    def is_whole(self) -> bool:
        return self._left >= 0


def _again(kind: type[C], inner: Any, storage: Any, options: Options) -> C:
    """An adapter that was pickled."""
    return kind(inner, storage=storage, **options._asdict())


def _inner(inner: Any, limits: Limits | None, group: str) -> Any:
    name = inner if isinstance(inner, str) else "native"
    return inner_adapter(None if isinstance(inner, str) else inner, limits, name, group)


def _refuse_closed(closed: bool) -> None:
    if closed:
        raise ClientClosed("this cache was closed")


def _options(
    shared: bool,
    methods: Iterable[str],
    max_body: int,
    heuristic: float,
    stale_if_error: float,
    clock: Callable[[], float],
) -> Options:
    names = frozenset(methods if not isinstance(methods, str) else [methods])
    if not names <= _CACHEABLE:
        raise InvalidRequest(f"methods= takes {', '.join(sorted(_CACHEABLE))}, not {methods!r}")
    for name, value in (
        ("max_body", max_body),
        ("heuristic", heuristic),
        ("stale_if_error", stale_if_error),
    ):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise InvalidRequest(f"{name} must be a number of at least 0, not {value!r}")
    return Options(bool(shared), names, int(max_body), heuristic, stale_if_error, clock)
