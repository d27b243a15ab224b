"""`client.event_stream(url)`: server-sent events that go on after the connection has not (the WHATWG's EventSource).

Theory of operation. One iterator has at most one response, and one parser that remembers the last event id. When the
stream ends or breaks, its connection is closed, the reconnection time is waited for, and the next request says
`Last-Event-ID`. A 204 is the end; any other status than 200, and any type but `text/event-stream`, is an error.
Whatever ends the iterator closes the connection first: an event stream has no rest that is worth draining.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from time import sleep
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, DeadlineExceeded, InvalidRequest, ReadError, TransportError
from adieu.lifecycle.steps import Steps, adrive, drive
from adieu.messages.decoding.sse import EventParser, ServerSentEvent, check_event_stream
from adieu.messages.headers import Headers, merge
from adieu.messages.response import StatusError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.messages.url import URL

__all__ = ["AsyncEventStream", "EventStream"]

_ASKED = Headers({"Accept": "text/event-stream", "Cache-Control": "no-store"})
# Seconds between two connections: never less, however often it fails no more than this, and never more than an hour.
_LEAST = 0.05
_BACKOFF = 60.0
_MOST = 3600.0


class _Events:
    """What both colours share."""

    def __init__(
        self,
        client: Any,
        method: str,
        url: URL | str,
        options: Mapping[str, Any],
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
        self._options = dict(options)
        self._headers = merge(_ASKED, self._options.pop("headers", None))
        self._parser = EventParser(max_event, last_event_id)
        self._wait = wait
        self._attempts = attempts
        self._failures = 0
        self._connected = False
        # Those in the bytes that came last; the parser goes no further than they are asked for.
        self._events: Iterator[ServerSentEvent] = iter(())
        self._response: Any = None
        # The content of that response, in pieces.
        self._pieces: Any = None
        self._over = False

    @property
    def last_event_id(self) -> str:
        """The last id that the server gave: to go on from there later, as `last_event_id=`."""
        return self._parser.last_event_id

    def _next(self) -> Steps[ServerSentEvent | None]:
        """The next event; None at the end."""
        try:
            while (event := next(self._events, None)) is None and not self._over:
                yield from self._more()
        except BaseException as error:
            closed = self._over
            self._end()
            if closed and isinstance(error, (BodyClosed, TransportError)):
                return None  # Closed by somebody else meanwhile, who wanted the end.
            raise
        if event is not None:
            self._failures = 0
        return event

    def _more(self) -> Steps[None]:
        broken: TransportError | None = None
        try:
            if self._pieces is None:
                yield from self._connect()
                if self._over:
                    return
            data = yield self._advance(self._pieces)
            if data:
                self._events = self._parser.feed(data)
                return
        except DeadlineExceeded:
            raise
        except TransportError as error:
            if self._over or not self._connected:
                raise
            broken = error
        try:
            yield from self._again(broken)
        finally:
            del broken  # Or the exception's traceback would refer to the exception: a cycle.

    def _connect(self) -> Steps[None]:
        self._parser.begin()
        headers = self._headers
        if self._parser.last_event_id:
            value = self._parser.last_event_id.encode("utf-8", "replace")
            # As UTF-8; but what no field can carry is not sent.
            if min(value) >= 0x20 and 0x7F not in value:
                headers = merge(headers, [("Last-Event-ID", value)])
        response = yield self._client.stream(
            self._method, self._url, headers=headers, **self._options
        )
        self._response = response
        if self._over or response.status_code == 204:
            self._end()  # Closed in the meantime, or told that this is all.
            return
        response.raise_for_status()
        if response.status_code != 200:
            raise StatusError(
                f"{response.status_code} {response.reason} for {response.request.method} {response.url}, "
                "where a stream of events is 200",
                response=response,
            )
        check_event_stream(response.headers.get("content-type"), response.url)
        self._connected = True
        self._pieces = response.iter_bytes()

    def _again(self, error: TransportError | None) -> Steps[None]:
        """The stream has ended or broken: wait as long as the server wants, longer if that has not helped."""
        self._drop()
        self._failures += 1
        if self._failures >= self._attempts:
            try:
                if error is not None:
                    raise error
            finally:
                del error  # See above.
            raise ReadError(
                f"{self._url} ended its stream of events {self._failures} times in a row, without an event",
                phase="body",
            )
        from random import random

        retry = self._parser.retry
        base = max(self._wait if retry is None else retry, _LEAST)
        wait = min(base * 2 ** min(self._failures - 1, 10), max(base, _BACKOFF))
        # Later by up to a half, so that not all clients come back in the same moment.
        yield self._pause(min(wait * (1 + random() / 2), _MOST))  # noqa: S311

    def _pause(self, seconds: float) -> Any:
        raise NotImplementedError

    def _advance(self, pieces: Any) -> Any:
        """The next piece; b"" at the end."""
        raise NotImplementedError

    def _drop(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None and response.body is not None:
            response.body.abort("exit")

    def _end(self) -> None:
        self._over = True
        self._events = iter(())
        self._drop()


class EventStream(_Events):
    """Iterate over it in a `with` block: see `Client.event_stream`."""

    def _pause(self, seconds: float) -> None:
        sleep(seconds)

    def _advance(self, pieces: Any) -> bytes:
        return next(pieces, b"")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ServerSentEvent:
        event = drive(self._next())
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """End it, and its connection. Any number of calls, from any thread."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()


class AsyncEventStream(_Events):
    """Iterate over it in an `async with` block: see `Client.event_stream`."""

    async def _pause(self, seconds: float) -> None:
        from adieu.net.async_backend import current_backend

        await current_backend().sleep(seconds)

    def _advance(self, pieces: Any) -> Awaitable[bytes]:
        return anext(pieces, b"")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        event = await adrive(self._next())
        if event is None:
            raise StopAsyncIteration
        return event

    async def close(self) -> None:
        """End it, and its connection. Any number of calls; it does not wait."""
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
