"""Closing a client: its report, bodies that it cuts off or that survive, and that nothing stays open."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.transport.mounts import Mount
from adieu_h11 import H11Adapter
from servers import FullHole
from support.clients import ADAPTERS, EventLog, sockets
from support.stage import drop, eventually, with_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.faults import FaultServer
    from support.watch import Watch

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Finishing(adieu.ReleaseOnRead):
    """Lets open bodies be read to their end after the client was closed."""

    def on_client_close(self, view: adieu.View) -> Any:
        return adieu.STREAM


def in_a_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Do the work in a thread; after its end the list has the result or the error."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


# The report


def test_a_client_that_was_never_used_closes_nothing() -> None:
    client = adieu.Client()
    report = client.close()
    assert report == adieu.CloseReport(0, 0, ())
    assert report.clean
    assert str(report) == "closed 0 idle connections and 0 in use"
    assert client.is_closed


def test_idle_connections_are_counted_and_closed(fault_server: FaultServer, adapter: str) -> None:
    client = adieu.Client(adapter=adapter, cleanup=adieu.ReleaseOnRead())
    bodies = [client.get(f"{fault_server.url}/bytes?n=300000") for _ in range(3)]
    assert sockets(fault_server) == 3
    for body in bodies:
        body.read()
    kept = 0 if adapter == "close" else 3
    assert sockets(fault_server) == kept
    report = client.close()
    assert report == adieu.CloseReport(idle=kept, in_use=0, holders=())
    assert report.clean
    assert sockets(fault_server) == 0


@pytest.mark.parametrize(
    "policy", [adieu.ReleaseOnRead(), adieu.CloseOnExit(), adieu.NoKeepAlive(adieu.ReleaseOnRead())]
)
def test_connections_in_use_are_cut_off_and_named(
    fault_server: FaultServer, adapter: str, policy: adieu.CleanupPolicy
) -> None:
    client = adieu.Client(adapter=adapter, cleanup=policy)
    client.get(f"{fault_server.url}/ok", cleanup=adieu.Prefetch())
    unread = client.get(f"{fault_server.url}/bytes?n=300000")
    begun = client.stream("GET", f"{fault_server.url}/chunked?n=300000&size=1000")
    assert next(begun.iter_bytes(10))
    report = client.close()
    assert sockets(fault_server) == 0
    assert (report.idle, report.in_use) == (0, 2)
    assert not report.clean
    assert len(report.holders) == 2
    assert {holder.split()[1] for holder in report.holders} == {str(unread.url), str(begun.url)}
    assert all("test_client_close.py" in holder for holder in report.holders)
    assert str(report).startswith("closed 0 idle connections and 2 in use: GET ")
    for response in (unread, begun):
        for _ in range(2):
            with pytest.raises(adieu.ClientClosed):
                response.read()
            with pytest.raises(adieu.ClientClosed):
                next(response.iter_bytes())
        assert response.is_closed
        response.close()


def test_closing_again_finds_nothing(fault_server: FaultServer, adapter: str) -> None:
    client = adieu.Client(adapter=adapter)
    with client:
        response = client.stream("GET", f"{fault_server.url}/bytes?n=300000")
        assert not client.close().clean
        assert client.close() == adieu.CloseReport(0, 0, ())
    assert client.close().clean
    assert response.is_closed
    assert sockets(fault_server) == 0


def test_content_that_was_read_before_stays_readable(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(adapter=adapter) as client:
        whole = client.get(f"{fault_server.url}/bytes?n=1000")
        with client.stream("GET", f"{fault_server.url}/bytes?n=1000") as streamed:
            streamed.read()
        small = client.get(f"{fault_server.url}/ok", cleanup=adieu.ReleaseOnRead())
        small.read()
    assert len(whole.content) == len(streamed.content) == 1000
    assert small.json()["request"] == 3


# Bodies that survive the client


def test_a_body_may_survive_its_client_and_is_closed_at_its_end(
    fault_server: FaultServer, adapter: str
) -> None:
    event_log = EventLog()
    client = adieu.Client(adapter=adapter, cleanup=Finishing(), events=event_log)
    response = client.get(f"{fault_server.url}/bytes?n=300000")
    report = client.close()
    assert (report.idle, report.in_use, len(report.holders)) == (0, 1, 1)
    assert not report.clean
    assert sockets(fault_server) == 1
    assert len(response.read()) == 300_000
    assert sockets(fault_server) == 0
    event_log.check()
    assert client.close().clean


@pytest.mark.parametrize("way", ["close", "exit", "exception", "abandon", "truncated", "timeout"])
def test_a_body_that_survives_its_client_is_closed_however_it_is_left(
    fault_server: FaultServer, adapter: str, way: str
) -> None:
    paths = {"truncated": "/truncated?n=300000&sent=200000", "timeout": "/stall-body?n=300000"}
    client = adieu.Client(adapter=adapter, cleanup=Finishing())
    url = fault_server.url + paths.get(way, "/bytes?n=300000")
    patience = None if way == "timeout" else 30
    response = with_head(
        lambda seconds: client.get(url, timeout=adieu.Timeout(read=patience or seconds))
    )
    client.close()
    assert sockets(fault_server) == 1
    if way == "close":
        response.close()
    elif way == "exit":
        with response:
            assert next(response.iter_bytes())
    elif way == "exception":
        with pytest.raises(ZeroDivisionError), response:
            raise ZeroDivisionError
    elif way == "abandon":
        with pytest.warns(ResourceWarning, match="dropped unread"):  # noqa: PT031
            del response
            drop()
    else:
        with pytest.raises(adieu.BodyTruncated if way == "truncated" else adieu.ReadTimeout):
            response.read()
    assert sockets(fault_server) == 0


def test_only_bodies_whose_policy_says_so_survive_the_client(
    fault_server: FaultServer, adapter: str
) -> None:
    client = adieu.Client(adapter=adapter, cleanup=adieu.ReleaseOnRead())
    cut = client.get(f"{fault_server.url}/bytes?n=300000")
    finished = client.get(f"{fault_server.url}/bytes?n=300000", cleanup=Finishing())
    report = client.close()
    assert (report.in_use, len(report.holders)) == (2, 2)
    assert sockets(fault_server) == 1
    with pytest.raises(adieu.ClientClosed):
        cut.read()
    assert len(finished.read()) == 300_000
    assert sockets(fault_server) == 0


# Errors while closing


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_a_policy_at_the_close_keeps_nothing_open(
    fault_server: FaultServer, adapter: str, failure: type[BaseException]
) -> None:
    class Broken(adieu.ReleaseOnRead):
        def on_client_close(self, view: adieu.View) -> Any:
            raise failure

    client = adieu.Client(adapter=adapter, cleanup=Broken())
    client.get(f"{fault_server.url}/ok")
    kept = [client.get(f"{fault_server.url}/bytes?n=300000") for _ in range(3)]
    with pytest.raises(failure):
        client.close()
    assert sockets(fault_server) == 0
    assert all(response.is_closed for response in kept)


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_one_adapters_close_does_not_prevent_the_others(
    fault_server: FaultServer, adapter: str, failure: type[BaseException]
) -> None:
    class Broken(adieu.Middleware):
        def close(self) -> adieu.CloseReport | None:
            super().close()
            raise failure

    def nothing(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200)

    client = adieu.Client(adapter=Broken(adieu.adapter(nothing)))
    client.mount(fault_server.url, adapter)
    client.mount("mock://", Broken(adieu.adapter(nothing)))
    client.get("https://a.example/")
    client.get(f"{fault_server.url}/ok")
    with pytest.raises(failure):
        client.close()
    assert sockets(fault_server) == 0


class Reporting(adieu.Middleware):
    """Returns from `close` what it is told to."""

    def __init__(self, returned: object) -> None:
        super().__init__(H11Adapter())
        self.returned = returned

    def close(self) -> Any:
        self.inner.close()
        return self.returned


@pytest.mark.parametrize(
    ("returned", "counted"),
    [
        ((), (0, 0)),
        ((2, 1), (0, 0)),
        (5, (0, 0)),
        (None, (0, 0)),
        (adieu.CloseReport(2, 1), (2, 1)),
    ],
)
def test_an_adapter_may_return_anything_and_a_report_counts(
    fault_server: FaultServer, returned: object, counted: tuple[int, int]
) -> None:
    client = adieu.Client(adapter="h11")
    client.mount("http://a.example", Reporting(returned))
    client.get(f"{fault_server.url}/ok")
    closed = client.close()
    assert (closed.idle - 1, closed.in_use) == counted
    assert sockets(fault_server) == 0


def test_the_block_is_left_with_its_own_error(fault_server: FaultServer, adapter: str) -> None:
    client = adieu.Client(adapter=adapter)
    response = client.stream("GET", f"{fault_server.url}/bytes?n=300000")
    with pytest.raises(ZeroDivisionError), client:
        raise ZeroDivisionError
    assert response.is_closed
    assert sockets(fault_server) == 0


# Use after close


def test_a_closed_client_refuses_every_call(fault_server: FaultServer, adapter: str) -> None:
    client = adieu.Client(adapter=adapter)
    request = client.build_request("GET", f"{fault_server.url}/ok")
    client.close()
    for use in (
        lambda: client.get(f"{fault_server.url}/ok"),
        lambda: client.stream("GET", f"{fault_server.url}/ok"),
        lambda: client.send(request),
        lambda: client.mount("mock://", "native"),
        client.__enter__,
    ):
        with pytest.raises(adieu.ClientClosed, match="closed"):
            use()
    assert fault_server.accepted == 0
    assert client.connections() == []


def test_a_client_that_is_closed_by_a_hook_sends_nothing_more(
    fault_server: FaultServer, adapter: str
) -> None:
    clients: list[adieu.Client] = []
    for kind in ("request", "response"):
        client = adieu.Client(adapter=adapter, event_hooks={kind: [lambda _: clients[-1].close()]})
        clients.append(client)
        with pytest.raises(adieu.ClientClosed):
            client.get(f"{fault_server.url}/redirect?body=300000")
        assert sockets(fault_server) == 0
        assert client.connections() == []
    assert [request.path for request in fault_server.requests] == ["/redirect"]


# Other threads


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/stall-head?seconds=60", None),
        ("/stall-body?seconds=60", None),
        ("/drip?seconds=60", None),
        ("/drip-head?seconds=60", None),
        ("/until-close-slowly", None),
        ("/stall-body?seconds=60", adieu.ReleaseOnRead()),
        ("/until-close-slowly", adieu.ReleaseOnRead()),
        ("/redirect?n=2&stall=60&body=1000", adieu.ReleaseOnRead(within=60)),
    ],
)
def test_a_wait_in_another_thread_raises_that_the_client_was_closed(
    fault_server: FaultServer, adapter: str, path: str, policy: adieu.CleanupPolicy | None
) -> None:
    def slowly(peer: Any, request: Any) -> Any:
        peer.start(200, [("connection", "close")])
        peer.body(b"x" * 100)
        peer.pause(60)
        return "close"

    fault_server.on("/until-close-slowly", slowly)
    if "redirect" in path and adapter == "close":
        path = "/stall-head?seconds=60"  # Without keep-alive a redirect has no wait.
    client = adieu.Client(adapter=adapter, cleanup=policy)
    thread, results = in_a_thread(lambda: client.get(fault_server.url + path).read())
    fault_server.wait_until(lambda: fault_server.served)
    time.sleep(0.1)  # Let it reach its wait; even if it has not, it must raise the same.
    client.close()
    thread.join(30)
    assert not thread.is_alive()
    (result,) = results
    assert isinstance(result, adieu.ClientClosed), repr(result)
    assert sockets(fault_server) == 0


def test_a_wait_for_a_connection_raises_it_too(fault_server: FaultServer, adapter: str) -> None:
    client = adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1), timeout=30)
    held = client.stream("GET", f"{fault_server.url}/bytes?n=300000")
    thread, results = in_a_thread(lambda: client.get(f"{fault_server.url}/ok"))
    time.sleep(0.2)
    client.close()
    thread.join(30)
    assert isinstance(results[0], adieu.ClientClosed), repr(results)
    assert held.is_closed
    assert sockets(fault_server) == 0


def test_connecting_raises_it_too(adapter: str, census: Watch) -> None:
    with FullHole() as hole:
        census.also(hole.port)
        client = adieu.Client(adapter=adapter, timeout=30)
        before = census.count()
        thread, results = in_a_thread(lambda: client.get(hole.url))
        eventually(client.connections)
        time.sleep(0.1)  # Let it reach its wait; even if it has not, it must raise the same.
        client.close()
        thread.join(30)
        assert isinstance(results[0], adieu.ClientClosed), repr(results)
        assert census.count() == before


@pytest.mark.parametrize("point", ["leased", "connect_started", "connected"])
def test_a_client_that_is_closed_at_any_point_of_a_call_leaves_nothing_open(
    fault_server: FaultServer, adapter: str, point: str
) -> None:
    clients: list[adieu.Client] = []

    class Closing(EventLog):
        pass

    def close(event_log: EventLog, *facts: Any) -> None:
        getattr(EventLog, point)(event_log, *facts)
        thread, _ = in_a_thread(clients[0].close)
        thread.join(30)

    setattr(Closing, point, close)
    event_log = Closing()
    clients.append(adieu.Client(adapter=adapter, events=event_log))
    with pytest.raises(adieu.ClientClosed):
        clients[0].get(f"{fault_server.url}/ok")
    assert sockets(fault_server) == 0
    assert clients[0].connections() == []
    event_log.check()


def test_a_client_that_is_closed_while_many_threads_use_it_leaves_nothing_open(
    fault_server: FaultServer, adapter: str
) -> None:
    for _ in range(10):
        client = adieu.Client(adapter=adapter, base_url=fault_server.url, timeout=30)
        kept: list[object] = []
        errors: list[BaseException] = []
        going = threading.Event()

        def work(
            client: adieu.Client = client,
            kept: list[object] = kept,
            errors: list[BaseException] = errors,
            going: threading.Event = going,
        ) -> None:
            try:
                while True:
                    kept.append(client.get("/ok"))
                    kept.append(client.stream("GET", "/bytes?n=300000"))
                    if len(kept) > 40:
                        going.set()
            except BaseException as end:
                errors.append(end)
                going.set()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert going.wait(30)
        client.close()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert sockets(fault_server) == 0
        assert {type(error) for error in errors} <= {adieu.ClientClosed, adieu.PoolTimeout}, errors
        assert client.connections() == []


def test_an_adapter_that_is_first_used_while_the_client_closes_is_closed_too(
    fault_server: FaultServer, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making an adapter takes time (an import), in which another thread may close the client."""
    making, closed = threading.Event(), threading.Event()
    make = vars(Mount)["adapter"].fget

    def slowly(mount: Mount) -> Any:
        making.set()
        assert closed.wait(30)
        return make(mount)

    monkeypatch.setattr(Mount, "adapter", property(slowly))
    client = adieu.Client(adapter=adapter)
    thread, results = in_a_thread(lambda: client.get(f"{fault_server.url}/ok"))
    assert making.wait(30)
    client.close()
    closed.set()
    thread.join(30)
    assert isinstance(results[0], adieu.ClientClosed), repr(results)
    assert sockets(fault_server) == 0
    assert client.connections() == []
