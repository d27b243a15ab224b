"""`client.event_stream(url)`: server-sent events over as many connections as it takes (the WHATWG's EventSource).

Theory of operation. An iterator has at most one response, and one parser that remembers the last event id. When the
stream ends or breaks, its connection is closed, the reconnection time is waited for, and the next request has a
`Last-Event-ID`. A 204 is the end; any other status than 200, and any type but `text/event-stream`, is an error.
Whatever ends the iterator closes the connection first: an event stream may never end, so it is not drained.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from time import sleep
from typing import TYPE_CHECKING, Any

from adieu.client.error_body import keep_error_body
from adieu.errors import BodyClosed, DeadlineExceeded, InvalidRequest, ReadError, TransportError
from adieu.lifecycle.steps import Steps, adrive, drive
from adieu.messages.decoding.sse import EventParser, ServerSentEvent, check_event_stream
from adieu.messages.headers import combined
from adieu.messages.response import StatusError
from adieu.texts import show, show_url

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.client.option_types import CallOptions
    from adieu.client.streams import StreamsResponses
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.response import Response
    from adieu.messages.url import URL

__all__ = ["AsyncEventStream", "EventStream"]

_HEADERS = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
# Limits of the wait between two connections (seconds). A server may ask for more than the longest backoff.
_MIN_WAIT = 0.05
_MAX_BACKOFF = 60.0
_MAX_WAIT = 3600.0


class _EventStream:
    """The base of the sync and async event streams."""

    def __init__(
        self,
        client: StreamsResponses,
        method: str,
        url: URL | str,
        options: CallOptions,
        *,
        last_event_id: str,
        wait: float,
        attempts: int,
        max_event: int,
    ) -> None:
        if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not wait >= 0:
            raise InvalidRequest(f"wait is a number of seconds, not {wait!r}")
        if type(attempts) is not int or attempts < 1:
            raise InvalidRequest(f"attempts is a number of at least 1, not {attempts!r}")
        self._client = client
        self._method = method
        self._url = url
        self._options: CallOptions = {**options}
        self._headers = combined(_HEADERS, options.get("headers"))
        self._parser = EventParser(max_event, last_event_id)
        self._wait = wait
        self._attempts = attempts
        # Connections in a row that brought no event.
        self._failures = 0
        # The events in the bytes that came last. The parser works lazily, as they are taken.
        self._events: Iterator[ServerSentEvent] = iter(())
        self._response: Response | AsyncResponse | None = None
        # The content of that response.
        self._pieces: Iterator[bytes] | AsyncIterator[bytes] | None = None
        # An event stream was received. Written by the reader alone, while any thread may close: so there are two
        # attributes, each written in one store, where one for both would need a lock.
        self._accepted = False
        self._closed = False
        # The error that ended the stream: from then on the next event is an error, never a clean end.
        self._failure: str | None = None

    @property
    def last_event_id(self) -> str:
        """The last id that the server gave. Pass it as `last_event_id=` to continue from there later."""
        return self._parser.last_event_id

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self._pieces else "not connected"
        return f"<{type(self).__name__} {state}>"

    def _next(self) -> Steps[ServerSentEvent | None]:
        """The next event; None at the end."""
        if self._failure is not None:
            raise BodyClosed(f"this stream of events failed before, with {self._failure}")
        try:
            while (event := next(self._events, None)) is None and not self._closed:
                yield from self._receive()
        except BaseException as error:
            closed = self._closed
            self._close()
            if closed and isinstance(error, (BodyClosed, TransportError)):
                return None  # Another thread or task closed the stream: that is its end.
            self._failure = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise
        if event is not None:
            self._failures = 0
        return event

    def _receive(self) -> Steps[None]:
        """Receive more bytes, over a new connection if there is none."""
        failure: TransportError | None = None
        try:
            if self._pieces is None:
                yield from self._connect()
                if self._closed:
                    return
            data = yield self._next_piece(self._pieces)
            if data:
                self._events = self._parser.feed(data)
                return
        except DeadlineExceeded:
            raise
        except TransportError as error:
            if self._closed or not self._accepted:
                raise
            failure = error
        try:
            yield from self._back_off(failure)
        finally:
            del failure  # Or the exception's traceback would refer to the exception: a cycle.

    def _connect(self) -> Steps[None]:
        self._parser.begin()
        headers = self._headers
        if self._parser.last_event_id:
            value = self._parser.last_event_id.encode("utf-8", "replace")
            # As UTF-8, but not with control characters, which no field may have.
            if min(value) >= 0x20 and 0x7F not in value:
                headers = combined(headers, [("Last-Event-ID", value)])
        options: CallOptions = {**self._options, "headers": headers}
        response: Response | AsyncResponse
        response = yield self._client.stream(self._method, self._url, **options)
        self._response = response
        if self._closed or response.status_code == 204:
            self._close()
            return
        response.raise_for_status()
        if response.status_code != 200:
            yield from keep_error_body(response)
            raise StatusError(
                f"{response.status_code} {show(response.reason)} "
                f"for {response.request.method} {show_url(response.url)}, where a stream of events is 200",
                response=response,
            )
        check_event_stream(response.headers.get("content-type"), response.url)
        self._accepted = True
        self._pieces = response.iter_bytes()

    def _back_off(self, error: TransportError | None) -> Steps[None]:
        """The connection has ended, or failed with an error: wait before the next one.

        The wait is what the server asked for, and twice as long after each further failure.
        """
        self._close_response()
        self._failures += 1
        if self._failures >= self._attempts:
            try:
                if error is not None:
                    raise error
            finally:
                del error  # See above.
            raise ReadError(
                f"the server ended its stream of events {self._failures} times in a row, without an event",
                phase="body",
                method=self._method,
                url=str(self._url),
            )
        from random import random

        retry = self._parser.retry
        base = max(self._wait if retry is None else retry, _MIN_WAIT)
        wait = min(base * 2 ** min(self._failures - 1, 10), max(base, _MAX_BACKOFF))
        # Up to a half longer, so that the clients of a restarted server do not all come back at the same moment.
        yield self._pause(min(wait * (1 + random() / 2), _MAX_WAIT))  # noqa: S311

    def _pause(self, seconds: float) -> object:
        """Wait (async: an awaitable)."""
        raise NotImplementedError

    def _next_piece(self, pieces: Any) -> object:
        """The next piece (async: an awaitable); b"" at the end."""
        raise NotImplementedError

    def _close_response(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None and response.body is not None:
            response.body.abort("exit")

    def _close(self) -> None:
        self._closed = True
        self._events = iter(())
        self._close_response()


class EventStream(_EventStream):
    """Iterate over it in a `with` block: see `Client.event_stream`."""

    def _pause(self, seconds: float) -> None:
        sleep(seconds)

    def _next_piece(self, pieces: Iterator[bytes]) -> bytes:
        return next(pieces, b"")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ServerSentEvent:
        event = drive(self._next())
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Close the connection, and end the iterator. Idempotent, from any thread."""
        try:
            self._close()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BaseException:
            self._close()
            raise


class AsyncEventStream(_EventStream):
    """Iterate over it in an `async with` block: see `Client.event_stream`."""

    async def _pause(self, seconds: float) -> None:
        from adieu.net.async_backend import current_backend

        await current_backend().sleep(seconds)

    def _next_piece(self, pieces: AsyncIterator[bytes]) -> Awaitable[bytes]:
        return anext(pieces, b"")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        event = await adrive(self._next())
        if event is None:
            raise StopAsyncIteration
        return event

    async def close(self) -> None:
        """Close the connection, and end the iterator. Idempotent; it does not wait."""
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()
