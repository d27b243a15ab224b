"""The async client: the same settings, the same calls, awaited."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from adieu._loading import Loading
from adieu.client.base import ClientBase
from adieu.client.option_help import lists_options
from adieu.errors import ClientClosed
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.steps import adrive
from adieu.messages.request import Request
from adieu.messages.response import MAX_EVENT, MAX_MESSAGE
from adieu.transport.adapter import base_of
from adieu.transport.exchange import AsyncExchange, AsyncPinnedExchange

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Generator, Iterable
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from adieu.client.closing import CloseReport
    from adieu.client.download import Downloaded, Progress
    from adieu.client.event_stream import AsyncEventStream
    from adieu.client.map.async_map import AsyncMap, Requests
    from adieu.client.map.outcome import Wanted
    from adieu.client.option_types import CallOptions, SendOptions, WebSocketOptions
    from adieu.client.options import Hook
    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.url import URL
    from adieu.websocket.asynchronous import AsyncWebSocket

__all__ = ["AsyncClient"]


class AsyncClient(ClientBase):
    """Sends requests from tasks of an event loop. It takes what `Client` takes; adapters are async ones.

    Use it in an `async with` block, or `await client.close()`: then nothing of it stays open. Ending a connection never
    waits, so that cancelling a task, at whatever point, costs nothing but that task's own connection.

    Pickled, and copied, it is its settings, secrets among them: see `Client`.
    """

    exchange = AsyncExchange
    pinned_exchange = AsyncPinnedExchange
    awaits = True
    default_adapter = "native"
    adapter_group = "adieu.async_adapters"

    # -- calls -------------------------------------------------------------------------------------------------------

    @lists_options
    async def get(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """GET: ask for a representation."""
        return await self.request("GET", url, **options)

    @lists_options
    async def head(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """HEAD: as GET, without the content."""
        return await self.request("HEAD", url, **options)

    @lists_options
    async def options(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """OPTIONS: ask what can be asked."""
        return await self.request("OPTIONS", url, **options)

    @lists_options
    async def post(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """POST: let the resource process the content."""
        return await self.request("POST", url, **options)

    @lists_options
    async def put(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """PUT: create or replace."""
        return await self.request("PUT", url, **options)

    @lists_options
    async def patch(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """PATCH: change partly."""
        return await self.request("PATCH", url, **options)

    @lists_options
    async def delete(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """DELETE: remove."""
        return await self.request("DELETE", url, **options)

    @lists_options
    async def query(self, url: URL | str, **options: Unpack[CallOptions]) -> AsyncResponse:
        """QUERY: a safe, idempotent question whose details are in the content."""
        return await self.request("QUERY", url, **options)

    @lists_options
    async def request(
        self, method: str, url: URL | str, **options: Unpack[CallOptions]
    ) -> AsyncResponse:
        """Send a request of any method and return the response: see `Client.request`."""
        response: AsyncResponse = await adrive(self._beginning(method, url, options, False))
        return response

    @lists_options
    def stream(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> _Streaming:
        """`async with client.stream("GET", url) as response:` hands out the body as a stream: see `Client.stream`.

        `await client.stream(...)` gives the response too, which then has to be closed.
        """
        return _Streaming(self, method, url, options)

    async def send(
        self,
        request: Request,
        *,
        stream: bool = False,
        **options: Unpack[SendOptions],
    ) -> AsyncResponse:
        """Send a request that was built before: see `Client.send`."""
        steps = self._sending_with(request, stream, options)
        response: AsyncResponse = await adrive(steps)
        return response

    async def download(
        self,
        url: URL | str,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        checksum: str | None = None,
        progress: Progress | None = None,
        fsync: bool = False,
        decode: bool = False,
        **options: Unpack[CallOptions],
    ) -> Downloaded:
        """GET into a file: see `Client.download`. The file is written in a thread, so that no disk stops the loop."""
        from adieu.client.download import AsyncDownload

        self._check_options(options, self.download)
        download = AsyncDownload(
            self,
            url,
            path,
            options,
            resume=resume,
            checksum=checksum,
            progress=progress,
            fsync=fsync,
            decode=decode,
        )
        return await adrive(download.steps())

    def event_stream(
        self,
        url: URL | str,
        method: str = "GET",
        *,
        last_event_id: str = "",
        wait: float = 3.0,
        attempts: int = 5,
        max_event: int = MAX_EVENT,
        **options: Unpack[CallOptions],
    ) -> AsyncEventStream:
        """Iterate over server-sent events, with `async with` and `async for`: see `Client.event_stream`."""
        from adieu.client.event_stream import AsyncEventStream

        self._check_options(options, self.event_stream)
        return AsyncEventStream(
            self,
            method,
            url,
            options,
            last_event_id=last_event_id,
            wait=wait,
            attempts=attempts,
            max_event=max_event,
        )

    def websocket(
        self,
        url: URL | str,
        *,
        subprotocols: Iterable[str] = (),
        compression: bool = True,
        max_message: int | None = MAX_MESSAGE,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        **options: Unpack[WebSocketOptions],
    ) -> _Connecting:
        """`async with client.websocket(url) as ws:` opens a WebSocket: see `Client.websocket`.

        `await client.websocket(url)` gives it too; then it has to be closed.
        """
        from adieu.client.websocket import opening

        return _Connecting(
            lambda: opening(
                self,
                url,
                options,
                subprotocols=subprotocols,
                compression=compression,
                max_message=max_message,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
            )
        )

    def map(
        self,
        requests: Requests,
        *,
        limit: int = 10,
        **options: Unpack[SendOptions],
    ) -> AsyncMap:
        """Send many requests, `limit` of them at a time, and give each `Outcome` as soon as it is there.

        `requests` is an iterable or async iterable, endless if you like, of URLs (for GET) and of requests that
        `build_request` made. An outcome has the `request`, its `nth`, and its `response` or its `error`; an error
        ends no other request, and `result()` raises it. An iterable that raises, and a closed client, end the map.

        No more than `limit` outcomes wait to be taken. Leaving the block cancels what is under way:

        ```python
        async with client.map(urls, limit=20) as outcomes:
            async for outcome in outcomes:
                if outcome.error is None:
                    store(outcome.request, outcome.response.json())
        ```

        Without the `async with`, leaving the loop early cancels the rest when the iterator is garbage, which is at once
        where references are counted. A `limit` above the pool's only makes requests wait.
        """
        with Loading("client.map()"):
            from adieu.client.map.async_map import AsyncMap

        settings = self._merged(options, self.map)

        async def send(wanted: Wanted) -> AsyncResponse:
            request = wanted if isinstance(wanted, Request) else self.build_request("GET", wanted)
            response: AsyncResponse = await adrive(self._sending(request, False, settings))
            return response

        return AsyncMap(send, requests, limit)

    async def hooked(self, hook: Hook, subject: object) -> None:
        """Call one hook, and await what it returns if that is awaitable."""
        given = hook(subject)
        if isinstance(given, Awaitable):
            await given

    async def pause(self, seconds: float) -> None:
        """Wait, holding nothing."""
        from adieu.net.async_backend import current_backend

        await current_backend().sleep(seconds)

    # -- ends --------------------------------------------------------------------------------------------------------

    async def unmount(self, pattern: str) -> CloseReport:
        """Remove a mount, and close its adapter: see `Client.unmount`."""
        return await adrive(self._unmounting(pattern))

    async def close(self) -> CloseReport:
        """Close every connection, also those in use: see `Client.close`."""
        return await adrive(self._closing())

    async def __aenter__(self) -> Self:
        if self.is_closed:
            raise ClientClosed("this client is closed")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @quiet_at_exit
    def __del__(self) -> None:
        # Its event loop has ended, and no connection works without it: close them here, and warn once.
        if self._closed:
            return
        for adapter in self._mounts.adapters():
            if not base_of(adapter).stranded:
                continue
            connections = base_of(adapter).connections()
            closing = cast("Coroutine[object, None, object]", adapter.close())
            try:
                closing.send(None)
            except StopIteration:
                pass
            finally:
                closing.close()
            if all(
                line.lease is None for line in connections
            ):  # A response that holds one warns by itself.
                warnings.warn(
                    "an AsyncClient was not closed before its event loop ended; open connections: "
                    f"{len(connections)}. Use it in `async with`, or `await client.close()`.",
                    ResourceWarning,
                    stacklevel=2,
                )


class _Connecting:
    """A call to `AsyncClient.websocket`, which is awaited or used in `async with`."""

    __slots__ = ("_opening", "_websocket")

    def __init__(self, opening: Callable[[], Steps[AsyncWebSocket]]) -> None:
        self._opening = opening
        self._websocket: AsyncWebSocket | None = None

    def __await__(self) -> Generator[object, None, AsyncWebSocket]:
        return adrive(self._opening()).__await__()

    async def __aenter__(self) -> AsyncWebSocket:
        self._websocket = websocket = await adrive(self._opening())
        return websocket

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._websocket is not None:
            await self._websocket.__aexit__(kind, error, traceback)


class _Streaming:
    """A call to `AsyncClient.stream`, which is awaited or used in `async with`."""

    __slots__ = ("_client", "_method", "_options", "_response", "_url")

    def __init__(
        self, client: AsyncClient, method: str, url: URL | str, options: CallOptions
    ) -> None:
        self._client = client
        self._method = method
        self._url = url
        self._options = options
        self._response: AsyncResponse | None = None

    async def _open(self) -> AsyncResponse:
        steps = self._client._beginning(self._method, self._url, self._options, True)
        response: AsyncResponse = await adrive(steps)
        return response

    def __await__(self) -> Generator[object, None, AsyncResponse]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncResponse:
        self._response = await self._open()
        return self._response

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        response = self._response
        if response is None:
            return
        if kind is not None and issubclass(kind, GeneratorExit):
            if response.body is not None:
                response.body.close_nowait()
        else:
            await response.__aexit__(kind, error, traceback)
