"""The leases of responses of httpx and httpx2: they read the raw body, and end it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import adieu
from adieu.lifecycle.counted import CountedLease
from adieu.net.closing import shut

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline
    from adieu.transport.awaited_ends import AwaitedEnds
    from adieu_httpx.library import Library

__all__ = ["AsyncStreamLease", "StreamLease"]


class _StreamLease(CountedLease):
    """The parts that sync and async leases share.

    A connection goes back to the pool of the transport at the end of its body, and is closed if the body is left
    before.
    """

    def __init__(self, library: Library, request: adieu.Request, response: Any) -> None:
        self._library = library
        self._request = request
        self._response = response
        super().__init__(*self._framed())

    def _framed(self) -> tuple[Framing, int | None]:
        status, headers = self._response.status_code, self._response.headers
        if self._request.method == "HEAD" or status in (204, 304):
            return "none", 0
        if "transfer-encoding" in headers:
            return "chunked", None
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return "close", None
        return ("length" if int(length) else "none"), int(length)

    def check_head(self) -> None:
        """Refuse an answer whose end two readers could see in different places."""
        headers = self._response.headers
        if "transfer-encoding" in headers and "content-length" in headers:
            raise adieu.ProtocolError(
                "the answer has a Transfer-Encoding and a Content-Length (RFC 9112, section 6.3)",
                request_sent="wholly",
                response_started=True,
                method=self._request.method,
                url=str(self._request.url),
            )

    def head(self) -> tuple[int, list[tuple[str, str]]]:
        """Status and fields of the response."""
        fields = self._response.headers.raw
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
        return self._response.status_code, pairs

    def start_line(self) -> dict[str, Any]:
        """Reason and version of the response."""
        response = self._response
        return {"reason": response.reason_phrase, "http_version": response.http_version}

    @property
    def reusable(self) -> bool:
        return self.framing != "close"

    def _failed(self, error: Exception, deadline: Deadline) -> Exception:
        self.check_open()
        found = self._library.ours(error, self._request, deadline, begun=True)
        if isinstance(found, adieu.BodyTruncated):
            found.received = self.received
            if self.remaining is not None:
                found.expected = self.received + self.remaining
        return found


class StreamLease(_StreamLease, adieu.Lease):
    """The lease of a response of a sync transport."""

    def __init__(self, library: Library, request: adieu.Request, response: Any) -> None:
        super().__init__(library, request, response)
        self._pieces = iter(response.stream)

    def read(self, deadline: Deadline) -> bytes:
        deadline.remaining("read")
        try:
            data: bytes = next(filter(None, self._pieces), b"")
        except Exception as error:
            raise self._failed(error, deadline) from error
        return self.counted(data)

    def finish(self, reuse: bool, why: str) -> None:
        if not self.begin_end():
            return
        try:
            network = self._response.extensions.get("network_stream")
            if not reuse and network is not None:
                sock = network.get_extra_info("socket")
                if isinstance(sock, socket.socket):
                    shut(sock)  # A thread that reads from it wakes up.
            elif self.framing == "none":
                next(self._pieces, b"")  # The transport has to see the end, too.
            self._response.stream.close()
        except Exception:
            pass  # The end of a lease never raises.


class AsyncStreamLease(_StreamLease, adieu.AsyncLease):
    """The lease of a response of an async transport. An end that has to be awaited is awaited by the adapter."""

    def __init__(
        self, library: Library, request: adieu.Request, response: Any, ends: AwaitedEnds
    ) -> None:
        super().__init__(library, request, response)
        self._pieces = aiter(response.stream)
        self._ends = ends
        self._complete = False

    async def read(self, deadline: Deadline) -> bytes:
        deadline.remaining("read")
        if self._complete:
            return b""
        try:
            async for data in self._pieces:
                if data:
                    return self.counted(data)
            # Here, so that the next request finds the connection.
            await self._response.stream.aclose()
        except Exception as error:
            raise self._failed(error, deadline) from error
        self._complete = True
        return self.counted(b"")

    def finish(self, reuse: bool, why: str) -> None:
        if not self.begin_end():
            return
        if not self._complete:
            self._ends.start(self._response.stream.aclose)
