"""One call of an app: a task that runs beside the client, and the two messages that go between them.

Theory of operation. The lease belongs to an exchange before the app's task begins. The app asks for the request chunk
by chunk (`receive`) and gives its response chunk by chunk (`send`); between app and client there is room for one chunk,
so neither runs ahead. The client has the head at the first body message (the specification forbids it any earlier),
and the end of the body when the app has returned: what the app does after its last byte is done by then, and what it
raises there is told.

Ending the lease is one synchronous call from any place: it notes the end and asks the loop to do the rest. The app is
then told as a server tells it: `receive` gives `http.disconnect`, `send` raises an `OSError`. It may clean up for
`grace` seconds, and is cancelled after that. An app whose response is complete is left alone: it owes nobody anything.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, BodyClosed, ClientClosed, ContentError
from adieu.lifecycle.lease import AsyncLease
from adieu_asgi.errors import Facts
from adieu_asgi.output import Gone, Output
from adieu_asgi.upload import Upload
from adieu_asgi.waiting import Changes, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline
    from adieu.messages.request import Request
    from adieu.transport.exchange import AsyncExchange
    from adieu_asgi.output import Head
    from adieu_asgi.scope import ASGIApp, Message

__all__ = ["AppLease"]


class AppLease(AsyncLease):
    """The right to what one call of an app gives. `raising`: whether the app's exceptions are told to the client."""

    __slots__ = (
        "__weakref__",
        "_changes",
        "_ended",
        "_facts",
        "_grace",
        "_loop",
        "_output",
        "_over",
        "_raised",
        "_raising",
        "_start",
        "_task",
        "_thread",
        "_timer",
        "_upload",
    )

    def __init__(
        self, request: Request, exchange: AsyncExchange, tasks: Tasks, raising: bool, grace: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._changes = Changes(self._loop)
        self._facts = Facts(exchange)
        self._output = Output(self._facts, self._changes)
        # What the app runs in is a copy of the caller's context; what the content runs in, too.
        context = copy_context()
        self._start = partial(tasks.start, context)
        self._upload = Upload(request, self._start, self._changes.notify)
        self._raising = raising
        self._grace = grace
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # The app has returned, or raised this.
        self._over = False
        self._raised: BaseException | None = None
        # The client has gone.
        self._ended = False

    @property
    def framing(self) -> Framing:
        return self._output.framing

    @property
    def received(self) -> int:
        return self._output.received

    @property
    def remaining(self) -> int | None:
        return self._output.remaining

    # -- the app -------------------------------------------------------------------------------------------------------

    def start(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Let the app run."""
        self._start(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        # Before the app has done anything, so that no task is ever without somebody who can end it.
        self._task = asyncio.current_task()
        try:
            if not self._ended:
                await app(scope, self._receive, self._output.send)
        except asyncio.CancelledError as error:
            if not self._ended:  # Not by us: something in the app was cancelled.
                self._raised = error
        except Exception as error:
            if self._ended:
                self._report(error)
            else:
                self._raised = error
        finally:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            if not self._loop.is_closed():
                self._changes.notify()

    async def _receive(self) -> Message:
        upload = self._upload
        if not (upload.ended or self._left()):
            # A chance to be cancelled while nothing is lost by it: some look for `http.disconnect` by a `receive` that
            # is cancelled when it waits. And a loop over what is in memory must not starve others.
            await asyncio.sleep(0)
            message = await upload.message()
            if upload.ended:
                self._facts.request_sent = "wholly"
            if message is not None:
                return message
        await self._changes.until(self._left)
        return {"type": "http.disconnect"}

    def _left(self) -> bool:
        """To the app, the client has gone."""
        return self._ended or self._output.complete or self._upload.is_cut

    # -- the client ----------------------------------------------------------------------------------------------------

    async def begin(self, deadline: Deadline) -> Head:
        """Wait for the head."""
        output = self._output
        await self._until(lambda: output.begun, deadline)
        sorry = self._raised is not None and not (self._raising or output.begun)
        self._check()
        if sorry:
            output.apologise()
        if self._ended:
            raise ClientClosed(
                f"the client was closed during {self._facts.method} {self._facts.url}"
            )
        if not output.begun:
            raise self._facts.refuse("it returned without a response")
        return output.final_head()

    async def read(self, deadline: Deadline) -> bytes:
        """The next bytes of the body; b"" when it is complete, and the app has returned."""
        output = self._output
        if self._ended:
            raise BodyClosed("this body was closed before it was read to its end")
        if output.bodiless and not output.complete:
            return b""  # A HEAD does not run the whole of an export: the app learns that the client has gone.
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
        """Wait until this holds, or nothing more will come."""
        seconds = deadline.remaining("read")
        if not await self._changes.within(seconds, lambda: ready() or self._stopped()):
            late = self._facts.state(deadline.exceeded("read"))
            late.phase = "body" if self._facts.response_started else "head"
            raise late

    def _stopped(self) -> bool:
        return self._over or self._ended or self._upload.has_failed or self._facts.fault is not None

    def _check(self) -> None:
        """Raise what went wrong: first of all what was the client's own fault."""
        failure, raised = self._upload.take_failure(), self._raised
        self._raised = None
        try:
            if isinstance(failure, AdieuError):
                raise failure
            if failure is not None:
                raise ContentError(
                    f"the content of {self._facts.method} {self._facts.url} could not be read: {failure!r}"
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
        """What a server does with an exception that nobody is told: it is written to stderr."""
        if not _is_farewell(error):
            traceback.print_exception(error, file=sys.stderr)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self, reuse: bool, why: str) -> None:
        """End it, from any thread. The app learns of it when the loop goes on."""
        if self._ended:
            return
        self._ended = True
        try:
            # Not done here and now: a finalizer may call this in the middle of the loop's own bookkeeping.
            if threading.get_ident() == self._thread:
                self._loop.call_soon(self._leave)
            else:
                self._loop.call_soon_threadsafe(self._leave)
        except RuntimeError:
            self._raised = None  # The loop is closed, and nothing runs in it any more.

    def abort(self) -> None:
        """Cancel the app, unless its response is complete: then it owes nobody anything."""
        if self._task is not None and not self._output.complete:
            self._task.cancel()

    def _leave(self) -> None:
        output = self._output
        if self._raised is not None:
            self._report(self._raised)
            self._raised = None
        self._upload.cut()
        output.close()
        self._changes.notify()
        if not (self._over or output.complete) and self._task is not None:
            self._timer = self._loop.call_later(self._grace, self._task.cancel)


def _is_farewell(error: BaseException | None) -> bool:
    """Whether an exception only says that the client has gone, however often it was wrapped on its way out."""
    seen = 0
    while error is not None and seen < 100:
        if isinstance(error, Gone):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
