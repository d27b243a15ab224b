"""Many requests over one pool: a bounded number at a time, the outcomes as they come.

Theory of operation. An `InFlight` holds the requests under way and the outcomes that nobody has taken yet. The tasks
and the iterator share it. The tasks never refer to the iterator, so an iterator that is dropped is freed, and its end
cancels them. New requests are started when an outcome is asked for, as many as the limit leaves room for; so a reader
who takes his time is waited for, and an endless source of requests is read no faster than its outcomes are.

The tasks are asyncio's or trio's, each with a flow of its own. In trio a task belongs to a block, so there the map has
to be used as one.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, Protocol

from adieu.client.map.outcome import Outcome, Wanted
from adieu.errors import ClientClosed, InvalidRequest
from adieu.net.async_backend import in_trio

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.messages.async_response import AsyncResponse

__all__ = ["AsyncMap", "Requests"]

Requests = Iterable[Wanted] | AsyncIterable[Wanted]
Send = Callable[[Wanted], Awaitable["AsyncResponse"]]

# What a source gives when it has nothing more.
_END = object()


class InFlight(Protocol):
    """The tasks of a map."""

    @property
    def load(self) -> int:
        """How many are under way or wait to be taken."""
        ...

    @property
    def over(self) -> bool:
        """Nothing is under way, and nothing waits to be taken."""
        ...

    async def enter(self) -> None:
        """The block of the map begins."""
        ...

    def start(self, outcome: Coroutine[Any, Any, Outcome[AsyncResponse]]) -> None: ...

    def take(self) -> Outcome[AsyncResponse] | None:
        """One that has finished, the oldest first."""
        ...

    def pull(self, source: AsyncIterator[Any], end: object) -> list[Any]:
        """The next of the source, or `end`, if it has come; what the source raised is raised."""
        ...

    async def more(self) -> None:
        """Wait until something has finished, or a request has come."""
        ...

    def cancel(self) -> None: ...

    async def ended(self) -> None:
        """Wait until those that were cancelled are over."""
        ...

    async def close_nowait(self) -> None:
        """The block of the map ends, and what was cancelled with it."""
        ...

    def abandon(self) -> None:
        """The iterator was dropped, in whatever thread."""
        ...


class AsyncMap:
    """The outcomes of `AsyncClient.map`, as they come: an async iterator, and an async context manager."""

    __slots__ = ("_count", "_ended", "_flow", "_limit", "_pulled", "_send", "_source")

    def __init__(self, send: Send, requests: Requests, limit: int) -> None:
        if type(limit) is not int or limit < 1:
            raise InvalidRequest(f"map: limit takes a whole number from 1, not {limit!r}")
        self._send = send
        self._limit = limit
        self._count = 0
        self._ended = False
        self._flow: InFlight | None = None
        self._source: Iterator[Wanted] = iter(())
        self._pulled: AsyncIterator[Wanted] | None = None
        if isinstance(requests, AsyncIterable):
            self._pulled = aiter(requests)
        elif isinstance(requests, Iterable) and not isinstance(requests, (str, bytes)):
            self._source = iter(requests)
        else:
            raise InvalidRequest(f"map takes an iterable of requests or URLs, not {requests!r:.80}")

    def __aiter__(self) -> AsyncMap:
        return self

    async def __anext__(self) -> Outcome[AsyncResponse]:
        flow = self._flow
        if flow is None:
            if in_trio():
                raise InvalidRequest(
                    "under trio, map is used in a block, to which its tasks belong: "
                    "`async with client.map(...) as outcomes:`"
                )
            self._flow = flow = _new_flow()
        while True:
            self._start(flow)
            outcome = flow.take()
            if outcome is not None:
                if isinstance(outcome.error, ClientClosed):
                    raise outcome.error  # And so would every other end.
                return outcome
            if flow.over:
                raise StopAsyncIteration
            await flow.more()

    def _start(self, flow: InFlight) -> None:
        """Start as many as there is room for."""
        while not self._ended and flow.load < self._limit:
            wanted: Any = _END
            if self._pulled is not None:
                pulled = flow.pull(self._pulled, _END)
                if not pulled:
                    return
                wanted = pulled[0]
            else:
                wanted = next(self._source, _END)
            if wanted is _END:
                self._ended = True
                return
            flow.start(_outcome(self._send, self._count, wanted))
            self._count += 1

    async def close(self) -> None:
        """Cancel what is under way, and see it ended. Any number of calls; nothing comes after it."""
        self._ended = True
        flow = self._flow
        if flow is not None:
            flow.cancel()
            await flow.ended()

    aclose = close

    async def __aenter__(self) -> Self:
        if self._flow is None:
            self._flow = flow = _new_flow()
            await flow.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = True
        flow = self._flow
        if flow is not None:
            flow.cancel()
            await flow.close_nowait()

    def __del__(self) -> None:
        flow = getattr(self, "_flow", None)
        if flow is not None:
            flow.abandon()


def _new_flow() -> InFlight:
    if in_trio():
        from adieu.client.map.on_trio import TrioFlow

        return TrioFlow()
    from adieu.client.map.on_asyncio import AsyncioFlow

    return AsyncioFlow()


async def _outcome(send: Send, nth: int, request: Wanted) -> Outcome[AsyncResponse]:
    try:
        return Outcome(nth, request, await send(request), None)
    except Exception as error:
        return Outcome(nth, request, None, error)
