"""Where responses are kept: in memory, in SQLite, in files, or where the user says; and what a broken storage does."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import hishel
import pytest

import adieu
from adieu_cache import AsyncCacheAdapter, CacheAdapter, FileStorage, MemoryStorage
from caching.origin import fresh
from support.runner import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from uuid import UUID

    from adieu.testing import FaultServer
    from caching.origin import Cached, Origin

KINDS = ["memory", "cache.sqlite", "folder"]


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return None if request.param == "memory" else tmp_path / request.param


@pytest.mark.parametrize("cached", RUNNERS, indirect=True)
def test_each_storage_gives_back_what_it_has_got(cached: Cached, storage: Any) -> None:
    body = os.urandom(300_000)
    cached.origin.answer = lambda request: (
        200,
        [("etag", '"1"'), ("link", "<a>"), ("link", "<b>"), ("x-latin", "\xe9")],
        body,
    )
    with cached.client(cached.adapter(storage=storage)) as client:
        first, second = cached.get(client), cached.get(client)
        assert second.extras["cache"].outcome == "revalidated"
        assert second.content == body
        assert second.headers.get_list("link") == ["<a>", "<b>"]
        assert second.headers["x-latin"] == first.headers["x-latin"]
        assert not [name for name in second.headers if name.lower().startswith("adieu-")]


def test_what_is_on_disk_outlives_the_client(cached: Cached, tmp_path: Path) -> None:
    for kind in KINDS[1:]:
        with cached.client(cached.adapter(storage=tmp_path / kind)) as client:
            assert cached.outcome(client) == "miss"
        with cached.client(cached.adapter(storage=str(tmp_path / kind))) as client:
            assert cached.outcome(client) == "hit"
            cached.get(client, method="POST")
        with cached.client(cached.adapter(storage=tmp_path / kind)) as client:
            assert cached.outcome(client) == "miss"


def test_a_server_cannot_set_what_the_cache_notes(cached: Cached) -> None:
    cached.origin.answer = fresh(adieu_cache_received="9999999999", adieu_cache_age="-1000")
    with cached.client() as client:
        cached.get(client)
        cached.clock.now += 61
        assert cached.outcome(client) == "miss"


def test_a_storage_of_the_user_may_be_shared_and_stays_open(cached: Cached) -> None:
    storage = MemoryStorage()
    for outcome in ("miss", "hit"):
        with cached.client(cached.adapter(storage=storage)) as client:
            assert cached.outcome(client) == outcome


def test_a_storage_of_hishel_may_be_given(cached: Cached, tmp_path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "own.db", check_same_thread=False)
    storage = hishel.SqliteStorage(connection=connection)
    try:
        with cached.client(cached.adapter(storage=storage)) as client:
            assert [cached.outcome(client) for _ in range(2)] == ["miss", "hit"]
        assert len(storage.get_entries(storage_key(cached))) == 1
    finally:
        storage.close()


def storage_key(cached: Cached) -> str:
    from adieu_cache.stored import key_of

    return key_of(adieu.Request("GET", f"{cached.origin.server.url}/thing"))


class Awaited(hishel.AsyncBaseStorage):
    """An async storage, over one in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._inner = MemoryStorage()

    async def create_entry(
        self, request: Any, response: Any, key: str, *, ttl: Any = None, tti: Any = None
    ) -> hishel.Entry:
        body = b"".join([chunk async for chunk in response.stream])
        made = hishel.Response(response.status_code, response.headers, iter((body,)))
        entry = self._inner.create_entry(request, made, key)
        entry.response.stream = _each(entry.response.stream)
        return entry

    async def get_entries(self, key: str) -> list[hishel.Entry]:
        entries = self._inner.get_entries(key)
        for entry in entries:
            entry.response.stream = _each(entry.response.stream)
        return entries

    async def update_headers(self, id: UUID, headers: hishel.Headers) -> None:
        self._inner.update_headers(id, headers)

    async def remove_entry(self, id: UUID) -> None:
        self._inner.remove_entry(id)


async def _each(stream: Any) -> Any:
    for chunk in stream:
        yield chunk


def test_an_async_storage_is_for_an_async_adapter(cached: Cached) -> None:
    if not cached.is_async:
        with pytest.raises(adieu.InvalidRequest, match="AsyncCacheAdapter"):
            cached.adapter(storage=Awaited())
        return
    cached.origin.answer = fresh(etag='"1"')
    with cached.client(cached.adapter(storage=Awaited())) as client:
        assert [cached.outcome(client) for _ in range(2)] == ["miss", "hit"]
        cached.clock.now += 100
        cached.origin.answer = lambda request: (304, {}, b"")
        assert cached.outcome(client) == "revalidated"
        cached.get(client, method="POST")
        cached.origin.answer = fresh()
        assert cached.outcome(client) == "miss"


def test_memory_drops_what_was_not_used_for_longest(cached: Cached) -> None:
    cached.origin.answer = fresh(bytes(10_000))
    with cached.client(cached.adapter(storage=MemoryStorage(max_size=50_000))) as client:
        for number in range(4):
            cached.get(client, params={"n": number})
        assert cached.outcome(client, params={"n": 0}) == "hit"
        for number in range(4, 6):
            cached.get(client, params={"n": number})
        assert cached.outcome(client, params={"n": 0}) == "hit"
        assert cached.outcome(client, params={"n": 1}) == "miss"


def test_files_are_removed_when_they_are_too_many(tmp_path: Path, origin: Origin) -> None:
    storage = FileStorage(tmp_path / "cache", max_size=100_000)
    origin.answer = fresh(bytes(10_000))
    with adieu.Client(origin.server.url, adapter=CacheAdapter(storage=storage)) as client:
        for number in range(40):
            client.get("/thing", params={"n": number})
        left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert 0 < sum(path.stat().st_size for path in left) < 250_000


@pytest.mark.parametrize("harm", ["cut", "emptied", "noise", "head"])
def test_a_file_that_is_not_whole_is_not_used(tmp_path: Path, origin: Origin, harm: str) -> None:
    with adieu.Client(
        origin.server.url, adapter=CacheAdapter(storage=tmp_path / "cache")
    ) as client:
        client.get("/thing")
        (path,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
        content = path.read_bytes()
        path.write_bytes(
            {
                "cut": content[:-3],
                "emptied": b"",
                "noise": os.urandom(len(content)),
                "head": content.replace(b'"key"', b'"kex"'),
            }[harm]
        )
        response = client.get("/thing")
        assert (response.content, response.extras["cache"].outcome) == (b"fresh", "miss")
        assert client.get("/thing").extras["cache"].outcome == "hit"


class Broken(hishel.BaseStorage):
    """Fails at one method; the others are those of a storage in memory."""

    def __init__(self, method: str, error: type[BaseException]) -> None:
        super().__init__()
        self._inner = MemoryStorage()
        self.method = method
        self._error = error

    def _fail(self, method: str) -> None:
        if method == self.method:
            raise self._error("the disk is gone")

    def create_entry(
        self, request: Any, response: Any, key: str, *, ttl: Any = None, tti: Any = None
    ) -> hishel.Entry:
        self._fail("create_entry")
        entry = self._inner.create_entry(request, response, key)
        entry.response.stream = self._failing("save", entry.response.stream)
        return entry

    def get_entries(self, key: str) -> list[hishel.Entry]:
        self._fail("get_entries")
        entries = self._inner.get_entries(key)
        for entry in entries:
            entry.response.stream = self._failing("read", entry.response.stream)
        return entries

    def _failing(self, method: str, stream: Any) -> Any:
        for chunk in stream:
            self._fail(method)
            yield chunk

    def update_headers(self, id: UUID, headers: hishel.Headers) -> None:
        self._fail("update_headers")
        self._inner.update_headers(id, headers)

    def remove_entry(self, id: UUID) -> None:
        self._fail("remove_entry")
        self._inner.remove_entry(id)


@pytest.mark.parametrize(
    "method", ["create_entry", "save", "get_entries", "read", "update_headers", "remove_entry"]
)
def test_a_broken_storage_breaks_no_request(cached: Cached, method: str) -> None:
    cached.origin.answer = lambda request: (
        (304, {"etag": '"1"'}, b"")
        if request.header("if-none-match") == '"1"'
        else (200, {"etag": '"1"', "cache-control": "no-cache"}, b"right")
    )
    with cached.client(cached.adapter(storage=Broken(method, RuntimeError))) as client:
        for _ in range(3):
            assert cached.get(client).content == b"right"
        assert cached.get(client, method="POST").status_code == 200
        assert cached.get(client).content == b"right"
        assert any("the storage failed with" in why for _, why in cached.events.told)
        assert [line for line in client.connections() if line.state != "idle"] == []


def test_a_database_that_is_none_breaks_no_request(cached: Cached, tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"this is no database" * 1000)
    with cached.client(cached.adapter(storage=tmp_path / "cache.db")) as client:
        for _ in range(2):
            facts = cached.get(client).extras["cache"]
            assert (facts.stored, facts.why) == (False, "the storage failed with NotKept")


def test_threads_share_a_cache(storage: Any, origin: Origin) -> None:
    origin.answer = lambda request: (
        200,
        {"cache-control": "max-age=60"},
        request.target.encode() * 100,
    )
    wrong: list[object] = []

    def work(client: adieu.Client) -> None:
        for number in range(40):
            target = f"/thing?n={number % 7}"
            if client.get(target).content != target.encode() * 100:
                wrong.append(target)

    with adieu.Client(origin.server.url, adapter=CacheAdapter(storage=storage)) as client:
        threads = [threading.Thread(target=work, args=(client,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert client.get("/thing?n=0").extras["cache"].outcome == "hit"


def test_an_adapter_is_pickled_by_its_settings(cached: Cached, tmp_path: Path) -> None:
    for kind, outcome in (("memory", "miss"), ("cache.sqlite", "hit"), ("folder", "hit")):
        place = None if kind == "memory" else tmp_path / kind
        adapter = cached.adapter(storage=place, max_body=77, heuristic=0.5)
        with cached.client(adapter) as client:
            cached.get(client)
            copy = pickle.loads(pickle.dumps(adapter))
        copy._cache.options = copy._cache.options._replace(clock=cached.clock)
        with cached.client(copy) as client:
            assert cached.outcome(client) == outcome
            assert copy._cache.options[:5] == adapter._cache.options[:5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_uses_the_files_and_not_the_parents_connection(
    storage: Any, origin: Origin
) -> None:
    with adieu.Client(origin.server.url, adapter=CacheAdapter(storage=storage)) as client:
        client.get("/thing")
        paths = ("/thing", "/other", "/other")
        told = _forked(lambda: " ".join(client.get(path).extras["cache"].outcome for path in paths))
        assert told() == "hit miss hit"
        outcome = client.get("/other").extras["cache"].outcome
        assert outcome == ("miss" if storage is None else "hit")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("kind", KINDS[1:])
def test_processes_share_the_files(tmp_path: Path, origin: Origin, kind: str) -> None:
    def work() -> str:
        adapter = CacheAdapter(storage=tmp_path / kind)
        with adieu.Client(origin.server.url, adapter=adapter) as client:
            for number in range(20):
                content = client.get("/thing", params={"n": number % 5}).content
                assert content == b"fresh"
        return "done"

    children = [_forked(work) for _ in range(3)]
    assert [child() for child in children] == ["done", "done", "done"]
    # Whether they have stored anything is chance: each waits a quarter of a second for the others. Now nothing waits.
    adapter = CacheAdapter(storage=tmp_path / kind)
    with adieu.Client(origin.server.url, adapter=adapter) as client:
        client.get("/thing", params={"n": 0})
        assert client.get("/thing", params={"n": 0}).extras["cache"].outcome == "hit"


def _forked(work: Callable[[], str]) -> Callable[[], str]:
    """Do this in a forked child; the result is a function that waits for what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text = "nothing"
        try:
            text = work()
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)

    def told() -> str:
        with open(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return text

    return told


def test_without_hishel_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['hishel'] = None\n"
        "import adieu\n"
        "try: adieu.Client(adapter='cache').get('http://127.0.0.1/')\n"
        "except adieu.MissingExtra as error: print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert told.stdout == "adieu_cache needs hishel: pip install 'adieu[cache]'\n"


def test_a_database_that_another_process_locks_delays_no_request_for_long(
    cached: Cached, tmp_path: Path
) -> None:
    import sqlite3

    place = tmp_path / "cache.sqlite"
    with cached.client(cached.adapter(storage=place)) as client:
        cached.get(client, "/other")
        other = sqlite3.connect(place, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            facts = cached.get(client).extras["cache"]
            assert (facts.stored, facts.why) == (False, "the storage failed with NotKept")
            assert cached.outcome(client, "/other") == "hit"  # Readers do not wait for writers.
        finally:
            other.close()
        assert [cached.outcome(client) for _ in range(2)] == ["miss", "hit"]


def test_what_others_have_stored_is_left_alone(cached: Cached) -> None:
    storage = MemoryStorage()
    key = storage_key(cached)
    theirs = hishel.Response(200, hishel.Headers({"bad name": "x"}), iter([b"theirs"]))
    entry = storage.create_entry(hishel.Request("GET", "http://a.example/"), theirs, key)
    assert entry.response.stream is not None
    assert b"".join(entry.response.stream) == b"theirs"  # type: ignore[arg-type]
    with cached.client(cached.adapter(storage=storage)) as client:
        assert cached.get(client).content == b"fresh"


@pytest.mark.parametrize("method", ["get_entries", "create_entry", "save", "read"])
def test_an_interrupt_in_a_storage_is_raised_and_nothing_is_lost(
    origin: Origin, method: str
) -> None:
    storage = Broken("", KeyboardInterrupt)
    adapter = CacheAdapter(storage=storage, limits=adieu.Limits(connections=1))
    with adieu.Client(origin.server.url, adapter=adapter, timeout=30) as client:
        if method == "read":
            client.get("/thing")
        storage.method = method
        with pytest.raises(KeyboardInterrupt):
            client.get("/thing")
        storage.method = ""
        assert [str(line) for line in client.connections() if line.state != "idle"] == []
        assert client.get("/other").content == b"fresh"


def test_a_cancelled_call_does_not_wait_for_the_storage(
    fault_server: FaultServer, tmp_path: Path
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(FileStorage):
        def get_entries(self, key: str) -> list[hishel.Entry]:
            begun.set()
            assert may_end.wait(30)
            return []

    async def main() -> None:
        adapter = AsyncCacheAdapter(storage=Slow(tmp_path / "cache"))
        async with adieu.AsyncClient(fault_server.url, adapter=adapter) as client:
            call = asyncio.ensure_future(client.get("/ok"))
            await asyncio.to_thread(begun.wait, 30)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not may_end.is_set()
            may_end.set()
            assert (await client.get("/ok")).status_code == 200

    asyncio.run(main())
