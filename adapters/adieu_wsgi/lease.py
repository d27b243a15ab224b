"""One call of an app: run step by step while the client reads, and ended once.

Theory of operation. The lease belongs to an exchange before the app runs. The app runs in steps: the call itself, then
one `next` of its iterable each time the client wants bytes and none are there. Only while a step runs is `_busy` held.
Whoever ends the lease (the reader, another thread, a finalizer) closes the iterable if no step is running; else the
thread that runs it does, as soon as the app gives control back, because a generator that runs cannot be closed. Either
way the iterable is taken out of its one place before it is closed, so that it is closed once.
"""

from __future__ import annotations

import threading
import traceback
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, BodyClosed, ClientClosed, ContentError
from adieu.lifecycle.events import notify
from adieu.lifecycle.lease import Lease
from adieu.messages.headers import Headers
from adieu_wsgi.errors import Facts, NotWSGI
from adieu_wsgi.head import Head
from adieu_wsgi.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed.wsgi import WSGIApplication

    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline
    from adieu.transport.exchange import Exchange
    from adieu_wsgi.content import ContentReader

__all__ = ["AppLease"]

_END: Any = object()
_SORRY = b"Internal Server Error"


class AppLease(Lease):
    """The right to what one call of an app gives.

    `running`: the adapter's table, which the lease leaves when it ends. `raising`: whether the app's exceptions are
    told to the client, or become what a server makes of them.
    """

    __slots__ = (
        "_busy",
        "_content",
        "_ended",
        "_errors",
        "_exhausted",
        "_facts",
        "_failed",
        "_iterable",
        "_output",
        "_pieces",
        "_raising",
        "_running",
    )

    def __init__(
        self,
        exchange: Exchange,
        content: ContentReader,
        running: dict[int, AppLease],
        raising: bool,
    ) -> None:
        self._facts = Facts(exchange)
        self._output = Output(self._facts)
        self._content = content
        self._running = running
        self._raising = raising
        self._errors: Any = None
        self._busy = threading.Lock()
        self._iterable: Iterable[bytes] | None = None
        self._pieces: Iterator[bytes] | None = None
        self._exhausted = False
        self._ended = False
        # Why the body will not come to its end.
        self._failed: str | None = None

    @property
    def framing(self) -> Framing:
        return self._output.framing

    @property
    def received(self) -> int:
        return self._output.received

    @property
    def remaining(self) -> int | None:
        return self._output.remaining

    # -- what the client does ----------------------------------------------------------------------------------------

    def begin(self, app: WSGIApplication, environ: dict[str, Any], deadline: Deadline) -> Head:
        """Run the app until its head is final: until its first byte, or its end (PEP 3333)."""
        self._errors = environ["wsgi.errors"]
        output = self._output
        going = self._step(lambda: self._call(app, environ), deadline)
        while going and not output.started and not self._exhausted:
            going = self._step(self._pull, deadline)
        if not going and not output.started and not self._exhausted:
            return self._apology()
        return output.final_head()

    def read(self, deadline: Deadline) -> bytes:
        """The next bytes of the body; b"" when the app's iterable has ended, and is closed."""
        output = self._output
        while True:
            if self._ended:
                raise BodyClosed("this body was closed before it was read to its end")
            if (piece := output.next()) is not None:
                return piece
            if self._failed is not None:
                raise output.truncated(self._failed)
            if self._exhausted:
                if output.remaining:
                    raise output.truncated("the app gave no more")
                return b""
            # Without a body there is nothing to wait for: a HEAD does not run the whole of an export.
            self._step(self._close if output.bodiless else self._pull, deadline)

    def finish(self, reuse: bool, why: str) -> None:
        """End the app's iterable, now or when its step is over. What its `close()` raises is reported, not raised."""
        self._ended = True
        self._running.pop(id(self), None)
        self._end()

    # -- steps of the app ----------------------------------------------------------------------------------------------

    def _step(self, step: Callable[[], None], deadline: Deadline) -> bool:
        """Let the app run; False if it raised, and that is not to be told.

        No clock can stop it; but a step that took too long is an error, once it is over.
        """
        limit = deadline.remaining("read")
        started = deadline.now()
        facts = self._facts
        try:
            try:
                with self._busy:
                    step()
            finally:
                facts.request_sent = self._content.sent
                if self._ended:
                    self._end()
        except Exception as error:
            self._tell_failure()
            if isinstance(error, NotWSGI) and facts.fault is not None:
                raise
            if self._raising:
                raise facts.raised(error) from error
            traceback.print_exception(error, file=self._errors)
            if not self._exhausted:
                self._failed = str(facts.raised(error))
            return False
        if self._ended:
            raise ClientClosed(f"the client was closed while {facts.method} {facts.url} ran")
        self._tell_failure()
        if facts.fault is not None:
            raise facts.violation()
        if limit is not None and deadline.now() - started > limit:
            late = facts.state(deadline.exceeded("read"))
            late.phase = "body" if facts.response_started else "head"
            raise late
        return True

    def _call(self, app: WSGIApplication, environ: dict[str, Any]) -> None:
        self._iterable = iterable = app(environ, self._output.start_response)
        try:
            self._pieces = iter(iterable)
        except TypeError:
            raise self._facts.refuse(f"it returned {iterable!r}, which has no pieces") from None

    def _pull(self) -> None:
        assert self._pieces is not None
        piece = next(self._pieces, _END)
        if piece is _END:
            self._close()
        else:
            self._output.take(piece)

    def _close(self) -> None:
        """End the iterable in a step, so that what its `close()` raises is an exception of the app like any other."""
        self._exhausted = True
        _close(self._taken())

    def _end(self) -> None:
        # Held by nobody but a step of the app, whose thread comes here when it is over, and by a call like this one.
        if self._busy.acquire(blocking=False):
            try:
                self._output.close()
                self._content.cut()
                notify(_close, self._taken())
            finally:
                self._busy.release()

    def _taken(self) -> Iterable[bytes] | None:
        iterable, self._iterable, self._pieces = self._iterable, None, None
        return iterable

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def _apology(self) -> Head:
        """What a server answers for an app that failed before its head was out."""
        self._exhausted = True
        self._failed = None
        with self._busy:
            notify(_close, self._taken())
        headers = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(_SORRY)))])
        return self._output.replace(
            Head(500, "Internal Server Error", headers, len(_SORRY)), _SORRY
        )

    def _tell_failure(self) -> None:
        """What reading the request's content raised is the client's own error, whatever the app made of it."""
        failure = self._content.take_failure()
        try:
            if isinstance(failure, AdieuError):
                raise failure
            if failure is not None:
                raise ContentError(
                    f"the content of {self._facts.method} {self._facts.url} could not be read: {failure!r}"
                ) from failure
        finally:
            del failure  # Or the exception's traceback would refer to the exception: a cycle.


def _close(iterable: Iterable[bytes] | None) -> None:
    close = getattr(iterable, "close", None)
    if close is not None:
        close()
