"""The clients, each written as its users write it. Nothing is imported before its client is made."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks import bare, compiled
from benchmarks.calls import CONTENT, PIECE, Calls, pieces
from benchmarks.server import BODY, CHUNKED, DOWNLOAD, UPLOAD

if TYPE_CHECKING:
    from benchmarks.surroundings import Site

__all__ = ["PEERS", "Peer"]


class Peer(NamedTuple):
    """A client: how it is made for a site, and the module that it needs."""

    make: Callable[[Site], Calls]
    needs: str
    shareable: bool = True
    """Threads may share it."""

    def installed(self) -> bool:
        return find_spec(self.needs) is not None


def _module(name: str) -> Any:
    return import_module(name)


def _urllib3(site: Site) -> Calls:
    urllib3 = _module("urllib3")
    pools, url = urllib3.PoolManager(ca_certs=site.ca), f"{site.url}/items"

    def streamed(path: str) -> int:
        response = pools.request("GET", site.url + path, preload_content=False)
        size = sum(map(len, response.stream(PIECE)))
        response.release_conn()
        return size

    def upload() -> object:
        with open(site.file, "rb") as file:
            return pools.request("PUT", site.url + UPLOAD, body=file).data

    def once() -> object:
        with urllib3.PoolManager(ca_certs=site.ca) as one:
            return one.request("GET", url).data

    return Calls(
        get=lambda: pools.request("GET", url).data,
        post=lambda: pools.request("POST", url, json=CONTENT).json(),
        once=once,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        upload=upload,
        generate=lambda: pools.request("PUT", site.url + UPLOAD, body=pieces()).data,
        close=pools.clear,
    )


def _requests(site: Site, name: str = "requests") -> Calls:
    requests = _module(name)
    session, url = requests.Session(), f"{site.url}/items"
    session.verify = site.ca

    def streamed(path: str) -> int:
        with session.get(site.url + path, stream=True) as response:
            return sum(map(len, response.iter_content(PIECE)))

    def upload() -> object:
        with open(site.file, "rb") as file:
            return session.put(site.url + UPLOAD, data=file).content

    return Calls(
        get=lambda: session.get(url).content,
        post=lambda: session.post(url, json=CONTENT).json(),
        once=lambda: requests.get(url, verify=site.ca).content,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        upload=upload,
        generate=lambda: session.put(site.url + UPLOAD, data=pieces()).content,
        close=session.close,
    )


def _requests_in_memory(site: Site) -> Calls:
    """Its session over an adapter that answers without a connection."""
    requests = _module("requests")
    base: Any = requests.adapters.BaseAdapter

    class Memory(base):  # type: ignore[misc]
        def send(self, request: Any, **options: object) -> Any:
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content = BODY
            return response

        def close(self) -> None:
            pass

    session = requests.Session()
    session.mount("http://", Memory())
    return Calls(get=lambda: session.get(f"{site.url}/items").content, close=session.close)


def _httpx(site: Site, name: str = "httpx") -> Calls:
    httpx = _module(name)
    context = ssl.create_default_context(cafile=site.ca) if site.is_secure else True
    client, url = httpx.Client(verify=context), f"{site.url}/items"

    def streamed(path: str) -> int:
        with client.stream("GET", site.url + path) as response:
            return sum(map(len, response.iter_bytes()))

    def upload() -> object:
        with open(site.file, "rb") as file:
            return client.put(site.url + UPLOAD, content=file).content

    return Calls(
        get=lambda: client.get(url).content,
        post=lambda: client.post(url, json=CONTENT).json(),
        once=lambda: httpx.get(url, verify=context).content,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        upload=upload,
        generate=lambda: client.put(site.url + UPLOAD, content=pieces()).content,
        close=client.close,
    )


def _adieu(site: Site, adapter: str = "native", **options: Any) -> Calls:
    import adieu

    if site.is_secure:
        options.setdefault("tls", adieu.TLSConfig(verify=site.ca))
    client, url = adieu.Client(adapter=adapter, **options), f"{site.url}/items"

    def streamed(path: str) -> int:
        with client.stream("GET", site.url + path) as response:
            return sum(map(len, response.iter_bytes()))

    def upload() -> object:
        with open(site.file, "rb") as file:
            return client.put(site.url + UPLOAD, content=file).content

    return Calls(
        get=lambda: client.get(url).content,
        post=lambda: client.post(url, json=CONTENT).json(),
        once=lambda: adieu.get(url, **options).content,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        upload=upload,
        generate=lambda: client.put(site.url + UPLOAD, content=pieces()).content,
        close=client.close,
    )


def _adieu_unresumed(site: Site) -> Calls:
    import adieu

    return _adieu(site, tls=adieu.TLSConfig(verify=site.ca, resume_sessions=False))


def _adieu_in_memory(site: Site) -> Calls:
    import adieu

    client = adieu.Client(adapter=lambda request: adieu.Response(200, body=BODY))
    return Calls(get=lambda: client.get(f"{site.url}/items").content, close=client.close)


PEERS: Final = {
    "socket": Peer(bare.sockets, "socket", shareable=False),
    "socket, resumed": Peer(lambda site: bare.sockets(site, True), "socket", shareable=False),
    "h11 loop": Peer(bare.h11_loop, "h11", shareable=False),
    "adieu": Peer(_adieu, "adieu"),
    "adieu, h11": Peer(lambda site: _adieu(site, "h11"), "h11"),
    "adieu, urllib3": Peer(lambda site: _adieu(site, "urllib3"), "urllib3"),
    "adieu, not resumed": Peer(_adieu_unresumed, "adieu"),
    "adieu, in memory": Peer(_adieu_in_memory, "adieu"),
    "pyreqwest": Peer(compiled.pyreqwest_calls, "pyreqwest"),
    "pycurl": Peer(compiled.pycurl_calls, "pycurl", shareable=False),
    "wreq": Peer(compiled.wreq_calls, "wreq"),
    "primp": Peer(compiled.primp_calls, "primp"),
    "httpx2": Peer(lambda site: _httpx(site, "httpx2"), "httpx2"),
    "httpx": Peer(_httpx, "httpx"),
    "requests": Peer(_requests, "requests"),
    "requests, in memory": Peer(_requests_in_memory, "requests"),
    "urllib3": Peer(_urllib3, "urllib3"),
    "niquests": Peer(lambda site: _requests(site, "niquests"), "niquests"),
}
