"""One call of an app: it runs step by step while the client reads, and ends once.

Theory of operation. The lease belongs to an exchange before the app runs. The app runs in steps: the call itself, then
one `next` of its iterable each time the client needs bytes. One thread uses the app at a time, for a step or to end it;
`_user` says which. The thread or finalizer that ends the lease closes the iterable if no thread uses the app. Otherwise
that one closes it as it leaves, because a running generator cannot be closed. None waits for another.

`_user` is a dict and no lock: to enter and to say who has entered is one operation, so after an interrupt at any line a
thread knows whether it is in.
"""

from __future__ import annotations

import traceback
from threading import get_ident
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, BodyClosed, ClientClosed, ContentError
from adieu.lifecycle.events import notify
from adieu.lifecycle.lease import Lease
from adieu.messages.headers import Headers
from adieu.texts import show_url
from adieu_wsgi.app_iterable import AppIterable
from adieu_wsgi.errors import Facts, NotWSGI
from adieu_wsgi.head import Head
from adieu_wsgi.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed.wsgi import WSGIApplication

    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline
    from adieu.transport.exchange import Exchange
    from adieu_wsgi.content import ContentReader

__all__ = ["AppLease"]

_END: Any = object()
_SORRY = b"Internal Server Error"


class AppLease(Lease):
    """The right to the response of one call of an app.

    `running`: the adapter's table, from which the lease removes itself at its end. `raising`: whether exceptions of the
    app reach the client, or become a 500 or a truncated body as with a server.
    """

    __slots__ = (
        "_content",
        "_end_content",
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
        "_user",
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
        # Ends the content, which the app may read as long as it runs.
        self._end_content: Callable[[], object] = lambda: None
        self._running = running
        self._raising = raising
        self._errors: Any = None
        # The thread that uses the app, under the only key.
        self._user: dict[None, int] = {}
        self._iterable = AppIterable()
        self._pieces: Iterator[bytes] | None = None
        self._exhausted = False
        self._ended = False
        # The reason why the body will not be complete.
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

    def begin(self, app: WSGIApplication, environ: dict[str, Any], deadline: Deadline) -> Head:
        """Run the app until its head is final, at its first byte or its end (PEP 3333)."""
        self._errors = environ["wsgi.errors"]
        output = self._output
        going = self._step(lambda: self._call(app, environ), deadline)
        while going and not output.started and not self._exhausted:
            going = self._step(self._pull, deadline)
        if not going and not output.started and not self._exhausted:
            return self._error_head()
        return output.final_head()

    def read(self, deadline: Deadline) -> bytes:
        """The next bytes of the body; b"" when the app's iterable has ended and is closed."""
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
            # Without a body no step is needed: a HEAD does not run a whole export.
            self._step(self._close if output.bodiless else self._pull, deadline)

    def keep_content(self, end: Callable[[], object]) -> bool:
        self._end_content = end
        return not self._ended

    def finish(self, reuse: bool, why: str) -> None:
        """End the app's iterable, now or after its step. An error of its `close()` is reported, not raised."""
        self._ended = True
        self._running.pop(id(self), None)
        self._end()

    def _step(self, step: Callable[[], None], deadline: Deadline) -> bool:
        """Run one step of the app; False if it raised and the client shall not get the exception.

        No timeout can interrupt it, but a step that took too long raises after its end.
        """
        limit = deadline.remaining("read")
        started = deadline.now()
        facts = self._facts
        me, user = get_ident(), self._user
        try:
            try:
                if user.setdefault(None, me) == me:
                    step()
            finally:
                facts.request_sent = self._content.sent
                self._leave(me)
        except Exception as error:
            self._raise_content_error()
            if isinstance(error, NotWSGI) and facts.fault is not None:
                raise
            if self._raising:
                raise facts.raised(error) from error
            traceback.print_exception(error, file=self._errors)
            if not self._exhausted:
                self._failed = str(facts.raised(error))
            return False
        except BaseException:
            self._leave(me)  # An interrupt, perhaps just as this was called.
            raise
        if self._ended:
            raise ClientClosed(
                f"the client was closed while {facts.method} {show_url(facts.url)} ran"
            )
        self._raise_content_error()
        if facts.fault is not None:
            raise facts.violation()
        if limit is not None and deadline.now() - started > limit:
            late = facts.state(deadline.exceeded("read"))
            late.phase = "body" if facts.response_started else "head"
            raise late
        return True

    def _call(self, app: WSGIApplication, environ: dict[str, Any]) -> None:
        iterable = self._iterable.take_from(app, environ, self._output.start_response)
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
        """End the iterable in a step, so that an error of its `close()` counts as an exception of the app."""
        self._exhausted = True
        self._pieces = None
        self._iterable.close()

    def _end(self) -> None:
        """End the app, unless a thread uses it, perhaps this one: that thread does it as it leaves."""
        me, user = get_ident(), self._user
        if user.get(None) == me:
            return
        try:
            if user.setdefault(None, me) == me:
                self._output.close()
                self._content.cut()
                self._pieces = None
                notify(self._iterable.close)
                self._end_content()
        finally:
            if user.get(None) == me:
                user.clear()

    def _leave(self, me: int) -> None:
        if self._user.get(None) == me:
            self._user.clear()
        if self._ended:
            self._end()

    def _error_head(self) -> Head:
        """The answer of a server for an app that failed before it sent its head."""
        self._exhausted = True
        self._failed = None
        self._pieces = None
        notify(self._iterable.close)
        headers = Headers([("Content-Type", "text/plain"), ("Content-Length", str(len(_SORRY)))])
        return self._output.replace(
            Head(500, "Internal Server Error", headers, len(_SORRY)), _SORRY
        )

    def _raise_content_error(self) -> None:
        """Raise the error of the request's content, which belongs to the client, whatever the app did with it."""
        failure = self._content.take_failure()
        try:
            if isinstance(failure, AdieuError):
                raise failure
            if failure is not None:
                raise ContentError(
                    f"the content of {self._facts.method} {show_url(self._facts.url)} could not be read: {failure!r}"
                ) from failure
        finally:
            del failure  # Or the exception's traceback would refer to the exception: a cycle.
