"""From a sync adapter to an async one, by threads: for adapters that have no async twin.

A client never does this by itself: `AsyncClient(adapter=to_async(...))` asks for it. One thread carries one exchange
(see `thread_pool`), so the number of threads bounds the exchanges under way, open streams included.

Theory of operation. The sync adapter is called in a thread, with an exchange made for it (see `relay`). So whatever
ends the real one (a cancelled task, a timeout, the closing client, a finalizer) ends the sync lease, and that ends the
wait of the thread. The caller does not wait for the thread: a result that comes too late is dropped, and a lease that
comes too late is ended at once.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from adieu.errors import BodyClosed, ClientClosed, InvalidRequest, PoolTimeout
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.lease import AsyncLease, Lease
from adieu.lifecycle.pinned import Pinned
from adieu.lifecycle.steps import drive
from adieu.lifecycle.threads import BackgroundThread
from adieu.messages.response import Response
from adieu.transport.adapter import Wrapper, checked_adapter
from adieu.transport.exchange import AsyncExchange, Exchange
from adieu.transport.relay import Relay, RelayedLease, continued
from adieu.transport.thread_pool import Threads, ThreadSlot, answer, taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.limits import CloseReport
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.net.backends.contract import ThreadResult
    from adieu.transport.adapter import Adapter

__all__ = ["ThreadAdapter", "to_async"]

# Seconds that `close` gives the threads whose connections it has cut off.
_GRACE = 1.0


def to_async(adapter: Adapter, *, threads: int = 10) -> ThreadAdapter:
    """Make an async adapter of a sync one, which is called in at most so many threads.

    Each exchange has a thread to itself until its body has ended. Further ones wait in line, first come, first served,
    and for at most `Timeout.pool` while no thread becomes free. Cancelling a task ends its exchange at once; its thread
    follows as soon as the adapter notices. Closing the async adapter closes the sync one. Content of a request that is
    an async iterable is refused, and `response.upgraded` is the sync adapter's. Raises `InvalidRequest` for an object
    that is no sync adapter.

    ```python
    client = adieu.AsyncClient(adapter=adieu.to_async(Urllib3Adapter(), threads=20))
    ```
    """
    return ThreadAdapter(adapter, threads)


class ThreadAdapter(Wrapper):
    """The result of `to_async`. May be used from several event loops, of asyncio and of trio."""

    inner: Adapter

    def __init__(self, inner: Adapter, threads: int) -> None:
        checked_adapter(inner, awaits=False, what="what to_async makes an async adapter of")
        if type(threads) is not int or threads < 1:
            raise InvalidRequest(f"to_async: threads is a whole number from 1, not {threads!r}")
        self.inner = inner
        self._threads = Threads(threads)
        self._closed = False

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Send in a thread; the response's body is read in the same one."""
        if self._closed:
            raise self._refusal()
        if request.content.is_async:
            raise InvalidRequest(
                "content= is an async iterable, which a sync adapter cannot wait for in its thread: "
                "give it bytes, a file or an iterable"
            )
        former = exchange.former if isinstance(exchange, Pinned) else None
        if former is not None and isinstance(former.lease, _ThreadLease):
            former.lease.leave_thread()  # It may have the last thread.
        slot = ThreadSlot(exchange.method, exchange.url)
        relay = _Relay(exchange, slot)
        try:
            sending = slot.call(partial(_send, self.inner, request, relay))
            self._threads.take(slot, self._refusal)
            await self._wait(sending, slot, exchange.deadline)
            respond: Callable[[AsyncExchange], AsyncResponse] = await taken(sending)
            response = respond(exchange)
        except BaseException as error:
            relay.give_up(type(error).__name__)
            slot.leave()
            raise
        if exchange.lease is None or (response.upgraded is not None and response.body is None):
            slot.leave()
        return response

    async def _wait(self, sending: ThreadResult, slot: ThreadSlot, deadline: Deadline) -> None:
        """Wait for a thread as long as the line moves, first come, first served: see `lifecycle.waiting`."""
        begun = monotonic()
        while True:
            quiet = monotonic() - max(begun, self._threads.moved_at())
            left = deadline.remaining_since("pool", quiet)
            if left is None:
                return
            if left == 0:
                # An exchange that has a thread by now may take as long as the other limits say.
                slot.give_up(partial(self._exhausted, deadline))
                return
            if await sending.wait(left):
                return

    def _exhausted(self, deadline: Deadline) -> BaseException:
        error = deadline.exceeded("pool")
        if isinstance(error, PoolTimeout):
            error.holders = tuple(self._threads.holders())
            shown = "; ".join(error.holders[:3])
            more = f"; and {len(error.holders) - 3} more" if len(error.holders) > 3 else ""
            limit, number = error.limit, self._threads.limit
            text = f"no thread became free for {limit:g} s (Timeout.pool). All {number} are in use"
            error.args = (f"{text}: {shown}{more}",)
        return error

    def _refusal(self) -> ClientClosed:
        return ClientClosed(f"{self!r} is closed")

    async def close(self) -> CloseReport | None:
        """Close the sync adapter, in a thread of its own, because all others may be waiting; gives what that returns.

        Threads that this gets out of their waits have ended when it returns; one that its adapter cannot interrupt is
        left to end by itself.
        """
        if self._closed:
            return None
        self._closed = True
        self._threads.stop(self._refusal)
        done = answer()
        name = "adieu-to_async-closes"
        thread = BackgroundThread(_close, self.inner, self._threads, done, name=name)
        try:
            thread.begin()
        except RuntimeError:
            thread.run()  # The system gives no thread; what is open has to be closed all the same.
        said = False
        try:
            said = await done.wait()
            report: CloseReport | None = await taken(done)
        finally:
            if said:
                thread.wait(_GRACE)  # It has delivered its result, and is about to end.
        return report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.inner, self._threads.limit)

    def __repr__(self) -> str:
        return f"to_async({self.inner!r})"

    @quiet_at_exit
    def __del__(self) -> None:
        threads = getattr(self, "_threads", None)
        if threads is not None and not self._closed:
            threads.stop(partial(ClientClosed, "this adapter was dropped"))


class _Relay(Relay, Exchange):
    """The exchange as the sync adapter sees it, in its thread."""

    __slots__ = ("_slot",)

    def __init__(self, outer: AsyncExchange, slot: ThreadSlot) -> None:
        super().__init__(outer.method, outer.url, outer.deadline, outer.policy)
        self.relay_for(outer)
        self._slot = slot

    def lease_around(self, lease: Lease) -> _ThreadLease:
        return _ThreadLease(lease, self._slot)


class _ThreadLease(RelayedLease, AsyncLease):
    """A sync lease whose `read` is awaited."""

    __slots__ = ("_ended", "_slot", "lease")

    def __init__(self, lease: Lease, slot: ThreadSlot) -> None:
        self.lease = lease
        self._slot = slot
        self._ended = False

    async def read(self, deadline: Deadline) -> bytes:
        if self._ended:
            raise BodyClosed("this body was closed before it was read to its end")
        chunk: bytes = await taken(self._slot.call(partial(self.lease.read, deadline)))
        return chunk

    def finish(self, reuse: bool, why: str) -> None:
        self._ended = True
        try:
            self._slot.run_inline(partial(self.lease.finish, reuse, why))
        finally:
            self._slot.leave()

    def leave_thread(self) -> None:
        """The body is complete: nothing is read any more, although the connection is kept."""
        self._slot.leave()

    def stop_wrapping(self) -> AsyncLease:
        self._slot.run_inline(self._unwrap)
        return self

    def _unwrap(self) -> None:
        self.lease = self.lease.stop_wrapping()

    def peek(self) -> bytes | None:
        ready: bytes | None = self.lease.peek()
        return ready

    def survive_close(self) -> bool:
        survives: bool = self.lease.survive_close()
        self._slot.survives_close = survives
        return survives


def _send(
    adapter: Adapter, request: Request, relay: _Relay
) -> Callable[[AsyncExchange], AsyncResponse]:
    """In the thread: send once. Returns a function that makes the async response, for the event loop."""
    try:
        response = adapter.send(request, relay)
        if not isinstance(response, Response):
            raise TypeError(f"it returned {type(response).__name__}, not a Response")
        response = drive(relay.settle(response))
        relay.hand_over()
        raw = b"".join(response.iter_raw()) if response.is_read else None
        return partial(continued, response, raw)
    finally:
        relay.disown()


def _close(adapter: Adapter, threads: Threads, done: ThreadResult) -> None:
    try:
        counts = adapter.close()
    except BaseException as error:
        threads.join(_GRACE)
        done.set([None, error])
    else:
        threads.join(_GRACE)
        done.set([counts, None])
