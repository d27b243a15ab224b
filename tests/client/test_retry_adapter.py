"""Retries over real connections: as a client's setting and as an adapter, over every adapter, sync and async."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu import Limits, Retry, events
from adieu.transport.registry import find_adapter
from support.runner import RUNNERS
from support.stage import ADAPTERS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer, Request
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

AT_ONCE = Retry(3, backoff=0, budget=None)  # All tests would share a budget.
KEY = {"Idempotency-Key": "7f3a"}
PLACES = [
    (mode, adapter, how)
    for mode in RUNNERS
    for adapter in ADAPTERS
    if mode == "sync" or adapter != "urllib3"  # It has no async adapter.
    for how in ("client", "wrapper")
]


class Retrying(Stage):
    """A stage whose clients retry, by their own setting or by a `RetryAdapter`."""

    def __init__(self, how: str, *rest: Any) -> None:
        super().__init__(*rest)
        self.how = how
        self.is_async = self.runner.kind is adieu.AsyncClient
        self.retries: list[tuple[str, int, str]] = []

    def inner(self) -> Any:
        """This stage's adapter, limited to one connection."""
        group = "adieu.async_adapters" if self.is_async else "adieu.adapters"
        return find_adapter(self.adapter, group)(limits=Limits(connections=1))

    def retrying(self, retry: Retry = AT_ONCE, inner: Any = None, **options: Any) -> Any:
        """A client that is limited to one connection."""
        options.setdefault("events", Listener(self.retries))
        inner = inner or self.inner()
        if self.how == "client":
            return self.client(adapter=inner, retry=retry, **options)
        wrap = adieu.AsyncRetryAdapter if self.is_async else adieu.RetryAdapter
        return self.client(adapter=wrap(inner, retry), **options)

    def reasons(self) -> list[str]:
        """Why there were retries."""
        return [reason for _, _, reason in self.retries]


class Listener(adieu.Events):
    """Records the events of retries."""

    def __init__(self, retries: list[tuple[str, int, str]]) -> None:
        self.retries = retries

    def retrying(self, event: events.Retrying) -> None:
        self.retries.append((event.method, event.retry, event.reason))


@pytest.fixture(params=PLACES, ids="-".join)
def stage(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Retrying]:
    """Every mode, adapter and way to retry; no socket may be open at the end."""
    mode, adapter, how = request.param
    runner = RUNNERS[mode]()
    yield Retrying(how, runner, adapter, None, fault_server, census)
    runner.close()


LAST = [("Connection", "close")]
LATER = (503, [("Retry-After", "50")])
BUSY = (503, LAST)
"""It closes the connection, so the next one is new. On a reused one the engine itself would replay the request."""


def answer_with(server: FaultServer, *outcomes: Any, body: bytes = b"sorry") -> None:
    """Answer requests for /flaky with these one after the other, then with 200."""
    remaining = list(outcomes)

    def serve(peer: Peer, request: Request) -> Ending:
        outcome = remaining.pop(0) if remaining else 200
        if isinstance(outcome, str):
            return outcome  # type: ignore[return-value]
        status, fields = outcome if isinstance(outcome, tuple) else (outcome, [])
        peer.reply(status, body if status != 200 else b"fine", fields)
        return "close" if fields is LAST else "keep"

    server.on("/flaky", serve)


def bodies(server: FaultServer) -> list[bytes]:
    return [request.body for request in server.requests if request.path == "/flaky"]


def test_a_response_after_failed_attempts_is_returned(stage: Retrying) -> None:
    answer_with(stage.server, BUSY, "drop", 429)
    with stage.block(stage.retrying()) as client:
        response = stage.get(client, "/flaky")
        assert response.status_code == 200
        assert stage.read(response) == b"fine"
        assert len(bodies(stage.server)) == 4
        assert stage.retries == [("GET", 1, "503"), ("GET", 2, "PeerClosed"), ("GET", 3, "429")]
        stage.next_works(client)
    assert stage.nothing_open()


def test_when_all_attempts_fail_the_last_response_is_returned(stage: Retrying) -> None:
    answer_with(stage.server, 503, 503, 503, 502)
    with stage.block(stage.retrying()) as client:
        response = stage.get(client, "/flaky")
        assert (response.status_code, stage.read(response)) == (502, b"sorry")
        stage.next_works(client)


def test_when_all_attempts_fail_the_last_error_is_raised(stage: Retrying) -> None:
    answer_with(stage.server, BUSY, "drop", "drop", "drop")
    with stage.block(stage.retrying()) as client:
        with pytest.raises(adieu.PeerClosed) as caught:
            stage.get(client, "/flaky")
        assert caught.value.__context__ is None or not isinstance(
            caught.value.__context__, adieu.AdieuError
        )
        assert len(bodies(stage.server)) == 4
        stage.next_works(client)
    assert stage.nothing_open()


@pytest.mark.parametrize("outcome", [503, 429, "drop", "reset"])
def test_no_post_is_sent_twice_by_default(stage: Retrying, outcome: Any) -> None:
    answer_with(stage.server, outcome)
    with stage.block(stage.retrying()) as client:
        try:
            response = stage.get(client, "/flaky", "POST", content=b"buy")
        except adieu.TransportError:
            assert isinstance(outcome, str)
        else:
            assert response.status_code == outcome
        assert bodies(stage.server) == [b"buy"]
        assert stage.retries == []
        stage.next_works(client)


@pytest.mark.parametrize("outcome", [503, "drop"])
@pytest.mark.parametrize("by", ["key", "setting"])
def test_a_post_that_may_be_sent_twice_is_sent_in_full_each_time(
    stage: Retrying, outcome: Any, by: str
) -> None:
    answer_with(stage.server, outcome)
    retry = AT_ONCE.replace(methods={"POST"}) if by == "setting" else AT_ONCE
    headers = KEY if by == "key" else None
    with stage.block(stage.retrying(retry)) as client:
        response = stage.get(client, "/flaky", "POST", content=[b"a", b"b"], headers=headers)
        assert response.status_code == 200
        assert bodies(stage.server) == [b"ab", b"ab"]


def test_content_that_can_be_read_once_is_sent_once(stage: Retrying) -> None:
    answer_with(stage.server, 503)
    with stage.block(stage.retrying()) as client:
        response = stage.get(client, "/flaky", "PUT", content=iter([b"a", b"b"]))
        assert response.status_code == 503
        assert bodies(stage.server) == [b"ab"]
        stage.next_works(client)


def test_a_refused_connection_is_retried_with_any_method(
    stage: Retrying, fault_server: FaultServer
) -> None:
    fault_server.close()
    with stage.block(stage.retrying()) as client:
        with pytest.raises(adieu.ConnectError):
            stage.get(client, "/flaky", "POST", content=b"buy")
        assert stage.retries == [("POST", n, "ConnectError") for n in (1, 2, 3)]


def test_a_post_is_sent_once_after_failed_connections(stage: Retrying) -> None:
    failing: Any = _AsyncFailing if stage.is_async else _Failing
    answer_with(stage.server)
    with stage.block(stage.retrying(inner=failing(stage.inner(), 2))) as client:
        response = stage.get(client, "/flaky", "POST", content=b"buy")
        assert (response.status_code, stage.read(response)) == (200, b"fine")
        assert bodies(stage.server) == [b"buy"]
        stage.next_works(client)


class _Failing(adieu.Middleware):
    def __init__(self, inner: Any, times: int) -> None:
        super().__init__(inner)
        self.times = times

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        self.times -= 1
        if self.times >= 0:
            raise adieu.ConnectTimeout("not connected")
        return self.inner.send(request, exchange)


class _AsyncFailing(adieu.AsyncMiddleware):
    def __init__(self, inner: Any, times: int) -> None:
        super().__init__(inner)
        self.times = times

    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        self.times -= 1
        if self.times >= 0:
            raise adieu.ConnectTimeout("not connected")
        return await self.inner.send(request, exchange)


def test_the_body_of_a_failed_attempt_is_drained_within_the_policys_bound_or_closed(
    stage: Retrying,
) -> None:
    answer_with(stage.server, 503, 503, body=b"x" * 5_000_000)
    with stage.block(stage.retrying(cleanup=adieu.ReleaseOnRead())) as client:
        response = stage.get(client, "/flaky")
        assert stage.read(response) == b"fine"
        assert stage.server.accepted == 3
        stage.next_works(client)

    stage.retries.clear()
    answer_with(stage.server, 503, 503, body=b"x" * 100)
    before = stage.server.accepted
    with stage.block(stage.retrying(cleanup=adieu.ReleaseOnRead())) as client:
        assert stage.read(stage.get(client, "/flaky")) == b"fine"
        assert stage.server.accepted - before == (3 if stage.adapter == "close" else 1)


def test_a_stream_is_retried_until_its_status_is_good(stage: Retrying) -> None:
    answer_with(stage.server, BUSY, "drop")
    with stage.block(stage.retrying()) as client:
        with stage.block(client.stream("GET", "/flaky")) as response:
            assert response.status_code == 200
            assert b"".join(stage.runner.each(response.iter_bytes())) == b"fine"
        stage.next_works(client)


def test_a_wait_that_would_reach_the_deadline_fails_at_once(stage: Retrying) -> None:
    answer_with(stage.server, (503, [("Retry-After", "30")]))
    with stage.block(stage.retrying(timeout=adieu.Timeout(total=10))) as client:
        assert stage.get(client, "/flaky").status_code == 503
        assert stage.retries == []


def test_a_body_that_breaks_is_not_retried(stage: Retrying) -> None:
    with stage.block(stage.retrying()) as client:
        with pytest.raises(adieu.BodyTruncated):
            stage.read(stage.get(client, "/truncated?n=1000"))
        assert stage.retries == []
        stage.next_works(client)


def test_each_hop_of_a_redirect_has_its_retries(stage: Retrying) -> None:
    answer_with(stage.server, BUSY, "drop")
    with stage.block(stage.retrying()) as client:
        response = stage.get(client, "/redirect?to=/flaky")
        assert stage.read(response) == b"fine"
        assert stage.reasons() == ["503", "PeerClosed"]
        seen = [past.status_code for past in response.history]
        assert seen == ([302, 503] if stage.how == "client" else [302])


# The client's setting


@pytest.fixture(params=RUNNERS)
def bare(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Retrying]:
    """One adapter of each mode, and the client's own setting."""
    runner = RUNNERS[request.param]()
    yield Retrying("client", runner, "native", None, fault_server, census)
    runner.close()


def waits_of(stage: Retrying, client: Any, then: Any = None) -> list[float]:
    """Record the waits of this client instead of waiting."""
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if then is not None:
            then()

    async def pause_async(seconds: float) -> None:
        waits.append(seconds)
        if then is not None and hasattr(done := then(), "__await__"):
            await done

    client.pause = pause_async if stage.is_async else pause
    return waits


def test_retries_are_off_by_default(bare: Retrying) -> None:
    answer_with(bare.server, 503, 503)
    with bare.block(bare.client()) as client:
        assert bare.get(client, "/flaky").status_code == 503
        assert bare.get(client, "/flaky", retry=AT_ONCE).status_code == 200


def test_a_call_may_have_other_retries_than_its_client(bare: Retrying) -> None:
    budget = adieu.RetryBudget(5)
    with bare.block(bare.retrying(AT_ONCE.replace(budget=budget))) as client:
        for retry, status, served in ((None, 503, 1), (0, 503, 1), (1, 502, 2), (2, 200, 3)):
            answer_with(bare.server, 503, 502)
            before = bare.server.served
            assert bare.get(client, "/flaky", retry=retry).status_code == status
            assert bare.server.served - before == served
        assert budget.remaining == pytest.approx(5 - 3 + 0.2)
        answer_with(bare.server, 503)
        built = client.build_request("GET", "/flaky")
        assert bare.run(client.send(built, retry=0)).status_code == 503


def test_an_invalid_retry_is_refused_before_anything_is_sent(bare: Retrying) -> None:
    with pytest.raises(adieu.InvalidRequest, match="retry takes"):
        bare.client(retry="often")
    with bare.block(bare.client()) as client:
        with pytest.raises(adieu.InvalidRequest, match="retry takes"):
            bare.get(client, "/ok", retry="often")
        assert bare.server.served == 0


def test_a_one_shot_retries_too(fault_server: FaultServer, census: Watch) -> None:
    answer_with(fault_server, BUSY, "drop")
    response = adieu.get(f"{fault_server.url}/flaky", retry=AT_ONCE, adapter="native")
    assert response.content == b"fine"
    answer_with(fault_server, 503)
    assert adieu.get(f"{fault_server.url}/flaky", adapter="native").status_code == 503


def test_the_seconds_of_retry_after_are_waited(bare: Retrying) -> None:
    answer_with(bare.server, (503, [("Retry-After", "7")]), (429, [("Retry-After", "0")]))
    with bare.block(bare.retrying()) as client:
        waits = waits_of(bare, client)
        assert bare.get(client, "/flaky").status_code == 200
        assert sum(waits) == 7.0


def test_every_attempt_has_credentials_hooks_and_the_cookies_of_the_one_before(
    bare: Retrying,
) -> None:
    answer_with(bare.server, (503, [("Set-Cookie", "a=1; Path=/")]), 503)
    hooked: list[str] = []
    hooks = {"request": [lambda request: hooked.append(request.method)]}
    with bare.block(bare.retrying(auth=("user", "secret"), event_hooks=hooks)) as client:
        assert bare.get(client, "/flaky").status_code == 200
    requests = bare.server.requests
    assert [request.header("authorization") for request in requests] == [
        "Basic dXNlcjpzZWNyZXQ="
    ] * 3
    assert [request.header("cookie") for request in requests] == [None, "a=1", "a=1"]
    assert hooked == ["GET"] * 3


def test_no_connection_is_held_during_a_wait(bare: Retrying) -> None:
    answer_with(bare.server, LATER, LATER, body=b"x" * 5_000_000)
    with bare.block(bare.retrying()) as client:
        seen: list[Any] = []
        waits_of(bare, client, lambda: seen.append(bare.in_use(client)))
        assert bare.get(client, "/flaky").status_code == 200
        assert len(seen) > 1
        assert not any(seen)


def test_an_interrupt_during_a_wait_is_raised(bare: Retrying) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    answer_with(bare.server, LATER)
    with bare.block(bare.retrying()) as client:
        waits_of(bare, client, interrupt)
        with pytest.raises(KeyboardInterrupt):
            bare.get(client, "/flaky")
        bare.next_works(client)
        assert bare.in_use(client) == []


def test_a_client_closed_during_a_wait_sends_nothing_more(bare: Retrying) -> None:
    answer_with(bare.server, LATER)
    client = bare.retrying()
    waits = waits_of(bare, client, client.close)
    with pytest.raises(adieu.ClientClosed, match="while a request was to be sent once more"):
        bare.get(client, "/flaky")
    assert sum(waits) <= 1  # Not the 50 seconds of Retry-After.
    assert len(bodies(bare.server)) == 1
    assert bare.nothing_open()


def test_a_real_wait_passes_and_lets_other_tasks_run(fault_server: FaultServer) -> None:
    answer_with(fault_server, (503, [("Retry-After", "1")]))
    with adieu.Client(retry=AT_ONCE, adapter="native") as client:
        started = time.perf_counter()
        assert client.get(f"{fault_server.url}/flaky").status_code == 200
        assert time.perf_counter() - started >= 1

    async def both() -> list[str]:
        order = []

        async def slow(client: adieu.AsyncClient) -> None:
            assert (await client.get(f"{fault_server.url}/flaky")).status_code == 200
            order.append("slow")

        async def quick(client: adieu.AsyncClient) -> None:
            await client.get(f"{fault_server.url}/ok")
            order.append("quick")

        async with adieu.AsyncClient(retry=adieu.Retry(3, backoff=0.01, budget=None)) as client:
            await slow(client)
            answer_with(fault_server, LATER)
            before = fault_server.served
            task = asyncio.create_task(slow(client))
            await asyncio.to_thread(fault_server.wait_until, lambda: fault_server.served > before)
            await quick(client)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return order

    answer_with(fault_server, (503, []))
    assert asyncio.run(both()) == ["slow", "quick"]


def test_a_cancelled_wait_leaves_nothing_open(fault_server: FaultServer, census: Watch) -> None:
    answer_with(fault_server, LATER)

    async def cancelled() -> None:
        async with adieu.AsyncClient(retry=AT_ONCE, limits=Limits(connections=1)) as client:
            # On Python 3.10 it is not the built-in TimeoutError.
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.get(f"{fault_server.url}/flaky"), 0.3)
            assert (await client.get(f"{fault_server.url}/ok")).status_code == 200

    asyncio.run(cancelled())


# Adapters of other authors


@pytest.mark.parametrize("how", ["client", "wrapper"])
def test_the_body_of_an_adapters_failed_attempt_is_closed(how: str) -> None:
    closed = []

    class Body:
        def read(self, size: int) -> bytes:
            raise AssertionError("this body is not read")

        def close(self) -> None:
            closed.append(self)

    body: Any = Body()
    responses = [adieu.Response(503, body=body), adieu.Response(200, body=b"fine")]
    answer: Any = adieu.adapter(lambda request: responses.pop(0))
    own = {"adapter": answer, "retry": AT_ONCE}
    around = {"adapter": adieu.RetryAdapter(answer, AT_ONCE)}
    options: Any = own if how == "client" else around
    with adieu.Client(**options) as client:
        assert client.get("mock://host/").content == b"fine"
    assert closed == [body]


def test_an_error_that_does_not_say_what_was_sent_is_not_retried() -> None:
    calls = []

    @adieu.adapter
    def broken(request: adieu.Request) -> adieu.Response:
        calls.append(request)
        raise OSError("anything may have happened")

    for adapter in (broken, adieu.RetryAdapter(broken, AT_ONCE)):
        client = adieu.Client(adapter=adapter, retry=AT_ONCE)
        with pytest.raises(adieu.TransportError, match="anything may have happened") as caught:
            client.get("mock://host/")
        assert not caught.value.retry_safe
    assert len(calls) == 2


def test_a_retry_adapter_forwards_the_members_of_the_inner_one(fault_server: FaultServer) -> None:
    inner = find_adapter("native")()
    adapter = adieu.RetryAdapter(inner, 2)
    assert adapter.retry.limit == 2
    with adieu.Client(adapter=adapter) as client:
        client.get(f"{fault_server.url}/ok")
        assert len(client.connections()) == 1
    assert repr(adapter) == f"RetryAdapter({inner!r})"


def test_the_repr_of_a_setting_is_the_same_in_every_process() -> None:
    setting = adieu.Retry(2, methods=["PUT", "GET", "HEAD"], statuses=[503, 429], budget=None)
    printed = repr(setting)
    assert "methods={'GET', 'HEAD', 'PUT'}, statuses={429, 503}" in printed
    assert eval(printed, {"Retry": adieu.Retry}) == setting
