"""The task of an app as a client holds it: a lease that one synchronous call ends, from any place."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from adieu.errors import ClientClosed
from adieu.lifecycle.lease import AsyncLease
from adieu.texts import show_url
from adieu_asgi.errors import Facts
from adieu_asgi.waiting import Changes

if TYPE_CHECKING:
    from adieu.transport.exchange import AsyncExchange

__all__ = ["TaskLease"]


class TaskLease(AsyncLease):
    """The base of the calls of an app, which runs in a task of its own.

    `raising`: whether exceptions of the app reach the client. `grace`: the seconds that the app has to clean up after
    the client has left.
    """

    __slots__ = (
        "_changes",
        "_ended",
        "_facts",
        "_grace",
        "_loop",
        "_over",
        "_raised",
        "_raising",
        "_task",
        "_thread",
        "_timer",
    )

    def __init__(self, exchange: AsyncExchange, raising: bool, grace: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._changes = Changes(self._loop)
        self._facts = Facts(exchange)
        self._raising = raising
        self._grace = grace
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # The app has ended, and its exception.
        self._over = False
        self._raised: BaseException | None = None
        # The client has disconnected.
        self._ended = False

    def _app_has_ended(self) -> None:
        """The last step of the app's task."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._loop.is_closed():
            self._changes.notify()

    def _client_closed(self) -> ClientClosed:
        facts = self._facts
        return ClientClosed(f"the client was closed during {facts.method} {show_url(facts.url)}")

    def finish(self, reuse: bool, why: str) -> None:
        """End it, from any thread. The app notices when the loop goes on."""
        if self._ended:
            return
        try:
            # Not here: a finalizer may call this in the middle of the loop's own bookkeeping.
            if threading.get_ident() == self._thread:
                self._loop.call_soon(self._leave)
            else:
                self._loop.call_soon_threadsafe(self._leave)
        except RuntimeError:
            self._raised = None  # The loop is closed, and nothing runs in it any more.
        # Last: after an interrupt before this line the next call schedules it again.
        self._ended = True

    @abstractmethod
    def _leave(self) -> None:
        """In the loop: let the app notice that the client has left."""

    def _cancel_later(self) -> None:
        """Cancel the app if it has not ended when its grace is over."""
        if not (self._over or self._timer) and self._task is not None:
            self._timer = self._loop.call_later(self._grace, self._task.cancel)
