"""The lease of a response of requests': it reads the raw body, and ends it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse

import adieu
from adieu.lifecycle.counted import CountedLease
from adieu.net.closing import shut
from adieu_requests.errors import as_adieu, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline

__all__ = ["ResponseLease"]

_BLOCK = 64 * 1024


class ResponseLease(CountedLease, adieu.Lease):
    """Reads `response.raw`: a response of urllib3's, or another file, as some adapters have.

    A connection whose body was read to its end is in the pool of the inner adapter again, whatever the policy says.
    """

    def __init__(self, response: requests.Response, exchange: adieu.Exchange) -> None:
        self._response = response
        raw = response.raw
        connection = raw.connection if isinstance(raw, HTTPResponse) else None
        sock = connection.sock if isinstance(connection, HTTPConnection) else None
        self._sock = sock if isinstance(sock, socket.socket) else None
        self._pieces = _pieces(response)
        self._subject = exchange.method, str(exchange.url)
        super().__init__(*_framing(raw, exchange.method))

    def fields(self) -> list[tuple[str, str]]:
        """The header fields: those of urllib3's response, where several of one name are not joined."""
        raw = self._response.raw
        if isinstance(raw, BaseHTTPResponse):
            return list(raw.headers.iteritems())
        return list(self._response.headers.items())

    @property
    def reusable(self) -> bool:
        return self._sock is not None

    def read(self, deadline: Deadline) -> bytes:
        limit = deadline.remaining("read")
        try:
            if self._sock is not None and self._sock.fileno() >= 0:
                self._sock.settimeout(limit)
            data = next(self._pieces, b"")
        except Exception as error:
            self.check_open()
            found = as_adieu(error, "body", *self._subject, deadline)
            raise found from without_secrets(error)
        return self.counted(data)

    def finish(self, reuse: bool, why: str) -> None:
        if not self.begin_end():
            return
        raw = self._response.raw
        try:
            if reuse and isinstance(raw, HTTPResponse):
                raw.release_conn()  # Where there was no body; the end of one has done it already.
                return
            if self._sock is not None and raw.connection is not None:
                shut(self._sock)  # A thread that reads from it wakes up.
            self._response.close()
        except Exception:
            pass  # The end of a lease never raises.


def _framing(raw: object, method: str) -> tuple[Framing, int | None]:
    """How the end of the body is marked, and its length, as far as they are known."""
    if not isinstance(raw, HTTPResponse):
        return "close", None
    if method == "HEAD" or raw.status in (204, 304):
        return "none", 0
    if raw.chunked:
        return "chunked", None
    if (length := raw.length_remaining) is None:
        return "close", None
    return ("length" if length else "none"), length


def _pieces(response: requests.Response) -> Iterator[bytes]:
    raw = response.raw
    if raw is None:
        # An adapter that has filled in the content, and no file.
        yield response.content
    elif isinstance(raw, HTTPResponse) and not raw.chunked:
        while piece := raw.read1(_BLOCK, decode_content=False):
            yield piece
    elif isinstance(raw, BaseHTTPResponse):
        yield from raw.stream(_BLOCK, decode_content=False)
    else:
        while piece := raw.read(_BLOCK):
            yield piece
