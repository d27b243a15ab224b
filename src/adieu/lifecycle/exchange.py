"""The owner of a lease: it exists before the connection does, and the lease ends exactly once.

Theory of operation: the client makes an exchange before any connection is looked for. An adapter that gets a connection
hands its lease over at once (`exchange.own(lease)`). From then on the lease is ended by whatever ends the exchange: the
body at its end or when it is closed, the client when anything raises, and as a last resort the finalizer. There is no
line between these at which an interrupt or a cancellation finds a connection without an owner.

Nothing here refers upwards: an exchange knows neither the response nor the client, so dropping the last reference to a
response frees the whole chain without a collector.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.cleanup import CleanupPolicy, View
from adieu.lifecycle.events import LeaseInfo
from adieu.lifecycle.lease import LeaseBase
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.events import Event
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.lease import AnyLease
    from adieu.lifecycle.reporting import ExchangeReport

__all__ = ["BackupFinalizer", "ExchangeBase", "caller", "skip_frames_of"]

# Frames of these packages, and of adapters (whose packages are called adieu_something), are skipped when a report names
# the line of the user's that opened a response.
_OWN_PACKAGES = {"adieu", "asyncio", "concurrent", "contextlib", "threading"}


class _NoLease(LeaseBase):
    """The facts of an exchange that owns no lease."""

    __slots__ = ()

    def finish(self, reuse: bool, why: str) -> None:
        """Nothing: there is nothing to end."""


_NO_LEASE = _NoLease()


class ExchangeBase:
    """One request, its response, and the lease of the one connection that carries both.

    `deadline`: the running clock of the call. `policy`: the cleanup policy in force. `events`: tells the listeners;
    None: there are none. `hop`: 0 for the first exchange of a call. `max_body`: the most bytes of a body that is read
    whole (None: no bound). `status`: the response's, once there is one. `opened_at`: the line of the user's that
    opened the response, if it was handed out unread.
    """

    # `former` and `pin` are those of `lifecycle.pinned`: a mixin can have no slots of its own.
    __slots__ = (
        "deadline",
        "events",
        "former",
        "hop",
        "lease",
        "max_body",
        "method",
        "opened_at",
        "pin",
        "policy",
        "status",
        "url",
    )

    lease: AnyLease | None

    def __init__(
        self,
        method: str,
        url: object,
        deadline: Deadline,
        policy: CleanupPolicy,
        events: ExchangeReport | None = None,
        hop: int = 0,
        max_body: int | None = None,
    ) -> None:
        self.lease = None
        self.method = method
        self.url = url
        self.deadline = deadline
        self.policy = policy
        self.events = events
        self.hop = hop
        self.max_body = max_body
        self.status = 0
        self.opened_at: str | None = None

    def own(self, lease: AnyLease) -> None:
        """Take the lease over. An earlier one that was not finished is discarded: an exchange has one connection."""
        if not isinstance(lease, LeaseBase):
            raise InvalidRequest(
                f"exchange.own() takes an adieu.Lease or adieu.AsyncLease, not {lease!r}: "
                "derive its class from one of them"
            )
        former = self.lease
        self.lease = lease
        if former is not None and former is not lease:
            former.finish(False, "replaced")

    def wrap(self, lease: AnyLease) -> None:
        """Own a lease that goes around the present one, and ends it when it ends."""
        self.lease = lease

    def end(self, reuse: bool, why: str) -> None:
        """End the lease, if there is one. Idempotent, from any thread; the first one counts."""
        lease = self.lease
        if lease is not None:
            try:
                lease.finish(reuse, why)
            except BaseException:
                lease.finish(False, why)  # An interrupt: it is raised once the lease is over.
                self.lease = None
                if self.events is not None:
                    self.events.lease_ended(why, lease.received, lease.connection_id)
                raise
            # Last: had an interrupt hit before, the next call or the finalizer would end the lease again.
            self.lease = None
            if self.events is not None:
                self.events.lease_ended(why, lease.received, lease.connection_id)

    def tell(self, event: Event) -> None:
        """Tell the listeners, if there are any, of something that happened in this exchange: for adapters.

        The time and the ids of the event are added here. An event that takes work to make is made only if there is a
        listener: `if exchange.events is not None`.
        """
        if self.events is not None:
            lease = self.lease
            self.events.tell(event, 0 if lease is None else lease.connection_id)

    def keeps_lease(self) -> bool:
        """Whether the lease goes on although the body is complete: see `adieu.lifecycle.pinned`."""
        return False

    def view(self) -> View:
        """The snapshot that policies decide on."""
        lease = self.lease or _NO_LEASE
        return View(
            self.method,
            str(self.url),
            self.status,
            lease.framing,
            lease.received,
            lease.remaining,
            lease.reusable,
            lease.reused,
            lease.age,
            self.hop,
        )

    def info(self) -> LeaseInfo:
        """The description of the lease that a leak report or a `PoolTimeout` prints."""
        return self._describe(self.lease or _NO_LEASE)

    def _describe(self, lease: LeaseBase) -> LeaseInfo:
        seconds = self.deadline.elapsed()
        return LeaseInfo(
            lease.connection_id, self.method, show_url(self.url), seconds, self.opened_at
        )

    def finalize(self) -> None:
        """The last reference is gone: end the lease and report it, if that has not been done."""
        try:
            lease = self.lease
        except AttributeError:
            return  # An interrupt in the constructor.
        if lease is not None:
            self._abandon()

    @quiet_at_exit
    def _abandon(self) -> None:
        lease = self.lease or _NO_LEASE
        try:
            self.end(False, "abandoned")
        finally:
            # See `BackupFinalizer`; the second time there is nothing to do.
            self.end(False, "abandoned")
        info = self._describe(lease)
        if self.events is not None:
            self.events.leaked(*info)
        self.policy.on_abandoned(info)

    __del__ = finalize

    def __repr__(self) -> str:
        state = (
            "no lease" if self.lease is None else f"lease of connection {self.lease.connection_id}"
        )
        return (
            f"<{type(self).__name__} {self.method} {show_url(self.url)}, hop {self.hop}: {state}>"
        )


class BackupFinalizer:
    """A second finalizer for an exchange whose body is handed out open.

    An interrupt that falls into a finalizer is printed and forgotten, and that finalizer is not called again: the place
    in the pool would be lost for good. It cannot fall into both.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: ExchangeBase) -> None:
        self._exchange = exchange

    @quiet_at_exit
    def __del__(self) -> None:
        try:
            exchange = self._exchange
        except AttributeError:
            return  # An interrupt in the constructor.
        exchange.finalize()


def skip_frames_of(package: str) -> None:
    """Skip the lines of this package, too, where a report names the line of the user's that opened a response.

    For an adapter that serves another client: its users call that one.
    """
    _OWN_PACKAGES.add(package)


def caller() -> str | None:
    """The "file.py:12 in function" of the nearest frame outside adieu: the place a leak report names."""
    frame = sys._getframe(1)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _OWN_PACKAGES and not package.startswith("adieu_"):
            code = frame.f_code
            return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return None
