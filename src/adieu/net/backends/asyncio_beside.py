"""`AsyncBackend.beside` for asyncio.

The work stays in the calling task: it runs the user's code, which may depend on its task and its context. So it is
cancelled as `asyncio.timeout` does it: the task cancels itself, and takes that back.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.events import report_unraisable

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["beside"]

# The message of the cancellation, by which Python 3.10 tells it from others.
_OURS = "the peer has answered, or the time is over"


async def beside(listening: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
    """See `AsyncBackend.beside`."""
    listener = asyncio.ensure_future(listening)
    cancellation = _Cancellation(listener)
    try:
        await work
    except asyncio.CancelledError as error:
        if not cancellation.is_ours(error):
            listener.cancel()
            raise
    except Exception as error:
        if not cancellation.is_ours():
            await _end(listener)
            raise
        report_unraisable(error, work)
    except BaseException:
        listener.cancel()
        raise
    else:
        if not cancellation.is_ours():
            await _end(listener)
            if listener.cancelled():
                return
    listener.result()


async def _end(listener: asyncio.Future[None]) -> None:
    """Cancel it, and wait until it has left the stream."""
    listener.cancel()
    await asyncio.wait((listener,))


class _Cancellation:
    """Cancels the calling task when the listener ends, and knows afterwards whether that was it."""

    __slots__ = ("_before", "_done", "_task")

    def __init__(self, listener: asyncio.Future[None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] | None = task
        # How often others have asked the task to end, before.
        self._before = 0
        if sys.version_info >= (3, 11):
            self._before = task.cancelling()
        self._done = False
        listener.add_done_callback(self._on_end)

    def _on_end(self, listener: asyncio.Future[None]) -> None:
        if not listener.cancelled():
            listener.exception()  # Else asyncio would log it, where it is not raised because of another error.
        task, self._task = self._task, None
        if task is not None:
            self._done = True
            task.cancel(_OURS)

    def is_ours(self, error: BaseException | None = None) -> bool:
        """Whether the listener ended the work. Called once, when the work has ended; takes the cancellation back."""
        task = asyncio.current_task()
        assert task is not None
        self._task = None
        if not self._done:
            return False
        if sys.version_info >= (3, 11):
            return task.uncancel() <= self._before  # Else somebody else has cancelled it, too.
        return error is None or error.args == (_OURS,)
