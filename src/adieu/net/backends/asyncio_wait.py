"""A wait with a timeout for one direction of a stream, cheaper than a future.

Theory of operation. For a task, a future is anything that has the few methods which the task calls; asyncio calls that
"future-compatible". This one belongs to a stream and is used again for each of its waits. Two things make it cheaper
than `asyncio.Future` with `call_later`:

- The callback that sees the socket ready resumes the task at once. A future would do so in the next iteration of the
  loop, which is one `select` more for each response. Only ready sockets do that: a cancellation or a close comes from a
  running task, so those leave the resuming to the loop, as futures do.
- Its timer is set once, and stays in the loop when the wait has ended. If it fires too early for the wait of that
  moment, it is set again for the rest. Setting and cancelling one for each wait would cost more than the rest of it.

The timer refers to the wait alone, and to no stream or socket.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator
    from contextvars import Context

__all__ = ["Wait"]

# A loop may count in milliseconds, as uvloop does, and so call a little early.
_CLOCK = 1e-3
_NEVER = float("inf")


class Wait:
    """The waits of one direction, one after the other: `begin`, `await` it, `end`."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_context",
        "_ends_at",
        "_error",
        "_fires_at",
        "_loop",
        "_timer",
        "pending",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The attribute by which a task recognises something to wait for.
        self._asyncio_future_blocking = False
        self._callback: Callable[[Wait], object] | None = None
        self._context: Context | None = None
        self._error: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._ends_at: float | None = None
        self.pending = False

    def begin(self, timeout: float | None) -> None:
        """Begin a wait that ends with `TimeoutError` after these seconds (None: no limit)."""
        if self._ends_at is not None:
            raise RuntimeError("another task is waiting for this connection already")
        self._error = None
        self.pending = True
        if timeout is None:
            self._ends_at = _NEVER
            return
        self._ends_at = ends_at = self._loop.time() + timeout
        if self._timer is not None:
            if self._fires_at <= ends_at:
                return
            self._timer.cancel()
        self._set_timer(ends_at)

    def end(self) -> None:
        """End the wait, whatever resumed the task."""
        self.pending = False
        self._ends_at = None
        self._callback = self._context = self._error = None

    def resume(self) -> None:
        """Resume the task at once. Only for callbacks of the loop, during which no task runs."""
        if self.pending:
            self.pending = False
            callback, context = self._callback, self._context
            if callback is not None and context is not None:
                context.run(callback, self)

    def fail(self, error: BaseException) -> None:
        """Resume the task with an error, in the next iteration of the loop."""
        if self.pending:
            self.pending = False
            self._error = error
            if self._callback is not None:
                self._loop.call_soon(self._callback, self, context=self._context)

    def close(self) -> None:
        """End a wait that is under way with an error, and the timer."""
        timer, self._timer = self._timer, None
        if self._loop.is_closed():
            return  # No task waits any more.
        if self.pending:
            self.fail(ConnectionAbortedError("the connection was closed"))
        if timer is not None:
            timer.cancel()

    def _set_timer(self, when: float) -> None:
        self._fires_at = when
        self._timer = self._loop.call_at(when, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        ends_at = self._ends_at
        if ends_at is None or ends_at == _NEVER or not self.pending:
            return
        if self._loop.time() >= ends_at - _CLOCK:
            self.fail(TimeoutError())
        else:
            self._set_timer(ends_at)

    def __await__(self) -> Generator[Wait, None, None]:
        if self.pending:
            self._asyncio_future_blocking = True
            yield self
        self.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, callback: Callable[[Wait], object], *, context: Context) -> None:
        self._callback = callback
        self._context = context

    def cancel(self, msg: object = None) -> bool:
        if not self.pending:
            return False
        self.fail(CancelledError() if msg is None else CancelledError(msg))
        return True

    def result(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # Or its traceback would lead back to it: a cycle.
