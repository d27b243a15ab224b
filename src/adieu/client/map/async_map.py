"""The async map: an iterator over the outcomes of many requests, a bounded number of which are under way.

Theory of operation. An `AsyncInFlight` holds the tasks under way and the outcomes that were not taken yet. The tasks
and the iterator share it. The tasks never refer to the iterator, so an iterator that is dropped is freed, and its
finalizer cancels the tasks. Requests are taken from the source when an outcome is asked for, up to the limit. So a slow
reader is waited for, and an endless source is read no faster than its outcomes are.

The tasks are asyncio's or trio's, each with an `AsyncInFlight` of its own. In trio a task belongs to a nursery, so
there the map must be used in an `async with` block.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Protocol

from adieu.client.map.added import Added
from adieu.client.map.arguments import NoRequest, checked_limit, refused_source
from adieu.client.map.outcome import Outcome, Wanted
from adieu.errors import ClientClosed, InvalidRequest
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.net.async_backend import in_trio

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.client.map.outcome import Sending
    from adieu.messages.async_response import AsyncResponse

__all__ = ["AsyncInFlight", "AsyncMap", "Requests"]

Requests = Iterable[Wanted] | AsyncIterable[Wanted]
AsyncSend = Callable[[Wanted], Awaitable["AsyncResponse"]]


class AsyncInFlight(Protocol):
    """The tasks under way and the outcomes that were not taken yet."""

    @property
    def count(self) -> int:
        """How many tasks are under way, or have an outcome that was not taken."""
        ...

    @property
    def is_done(self) -> bool:
        """There will be no further outcome."""
        ...

    async def enter(self) -> None:
        """Enter the map's block."""
        ...

    def start(self, sending: Sending) -> None:
        """Start a task that sends a request."""
        ...

    def take(self) -> Outcome[AsyncResponse] | None:
        """The oldest outcome."""
        ...

    def pull(self, source: AsyncIterator[Wanted]) -> Wanted | NoRequest:
        """The next request of the source, if it has come. Raises what the source raised."""
        ...

    async def wait(self) -> None:
        """Wait for the next outcome, or the next request of the source."""
        ...

    def cancel(self) -> None:
        """Cancel the tasks, discard the outcomes."""
        ...

    async def join(self) -> None:
        """Wait for the end of the cancelled tasks."""
        ...

    async def exit(self) -> None:
        """Leave the map's block, after `cancel`: wait for the end of the tasks."""
        ...

    def abandon(self) -> None:
        """The iterator was dropped, in any thread: cancel the tasks."""
        ...


class AsyncMap:
    """The outcomes of `AsyncClient.map`, as they come: an async iterator, and an async context manager."""

    __slots__ = (
        "_added",
        "_async_source",
        "_exhausted",
        "_in_flight",
        "_limit",
        "_next_nth",
        "_send",
        "_source",
    )

    def __init__(self, send: AsyncSend, requests: Requests, limit: int) -> None:
        # Made when the first outcome is asked for: which one depends on the event loop that runs then.
        self._in_flight: AsyncInFlight | None = None
        self._send = send
        self._limit = checked_limit(limit)
        # Nothing more is taken from the source: it has ended, or the map has.
        self._exhausted = False
        self._added = Added()
        self._next_nth = 0
        self._source: Iterator[Wanted] = iter(())
        self._async_source: AsyncIterator[Wanted] | None = None
        if isinstance(requests, AsyncIterable):
            self._async_source = aiter(requests)
        elif isinstance(requests, Iterable) and not isinstance(requests, (str, bytes)):
            self._source = iter(requests)
        else:
            raise refused_source(requests)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[AsyncResponse]:
        in_flight = self._in_flight
        if in_flight is None:
            if in_trio():
                raise InvalidRequest(
                    "under trio, map is used in a block, to which its tasks belong: "
                    "`async with client.map(...) as outcomes:`"
                )
            self._in_flight = in_flight = _new_in_flight()
        while True:
            self._start(in_flight)
            outcome = in_flight.take()
            if outcome is not None:
                if isinstance(outcome.error, ClientClosed):
                    raise outcome.error  # Every further outcome would be the same error.
                return outcome
            if in_flight.is_done:
                self._added.end()
                raise StopAsyncIteration
            await in_flight.wait()

    def _start(self, in_flight: AsyncInFlight) -> None:
        """Start tasks up to the limit."""
        while in_flight.count < self._limit:
            wanted = self._next_request(in_flight)
            if isinstance(wanted, NoRequest):
                return
            in_flight.start(_outcome(self._send, self._next_nth, wanted))
            self._next_nth += 1

    def _next_request(self, in_flight: AsyncInFlight) -> Wanted | NoRequest:
        wanted = self._added.take()
        if isinstance(wanted, NoRequest) and not self._exhausted:
            if self._async_source is not None:
                wanted = in_flight.pull(self._async_source)
            else:
                wanted = next(self._source, NoRequest.EXHAUSTED)
            self._exhausted = wanted is NoRequest.EXHAUSTED
        return wanted

    def add(self, request: Wanted) -> None:
        """Send one more request, a URL or a `Request`, before what is left of the source.

        Call it in the loop over the outcomes. The map ends when the source is at its end, nothing is under way, and
        nothing was added. Raises `ClientClosed` after that.
        """
        self._added.add(request)

    async def close(self) -> None:
        """Cancel the requests under way, and wait until they have ended. Idempotent; it ends the iterator."""
        in_flight = self._ended()
        if in_flight is not None:
            in_flight.cancel()
            await in_flight.join()

    aclose = close

    async def __aenter__(self) -> Self:
        if self._in_flight is None:
            self._in_flight = in_flight = _new_in_flight()
            await in_flight.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        in_flight = self._ended()
        if in_flight is not None:
            in_flight.cancel()
            await in_flight.exit()

    def _ended(self) -> AsyncInFlight | None:
        """Take nothing more from the source. Returns what is under way."""
        self._exhausted = True
        self._added.end()
        return self._in_flight

    @quiet_at_exit
    def __del__(self) -> None:
        try:
            in_flight = self._in_flight
        except AttributeError:
            return  # An interrupt fell before the first line of `__init__`.
        if in_flight is not None:
            in_flight.abandon()


def _new_in_flight() -> AsyncInFlight:
    if in_trio():
        from adieu.client.map.on_trio import TrioTasks

        return TrioTasks()
    from adieu.client.map.on_asyncio import AsyncioTasks

    return AsyncioTasks()


async def _outcome(send: AsyncSend, nth: int, request: Wanted) -> Outcome[AsyncResponse]:
    try:
        return Outcome(nth, request, await send(request), None)
    except Exception as error:
        return Outcome(nth, request, None, error)
