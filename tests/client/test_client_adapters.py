"""Choosing an adapter: by name, by an installed package's entry point, or as an object."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.transport import registry
from support.clients import ADAPTERS, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adieu.testing.faults import FaultServer

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, as an installer leaves it, with a package that offers adapters."""
    (tmp_path / "adieu_paper.py").write_text(
        "import adieu\n"
        "\n"
        "class Paper:\n"
        "    made = []\n"
        "    def __init__(self, **options):\n"
        "        self.options = options\n"
        "        self.closed = False\n"
        "        self.made.append(self)\n"
        "    def send(self, request, exchange):\n"
        "        return adieu.Response(200, {'x-adapter': 'paper'}, body=str(request.url))\n"
        "    def close(self):\n"
        "        self.closed = True\n"
    )
    info = tmp_path / "adieu_paper-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: adieu-paper\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[adieu.adapters]\n"
        "paper = adieu_paper:Paper\n"
        "torn = adieu_paper:NotThere\n"
        "gone = adieu_paper_that_is_not_there:Paper\n"
        "\n"
        "[console_scripts]\n"
        "scissors = adieu_paper:Paper\n"
    )
    monkeypatch.setattr(registry, "_found", {})
    monkeypatch.setattr(registry, "_installed", {})
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("adieu_paper", None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("urllib3", "adieu_urllib3 Urllib3Adapter"),
        ("native", "adieu_native NativeAdapter"),
        ("close", "adieu_close CloseAdapter"),
    ],
)
def test_a_name_is_an_adapter_made_at_its_first_use(
    fault_server: FaultServer, name: str, kind: str
) -> None:
    with adieu.Client(adapter=name) as client:
        mount = client.mounts.select(adieu.URL(fault_server.url))
        assert mount.made is None
        assert client.get(f"{fault_server.url}/ok").status_code == 200
        made = type(mount.made)
        assert f"{made.__module__.partition('.')[0]} {made.__qualname__}" == kind
        first = mount.made
        client.get(f"{fault_server.url}/ok")
        assert mount.made is first


def test_the_native_adapter_is_the_default(fault_server: FaultServer) -> None:
    with adieu.Client() as client:
        client.get(f"{fault_server.url}/ok")
        assert type(client.mounts.select(adieu.URL(fault_server.url)).made).__name__ == (
            "NativeAdapter"
        )


def test_an_unknown_name_is_refused_where_it_is_given(adapter: str) -> None:
    with pytest.raises(adieu.UnknownAdapter) as caught:
        adieu.Client(adapter="carrier pigeon")
    assert "no adapter is called 'carrier pigeon'" in str(caught.value)
    assert "close, h11, native, urllib3" in str(caught.value)
    with pytest.raises(adieu.UnknownAdapter, match="no async adapter is called 'urllib3'"):
        adieu.AsyncClient(adapter="urllib3")
    with adieu.Client(adapter=adapter) as client:
        with pytest.raises(adieu.UnknownAdapter):
            client.mount("pigeon://", "carrier pigeon")
        assert len(list(client.mounts)) == 1


def test_limits_go_to_adapters_chosen_by_name(fault_server: FaultServer, adapter: str) -> None:
    limits = adieu.Limits(connections=1)
    with adieu.Client(adapter=adapter, limits=limits) as client:
        with client.stream("GET", f"{fault_server.url}/bytes?n=300000"):
            with pytest.raises(adieu.PoolTimeout) as caught:
                client.get(f"{fault_server.url}/ok", timeout=adieu.Timeout(pool=0.05))
            (holder,) = caught.value.holders
            assert "GET" in holder
            assert "test_client_adapters.py" in holder
            assert holder in str(caught.value)
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    assert sockets(fault_server) == 0


@pytest.mark.usefixtures("installed")
def test_a_third_party_adapter_is_found_by_its_entry_point() -> None:
    client = adieu.Client(adapter="paper", limits=adieu.Limits(connections=7))
    assert "adieu_paper" not in sys.modules
    with client:
        response = client.get("https://example.org/a")
        assert response.headers["x-adapter"] == "paper"
        assert response.text == "https://example.org/a"
        paper: Any = client.mounts.select(adieu.URL("https://example.org/")).made
        assert paper.options == {"limits": adieu.Limits(connections=7)}
        assert not paper.closed
    assert paper.closed


@pytest.mark.usefixtures("installed")
def test_a_third_party_adapter_is_listed_among_the_known() -> None:
    known = "close, gone, h11, native, paper, torn, urllib3"
    with pytest.raises(LookupError, match=known):
        adieu.Client(adapter="scissors")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("name", "error"), [("gone", ImportError), ("torn", AttributeError)])
def test_the_error_of_a_broken_package_names_the_missing_module(
    name: str, error: type[Exception]
) -> None:
    with adieu.Client(adapter=name) as client, pytest.raises(error, match=r"adieu_paper|NotThere"):
        client.get("https://example.org/")


@pytest.mark.usefixtures("installed")
def test_two_clients_do_not_share_an_adapter_chosen_by_name() -> None:
    with adieu.Client(adapter="paper") as one, adieu.Client(adapter="paper") as other:
        one.get("https://example.org/")
        other.get("https://example.org/")
        url = adieu.URL("https://example.org/")
        assert one.mounts.select(url).made is not other.mounts.select(url).made


@pytest.mark.usefixtures("installed")
def test_threads_that_use_a_name_at_once_make_one_adapter_and_it_is_closed() -> None:
    client = adieu.Client(adapter="paper")
    start = threading.Barrier(8)

    def use() -> None:
        start.wait(30)
        client.get("https://example.org/")

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    client.close()
    made = sys.modules["adieu_paper"].Paper.made
    assert len(made) == 1
    assert made[0].closed


def test_an_adapter_object_is_used_as_it_is_and_closed_with_its_client(
    fault_server: FaultServer,
) -> None:
    from adieu_native import NativeAdapter

    adapter = NativeAdapter(limits=adieu.Limits(connections=1))
    with adieu.Client(adapter=adapter) as client:
        assert client.get(f"{fault_server.url}/ok").status_code == 200
        assert client.mounts.select(adieu.URL(fault_server.url)).made is adapter
        assert len(adapter.connections()) == 1
    assert adapter.connections() == []
    assert sockets(fault_server) == 0
    with adieu.Client(adapter=adapter) as client, pytest.raises(adieu.ClientClosed):
        client.get(f"{fault_server.url}/ok")


class NoSend:
    def close(self) -> None: ...


class NoClose:
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(200)


class NotCallable:
    send = close = "text"


class Whole(NoClose):
    def close(self) -> None: ...


@pytest.mark.parametrize("wrong", [NoSend(), NoClose(), NotCallable(), object(), 7])
def test_an_object_without_send_and_close_is_refused(wrong: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"send\(request, exchange\) and close\(\)"):
        adieu.Client(adapter=wrong)
    with adieu.Client(adapter=Whole()) as client:
        with pytest.raises(adieu.InvalidRequest, match=r"send\(request, exchange\) and close\(\)"):
            client.mount("mock://", wrong)
        assert len(list(client.mounts)) == 1


@pytest.mark.parametrize("wrong", [Whole, adieu.Middleware])
def test_a_class_is_not_an_adapter_and_the_error_says_so(wrong: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="parentheses"):
        adieu.Client(adapter=wrong)
    with (
        adieu.Client(adapter=Whole()) as client,
        pytest.raises(adieu.InvalidRequest, match="parentheses"),
    ):
        client.mount("mock://", wrong)


class Awaited:
    """An async adapter of a user."""

    async def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.AsyncResponse:
        return adieu.AsyncResponse(200)

    async def close(self) -> None:
        pass


class Called:
    """A sync adapter of a user."""

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(200)

    def close(self) -> None:
        pass


def _timed(method: Any) -> Any:
    @functools.wraps(method)
    def around(*what: Any) -> Any:
        return method(*what)

    return around


class Timed:
    """Its methods are plain functions around awaited ones, as decorators make them."""

    send = _timed(Awaited.send)
    close = _timed(Awaited.close)


@pytest.mark.parametrize("made", [Awaited, adieu.AsyncGuard], ids=lambda made: made.__name__)
def test_an_async_adapter_is_refused_by_a_sync_client(made: Any) -> None:
    adapter = made()
    with pytest.raises(adieu.InvalidRequest, match="needs an AsyncClient"):
        adieu.Client(adapter=adapter)
    with (
        adieu.Client() as client,
        pytest.raises(adieu.InvalidRequest, match="needs an AsyncClient"),
    ):
        client.mount("mock://", adapter)


@pytest.mark.parametrize("made", [Called, adieu.Guard], ids=lambda made: made.__name__)
def test_an_async_client_refuses_a_sync_adapter_and_names_to_async(made: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"adieu\.to_async\(adapter\)"):
        adieu.AsyncClient(adapter=made())


@pytest.mark.parametrize(
    "adapter", [Awaited(), Timed(), adieu.to_async(Called())], ids=["plain", "wrapped", "to_async"]
)
def test_an_async_client_accepts_wrapped_async_methods(adapter: Any) -> None:
    async def main() -> int:
        async with adieu.AsyncClient(adapter=adapter) as client:
            return (await client.get("http://example.org/")).status_code

    assert asyncio.run(main()) == 200


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/", "file:///etc"]
)
def test_a_scheme_that_no_adapter_serves_is_refused_before_anything_is_sent(
    fault_server: FaultServer, adapter: str, url: str
) -> None:
    url = url.format(port=fault_server.port)
    with adieu.Client(adapter=adapter) as client:
        with pytest.raises(adieu.InvalidURL) as caught:
            client.get(url)
        scheme = url.partition(":")[0]
        assert f"{scheme}://" in str(caught.value)
        assert "mount" in str(caught.value)
        assert client.connections() == []
    assert fault_server.accepted == 0


def test_limits_for_an_adapter_that_takes_none_are_named(installed: Path) -> None:
    (installed / "adieu_paper.py").write_text(
        "class Paper:\n    def send(self, request, exchange): ...\n    def close(self): ...\n"
    )
    with (
        adieu.Client(adapter="paper", limits=adieu.Limits(connections=1)) as client,
        pytest.raises(adieu.InvalidRequest, match="'paper' cannot be made with limits=") as caught,
    ):
        client.get("paper://x/")
    assert type(caught.value.__cause__) is TypeError
