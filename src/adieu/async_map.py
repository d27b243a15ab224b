"""Many requests over one pool: a bounded number at a time, the outcomes as they come.

Theory of operation. What is under way and what has finished but was not taken yet is in `_Flow`, which the tasks share
with the iterator. The tasks know the flow and never the iterator, so an iterator that is dropped is freed, and its end
cancels them. New requests are started when an outcome is asked for, as many as the limit leaves room for; so a reader
who takes his time is waited for, and an endless source of requests is read no faster than its outcomes are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from adieu.errors import ClientClosed, InvalidRequest

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from typing_extensions import Self

    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.url import URL

__all__ = ["AsyncMap", "Outcome", "Requests"]

Wanted = Union["Request", "URL", str]
Requests = Iterable[Wanted] | AsyncIterable[Wanted]
Send = Callable[[Wanted], Awaitable["AsyncResponse"]]

# What a source gives when it has nothing more.
_END = object()


class Outcome(NamedTuple):
    """What became of one request: a response or an error, one of the two.

    `nth` is its place among the requests, from 0; `request` is what was given: a `Request`, or a URL for a GET.
    """

    nth: int
    request: Wanted
    response: AsyncResponse | None
    error: Exception | None

    def result(self) -> AsyncResponse:
        """The response. Raises the error if there is none."""
        if self.response is None:
            assert self.error is not None
            raise self.error
        return self.response


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
        self._flow: _Flow | None = None
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

    async def __anext__(self) -> Outcome:
        flow = self._flow
        if flow is None:
            self._flow = flow = _Flow()
        while True:
            self._start(flow)
            if flow.finished:
                outcome: Outcome = flow.finished.popleft().result()
                if isinstance(outcome.error, ClientClosed):
                    raise outcome.error  # And so would every other end.
                return outcome
            if not flow.running and flow.pulling is None:
                raise StopAsyncIteration
            await flow.more()

    def _start(self, flow: _Flow) -> None:
        """Start as many as there is room for."""
        while not self._ended and len(flow.running) + len(flow.finished) < self._limit:
            wanted: Any = _END
            if self._pulled is not None:
                pull = flow.pull(self._pulled)
                if pull is None:
                    return
                wanted = pull.result()
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
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        flow = getattr(self, "_flow", None)
        if flow is not None and (flow.running or flow.finished or flow.pulling):
            flow.abandon()


class _Flow:
    """The tasks under way, those that have finished, and who waits for the next."""

    __slots__ = ("_loop", "_waiter", "cancelled", "finished", "pulling", "running")

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self.running: set[asyncio.Task[Outcome]] = set()
        self.finished: deque[asyncio.Task[Outcome]] = deque()
        # The task that waits for the next request of an async source.
        self.pulling: asyncio.Task[object] | None = None
        self.cancelled = False
        self._waiter: asyncio.Future[None] | None = None

    def start(self, outcome: Any) -> None:
        task: asyncio.Task[Outcome] = self._loop.create_task(outcome)
        self.running.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[Outcome]) -> None:
        self.running.discard(task)
        self.finished.append(task)
        if self.cancelled:
            self._discard()
        self._tell()

    def pull(self, source: AsyncIterator[Wanted]) -> asyncio.Task[object] | None:
        """The next request, if it has come."""
        pulling = self.pulling
        if pulling is None:
            self.pulling = pulling = self._loop.create_task(_next(source))
            pulling.add_done_callback(self._come)
        if not pulling.done():
            return None
        self.pulling = None
        return pulling

    def _come(self, pulling: asyncio.Task[object]) -> None:
        if not pulling.cancelled():
            pulling.exception()  # Who left the map does not want to hear of it.
        self._tell()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def more(self) -> None:
        """Wait until something has finished, or a request has come."""
        if self._waiter is not None:
            raise RuntimeError("another task is waiting for the next outcome of this map")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def cancel(self) -> None:
        self.cancelled = True
        for task in list(self.running):
            task.cancel()
        if self.pulling is not None:
            self.pulling.cancel()
        self._discard()

    def _discard(self) -> None:
        """Close what nobody will take."""
        while self.finished:
            task = self.finished.popleft()
            if task.cancelled() or task.exception() is not None:
                continue
            response = task.result().response
            if response is not None and response.body is not None:
                response.body.abort("map left")

    async def ended(self) -> None:
        """Wait until those that were cancelled are over."""
        import asyncio

        left = [task for task in (*self.running, self.pulling) if task is not None]
        if left:
            await asyncio.wait(left)
        self.pulling = None

    def abandon(self) -> None:
        """The iterator was dropped, in whatever thread."""
        from asyncio.events import _get_running_loop

        if _get_running_loop() is self._loop:
            self.cancel()
        else:
            try:
                self._loop.call_soon_threadsafe(self.cancel)
            except RuntimeError:
                pass  # Its loop has ended, and the tasks with it.


async def _outcome(send: Send, nth: int, request: Wanted) -> Outcome:
    try:
        return Outcome(nth, request, await send(request), None)
    except Exception as error:
        return Outcome(nth, request, None, error)


async def _next(source: AsyncIterator[Wanted]) -> object:
    return await anext(source, _END)
