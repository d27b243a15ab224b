"""A caching proxy of one's own, for http: `python examples/caching_proxy.py 3128`.

A server of the standard library takes the requests, a client of adieu sends them, and a middleware
keeps the answers. It keeps what has an `ETag`, and asks the server whether it has changed (RFC
9110, section 13), so it is never wrong.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import adieu
from adieu_native import NativeAdapter

__all__ = ["CachingProxy", "Kept"]

# A proxy does not pass on what belongs to one connection (RFC 9110, section 7.6.1).
_OF_ONE_CONNECTION = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
_OF_ONE_CONNECTION |= {"transfer-encoding", "proxy-authorization", "proxy-authenticate"}


class Kept(adieu.Middleware):
    """Keeps the answers to GET that have an `ETag`, and sends them again if the server says 304."""

    def __init__(self, inner: adieu.Adapter, entries: int = 1000, most: int = 1_000_000) -> None:
        super().__init__(inner)
        self._entries = entries
        self._most = most
        self._kept: OrderedDict[str, adieu.Response] = OrderedDict()
        self._lock = threading.Lock()

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        """Ask the server with what is known, and answer with what is kept if that is still right."""
        private = {"authorization", "cookie", "range", "if-none-match"} & set(request.headers)
        if request.method != "GET" or private:
            return self.inner.send(request, exchange)
        url = str(request.url)
        with self._lock:
            kept = self._kept.get(url)
        if kept is not None:
            request.headers["if-none-match"] = kept.headers["etag"]
        response = self.inner.send(request, exchange)
        if kept is not None and response.status_code == 304:
            return kept.copy()  # The 304, which has no body, gives its connection back.
        if response.status_code == 200 and self._may_keep(response):
            response.read()
            with self._lock:
                self._kept[url] = response.copy()
                while len(self._kept) > self._entries:
                    self._kept.popitem(last=False)
        return response

    def _may_keep(self, response: adieu.Response) -> bool:
        headers = response.headers
        says = headers.get("cache-control", "")
        size = int(headers.get("content-length", self._most + 1))
        plain = "etag" in headers and "vary" not in headers and size <= self._most
        return plain and "no-store" not in says and "private" not in says


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CachingProxy

    def _forward(self) -> None:
        length = int(self.headers.get("content-length", 0))
        content = self.rfile.read(length) if length else None
        fields = [(n, v) for n, v in self.headers.items() if n.lower() not in _OF_ONE_CONNECTION]
        fields = [(n, v) for n, v in fields if n.lower() not in ("host", "content-length")]
        try:
            with self.server.client.stream(
                self.command, self.path, headers=fields, content=content, follow_redirects=False
            ) as response:
                self._answer(response)
        except adieu.AdieuError as error:
            self.send_error(502, explain=str(error))

    def _answer(self, response: adieu.Response) -> None:
        body = b"".join(response.iter_raw())  # As it came: a proxy decodes nothing.
        self.send_response(response.status_code, response.reason)
        for name, value in response.headers.multi_items():
            if name.lower() not in _OF_ONE_CONNECTION | {"content-length", "server", "date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _forward  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Write no line for each request."""


class CachingProxy(ThreadingHTTPServer):
    """The proxy, with one client for all of its threads. `server_close` closes that, too."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.kept = Kept(NativeAdapter(limits=adieu.Limits(100)))
        self.client = adieu.Client(
            adapter=self.kept, proxy=None, cookies=False, headers={"User-Agent": None}
        )

    def server_close(self) -> None:
        """Stop, and close every connection."""
        super().server_close()
        self.client.close()


if __name__ == "__main__":
    with CachingProxy(int(sys.argv[1])) as proxy:
        proxy.serve_forever()
