"""How a request of a sync map is cancelled from another thread.

Theory of operation. A thread that waits for a peer cannot be cancelled. But every wait of a call first asks the call's
deadline how long it may last, and every wait in progress ends when the exchange's lease does. So leaving a map does
both: the deadlines refuse from then on, and the exchanges are ended. There is no gap between the two, because an
exchange owns its lease before the first wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.client.call import Call
from adieu.errors import ClientClosed
from adieu.lifecycle.deadline import Deadline

if TYPE_CHECKING:
    from adieu.client.call import CallOwner
    from adieu.client.call_settings import CallSettings
    from adieu.flow.auth import ScopedAuth
    from adieu.lifecycle.deadline import Timeout, Wait
    from adieu.lifecycle.steps import Steps
    from adieu.messages.cookies.jar import Cookies
    from adieu.messages.url import URL
    from adieu.transport.exchange import AnyExchange

__all__ = ["CancelHandle", "CancellableCall"]

# How often a backoff checks whether the map was left (seconds).
_CANCEL_CHECK_INTERVAL = 0.05


class CancelHandle:
    """Cancels one job from another thread.

    `cancelled` is written by the thread that leaves the map; `runs_here` (the job was begun in this process) and `call`
    by the thread that runs the job. Each is one store by one thread. One attribute for both would need a lock, which a
    finalizer must not wait for.
    """

    __slots__ = ("call", "cancelled", "runs_here")

    def __init__(self) -> None:
        self.call: CancellableCall | None = None
        self.cancelled = False
        self.runs_here = False

    def cancel(self) -> None:
        """End the job's present wait, and refuse every later one. Idempotent."""
        self.cancelled = True
        call = self.call
        exchange = call.exchange if call is not None else None
        if exchange is not None:
            exchange.end(False, "map left")

    def check(self) -> None:
        """Raise `ClientClosed` if the job was cancelled."""
        if self.cancelled:
            raise ClientClosed("the map that this request belongs to has been left")

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "running" if self.runs_here else "waiting"
        return f"<CancelHandle {state}>"

    def __reduce__(self) -> tuple[type[CancelHandle], tuple[()]]:
        # In another process the job belongs to no map that could be left.
        return CancelHandle, ()


class _CancellableDeadline(Deadline):
    """A deadline that allows no further wait once the map was left."""

    __slots__ = ("_handle",)

    def __init__(self, timeout: Timeout, handle: CancelHandle) -> None:
        super().__init__(timeout)
        self._handle = handle

    def remaining(self, wait: Wait) -> float | None:
        self._handle.check()
        return super().remaining(wait)


class CancellableCall(Call):
    """A call that a `CancelHandle` can end."""

    __slots__ = ("_handle",)

    def __init__(
        self,
        handle: CancelHandle,
        client: CallOwner,
        settings: CallSettings,
        stream: bool,
        credentials: ScopedAuth | None,
        cookies: Cookies | None,
        home: URL,
    ) -> None:
        super().__init__(client, settings, stream, credentials, cookies, home)
        self.deadline = _CancellableDeadline(settings.timeout, handle)
        self._handle = handle
        handle.call = self

    @property
    def exchange(self) -> AnyExchange | None:
        """The exchange that is under way."""
        return self._exchange

    def _waiting(self, seconds: float) -> Steps[None]:
        while seconds > 0:
            self._handle.check()
            step = min(seconds, _CANCEL_CHECK_INTERVAL)
            yield from super()._waiting(step)
            seconds -= step
