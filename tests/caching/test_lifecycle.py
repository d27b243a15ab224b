"""Over every adapter, under every policy: bodies that do not come to their end are not stored, and nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu_cache import AsyncCacheAdapter, CacheAdapter, MemoryStorage
from adieu_native import NativeAdapter
from support.body_ends import ENDS
from support.site import LARGE, POLICIES, SMALL, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu import events
    from adieu.testing import FaultServer
    from support.site import Place


def cache(storage: MemoryStorage) -> Pair:
    """The cache, in which everything is stored, because it could answer in place of an error."""
    options: Any = {"storage": storage, "stale_if_error": 60.0}
    return Pair(
        lambda inner: CacheAdapter(inner, **options),
        lambda inner: AsyncCacheAdapter(inner, **options),
    )


_BODIES = {"/small": SMALL, "/large": LARGE, "/chunked": SMALL, "/empty": b"", "/none": b""}


def test_the_user_gets_the_right_bytes(place: Place) -> None:
    storage = MemoryStorage()
    with place.block(place.client(cache(storage))) as client:
        for path, policy, streaming in itertools.product(_BODIES, POLICIES, (False, True)):
            assert place.content(client, path, streaming, cleanup=policy) == _BODIES[path]
            place.is_free(client)
        assert place.read(place.get(client, "/gzip")) == LARGE
        # The second one is answered from the cache: its strong validator is the same.
        second = place.get(client, "/gzip")
        assert place.read(second) == LARGE
        assert second.extras["cache"].outcome == "revalidated"


@pytest.mark.usefixtures("uncollected")
def test_what_does_not_come_to_its_end_is_not_stored_and_nothing_is_lost(place: Place) -> None:
    storage = MemoryStorage()
    with place.block(place.client(cache(storage))) as client:
        for number, (end, policy) in enumerate(itertools.product(ENDS, POLICIES)):
            before = len(storage._items)
            end(place, client, policy)
            # A small body may have come to its end before it was left: it was read ahead.
            stored = {entry.request.url.rpartition("/")[2] for entry in _entries(storage)}
            assert not stored & {"large", "cut", "cut-chunked"}, (end, policy)
            assert len(storage._items) <= before + 1
            place.is_free(client)
            assert number < 100


def _entries(storage: MemoryStorage) -> Iterator[Any]:
    for key in list(storage._items):
        yield from storage.get_entries(key)


def test_an_unchanged_body_is_hung_up_on_under_every_policy(place: Place) -> None:
    with place.block(place.client(cache(MemoryStorage()))) as client:
        place.content(client, "/gzip", False, cleanup=adieu.Prefetch())
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            assert place.content(client, "/gzip", streaming, cleanup=policy) == LARGE
            place.is_free(client)


def test_a_body_whose_call_is_cancelled_or_interrupted_is_not_stored(
    fault_server: FaultServer, census: object
) -> None:
    storage = MemoryStorage()
    options: Any = {"storage": storage, "stale_if_error": 60.0}

    class Head(adieu.Events):
        def __init__(self) -> None:
            self.came = asyncio.Event()

        def answered(self, event: events.Answered) -> None:
            self.came.set()

    async def cancelled() -> None:
        head = Head()
        async with adieu.AsyncClient(
            fault_server.url, adapter=AsyncCacheAdapter(**options), events=head
        ) as client:
            call = asyncio.ensure_future(client.get("/stall-body"))
            await head.came.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert [line for line in client.connections() if line.state != "idle"] == []

    asyncio.run(cancelled())
    assert storage._items == {}

    def interrupt(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        raise KeyboardInterrupt

    class Interrupting(adieu.Middleware):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            return self.inner.send(request, exchange).wrap(interrupt)

    adapter = CacheAdapter(Interrupting(NativeAdapter()), **options)
    with adieu.Client(fault_server.url, adapter=adapter) as client:
        with pytest.raises(KeyboardInterrupt):
            client.get("/bytes?n=200000")
        assert [line for line in client.connections() if line.state != "idle"] == []
    assert storage._items == {}
