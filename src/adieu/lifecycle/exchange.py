"""The exchange and its lease: the owner exists before the thing it owns, and the lease ends exactly once.

Theory of operation: the client makes an `Exchange` before any connection is looked for. An adapter that gets a
connection hands its lease over at once (`exchange.own(lease)`); from then on whoever ends the exchange ends the lease:
the body at its end or when it is closed, the client when anything raises, and if everybody forgot, the finalizer.
There is no line between these at which an interrupt or a cancellation finds a connection without an owner.

Nothing here refers upwards: an exchange knows neither the response nor the client, so dropping the last reference to
a response frees the whole chain without a collector.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from adieu.lifecycle.cleanup import CleanupPolicy, View
from adieu.lifecycle.events import Events, LeaseInfo, notify

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline

__all__ = ["AnyLease", "AsyncLease", "BackupFinalizer", "Exchange", "Lease", "caller"]

# Frames of these packages, and of adapters (which are called adieu_something), are not the place where the user opened
# a response.
_OURS = ("adieu", "contextlib")


class _Ending(Protocol):
    @property
    def reusable(self) -> bool:
        """Could be released if the body were complete."""
        ...

    def finish(self, reuse: bool, why: str) -> None:
        """Release or discard. Idempotent and synchronous; never raises, never blocks, may run in a finalizer."""
        ...


class Lease(_Ending, Protocol):
    """The right to use one connection for one exchange: what an adapter hands to the exchange.

    Optional attributes, looked up by name: `framing`, `received`, `remaining`, `reused`, `age`, `connection_id`
    (what a policy's `View` shows), `peek() -> bytes | None` (body bytes that are already here; None: not yet),
    `trailers` (the fields that came after the body, as pairs, or None), and `inherit(former)` (take the connection over
    from a lease whose message is complete, if it can be used: see `adieu.lifecycle.pinned`).
    """

    def read(self, deadline: Deadline) -> bytes:
        """The next raw body bytes; b"" exactly at the end of the message."""
        ...


class AsyncLease(_Ending, Protocol):
    """A `Lease` whose `read` is awaited. Its `finish` is not: ending a lease never waits."""

    def read(self, deadline: Deadline) -> Awaitable[bytes]: ...


AnyLease = Lease | AsyncLease


class Exchange:
    """One request, its response, and the one connection that carries both.

    `deadline`: the running clock of the call. `policy`: the cleanup policy in force. `tls`: the TLS settings.
    `connect`: how TCP connections are made. `guard`: which addresses may be connected to (None: all). `route`: the
    proxy that the client has chosen (None: the direct way). `events`: the listener or None. `hop`: 0 for the first
    exchange of a call. `max_body`: the most bytes of a body that is read whole (None: no bound). `extras`: what a
    caller passes to an adapter by name; unknown names are ignored.
    """

    __slots__ = (
        "connect",
        "deadline",
        "events",
        "extras",
        "guard",
        "hop",
        "lease",
        "max_body",
        "method",
        "opened_at",
        "policy",
        "route",
        "tls",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: object,
        deadline: Deadline,
        policy: CleanupPolicy,
        *,
        tls: Any = None,
        connect: Any = None,
        events: Events | None = None,
        hop: int = 0,
        extras: Mapping[str, object] | None = None,
        max_body: int | None = None,
        route: Any = None,
    ) -> None:
        self.lease: Any = None
        self.method = method
        self.url = url
        self.deadline = deadline
        self.policy = policy
        self.tls = tls
        self.connect = connect
        self.guard: Any = None
        self.events = events
        self.hop = hop
        self.extras = extras
        self.max_body = max_body
        self.route = route
        self.opened_at: str | None = None

    def own(self, lease: AnyLease) -> None:
        """Take the lease over. An earlier one that was not finished is discarded: an exchange has one connection."""
        former = self.lease
        self.lease = lease
        if former is not None and former is not lease:
            former.finish(False, "replaced")

    def end(self, reuse: bool, why: str) -> None:
        """End the lease, if there is one. Any number of calls, from any thread; the first one counts."""
        lease = self.lease
        if lease is not None:
            try:
                lease.finish(reuse, why)
            except BaseException:
                lease.finish(False, why)  # An interrupt: it is told when the lease is over.
                self.lease = None
                raise
            # Last: had an interrupt hit before, the next call or the finalizer would end the lease again.
            self.lease = None

    def view(self, status: int) -> View:
        """The snapshot that policies decide on."""
        lease = self.lease
        get = getattr
        return View(
            self.method,
            str(self.url),
            status,
            get(lease, "framing", "close"),
            get(lease, "received", 0),
            get(lease, "remaining", None),
            get(lease, "reusable", False),
            get(lease, "reused", False),
            get(lease, "age", 0.0),
            self.hop,
        )

    def info(self) -> LeaseInfo:
        """The description of the lease that a leak report or a `PoolTimeout` prints."""
        return self._about(self.lease)

    def _about(self, lease: object) -> LeaseInfo:
        number = getattr(lease, "connection_id", 0)
        seconds = self.deadline.elapsed()
        return LeaseInfo(number, self.method, str(self.url), seconds, self.opened_at)

    def finalize(self) -> None:
        """The last reference has gone: end the lease and report it, if that has not been done."""
        lease = getattr(self, "lease", None)  # An interrupt can fall into the constructor, too.
        if lease is None:
            return
        try:
            self.end(False, "abandoned")
        finally:
            self.end(
                False, "abandoned"
            )  # See `BackupFinalizer`; the second time there is nothing to do.
        info = self._about(lease)
        if self.events is not None:
            notify(self.events.leaked, info)
        self.policy.on_abandoned(info)

    __del__ = finalize


class BackupFinalizer:
    """A second finalizer for an exchange whose body is handed out open.

    An interrupt that falls into a finalizer is printed and forgotten, and that finalizer is not called again: the place
    in the pool would be lost for good. It cannot fall into both.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __del__(self) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is not None:
            exchange.finalize()


def caller() -> str | None:
    """The "file.py:12 in function" of the nearest frame outside adieu: the place a leak report names."""
    frame = sys._getframe(1)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _OURS and not package.startswith("adieu_"):
            code = frame.f_code
            return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return None
