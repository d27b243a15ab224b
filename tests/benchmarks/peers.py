"""The clients: the same few calls, written for each client as its users write them.

A peer is opened at a site and then called many times. `get` and `post` return the whole body, `download` the number of
bytes that came, `unread` leaves a response without reading it, by what the client offers for that.
"""

from __future__ import annotations

import json
import socket
import ssl
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import adieu
from benchmarks.server import BODY, DOWNLOAD

if TYPE_CHECKING:
    from adieu import Exchange, Request

__all__ = ["PEERS", "Peer", "Site"]

_PARAMS: Final = {"page": "2", "order": "name"}
_FIELDS: Final = {"X-Request-Id": "5f0c6a1e", "Accept": "application/json"}
_CONTENT: Final[dict[str, Any]] = {
    "name": "a name",
    "tags": ["a", "b"],
    "count": 3,
    "nested": {"yes": True},
}
_PIECE: Final = 64 * 1024


class Site(NamedTuple):
    """An origin as text, and the file of the authority that signed its certificate."""

    url: str
    ca: str


class Peer:
    """A client for a site."""

    name: ClassVar[str]
    needs: ClassVar[str]
    """The module that the peer needs."""
    shareable: ClassVar[bool] = True
    """Threads may share it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.url = f"{site.url}/items"
        self.large = f"{site.url}{DOWNLOAD}"

    @classmethod
    def installed(cls) -> bool:
        return find_spec(cls.needs) is not None

    def get(self) -> bytes:
        raise NotImplementedError

    def post(self) -> bytes:
        """With query parameters, two header fields, and JSON."""
        raise NotImplementedError

    def download(self) -> int:
        raise NotImplementedError

    def unread(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _Bare(Peer):
    """A socket that is opened when there is none."""

    shareable = False

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._address = urlsplit(site.url)
        self._host = self._address.netloc
        self._context: ssl.SSLContext | None = None
        if self._address.scheme == "https":
            self._context = ssl.create_default_context(cafile=site.ca)
        self._sock: socket.socket | None = None

    def _connected(self) -> socket.socket:
        host, port = self._address.hostname, self._address.port
        assert host is not None
        assert port is not None
        sock = socket.create_connection((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_hostname=host)
        self._sock = sock
        return sock

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


class BareSocket(_Bare):
    """No HTTP: it sends prepared bytes and reads bytes. The work of a client is what takes longer than this."""

    name = "socket"
    needs = "socket"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._get = f"GET /items HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        self._download = f"GET {DOWNLOAD} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()

    def get(self) -> bytes:
        sock = self._sock or self._connected()
        sock.sendall(self._get)
        data = sock.recv(_PIECE)
        while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + len(BODY):
            data += sock.recv(_PIECE)
        if data.find(b"Connection: close", 0, end) > 0:
            self.close()
        return data[end + 4 :]

    def download(self) -> int:
        sock = self._sock or self._connected()
        sock.sendall(self._download)
        data = sock.recv(_PIECE)
        length = int(data.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        size = len(data) - data.find(b"\r\n\r\n") - 4
        while size < length:
            size += len(sock.recv(_PIECE * 4))
        return size


class BareH11(_Bare):
    """h11 as its documentation uses it: one write for all events, reads of 64 KiB, the body joined."""

    name = "h11 loop"
    needs = "h11"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import h11

        self._h11 = h11
        self._parser = h11.Connection(h11.CLIENT)
        self._fields = [
            ("Host", self._host),
            ("User-Agent", "benchmark/1"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "gzip, deflate"),
        ]

    def _connected(self) -> socket.socket:
        self._parser = self._h11.Connection(self._h11.CLIENT)
        return super()._connected()

    def _send(self, request: Any, content: bytes = b"") -> socket.socket:
        sock = self._sock or self._connected()
        send = self._parser.send
        data = send(request)
        assert data is not None
        if content:
            data += send(self._h11.Data(data=content)) or b""
        sock.sendall(data + (send(self._h11.EndOfMessage()) or b""))
        return sock

    def _events(self, sock: socket.socket) -> list[Any]:
        h11, parser, pieces = self._h11, self._parser, []
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(sock.recv(_PIECE))
            elif isinstance(event, h11.Data):
                pieces.append(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        self._ended()
        return pieces

    def _ended(self) -> None:
        if self._parser.our_state is self._h11.MUST_CLOSE:
            self.close()
        else:
            self._parser.start_next_cycle()

    def get(self) -> bytes:
        request = self._h11.Request(method="GET", target="/items", headers=self._fields)
        return b"".join(self._events(self._send(request)))

    def post(self) -> bytes:
        content = json.dumps(_CONTENT).encode()
        fields = [
            *self._fields[:2],
            *_FIELDS.items(),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
        ]
        target = f"/items?{urlencode(_PARAMS)}"
        request = self._h11.Request(method="POST", target=target, headers=fields)
        return b"".join(self._events(self._send(request, content)))

    def download(self) -> int:
        h11, size = self._h11, 0
        sock = self._send(h11.Request(method="GET", target=DOWNLOAD, headers=self._fields))
        parser = self._parser
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                parser.receive_data(sock.recv(_PIECE))
            elif isinstance(event, h11.Data):
                size += len(event.data)
        self._ended()
        return size

    def unread(self) -> None:
        # Its only end is reading the rest.
        self.get()


class Urllib3(Peer):
    """`PoolManager.request`."""

    name = "urllib3"
    needs = "urllib3"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import urllib3

        self._pools = urllib3.PoolManager(maxsize=10, ca_certs=site.ca)

    def get(self) -> bytes:
        return self._pools.request("GET", self.url).data

    def post(self) -> bytes:
        url = f"{self.url}?{urlencode(_PARAMS)}"
        return self._pools.request("POST", url, headers=_FIELDS, json=_CONTENT).data

    def download(self) -> int:
        response = self._pools.request("GET", self.large, preload_content=False)
        size = sum(map(len, response.stream(_PIECE)))
        response.release_conn()
        return size

    def unread(self) -> None:
        response = self._pools.request("GET", self.url, preload_content=False)
        response.drain_conn()
        response.release_conn()

    def close(self) -> None:
        self._pools.clear()


class Requests(Peer):
    """`Session`."""

    name = "requests"
    needs = "requests"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import requests

        self._session = requests.Session()
        self._session.verify = site.ca

    def get(self) -> bytes:
        content: bytes = self._session.get(self.url).content
        return content

    def post(self) -> bytes:
        answer = self._session.post(self.url, params=_PARAMS, headers=_FIELDS, json=_CONTENT)
        content: bytes = answer.content
        return content

    def download(self) -> int:
        with self._session.get(self.large, stream=True) as response:
            return sum(map(len, response.iter_content(_PIECE)))

    def unread(self) -> None:
        with self._session.get(self.url, stream=True):
            pass

    def close(self) -> None:
        self._session.close()


class Httpx(Peer):
    """`httpx.Client`."""

    name = "httpx"
    needs = "httpx"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        import httpx

        self._client = httpx.Client(verify=ssl.create_default_context(cafile=site.ca))

    def get(self) -> bytes:
        return self._client.get(self.url).content

    def post(self) -> bytes:
        answer = self._client.post(self.url, params=_PARAMS, headers=_FIELDS, json=_CONTENT)
        return answer.content

    def download(self) -> int:
        with self._client.stream("GET", self.large) as response:
            return sum(map(len, response.iter_bytes()))

    def unread(self) -> None:
        with self._client.stream("GET", self.url):
            pass

    def close(self) -> None:
        self._client.close()


class PyReqwest(Peer):
    """pyreqwest's sync client, which is Rust's reqwest."""

    name = "pyreqwest"
    needs = "pyreqwest"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        builder: Any = import_module("pyreqwest.client").SyncClientBuilder()
        self._client = builder.add_root_certificate_pem(Path(site.ca).read_bytes()).build()

    def get(self) -> bytes:
        return bytes(self._client.get(self.url).build().send().bytes())

    def post(self) -> bytes:
        asked = self._client.post(self.url).query(_PARAMS).headers(_FIELDS).body_json(_CONTENT)
        return bytes(asked.build().send().bytes())

    def download(self) -> int:
        size = 0
        with self._client.get(self.large).build_streamed() as response:
            while (piece := response.body_reader.read_chunk()) is not None:
                size += len(piece)
        return size

    def unread(self) -> None:
        with self._client.get(self.url).build_streamed():
            pass

    def close(self) -> None:
        self._client.close()


class PyCurl(Peer):
    """A handle of libcurl's, used again for each request."""

    name = "pycurl"
    needs = "pycurl"
    shareable = False

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        pycurl: Any = import_module("pycurl")
        self._curl = pycurl.Curl()
        self._curl.setopt(pycurl.CAINFO, site.ca)
        self._url, self._into, self._fields = pycurl.URL, pycurl.WRITEFUNCTION, pycurl.HTTPHEADER
        self._content, self._get = pycurl.POSTFIELDS, pycurl.HTTPGET

    def _performed(self, url: str) -> list[bytes]:
        pieces: list[bytes] = []
        self._curl.setopt(self._url, url)
        self._curl.setopt(self._into, pieces.append)
        self._curl.perform()
        return pieces

    def get(self) -> bytes:
        return b"".join(self._performed(self.url))

    def post(self) -> bytes:
        fields = [f"{name}: {value}" for name, value in _FIELDS.items()]
        self._curl.setopt(self._fields, [*fields, "Content-Type: application/json"])
        self._curl.setopt(self._content, json.dumps(_CONTENT))
        return b"".join(self._performed(f"{self.url}?{urlencode(_PARAMS)}"))

    def download(self) -> int:
        return sum(map(len, self._performed(self.large)))

    def unread(self) -> None:
        self.get()  # It has no streams.

    def close(self) -> None:
        self._curl.close()


class _Adieu(Peer):
    needs = "adieu"
    adapter: ClassVar[str]

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._client = self._made(site)

    def _made(self, site: Site) -> adieu.Client:
        verify = site.ca if site.url.startswith("https:") else True
        return adieu.Client(adapter=self.adapter, verify=verify)

    def get(self) -> bytes:
        content: bytes = self._client.get(self.url).content
        return content

    def post(self) -> bytes:
        answer = self._client.post(self.url, params=_PARAMS, headers=_FIELDS, json=_CONTENT)
        content: bytes = answer.content
        return content

    def download(self) -> int:
        with self._client.stream("GET", self.large) as response:
            return sum(map(len, response.iter_bytes()))

    def unread(self) -> None:
        with self._client.stream("GET", self.url):
            pass

    def close(self) -> None:
        self._client.close()


class Adieu(_Adieu):
    """The default adapter."""

    name = "adieu"
    adapter = "native"


class AdieuH11(_Adieu):
    """h11 as codec."""

    name = "adieu, h11"
    adapter = "h11"


class AdieuUrllib3(_Adieu):
    """urllib3's connections."""

    name = "adieu, urllib3"
    adapter = "urllib3"


class AdieuClose(_Adieu):
    """Without keep-alive."""

    name = "adieu, close"
    adapter = "close"


class _Memory:
    """An adapter that answers without a connection."""

    def send(self, request: Request, exchange: Exchange) -> adieu.Response:
        return adieu.Response(200, body=BODY)

    def close(self) -> None:
        pass


class AdieuMemory(_Adieu):
    """The client without an adapter's work."""

    name = "adieu, client alone"

    def _made(self, site: Site) -> adieu.Client:
        return adieu.Client(adapter=_Memory())


PEERS: Final = {
    peer.name: peer
    for peer in (
        BareSocket,
        BareH11,
        Urllib3,
        Requests,
        Httpx,
        PyReqwest,
        PyCurl,
        Adieu,
        AdieuH11,
        AdieuUrllib3,
        AdieuClose,
        AdieuMemory,
    )
}
