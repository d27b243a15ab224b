"""The same with real proxies: tinyproxy, squid (plain and over TLS) and dante, in front of nginx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from proxy_servers import Dante, Squid, Tinyproxy
from servers import ONE_MEGABYTE, SMALL
from support.runner import RUNNERS
from support.stage import ADAPTERS, caught

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Authority, Nginx
    from support.runner import Runner
    from support.watch import Watch


@pytest.fixture(scope="module")
def tinyproxy() -> Iterator[Tinyproxy]:
    """A real tinyproxy; the test fails if there is none on this machine."""
    server = Tinyproxy()
    yield server
    server.close()


@pytest.fixture(scope="module")
def squid(authority: Authority) -> Iterator[Squid]:
    """A real squid."""
    server = Squid(authority)
    yield server
    server.close()


@pytest.fixture(scope="module")
def dante() -> Iterator[Dante]:
    """A real dante."""
    server = Dante()
    yield server
    server.close()


@pytest.fixture(params=[("sync", name) for name in ADAPTERS] + [("async", "native")], ids="-".join)
def place(request: pytest.FixtureRequest, census: Watch) -> Iterator[tuple[Runner, str]]:
    """A mode, and one of its adapters."""
    mode, adapter = request.param
    runner = RUNNERS[mode]()
    yield runner, adapter
    runner.close()


def visit(place: tuple[Runner, str], nginx: Nginx, proxy: Any) -> None:
    """All kinds of traffic: small and large, plain and secure, on reused connections."""
    runner, adapter = place
    client = runner.client(adapter=adapter, proxy=proxy, verify=str(nginx.ca_path))
    with runner.block(client):
        for url in (nginx.url, nginx.https_url):
            for _ in range(2):
                assert runner.run(client.get(f"{url}/small.txt")).content == SMALL
            assert runner.run(client.get(f"{url}/megabyte.bin")).content == ONE_MEGABYTE
            assert runner.run(client.get(f"{url}/nothing")).status_code == 404
        lines = [line.origin for line in client.connections()]
    if adapter != "close":
        shown = str(adieu.Proxy(proxy) if isinstance(proxy, str) else proxy)
        assert lines == [f"{nginx.url} via {shown}", f"{nginx.https_url} via {shown}"]


def test_tinyproxy_forwards_and_tunnels(
    place: tuple[Runner, str], nginx: Nginx, tinyproxy: Tinyproxy
) -> None:
    visit(place, nginx, adieu.Proxy(tinyproxy.url, auth=("me", "s3cret")))


def test_refusals_of_tinyproxy_are_errors(
    place: tuple[Runner, str], nginx: Nginx, tinyproxy: Tinyproxy
) -> None:
    runner, adapter = place
    with runner.block(runner.client(adapter=adapter, proxy=tinyproxy.url)) as client:
        error = caught(adieu.ProxyError, lambda: runner.run(client.get(nginx.https_url)))
        assert isinstance(error, adieu.ProxyError)
        assert error.status == 407
        assert "it wants credentials, and takes basic" in str(error)
        assert b"<html" in error.answer
        assert runner.run(client.get(nginx.url)).status_code == 407


@pytest.mark.needs("digest for proxies")
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_squid_forwards_and_tunnels_with_digest_authentication(
    place: tuple[Runner, str], nginx: Nginx, squid: Squid, secure: bool
) -> None:
    url = squid.tls_url if secure else squid.url
    proxy = adieu.Proxy(url, auth=("me", "s3cret"), digest=True)
    if secure or place[1] == "close":
        visit(place, nginx, proxy)
        return
    runner, adapter = place
    with runner.block(
        runner.client(adapter=adapter, proxy=proxy, verify=str(nginx.ca_path))
    ) as client:
        for _ in range(3):
            for url in (nginx.https_url, nginx.url):
                assert runner.run(client.get(f"{url}/small.txt")).content == SMALL
        wrong = proxy.replace(auth=("me", "wr0ng"))
        call = lambda: runner.run(client.get(nginx.https_url, proxy=wrong))  # noqa: E731
        error = caught(adieu.ProxyError, call)
        assert "it refused the credentials, and takes digest" in str(error)


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4"])
def test_dante_relays_every_request(
    place: tuple[Runner, str], nginx: Nginx, dante: Dante, scheme: str
) -> None:
    visit(place, nginx, f"{scheme}://127.0.0.1:{dante.port}")


def test_refusals_of_dante_are_errors(place: tuple[Runner, str], dante: Dante) -> None:
    runner, adapter = place
    proxy = f"socks5h://127.0.0.1:{dante.port}"
    with runner.block(runner.client(adapter=adapter, proxy=proxy)) as client:
        for host, text in (("127.0.0.1:1", "refused"), ("10.9.8.7", "its rules do not allow")):
            error = caught(adieu.ProxyError, lambda h=host: runner.run(client.get(f"http://{h}/")))
            assert text in str(error)
