"""The SDKs of OpenAI and Anthropic over adieu: no way to end a call leaves a connection open."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from bridges.libraries import LIBRARIES
from bridges.sdks import serve_models
from support.portal import AsyncioPortal

openai = pytest.importorskip("openai", reason="it is in the group `bridges`")
anthropic = pytest.importorskip("anthropic", reason="it is in the group `bridges`")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing import FaultServer
    from support.watch import Watch

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}


class Talk:
    """A client of one of the SDKs, sync or async."""

    def __init__(self, sdk: str, awaits: bool, server: FaultServer) -> None:
        self.portal = AsyncioPortal() if awaits else None
        httpx2, bridge = LIBRARIES["httpx2"]  # Both need it.
        kind: Any = bridge.AsyncAdieuTransport if awaits else bridge.AdieuTransport
        self.transport = kind(limits=adieu.Limits(connections=1))
        http: Any = httpx2.AsyncClient if awaits else httpx2.Client
        module: Any = {"openai": openai, "anthropic": anthropic}[sdk]
        name = {"openai": "OpenAI", "anthropic": "Anthropic"}[sdk]
        self.module = module
        self.client = getattr(module, f"Async{name}" if awaits else name)(
            api_key="none",
            base_url=f"{server.url}/{sdk}",
            http_client=http(transport=self.transport),
            max_retries=0,
        )
        messages = self.client.chat.completions if sdk == "openai" else self.client.messages
        self.more: dict[str, Any] = {} if sdk == "openai" else {"max_tokens": 9}
        self.create = messages.create

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.portal is None:
            return function(*args, **options)
        return self.portal.run(lambda: function(*args, **options))

    def ask(self, model: str, **options: Any) -> Any:
        return self.run(self.create, model=model, **ASK, **self.more, **options)

    def some(self, stream: Any, most: int) -> int:
        """Read so many events, and leave the iterator; how many there were."""
        if self.portal is None:
            return sum(1 for _ in zip(range(most), stream, strict=False))

        async def some() -> int:
            count = 0
            async for _ in stream:
                count += 1
                if count == most:
                    break
            return count

        found: int = self.portal.run(some)
        return found

    def close(self) -> None:
        self.run(self.client.close)
        if self.portal is not None:
            self.portal.close()


@pytest.fixture(params=["openai", "anthropic"])
def sdk(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def talk(
    request: pytest.FixtureRequest, sdk: str, fault_server: FaultServer, census: Watch
) -> Iterator[Talk]:
    """When the client of the SDK is closed, no socket may be open."""
    serve_models(fault_server)
    talk = Talk(sdk, request.param, fault_server)
    yield talk
    talk.close()
    census.check()


def whole(talk: Talk) -> None:
    assert "hello" in talk.ask("whole").model_dump_json()


def read(talk: Talk) -> None:
    assert talk.some(talk.ask("whole", stream=True), 1000) >= 20


def left(talk: Talk) -> None:
    stream = talk.ask("endless", stream=True)
    talk.some(stream, 3)
    talk.run(stream.close)


def left_unread(talk: Talk) -> None:
    talk.run(talk.ask("endless", stream=True).close)


def dropped(talk: Talk) -> None:
    with pytest.warns(ResourceWarning, match="a response was dropped unread"):
        drop(talk)


def drop(talk: Talk) -> None:
    talk.ask("endless", stream=True)
    gc.collect()


def busy(talk: Talk) -> None:
    with pytest.raises(talk.module.RateLimitError):
        talk.ask("busy")
    with pytest.raises(talk.module.RateLimitError):
        talk.ask("busy", stream=True)


def silent(talk: Talk) -> None:
    with pytest.raises(talk.module.APITimeoutError):
        talk.ask("silent", timeout=0.05)


def raised(talk: Talk) -> None:
    with pytest.raises(ZeroDivisionError):
        talk.run(failing(talk)) if talk.portal is None else talk.portal.run(afailing(talk))


def failing(talk: Talk) -> Callable[[], None]:
    def use() -> None:
        with talk.create(model="endless", stream=True, **ASK, **talk.more) as stream:
            for _ in stream:
                raise ZeroDivisionError

    return use


def afailing(talk: Talk) -> Callable[[], Any]:
    async def use() -> None:
        async with await talk.create(model="endless", stream=True, **ASK, **talk.more) as stream:
            async for _ in stream:
                raise ZeroDivisionError

    return use


@pytest.mark.parametrize(
    "use",
    [whole, read, left, left_unread, dropped, busy, silent, raised],
    ids=lambda use: use.__name__,
)
def test_no_way_to_end_a_call_holds_the_one_connection(
    talk: Talk, use: Callable[[Talk], None]
) -> None:
    for _ in range(2):
        use(talk)
    whole(talk)
    assert [line.state for line in talk.transport.client.connections()] == ["idle"]


def test_ten_streams_that_stop_at_their_last_event_use_one_connection(
    talk: Talk, fault_server: FaultServer
) -> None:
    for _ in range(10):
        stream = talk.ask("whole", stream=True)
        talk.some(stream, 1000)
        talk.run(stream.close)
    assert {request.connection for request in fault_server.requests} == {1}


def test_a_cancelled_call_leaves_nothing_open(
    sdk: str, fault_server: FaultServer, census: Watch
) -> None:
    serve_models(fault_server)
    talk = Talk(sdk, True, fault_server)
    assert talk.portal is not None

    async def cancelled() -> None:
        async def read() -> None:
            async with await talk.create(
                model="endless", stream=True, **ASK, **talk.more
            ) as stream:
                async for _ in stream:
                    pass

        for call in (read(), talk.create(model="silent", **ASK, **talk.more)):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call, 0.05)
            assert talk.transport.client.connections() == []

    talk.portal.run(cancelled)
    whole(talk)
    talk.close()
    assert census.count() == 0
