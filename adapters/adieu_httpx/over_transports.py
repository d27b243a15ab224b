"""Adapters over transports of httpx and httpx2.

A transport has no place for the owner of a connection: until it returns a response there is a connection, and only the
transport knows of it. It ends it if it raises or is cancelled; if the adapter is closed meanwhile, its socket is, which
`progress` knows of. From the head on the lease here owns the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import adieu
from adieu.transport.awaited_ends import AwaitedEnds
from adieu_httpx.leases import AsyncStreamLease, StreamLease
from adieu_httpx.progress import Progress, Sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adieu_httpx.library import Library

__all__ = ["AsyncOverTransport", "OverTransport"]

# The transports that call something in this process.
_LOCAL = ("MockTransport", "WSGITransport", "ASGITransport")


class _OverTransport(adieu.AdapterBase):
    """The parts that sync and async adapters share.

    `is_local`: it opens no connection to anything, so settings of connections mean nothing to it; by default, only the
    mock, WSGI and ASGI transports of the library do not. TLS settings, proxies and limits are those that the transport
    was made with; a request with others is refused. Redirects, cookies, authentication and cleanup policies are the
    client's. The transport is closed with the adapter.
    """

    library: Library

    def __init__(self, transport: Any, kind: type[Any], is_local: bool | None) -> None:
        if not isinstance(transport, kind):
            raise adieu.InvalidRequest(
                f"{type(self).__name__} takes an instance of {kind.__name__}, not {transport!r}"
            )
        module = self.library.module
        local = tuple(vars(module)[name] for name in _LOCAL)
        self.inner = transport
        self.is_local = isinstance(transport, local) if is_local is None else is_local
        self._closed = False
        self._sockets = Sockets()

    def after_fork(self) -> None:
        self._sockets.forget()

    def _request_of(
        self,
        request: adieu.Request,
        exchange: adieu.Exchange | adieu.AsyncExchange,
        chunks: Any,
        trace: Any,
    ) -> Any:
        """The request of the library."""
        if self._closed:
            raise adieu.ClientClosed("this adapter is closed")
        content = request.content
        if content.trailers is not None:
            raise adieu.InvalidRequest(f"{self.library.module.__name__} sends no trailers")
        fields = request.headers.multi_items()
        if "host" not in request.headers:
            fields.insert(0, ("Host", request.url.authority))
        if not exchange.policy.keep_alive and "connection" not in request.headers:
            fields.append(("Connection", "close"))
        return self.library.module.Request(
            request.method,
            str(request.url.without_userinfo().without_fragment()),
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
            content=content.body if content.body is not None else chunks,
            extensions={"timeout": self.library.timeouts_of(exchange.deadline), "trace": trace},
        )

    def _failed(
        self,
        error: Exception,
        request: adieu.Request,
        exchange: adieu.Exchange | adieu.AsyncExchange,
        progress: Progress,
    ) -> Exception:
        """The error of adieu's for one that the transport has raised before there was a response."""
        if self._closed and not isinstance(error, adieu.AdieuError):
            return adieu.ClientClosed("this adapter was closed while it waited for a response")
        found = self.library.ours(error, request, exchange.deadline, begun=False)
        if progress.sent is not None and isinstance(found, adieu.TransportError):
            found.request_sent = progress.sent
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


class OverTransport(_OverTransport):
    """The base of adapters over sync transports."""

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        progress = Progress(self._sockets)
        sent = self._request_of(request, exchange, _chunks(request), progress.note)
        try:
            answer = self.inner.handle_request(sent)
        except Exception as error:
            raise self._failed(error, request, exchange, progress) from error
        lease = StreamLease(self.library, request, answer)
        exchange.own(lease)
        lease.check_head()
        return exchange.respond(*lease.head(), **lease.start_line())

    def close(self) -> None:
        self._closed = True
        self._sockets.shut()  # A thread that waits for a head wakes up.
        self.inner.close()


class AsyncOverTransport(_OverTransport):
    """The base of adapters over async transports, whose connections have to be ended by `await`."""

    def __init__(self, transport: Any, kind: type[Any], is_local: bool | None) -> None:
        super().__init__(transport, kind, is_local)
        self._ends = AwaitedEnds()

    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        progress = Progress(self._sockets)
        sent = self._request_of(request, exchange, _async_chunks(request), progress.note_async)
        self._ends.bind()
        try:
            answer = await self.inner.handle_async_request(sent)
        except Exception as error:
            raise self._failed(error, request, exchange, progress) from error
        lease = AsyncStreamLease(self.library, request, answer, self._ends)
        exchange.own(lease)
        lease.check_head()
        if lease.framing == "none":
            await lease.read(exchange.deadline)  # To the end, which only the transport sees.
        return exchange.respond(*lease.head(), **lease.start_line())

    async def close(self) -> None:
        self._closed = True
        await self.inner.aclose()
        await self._ends.wait()


def _chunks(request: adieu.Request) -> Iterator[bytes]:
    try:
        yield from request.content.chunks()
    except Exception as error:
        raise _unreadable(error, request) from error


async def _async_chunks(request: adieu.Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.content.async_chunks():
            yield piece
    except Exception as error:
        raise _unreadable(error, request) from error


def _unreadable(error: Exception, request: adieu.Request) -> adieu.AdieuError:
    """An error of the content is the caller's, and none of the connection."""
    if isinstance(error, adieu.AdieuError):
        return error
    return adieu.ContentError(f"the content of {request!r} could not be read: {error!r}")
