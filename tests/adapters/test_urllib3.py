"""The adapter over urllib3: what it sends, what it refuses, and managers of the user's own."""

from __future__ import annotations

import pickle
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

import adieu
from adieu.testing.faults import payload
from adieu_urllib3 import Urllib3Adapter
from adieu_urllib3.connection import CheckedResponse
from support.clients import sockets
from support.needs import LACKS
from support.stage import drop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer
    from servers import TLSServer

pytestmark = pytest.mark.usefixtures("census")

PAGE = (Path(__file__).parents[2] / "docs/urllib3.md").read_text(encoding="utf-8")


class Manager(urllib3.PoolManager):
    """A manager that records what goes through it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.opened: list[tuple[str, str]] = []

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
        self.opened.append((method, url))
        return super().urlopen(method, url, redirect, **options)


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager of the user's, with one place for a connection."""
    manager = Manager(maxsize=1, block=True)
    yield manager
    _close_pools(manager)


def _close_pools(manager: urllib3.PoolManager) -> None:
    """Close them at once: `clear` leaves it to the last reference, which the traceback of a caught error may hold."""
    for key in manager.pools.keys():  # noqa: SIM118  It is no mapping.
        manager.pools[key].close()


def _drop(things: list[Any]) -> None:
    things.clear()
    drop()


@pytest.fixture
def client(fault_server: FaultServer, manager: Manager) -> Iterator[adieu.Client]:
    """A client over that manager."""
    timeout = adieu.Timeout(connect=30, read=30, pool=0.05)
    with adieu.Client(fault_server.url, adapter=Urllib3Adapter(manager), timeout=timeout) as client:
        yield client


# What is sent


def test_a_target_is_sent_as_the_url_has_it(fault_server: FaultServer) -> None:
    with adieu.Client(fault_server.url, adapter="urllib3") as client:
        echoed = client.get("/echo?sign=%2f%c3%a4&x=a|b").json()
    with adieu.Client(fault_server.url, adapter="native") as client:
        assert echoed["target"] == client.get("/echo?sign=%2f%c3%a4&x=a|b").json()["target"]


def test_urllib3_adds_no_fields_of_its_own(fault_server: FaultServer) -> None:
    headers = {"User-Agent": None, "Accept-Encoding": None, "Accept": None}
    with adieu.Client(fault_server.url, adapter="urllib3") as client:
        assert [name for name, _ in client.get("/echo", headers=headers).json()["headers"]] == [
            "Host"
        ]


# What is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trailers": {"x": "y"}, "content": b"a", "method": "PUT"}, "sends no trailers"),
        ({"headers": {"Upgrade": "shout", "Connection": "upgrade"}}, "upgrades no connections"),
        ({"method": "CONNECT", "headers": {"Host": "example.org:443"}}, "opens no tunnels"),
        (
            {"proxy": adieu.Proxy("http://127.0.0.1:1", auth=("me", "s3cret"), digest=True)},
            "no Digest authentication for proxies",
        ),
    ],
    ids=["trailers", "upgrade", "connect", "digest"],
)
def test_requests_that_urllib3_cannot_send_are_refused(
    fault_server: FaultServer, options: dict[str, Any], said: str
) -> None:
    with adieu.Client(fault_server.url, adapter="urllib3") as client:
        method = options.pop("method", "GET")
        with pytest.raises(adieu.InvalidRequest, match=f'{said}.*mount the adapter "native"'):
            client.request(method, "/ok", **options)
    assert fault_server.accepted == 0


def test_an_interrupted_upload_loses_no_place(fault_server: FaultServer) -> None:
    def content() -> Iterator[bytes]:
        yield b"a"
        raise KeyboardInterrupt

    with adieu.Client(
        fault_server.url, adapter="urllib3", limits=adieu.Limits(connections=1)
    ) as client:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                client.put("/ok", content=content())
        assert client.get("/ok").status_code == 200


def test_a_response_whose_making_was_interrupted_can_be_closed() -> None:
    # Nothing has been set yet; the finalizer closes such a response, and its errors would be unraisable.
    response = CheckedResponse.__new__(CheckedResponse)
    response.close()
    assert response.closed


def test_content_may_send_requests_over_the_same_adapter(fault_server: FaultServer) -> None:
    with adieu.Client(fault_server.url, adapter="urllib3") as client:

        def content() -> Iterator[bytes]:
            yield client.get("/ok").content
            yield client.get("/ok").content

        assert client.put("/echo", content=content()).json()["method"] == "PUT"
        assert len(client.connections()) == 2


# A manager of the user's


def test_a_manager_of_the_users_carries_each_request(
    client: adieu.Client, manager: Manager, fault_server: FaultServer
) -> None:
    assert client.get("/ok").json()["nth"] == 1
    assert client.get("/redirect?n=1&to=/ok").json()["nth"] == 3
    assert manager.opened[0] == ("GET", f"{fault_server.url}/ok")
    assert len(manager.opened) == 3
    assert client.connections() == []
    assert sockets(fault_server) == 1  # Idle, in the manager's pool.


def test_classes_of_its_pools_are_the_managers(fault_server: FaultServer) -> None:
    class Pool(urllib3.HTTPConnectionPool):
        made = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            Pool.made += 1

    manager = urllib3.PoolManager()
    manager.pool_classes_by_scheme = {"http": Pool, "https": urllib3.HTTPSConnectionPool}
    with adieu.Client(fault_server.url, adapter=Urllib3Adapter(manager)) as client:
        assert client.get("/bytes?n=100000").content == payload(100_000)
    assert Pool.made == 1
    _close_pools(manager)


@pytest.mark.parametrize(
    "path", ["/bytes?n=300000", "/chunked?n=300000&size=5000", "/until-close?n=300000"]
)
def test_bodies_of_its_connections_end_as_on_every_adapter(
    client: adieu.Client, fault_server: FaultServer, path: str
) -> None:
    assert client.get(path).content == payload(300_000)
    with client.stream("GET", path) as response:
        next(response.iter_bytes())
    assert client.connections() == []
    unread = [client.get(path, cleanup=adieu.ReleaseOnRead())]
    with pytest.warns(ResourceWarning, match="dropped unread"):
        _drop(unread)
    with client.stream("GET", path) as response:
        assert response.read() == payload(300_000)
    assert client.get("/ok").status_code == 200
    assert sockets(fault_server) == 1


def test_a_full_pool_of_the_managers_is_a_pool_timeout(client: adieu.Client) -> None:
    with client.stream("GET", "/bytes?n=300000"):
        assert [line.state for line in client.connections()] == ["leased"]
        with pytest.raises(adieu.PoolTimeout):
            client.get("/ok")
    assert client.get("/ok").status_code == 200


def test_closing_the_client_ends_open_bodies_and_leaves_the_manager(
    fault_server: FaultServer, manager: Manager
) -> None:
    adapter = Urllib3Adapter(manager)
    client = adieu.Client(fault_server.url, adapter=adapter)
    response = client.get("/stall-body?n=1000&sent=10", cleanup=adieu.ReleaseOnRead())
    failed: list[BaseException] = []

    def read() -> None:
        try:
            response.read()
        except adieu.AdieuError as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    report = client.close()
    reader.join(30)
    assert (report.idle, report.in_use) == (0, 1)
    assert [type(error) for error in failed] == [adieu.ClientClosed]
    assert sockets(fault_server) == 0
    assert manager.request("GET", f"{fault_server.url}/ok").status == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/reset", adieu.ReadError),
        ("/garbage?kind=nothing", adieu.PeerClosed),
        ("/truncated", adieu.BodyTruncated),
        ("/stall-head", adieu.ReadTimeout),
        ("/stall-body?n=1000&sent=10", adieu.ReadTimeout),
    ],
)
def test_errors_of_its_connections_are_adieus(
    client: adieu.Client, path: str, kind: type[adieu.TransportError]
) -> None:
    for _ in range(2):
        with pytest.raises(kind) as caught:
            client.get(path, timeout=adieu.Timeout(read=0.05 if "stall" in path else 30))
        assert caught.value.request_sent != "no"
    assert client.get("/ok").status_code == 200


def test_no_connection_at_all_is_an_error_that_can_be_retried(client: adieu.Client) -> None:
    for url, kind in (
        ("http://127.0.0.1:1/", adieu.ConnectError),
        ("http://no-such-host.invalid/", adieu.DNSError),
    ):
        with pytest.raises(kind) as caught:
            client.get(url)
        assert caught.value.retry_safe


def test_a_certificate_that_the_manager_does_not_trust_is_a_tls_error(
    tls_server: TLSServer,
) -> None:
    manager = urllib3.PoolManager()
    with (
        adieu.Client(tls_server.url, adapter=Urllib3Adapter(manager)) as client,
        pytest.raises(adieu.TLSError),
    ):
        client.get("/ok")
    trusting = urllib3.PoolManager(ssl_context=tls_server.client_context)
    with adieu.Client(tls_server.url, adapter=Urllib3Adapter(trusting)) as client:
        assert client.get("/ok").status_code == 200
    _close_pools(trusting)


@pytest.mark.parametrize(
    "option",
    [
        {"proxy": "http://127.0.0.1:1"},
        {"connect": adieu.Connect(family="ipv4")},
    ],
    ids=["proxy", "connect"],
)
def test_settings_that_are_the_managers_are_refused(
    fault_server: FaultServer, manager: Manager, option: dict[str, Any]
) -> None:
    with (
        adieu.Client(fault_server.url, adapter=Urllib3Adapter(manager), **option) as client,
        pytest.raises(adieu.InvalidRequest, match="does not honour"),
    ):
        client.get("/ok")
    assert manager.opened == []


def test_arguments_that_make_no_sense_are_refused() -> None:
    manager: Any = urllib3.PoolManager
    with pytest.raises(adieu.InvalidRequest, match=r"manager= is a urllib3\.PoolManager"):
        Urllib3Adapter(manager)
    with pytest.raises(adieu.InvalidRequest, match="one of your own has its own"):
        Urllib3Adapter(urllib3.PoolManager(), limits=adieu.Limits(1))
    with pytest.raises(TypeError, match="its manager is yours"):
        pickle.dumps(Urllib3Adapter(urllib3.PoolManager()))


# The page


def _many_fields(count: int) -> bytes:
    fields = b"".join(b"X-%d: 1\r\n" % number for number in range(count - 1))
    return b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n"


ANSWERS = {
    "99 header fields": _many_fields(99),
    "100 header fields": _many_fields(100),
    "a 101 that was asked for": b"HTTP/1.1 101 OK\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


def _outcome(client: adieu.Client, path: str, asked: bool) -> str:
    headers = {"Upgrade": "x", "Connection": "upgrade"} if asked else {}
    try:
        response = client.get(path, headers=headers)
    except adieu.AdieuError as error:
        return f"`{type(error).__name__}`"
    if response.upgraded is not None:
        response.upgraded.close()
    return str(response.status_code)


def test_the_page_lists_the_answers_that_have_another_outcome(fault_server: FaultServer) -> None:
    table = re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE)
    rows = {answer: outcomes for answer, *outcomes in table if answer in ANSWERS}
    assert rows.keys() == ANSWERS.keys()
    for answer, (over_native, over_urllib3) in rows.items():
        path = f"/{answer.replace(' ', '-')}"
        fault_server.reply(path, ANSWERS[answer])
        for adapter, expected in (("native", over_native), ("urllib3", over_urllib3)):
            with adieu.Client(fault_server.url, adapter=adapter) as client:
                assert _outcome(client, path, "101 that" in answer) == expected, (adapter, answer)


def test_the_page_names_what_the_tests_leave_out() -> None:
    for what in LACKS["urllib3"]:
        assert f"**{what.capitalize()}**" in PAGE
