"""The bridges for httpx."""

from __future__ import annotations

from adieu import MissingExtra

try:
    import httpx
except ImportError as error:
    raise MissingExtra("adieu_httpx.httpx needs httpx: pip install 'adieu[httpx]'") from error

from adieu_httpx.library import Library
from adieu_httpx.over_adieu import AsyncOverAdieu, AsyncStream, OverAdieu, Stream
from adieu_httpx.over_transports import AsyncOverTransport, OverTransport

__all__ = ["AdieuTransport", "AsyncAdieuTransport", "AsyncHttpxAdapter", "HttpxAdapter"]


class _Stream(Stream, httpx.SyncByteStream):
    """The body of a response, for httpx."""


class _AsyncStream(AsyncStream, httpx.AsyncByteStream):
    """The body of a response, for httpx."""


_LIBRARY = Library("httpx", httpx, _Stream, _AsyncStream)


class AdieuTransport(OverAdieu, httpx.BaseTransport):
    """A transport of httpx over any adapter: see `adieu_httpx.over_adieu` for its arguments.

    ```python
    client = httpx.Client(transport=AdieuTransport())
    ```
    """

    library = _LIBRARY

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the response, whose body is read from the connection."""
        response: httpx.Response = self._handle(request)
        return response


class AsyncAdieuTransport(AsyncOverAdieu, httpx.AsyncBaseTransport):
    """An async transport of httpx over any adapter: see `adieu_httpx.over_adieu` for its arguments."""

    library = _LIBRARY

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the response, whose body is read from the connection."""
        response: httpx.Response = await self._handle(request)
        return response


class HttpxAdapter(OverTransport):
    """An adapter over any transport of httpx: see `adieu_httpx.over_transports`."""

    library = _LIBRARY

    def __init__(self, transport: httpx.BaseTransport, *, is_local: bool | None = None) -> None:
        super().__init__(transport, httpx.BaseTransport, is_local)


class AsyncHttpxAdapter(AsyncOverTransport):
    """An async adapter over any async transport of httpx: see `adieu_httpx.over_transports`."""

    library = _LIBRARY

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, is_local: bool | None = None
    ) -> None:
        super().__init__(transport, httpx.AsyncBaseTransport, is_local)
