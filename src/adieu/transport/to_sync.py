"""From an async adapter to a sync one, by an event loop in a background thread: for adapters that have no sync twin.

Theory of operation. The async adapter is called in the loop of a `BackgroundLoop`, with an exchange made for it (see
`relay`); the calling thread waits for the result. Ending a lease is one synchronous call from any thread, so whatever
ends the real exchange (an error, an interrupt, the closing client, a finalizer) ends the adapter's lease directly. The
loop ends when the adapter is closed, or dropped.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, ClientClosed
from adieu.lifecycle.lease import Lease
from adieu.lifecycle.steps import adrive
from adieu.messages.async_response import AsyncResponse
from adieu.transport.adapter import Wrapper, checked_adapter
from adieu.transport.async_upgrade import AsyncUpgraded
from adieu.transport.background_loop import BackgroundLoop
from adieu.transport.exchange import AsyncExchange, Exchange
from adieu.transport.loop_stream import LoopStream
from adieu.transport.relay import Relay, RelayedLease, continued
from adieu.transport.upgrade import Upgraded
from adieu.transport.upgraded_lease import UpgradedLease

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.lease import AsyncLease
    from adieu.lifecycle.limits import CloseReport
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.adapter import AsyncAdapter

__all__ = ["LoopAdapter", "to_sync"]

# Seconds that `close` gives the loop to end.
_GRACE = 5.0


def to_sync(adapter: AsyncAdapter) -> LoopAdapter:
    """Make a sync adapter of an async one, which is called in an event loop of asyncio's, in a thread of its own.

    The loop starts with the first request, and ends with `close`: its tasks are cancelled then, and its thread has
    ended. Any number of threads may call at once. An interrupted call cancels its task. What runs in that loop must not
    use the same client: it would wait for itself, which is an `InvalidRequest`. Raises `InvalidRequest` for an object
    that is no async adapter.

    ```python
    client = adieu.Client(adapter=adieu.to_sync(AsyncASGIAdapter(app)))
    ```
    """
    return LoopAdapter(adapter)


class LoopAdapter(Wrapper):
    """The result of `to_sync`."""

    inner: AsyncAdapter

    def __init__(self, inner: AsyncAdapter) -> None:
        what = "what to_sync makes a sync adapter of"
        self.inner = checked_adapter(inner, awaits=True, what=what)
        self._loop = BackgroundLoop(f"the event loop of {self!r}")
        self._closed = False

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send in the loop; the response's body is read in the same one."""
        if self._closed:
            raise ClientClosed(f"{self!r} is closed")
        relay = _Relay(exchange, self._loop)
        try:
            respond: Callable[[Exchange], Response] = self._loop.call(
                partial(_send, self.inner, request, relay)
            )
        except BaseException as error:
            relay.give_up(type(error).__name__)
            raise
        response = respond(exchange)
        if isinstance(response.upgraded, AsyncUpgraded):
            inner = response.upgraded
            upgraded = Upgraded(LoopStream(inner, self._loop), inner.take_leftover())
            exchange.wrap(UpgradedLease(upgraded, exchange.lease))
            response.upgraded = upgraded
        return response

    def close(self) -> CloseReport | None:
        """Close the async adapter, and end the loop with its thread; gives what the adapter's `close` returns."""
        if self._closed:
            return None
        self._closed = True
        try:
            report: CloseReport | None = self._loop.call(self.inner.close)
        finally:
            self._loop.end(_GRACE)
        return report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.inner,)

    def __repr__(self) -> str:
        return f"to_sync({self.inner!r})"


class _Relay(Relay, AsyncExchange):
    """The exchange as the async adapter sees it, in its loop."""

    __slots__ = ("_loop",)

    def __init__(self, outer: Exchange, loop: BackgroundLoop) -> None:
        super().__init__(outer.method, outer.url, outer.deadline, outer.policy)
        self.relay_for(outer)
        self._loop = loop

    def lease_around(self, lease: AsyncLease) -> _LoopLease:
        return _LoopLease(lease, self._loop)


class _LoopLease(RelayedLease, Lease):
    """An async lease whose `read` is waited for. Of bytes that are here already it says nothing: the loop has them."""

    __slots__ = ("_ended", "_loop", "lease")

    def __init__(self, lease: AsyncLease, loop: BackgroundLoop) -> None:
        self.lease = lease
        self._loop = loop
        self._ended = False

    def read(self, deadline: Deadline) -> bytes:
        if self._ended:
            raise BodyClosed("this body was closed before it was read to its end")
        chunk: bytes = self._loop.call(partial(self.lease.read, deadline))
        return chunk

    def finish(self, reuse: bool, why: str) -> None:
        self._ended = True
        self.lease.finish(reuse, why)

    def stop_wrapping(self) -> Lease:
        self.lease = self.lease.stop_wrapping()
        return self


async def _send(
    adapter: AsyncAdapter, request: Request, relay: _Relay
) -> Callable[[Exchange], Any]:
    """In the loop: send once. Returns a function that makes the sync response, for the caller's thread."""
    try:
        response = await adapter.send(request, relay)
        if not isinstance(response, AsyncResponse):
            raise TypeError(f"it returned {type(response).__name__}, not an AsyncResponse")
        response = await adrive(relay.settle(response))
        relay.hand_over()
        raw = None
        if response.is_read:
            raw = b"".join([chunk async for chunk in response.iter_raw()])
        return partial(continued, response, raw)
    finally:
        relay.disown()
