"""Listeners: what happens to calls, exchanges and connections is told to them.

The events themselves, and the grammar that they follow, are in `adieu.events`; `lifecycle.reporting` makes and tells
them. Neither is imported before there is a listener, and without one an event costs one `is not None`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from adieu.texts import show_url

if TYPE_CHECKING:
    from types import TracebackType

    from adieu import events

__all__ = [
    "CLIENT_CLOSED",
    "Events",
    "LeaseInfo",
    "Listeners",
    "notify",
    "report_unraisable",
    "tell",
]

CLIENT_CLOSED: Final = "client closed"
"""The reason of connections that are closed with their client, which opens no others in their place."""


class LeaseInfo(NamedTuple):
    """A description of a lease: what for, since when, and where its response was opened."""

    connection: int
    method: str
    url: str
    seconds: float
    opened_at: str | None

    def __str__(self) -> str:
        where = f", opened at {self.opened_at}" if self.opened_at else ""
        return f"{self.method} {show_url(self.url)} holds connection {self.connection} for {self.seconds:.1f} s{where}"


class Events:
    """A listener. Overwrite the methods that interest you, and give an instance to a client: `Client(events=...)`.

    A client tells its listeners what happens, each event as an immutable value that a listener may keep, log or pickle:
    `adieu.events` has the classes. `on_event` gets every event and calls the method of its kind, so overwrite that one
    to get all of them.

    Listeners are called at once, in the thread or task in which the event happens, and sometimes by a finalizer, so
    they must not block. What one raises is reported through `sys.unraisablehook` and otherwise ignored: a listener
    cannot break a request, and keeps no event from the other listeners.

    ```python
    class Slow(adieu.Events):
        def answered(self, event):
            if event.seconds > 1:
                print(event.method, event.url, event.seconds)
    ```
    """

    def on_event(self, event: events.Event) -> None:
        """Something happened. Calls the method of the event's kind, if there is one."""
        if event.kind in _KINDS:
            getattr(self, event.kind)(event)

    def call_started(self, event: events.CallStarted) -> None:
        """A call begins: `client.get()` and the like."""

    def call_ended(self, event: events.CallEnded) -> None:
        """A call has returned its response, whose body may be open still, or raised an error."""

    def exchange_started(self, event: events.ExchangeStarted) -> None:
        """An exchange begins: one request and its response."""

    def request_sent(self, event: events.RequestSent) -> None:
        """All of a request was written."""

    def first_byte(self, event: events.FirstByte) -> None:
        """The first byte of a response has come, interim responses included; `seconds` after the exchange began."""

    def informational(self, event: events.Informational) -> None:
        """A 1xx response came before the final one (RFC 9110, section 15.2)."""

    def answered(self, event: events.Answered) -> None:
        """The final head of a response has come, `seconds` after its exchange began."""

    def failed(self, event: events.Failed) -> None:
        """An exchange ended before its final head; `error` is the kind: "ReadTimeout", "CancelledError" ..."""

    def body_ended(self, event: events.BodyEnded) -> None:
        """The body of a response has ended, and with it its exchange: read to its end, closed, broken or dropped."""

    def decoded(self, event: events.Decoded) -> None:
        """The content coding of a body was undone."""

    def pool_wait_started(self, event: events.PoolWaitStarted) -> None:
        """No connection is free, and the limits allow no new one: the exchange waits."""

    def pool_wait_ended(self, event: events.PoolWaitEnded) -> None:
        """The wait for a connection is over."""

    def connect_started(self, event: events.ConnectStarted) -> None:
        """A connection is being opened: lookup, TCP, a proxy's tunnel, TLS."""

    def lookup_started(self, event: events.LookupStarted) -> None:
        """The addresses of a host name are being looked up."""

    def lookup_ended(self, event: events.LookupEnded) -> None:
        """The lookup is over: these addresses, in the order in which they are tried, or the kind of an error."""

    def dial_started(self, event: events.DialStarted) -> None:
        """A TCP connection to this address is being tried."""

    def dial_ended(self, event: events.DialEnded) -> None:
        """The try to connect to an address is over."""

    def tls_started(self, event: events.TLSStarted) -> None:
        """A TLS handshake begins."""

    def tls_ended(self, event: events.TLSEnded) -> None:
        """The TLS handshake is over."""

    def connected(self, event: events.Connected) -> None:
        """The connection is open."""

    def connect_failed(self, event: events.ConnectFailed) -> None:
        """The connection could not be opened."""

    def leased(self, event: events.Leased) -> None:
        """An exchange has this connection from now on."""

    def released(self, event: events.Released) -> None:
        """The lease has ended and the connection goes on, usually idle in its pool."""

    def discarded(self, event: events.Discarded) -> None:
        """The lease has ended and the connection with it, and why."""

    def closed(self, event: events.Closed) -> None:
        """An open connection was closed, and why: "idle", "stale", "exit", "client closed" ..."""

    def detached(self, event: events.Detached) -> None:
        """An open connection has left the pool: it was upgraded (RFC 9110, section 7.8), and belongs to its user."""

    def redirected(self, event: events.Redirected) -> None:
        """A redirect is followed, with this request."""

    def authenticating(self, event: events.Authenticating) -> None:
        """Because of this status, the flow of `auth=` sends the next request."""

    def replayed(self, event: events.Replayed) -> None:
        """A kept-alive connection had died, and a safe request was sent once more on a new one (RFC 9110, 9.2.2)."""

    def retrying(self, event: events.Retrying) -> None:
        """After `wait` seconds a request is sent once more, for the first, second ... time, because of `reason`."""

    def cached(self, event: events.Cached) -> None:
        """What a cache did with this exchange, and why, in words."""

    def leaked(self, event: events.Leaked) -> None:
        """A response was dropped unread; its connection has just been closed."""


_KINDS = frozenset(name for name in vars(Events) if not name.startswith("_")) - {"on_event"}

Listeners = tuple[Events, ...]
"""The listeners of a client; empty: nobody listens."""


def tell(listeners: Listeners, event: events.Event) -> None:
    """Tell an event to all listeners, whatever one of them raises. An interrupt is raised when all were told."""
    interrupt: BaseException | None = None
    for listener in listeners:
        try:
            listener.on_event(event)
        except Exception as error:
            report_unraisable(error, listener.on_event)
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        try:
            raise interrupt
        finally:
            del interrupt  # Its traceback refers to this frame.


def notify(method: Callable[..., object], *facts: object) -> None:
    """Call a function. An exception is reported as Python reports those of finalizers, and stops nothing."""
    try:
        method(*facts)
    except Exception as error:
        report_unraisable(error, method)


def report_unraisable(error: Exception, source: object) -> None:
    """Report an error of `source` that must not be raised."""
    hook = sys.unraisablehook
    # Python's own hook takes no object but those that the interpreter makes.
    if hook is not sys.__unraisablehook__:
        report: Any = _Unraisable(type(error), error, error.__traceback__, None, source)
        try:
            hook(report)
        except Exception:
            pass  # It has handed the report on to Python's own.
        else:
            return
    _print_ignored(error, source)


def _print_ignored(error: Exception, source: object) -> None:
    """Print what Python prints of an error in a finalizer."""
    import traceback

    try:
        lines = traceback.format_exception(error)
        sys.stderr.write(f"Exception ignored in: {source!r}\n{''.join(lines)}")
    except Exception:
        return  # There is nowhere to report it: stderr is closed, or the source has no repr.


class _Unraisable(NamedTuple):
    """The attributes that `sys.unraisablehook` reads."""

    exc_type: type[BaseException]
    exc_value: BaseException
    exc_traceback: TracebackType | None
    err_msg: str | None
    object: Any
