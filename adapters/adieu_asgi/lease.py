"""One call of an app: a task that runs beside the client, and the messages between them.

Theory of operation. The lease belongs to an exchange before the app's task begins. The app receives the request in
chunks (`receive`) and sends its response in chunks (`send`); the buffer between app and client holds one chunk, so
neither runs ahead. The client gets the end of the body when the app has returned. So the work of the app after its last
byte is complete by then, and an exception in it is raised.

The client gets the head when the app has sent `http.response.start` and waits for something. The specification has a
server wait for the first body message; uvicorn and hypercorn do not, and an event stream that has nothing to say yet
could not be opened otherwise. What an app does at once after its start is known by then: if it raises, the head is not
given.

Ending the lease is one synchronous call from any place: it stores the end and schedules the rest in the loop. The app
then notices as under a server: `receive` returns `http.disconnect`, `send` raises an `OSError`. It may clean up for
`grace` seconds, and is cancelled after that. An app whose response is complete may go on.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, BodyClosed, ContentError
from adieu.texts import show_url
from adieu_asgi.app_task import TaskLease
from adieu_asgi.output import ClientDisconnected, Output
from adieu_asgi.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline
    from adieu.messages.request import Request
    from adieu.transport.exchange import AsyncExchange
    from adieu_asgi.output import Head
    from adieu_asgi.scope import ASGIApp, Message
    from adieu_asgi.waiting import Tasks

__all__ = ["AppLease"]


class AppLease(TaskLease):
    """The right to the response of one call of an app. `raising`: whether exceptions of the app reach the client."""

    __slots__ = (
        "__weakref__",
        "_end_content",
        "_output",
        "_start",
        "_upload",
    )

    def __init__(
        self, request: Request, exchange: AsyncExchange, tasks: Tasks, raising: bool, grace: float
    ) -> None:
        super().__init__(exchange, raising, grace)
        self._output = Output(self._facts, self._changes)
        # The app and the content run in a copy of the caller's context.
        context = copy_context()
        self._start = partial(tasks.start, context)
        self._upload = Upload(request, self._start, self._changes.notify)
        # Ends the content, which the app may read as long as it runs.
        self._end_content: Callable[[], object] = lambda: None

    @property
    def framing(self) -> Framing:
        return self._output.framing

    @property
    def received(self) -> int:
        return self._output.received

    @property
    def remaining(self) -> int | None:
        return self._output.remaining

    def start(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Start the task of the app."""
        self._start(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        # Before the app does anything, so that every task has an owner that can end it.
        self._task = asyncio.current_task()
        try:
            if not self._ended:
                await app(scope, self._receive, self._output.send)
        except asyncio.CancelledError as error:
            if not self._ended:  # Not by this adapter: something in the app was cancelled.
                self._raised = error
        except Exception as error:
            if self._ended:
                self._report(error)
            else:
                self._raised = error
        finally:
            self._app_has_ended()

    async def _receive(self) -> Message:
        upload = self._upload
        if not (upload.ended or self._left()):
            # A point where a cancellation loses nothing: some apps look for `http.disconnect` with a `receive` that
            # they cancel when it waits. Also, a loop over content in memory must not starve other tasks.
            await asyncio.sleep(0)
            message = await upload.message()
            if upload.ended:
                self._facts.request_sent = "wholly"
            if message is not None:
                return message
        await self._changes.until(self._left)
        return {"type": "http.disconnect"}

    def _left(self) -> bool:
        """For the app, the client has disconnected."""
        return self._ended or self._output.complete or self._upload.is_cut

    async def begin(self, deadline: Deadline) -> Head:
        """Wait for the head."""
        output = self._output
        await self._until(lambda: output.begun, deadline)
        fails = self._over and not output.body_begun
        sorry = fails and self._raised is not None and not self._raising
        self._check()
        if sorry:
            output.replace_with_500()
        if self._ended:
            raise self._client_closed()
        if fails and not sorry:
            raise self._facts.refuse("it returned without a response")
        return output.final_head()

    async def read(self, deadline: Deadline) -> bytes:
        """The next bytes of the body; b"" when it is complete, and the app has returned."""
        output = self._output
        if self._ended:
            raise BodyClosed("this body was closed before it was read to its end")
        if output.bodiless and not output.complete:
            return b""  # A HEAD does not run a whole export: the app notices that the client has disconnected.
        await self._until(lambda: output.has_chunk or output.complete, deadline)
        chunk = output.take()
        if chunk is not None and not self._ended:
            return chunk
        if output.complete and not output.remaining:
            await self._until(lambda: False, deadline)
        if self._ended:
            raise BodyClosed("this body was closed while it was being read")
        self._check()
        if output.remaining or not output.complete:
            raise self._facts.truncated(output.received, output.remaining, "the app gave no more")
        return b""

    async def _until(self, ready: Callable[[], bool], deadline: Deadline) -> None:
        """Wait until this is true, or the app has ended."""
        seconds = deadline.remaining("read")
        if not await self._changes.within(seconds, lambda: ready() or self._stopped()):
            late = self._facts.state(deadline.exceeded("read"))
            late.phase = "body" if self._facts.response_started else "head"
            raise late

    def _stopped(self) -> bool:
        return self._over or self._ended or self._upload.has_failed or self._facts.fault is not None

    def _check(self) -> None:
        """Raise the error of the call; an error of the request's content comes first."""
        failure, raised = self._upload.take_failure(), self._raised
        self._raised = None
        try:
            if isinstance(failure, AdieuError):
                raise failure
            if failure is not None:
                raise ContentError(
                    f"the content of {self._facts.method} {show_url(self._facts.url)} could not be read: {failure!r}"
                ) from failure
            if self._facts.fault is not None:
                raise self._facts.violation() from raised
            if raised is not None and self._raising:
                raise self._facts.raised(raised) from raised
            if raised is not None:
                self._report(raised)
        finally:
            del (
                failure,
                raised,
            )  # Or the exception's traceback would refer to the exception: a cycle.

    def _report(self, error: BaseException) -> None:
        """Write an exception that does not reach the client to stderr, as a server does."""
        if not _is_disconnect(error):
            traceback.print_exception(error, file=sys.stderr)

    def keep_content(self, end: Callable[[], object]) -> bool:
        self._end_content = end
        return not self._ended

    def abort(self) -> None:
        """Cancel the app, unless its response is complete."""
        if self._task is not None and not self._output.complete:
            self._task.cancel()

    def _leave(self) -> None:
        self._ended = True
        output = self._output
        if self._raised is not None:
            self._report(self._raised)
            self._raised = None
        self._upload.cut()
        self._end_content()
        output.close()
        self._changes.notify()
        if not output.complete:
            self._cancel_later()


def _is_disconnect(error: BaseException | None) -> bool:
    """Whether an exception only reports the disconnected client, even if the app wrapped it."""
    seen = 0
    while error is not None and seen < 100:
        if isinstance(error, ClientDisconnected):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
