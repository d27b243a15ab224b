"""The clients, each written as its users write it. Nothing is imported before its client is made."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks import bare
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
    context = ssl.create_default_context(cafile=site.ca) if _is_secure(site) else True
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


def _is_secure(site: Site) -> bool:
    return site.url.startswith("https:")


def _pyreqwest(site: Site) -> Calls:
    make, url = _module("pyreqwest.client").SyncClientBuilder, f"{site.url}/items"
    authority = Path(site.ca).read_bytes() if _is_secure(site) else None

    def opened() -> Any:
        builder = make()
        return builder.add_root_certificate_pem(authority).build() if authority else builder.build()

    client = opened()

    def once() -> object:
        with opened() as one:
            return bytes(one.get(url).build().send().bytes())

    def streamed(path: str) -> int:
        size = 0
        with client.get(site.url + path).build_streamed() as response:
            while (piece := response.body_reader.read_chunk()) is not None:
                size += len(piece)
        return size

    def generate() -> object:
        asked = client.put(site.url + UPLOAD).body_stream(pieces())
        return bytes(asked.build().send().bytes())

    return Calls(
        get=lambda: bytes(client.get(url).build().send().bytes()),
        post=lambda: client.post(url).body_json(CONTENT).build().send().json(),
        once=once,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        generate=generate,
        close=client.close,
    )


def _wreq(site: Site) -> Calls:
    blocking = _module("wreq.blocking")
    options = {"tls_verify": Path(site.ca)} if _is_secure(site) else {}
    client, url = blocking.Client(**options), f"{site.url}/items"

    def streamed(path: str) -> int:
        with client.get(site.url + path).stream() as parts:
            return sum(map(len, parts))

    return Calls(
        get=lambda: bytes(client.get(url).bytes()),
        post=lambda: client.post(url, json=CONTENT).json(),
        once=lambda: bytes(blocking.Client(**options).get(url).bytes()),
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
        generate=lambda: bytes(client.put(site.url + UPLOAD, body=pieces()).bytes()),
    )


def _primp(site: Site) -> Calls:
    primp = _module("primp")
    options = {"ca_cert_file": site.ca} if _is_secure(site) else {}
    client, url = primp.Client(**options), f"{site.url}/items"

    def streamed(path: str) -> int:
        return sum(map(len, client.get(site.url + path, stream=True).iter_bytes()))

    return Calls(
        get=lambda: client.get(url).content,
        post=lambda: client.post(url, json=CONTENT).json(),
        once=lambda: primp.Client(**options).get(url).content,
        download=lambda: streamed(DOWNLOAD),
        chunked=lambda: streamed(CHUNKED),
    )


def _pycurl(site: Site) -> Calls:
    """One handle for all requests; for `once` a new one each time."""
    pycurl, url = _module("pycurl"), f"{site.url}/items"

    def handle() -> Any:
        curl = pycurl.Curl()
        curl.setopt(pycurl.CAINFO, site.ca)
        return curl

    def performed(curl: Any, address: str) -> list[bytes]:
        answer: list[bytes] = []
        curl.setopt(pycurl.URL, address)
        curl.setopt(pycurl.WRITEFUNCTION, answer.append)
        curl.perform()
        return answer

    def post() -> object:
        curl.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json"])
        curl.setopt(pycurl.POSTFIELDS, json.dumps(CONTENT))
        return json.loads(b"".join(performed(curl, url)))

    def counted(path: str) -> int:
        size = 0

        def more(piece: bytes) -> None:
            nonlocal size
            size += len(piece)

        curl.setopt(pycurl.URL, site.url + path)
        curl.setopt(pycurl.WRITEFUNCTION, more)
        curl.perform()
        return size

    def upload() -> object:
        with open(site.file, "rb") as file:
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.READDATA, file)
            curl.setopt(pycurl.INFILESIZE, Path(site.file).stat().st_size)
            return b"".join(performed(curl, site.url + UPLOAD))

    def once() -> object:
        one = handle()
        body = b"".join(performed(one, url))
        one.close()
        return body

    curl = handle()
    return Calls(
        get=lambda: b"".join(performed(curl, url)),
        post=post,
        once=once,
        download=lambda: counted(DOWNLOAD),
        chunked=lambda: counted(CHUNKED),
        upload=upload,
        close=curl.close,
    )


def _adieu(site: Site, adapter: str = "native", **options: Any) -> Calls:
    import adieu

    if _is_secure(site):
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
    "pyreqwest": Peer(_pyreqwest, "pyreqwest"),
    "pycurl": Peer(_pycurl, "pycurl", shareable=False),
    "wreq": Peer(_wreq, "wreq"),
    "primp": Peer(_primp, "primp"),
    "httpx2": Peer(lambda site: _httpx(site, "httpx2"), "httpx2"),
    "httpx": Peer(_httpx, "httpx"),
    "requests": Peer(_requests, "requests"),
    "requests, in memory": Peer(_requests_in_memory, "requests"),
    "urllib3": Peer(_urllib3, "urllib3"),
    "niquests": Peer(lambda site: _requests(site, "niquests"), "niquests"),
}
