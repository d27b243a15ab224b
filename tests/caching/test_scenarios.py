"""The cache through the life of connections: the kit for adapters, the classic script, each end of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import check_adapter, proves_clean
from adieu_cache import AsyncCacheAdapter, CacheAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from support.runner import RUNNERS
from support.scenarios import SCENARIOS, classic_script, play_twice
from support.stage import POLICIES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing import FaultServer
    from support.watch import Watch

pytestmark = pytest.mark.usefixtures("uncollected")

# So that every body is collected and stored, and each request asks the server.
_STORED = {"cache-control": "no-cache, stale-while-revalidate=0"}


class Storable(adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        response = self.inner.send(request, exchange)
        response.headers.update(_STORED)
        return response


class AsyncStorable(adieu.AsyncMiddleware):
    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        response = await self.inner.send(request, exchange)
        response.headers.update(_STORED)
        return response


class _CachedStage(Stage):
    """A stage whose clients have a cache around the native adapter."""

    def client(self, **options: Any) -> Any:
        limits = options.pop("limits", None)
        is_async = self.runner.kind is adieu.AsyncClient
        adapter: Any = (
            AsyncCacheAdapter(AsyncStorable(AsyncNativeAdapter(limits=limits)))
            if is_async
            else CacheAdapter(Storable(NativeAdapter(limits=limits)))
        )
        return super().client(**{"adapter": adapter, **options})


def _stage(mode: str, policy: adieu.CleanupPolicy, server: FaultServer, watch: Watch) -> Stage:
    return _CachedStage(RUNNERS[mode](), "native", policy, server, watch)


@pytest.fixture(
    params=[*(("sync", policy) for policy in POLICIES), ("async", "Prefetch")], ids="-".join
)
def stage(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Stage]:
    mode, policy = request.param
    made = _stage(mode, POLICIES[policy](), fault_server, census)
    yield made
    made.runner.close()


def test_after_the_block_of_a_client_no_socket_is_open(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        held = classic_script(stage, client, 5)
    assert stage.nothing_open()
    assert stage.in_use(client) == []
    assert any(response.extras["cache"].stored for response in held if hasattr(response, "extras"))


# The ones in which a collected body ends, or a cached exchange is left; opening a connection is the inner adapter's.
_PLAYED = (
    "unread-large",
    "iterator-dropped-chunked",
    "unread-stalled",
    "block-raises-KeyboardInterrupt-in-the-body",
    "decode-error-in-a-stream-300000",
    "response-hook-raises-Oops",
    "policy-raises-KeyboardInterrupt-at-the-end",
    "peer-truncated-chunked-where=end",
    "body-timeout",
    "upgrade",
    "body-too-large",
    "auth-on-one-connection",
)


@pytest.mark.parametrize("name", _PLAYED)
def test_the_next_call_works_and_nothing_is_open_after_the_block(
    fault_server: FaultServer, census: Watch, name: str
) -> None:
    stage = _stage("sync", adieu.ReleaseOnRead(), fault_server, census)
    play_twice(stage, SCENARIOS[name])


def test_a_client_with_a_cache_is_proven_clean(fault_server: FaultServer) -> None:
    with adieu.Client(fault_server.url, adapter=CacheAdapter(Storable(NativeAdapter()))) as client:
        with proves_clean(client):
            for _ in range(3):
                client.get("/bytes?n=500")
        with (
            pytest.raises(AssertionError, match=r"GET .*/bytes"),
            proves_clean(client),
        ):
            left = client.stream("GET", "/bytes?n=1000000", cleanup=adieu.ReleaseOnRead())
        left.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: CacheAdapter(Storable(NativeAdapter())),
        lambda: AsyncCacheAdapter(AsyncStorable(AsyncNativeAdapter())),
    ],
    ids=["sync", "async"],
)
def test_the_kit_for_adapters_finds_nothing(make: Callable[[], Any]) -> None:
    report = check_adapter(make)
    assert report.ok, str(report)
    assert len([each for each in report.results if each.state == "left out"]) <= 3
