"""Events: what happens to connections, reported to listeners.

Invariants: arguments are numbers and strings, nothing that holds a socket, so a listener that keeps them leaks
nothing. A URL is as `adieu.texts.show_url` shows it, its secrets masked, so a listener may log it. Listeners are called
synchronously and must not block. Every `*_started` is followed by exactly one matching end, whether the exchange
succeeds, fails, is cancelled or interrupted: `leased` by `released` or `closed`, `connect_started` by `connected` or
`connect_failed`. Without a listener an event costs one `is not None`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from adieu.texts import show_url

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CLIENT_CLOSED", "Events", "LeaseInfo", "notify", "report_unraisable"]

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
    """Overwrite the methods that interest you, and give an instance to a client: `Client(events=...)`.

    `connection` is a number that is unique within the process. `url` is for people: user name, password and fragment
    are left out, and the values of parameters that look secret are masked. An exception that a method raises is
    reported through `sys.unraisablehook` and otherwise ignored: a listener cannot break a request.
    """

    def connect_started(self, connection: int, origin: str) -> None:
        """A connection is being opened (DNS, TCP and TLS)."""

    def connected(self, connection: int, seconds: float) -> None:
        """It is open, after this many seconds."""

    def connect_failed(self, connection: int, error: str) -> None:
        """It could not be opened."""

    def leased(self, connection: int, method: str, url: str, reused: bool) -> None:
        """An exchange begins on this connection."""

    def released(self, connection: int) -> None:
        """The exchange has ended and the connection is idle in its pool."""

    def closed(self, connection: int, why: str) -> None:
        """The connection was closed, and why: "exit", "idle", "stale", "surplus bytes", "abandoned", ..."""

    def answered(
        self, connection: int, method: str, url: str, status: int, seconds: float, reused: bool
    ) -> None:
        """The final head of a response has come, so many seconds after its exchange began.

        `connection` is 0 for what had none: an answer out of this process.
        """

    def failed(
        self, connection: int, method: str, url: str, error: str, seconds: float, reused: bool
    ) -> None:
        """An exchange ended before its final head; `error` is the kind: "ReadTimeout", "CancelledError" ..."""

    def redirected(self, method: str, url: str, status: int) -> None:
        """A redirect is followed, with this request."""

    def informational(self, connection: int, status: int) -> None:
        """A 1xx response came before the final one (RFC 9110, section 15.2)."""

    def replayed(self, method: str, url: str) -> None:
        """A kept-alive connection had died, and a safe request was sent once more on a new one (RFC 9110, 9.2.2)."""

    def retrying(self, method: str, url: str, retry: int, wait: float, reason: str) -> None:
        """After `wait` seconds a request is sent once more, for the first, second ... time, because of `reason`.

        That is the status ("503") or the kind of the error ("ConnectTimeout") that the attempt before ended with.
        """

    def cached(self, method: str, url: str, outcome: str, why: str) -> None:
        """What a cache did with a request, and why: "hit", "stale", "revalidated", "miss", "bypassed", "stored".

        The last one follows a miss, once the body has come to its end and a copy of it is stored.
        """

    def leaked(self, lease: LeaseInfo) -> None:
        """A response was dropped unread; its connection has just been closed. May be called by a finalizer."""


def notify(method: Callable[..., object], *facts: object) -> None:
    """Call a listener. An exception is reported as Python reports those of finalizers, and stops nothing."""
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
