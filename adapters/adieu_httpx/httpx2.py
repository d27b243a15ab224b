"""The bridges for httpx2."""

from __future__ import annotations

from adieu import MissingExtra

try:
    import httpx2
except ImportError as error:
    raise MissingExtra("adieu_httpx.httpx2 needs httpx2: pip install 'adieu[httpx2]'") from error

from adieu_httpx.library import Library
from adieu_httpx.over_adieu import AsyncOverAdieu, AsyncStream, OverAdieu, Stream
from adieu_httpx.over_transports import AsyncOverTransport, OverTransport

__all__ = ["AdieuTransport", "AsyncAdieuTransport", "AsyncHttpxAdapter", "HttpxAdapter"]


class _Stream(Stream, httpx2.SyncByteStream):
    """The body of a response, for httpx2."""


class _AsyncStream(AsyncStream, httpx2.AsyncByteStream):
    """The body of a response, for httpx2."""


_LIBRARY = Library("httpx2", httpx2, _Stream, _AsyncStream)


class AdieuTransport(OverAdieu, httpx2.BaseTransport):
    """A transport of httpx2 over any adapter: see `adieu_httpx.over_adieu` for its arguments.

    ```python
    client = httpx2.Client(transport=AdieuTransport())
    ```
    """

    library = _LIBRARY

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return the response, whose body is read from the connection."""
        response: httpx2.Response = self._handle(request)
        return response


class AsyncAdieuTransport(AsyncOverAdieu, httpx2.AsyncBaseTransport):
    """An async transport of httpx2 over any adapter: see `adieu_httpx.over_adieu` for its arguments."""

    library = _LIBRARY

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return the response, whose body is read from the connection."""
        response: httpx2.Response = await self._handle(request)
        return response


class HttpxAdapter(OverTransport):
    """An adapter over any transport of httpx2: see `adieu_httpx.over_transports`."""

    library = _LIBRARY

    def __init__(self, transport: httpx2.BaseTransport, *, is_local: bool | None = None) -> None:
        super().__init__(transport, httpx2.BaseTransport, is_local)


class AsyncHttpxAdapter(AsyncOverTransport):
    """An async adapter over any async transport of httpx2: see `adieu_httpx.over_transports`."""

    library = _LIBRARY

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, *, is_local: bool | None = None
    ) -> None:
        super().__init__(transport, httpx2.AsyncBaseTransport, is_local)
