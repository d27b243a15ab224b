"""Transports of httpx and httpx2 that send over an adapter of adieu.

Redirects, cookies, authentication and decoding stay with the client above, so everything of the client inside that
would do the same is off. The client inside is what owns each exchange, whatever raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

import adieu

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Iterator

    from typing_extensions import Unpack

    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu_httpx.library import Library

__all__ = ["AsyncOverAdieu", "AsyncStream", "OverAdieu", "Stream"]

C = TypeVar("C", adieu.Client, adieu.AsyncClient)


class TransportOptions(TypedDict, total=False):
    """The arguments of a transport that are those of `adieu.Client`."""

    verify: bool | str | bytes | os.PathLike[str] | ssl.SSLContext
    cert: str | tuple[str, str] | tuple[str, str, str] | None
    tls: adieu.TLSConfig | None
    proxy: adieu.Proxy | str | None
    cleanup: adieu.CleanupPolicy | None
    limits: adieu.Limits | None
    connect: adieu.Connect | None
    events: adieu.Events | None


class _Over(Generic[C]):
    """The parts that sync and async transports share. `client`: the client of adieu's inside, with its settings."""

    library: Library
    client: C

    def _request_of(self, request: Any, content: Any) -> tuple[adieu.Request, dict[str, Any]]:
        """The request of adieu's, and the options of its call."""
        extensions = request.extensions
        limits = self.library.timeout_of(request, self.client.timeout.total)
        options: dict[str, Any] = {"timeout": limits, "stream": True}
        if "target" in extensions:
            raise adieu.InvalidRequest("the extension 'target' of a request is not known here")
        if (name := extensions.get("sni_hostname")) is not None:
            tls = self.client.tls or adieu.TLSConfig()
            options["tls"] = tls.replace(server_hostname=name)
        headers = adieu.Headers(
            [(name.decode("latin-1"), value) for name, value in request.headers.raw]
        )
        url = adieu.URL(str(request.url)).without_userinfo()
        if isinstance(request.stream, self.library.module.ByteStream):
            body = b"".join(request.stream)
            content = body if body or "content-length" in headers else None
        return adieu.Request(request.method, url, headers=headers, content=content), options

    def _response_of(self, answer: adieu.Response | adieu.AsyncResponse, stream: object) -> Any:
        reason = (answer.reason or "").encode("latin-1")
        return self.library.module.Response(
            answer.status_code,
            headers=[
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in answer.headers.multi_items()
            ],
            stream=stream,
            extensions={
                "http_version": answer.http_version.encode("ascii"),
                "reason_phrase": reason,
            },
        )


def _inside(options: TransportOptions, total: float | None) -> Any:
    """The options of the client inside. A proxy of the environment is the affair of the client above."""
    off = {"cookies": False, "follow_redirects": False, "max_body": None}
    return {"proxy": None, **options, **off, "timeout": adieu.Timeout(total=total)}


class OverAdieu(_Over[adieu.Client]):
    """The base of sync transports.

    `adapter`: an adapter, its name, or a function; "native" by default. `total`: seconds for each request in all,
    the body included, for which the library has no limit. The other arguments are those of `adieu.Client` that are
    about connections; without `proxy`, there is none. Closing the client closes every connection, also those in use.
    """

    def __init__(
        self,
        adapter: Adapter | str | None = None,
        *,
        total: float | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        self.client = adieu.Client(adapter=adapter, **_inside(options, total))

    def _handle(self, request: Any) -> Any:
        try:
            sent, options = self._request_of(request, iter(request.stream))
            answer = self.client.send(sent, **options)
        except adieu.AdieuError as error:
            raise self.library.theirs(error, request) from _cause(error)
        return self._response_of(answer, self.library.stream(self.library, answer, request))

    def close(self) -> None:
        """Close every connection, also those in use."""
        self.client.close()


class AsyncOverAdieu(_Over[adieu.AsyncClient]):
    """The base of async transports: see `OverAdieu`."""

    def __init__(
        self,
        adapter: Adapter | AsyncAdapter | str | None = None,
        *,
        total: float | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        self.client = adieu.AsyncClient(adapter=adapter, **_inside(options, total))

    async def _handle(self, request: Any) -> Any:
        try:
            sent, options = self._request_of(request, aiter(request.stream))
            answer = await self.client.send(sent, **options)
        except adieu.AdieuError as error:
            raise self.library.theirs(error, request) from _cause(error)
        return self._response_of(answer, self.library.async_stream(self.library, answer, request))

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        await self.client.close()


class Stream:
    """The raw body of a response. Closing it ends adieu's response as the cleanup policy says."""

    def __init__(self, library: Library, answer: adieu.Response, request: object) -> None:
        self._library = library
        self._answer = answer
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.iter_raw()
        except adieu.AdieuError as error:
            raise self._library.theirs(error, self._request) from _cause(error)

    def close(self) -> None:
        self._answer.close()


class AsyncStream:
    """The raw body of a response. Closing it ends adieu's response as the cleanup policy says."""

    def __init__(self, library: Library, answer: adieu.AsyncResponse, request: object) -> None:
        self._library = library
        self._answer = answer
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncPieces(self._answer.iter_raw(), self._theirs)

    def _theirs(self, error: adieu.AdieuError) -> BaseException:
        return self._library.theirs(error, self._request)

    async def aclose(self) -> None:
        await self._answer.close()


class _AsyncPieces(AsyncIterator[bytes]):
    """Not an async generator, which an event loop wants to finalize."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        theirs: Callable[[adieu.AdieuError], BaseException],
    ) -> None:
        self._pieces = pieces
        self._theirs = theirs

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except adieu.AdieuError as error:
            raise self._theirs(error) from _cause(error)


def _cause(error: adieu.AdieuError) -> adieu.AdieuError | None:
    """None for an error of the caller's content, which is raised itself."""
    return None if isinstance(error, adieu.ContentError) else error
