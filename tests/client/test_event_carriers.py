"""Events pass through everything between a client and its adapter, and a cancelled task ends what it began."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import adieu
from adieu.testing import MockAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_wsgi import WSGIAdapter
from support.grammar import Trace
from support.stage import COUNTS_REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adieu.testing.faults import FaultServer
    from support.watch import Watch

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


def _recorder(path: Path) -> Any:
    from adieu.testing import Recorder

    return Recorder(NativeAdapter(), path / "tape.jsonl")


def _wsgi(path: Path) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"from ", b"an app"]

    return WSGIAdapter(app)


def _asgi(path: Path) -> Any:
    from adieu_asgi import ASGIAdapter

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            head = {"type": "http.response.start", "status": 200, "headers": []}
            await send(head)
            await send({"type": "http.response.body", "body": b"from an app"})

    return ASGIAdapter(app)


def _requests(path: Path) -> Any:
    import requests.adapters

    from adieu_requests import RequestsAdapter

    return RequestsAdapter(requests.adapters.HTTPAdapter())


def _httpx(path: Path) -> Any:
    import httpx

    from adieu_httpx.httpx import HttpxAdapter

    return HttpxAdapter(httpx.HTTPTransport())


CARRIERS: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "function": (lambda path: lambda request: adieu.Response(200, body=b"here"), False),
    "pieces": (lambda path: lambda request: adieu.Response(200, body=iter([b"he", b"re"])), False),
    "mock": (
        lambda path: MockAdapter({"GET http://127.0.0.1:*": adieu.Response(200, body=b"here")}),
        False,
    ),
    "middleware": (lambda path: adieu.Middleware(NativeAdapter()), True),
    "retries": (lambda path: adieu.RetryAdapter(NativeAdapter(), 2), True),
    "recorder": (_recorder, True),
    "to_sync": (lambda path: adieu.to_sync(AsyncNativeAdapter()), True),
    "wsgi": (_wsgi, False),
    "asgi": (_asgi, False),
    "requests": (_requests, False),
    "httpx": (_httpx, False),
}


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize("way", ["read", "left", "mounted"])
def test_every_exchange_is_told_whatever_answers_it(
    fault_server: FaultServer, tmp_path: Path, name: str, way: str
) -> None:
    make, has_connection = CARRIERS[name]
    trace = Trace()
    url = f"{fault_server.url}/bytes?n=100000"
    options: dict[str, Any] = {"events": trace, "cleanup": adieu.CloseOnExit()}
    adapter = make(tmp_path)
    client = (
        adieu.Client(**options) if way == "mounted" else adieu.Client(adapter=adapter, **options)
    )
    with client:
        if way == "mounted":
            client.mount(fault_server.url, adapter)
        with client.stream("GET", url) as response:
            size = len(response.read()) if way != "left" else len(next(response.iter_bytes(1)))
    trace.check()
    told = trace.count()
    assert told["call_started"] == told["exchange_started"] == told["answered"] == 1
    assert told["body_ended"] == told["call_ended"] == 1
    assert (told["leased"] == told["connected"] == 1) is has_connection
    if way != "left":
        assert vars(trace.of("body_ended")[0])["raw"] == size
    numbers = {event.exchange for event in trace.events if event.kind in ("leased", "answered")}
    assert len(numbers) == 1


def test_a_sync_adapter_in_threads_tells_all_of_it(fault_server: FaultServer) -> None:
    trace = Trace()

    async def main() -> None:
        adapter = adieu.to_async(NativeAdapter())
        async with adieu.AsyncClient(fault_server.url, adapter=adapter, events=trace) as client:
            await client.get("/ok")
            with pytest.raises(adieu.ReadTimeout):
                await client.get("/stall-head", timeout=0.05)

    asyncio.run(main())
    trace.check()
    assert {"request_sent", "first_byte", "connected", "closed"} <= set(trace.kinds())
    assert len({event.call for event in trace.events if event.call}) == 2


@pytest.mark.parametrize("adapter", ["native", "close"])
def test_a_task_that_is_cancelled_at_any_turn_ends_what_it_began(
    fault_server: FaultServer, adapter: str
) -> None:
    trace = Trace()
    url = fault_server.url.replace("127.0.0.1", "localhost") + "/chunked?n=2000"

    async def main() -> None:
        limits = adieu.Limits(connections=1)
        async with adieu.AsyncClient(adapter=adapter, events=trace, limits=limits) as client:
            for turns in range(12):
                tasks = [asyncio.create_task(client.get(url)) for _ in range(2)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                trace.check(over=False)
                told = trace.count()
                assert told["call_started"] == told["call_ended"]
                assert told["leased"] == told["released"] + told["discarded"]

    asyncio.run(main())
    trace.check()
    assert any(vars(event)["error"] == "CancelledError" for event in trace.of("call_ended"))


# Random programs

PATHS = ["/ok", "/redirect?n=1", "/chunked?n=50", "/connection-close", "/until-close", "/truncated"]
PATHS += ["/close", "/status/503", "/no-content", "/gzip", "/broken-gzip", "/early-hints?n=1"]
POLICIES = [adieu.Prefetch(), adieu.ReleaseOnRead(), adieu.CloseOnExit(), adieu.NoKeepAlive()]
STEPS = st.one_of(
    st.tuples(st.just("get"), st.sampled_from(PATHS), st.sampled_from(POLICIES)),
    st.tuples(st.just("open"), st.sampled_from(PATHS), st.sampled_from(POLICIES)),
    st.tuples(st.sampled_from(["read", "piece", "close", "drop"]), st.integers(0, 3)),
    st.tuples(st.just("strike"), st.integers(0, 12)),
)


class _Strike(adieu.Events):
    """Raises an interrupt at the event that comes after so many others."""

    def __init__(self) -> None:
        self.after: int | None = None

    def on_event(self, event: Any) -> None:
        if self.after is not None:
            self.after -= 1
            if self.after < 0:
                self.after = None
                raise KeyboardInterrupt


@pytest.mark.skipif(
    not COUNTS_REFERENCES, reason="what a program drops ends when the collector finds it"
)
# The strike may fall into the finalizer of a response that is dropped, which reports it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("adapter", ["native", "urllib3", "close"])
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(program=st.lists(STEPS, max_size=8), limit=st.integers(1, 3))
def test_the_trace_of_any_program_is_well_formed(
    fault_server: FaultServer,
    census: Watch,
    adapter: str,
    program: list[tuple[Any, ...]],
    limit: int,
) -> None:
    trace, strike = Trace(), _Strike()
    held: list[adieu.Response] = []
    limits, timeout = adieu.Limits(connections=limit), adieu.Timeout(pool=0.01)
    with adieu.Client(
        fault_server.url, adapter=adapter, events=[trace, strike], limits=limits, timeout=timeout
    ) as client:
        for what, *facts in program:
            try:
                _do(client, held, strike, what, facts)
            except (adieu.AdieuError, KeyboardInterrupt):
                pass
            trace.check(over=False)
        strike.after = None
    del held
    trace.check()
    told = trace.count()
    assert told["leased"] == told["released"] + told["discarded"]
    assert told["connected"] == told["closed"] + told["detached"]


def _do(
    client: adieu.Client, held: list[adieu.Response], strike: _Strike, what: str, facts: list[Any]
) -> None:
    if what == "get":
        client.get(facts[0], cleanup=facts[1]).read()
    elif what == "open":
        held.append(client.stream("GET", facts[0], cleanup=facts[1]))
    elif what == "strike":
        strike.after = facts[0]
    elif facts[0] < len(held):
        response = held[facts[0]]
        if what == "read":
            response.read()
        elif what == "piece":
            next(response.iter_raw(), None)
        elif what == "close":
            response.close()
        else:
            del held[facts[0]]
