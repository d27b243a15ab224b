"""Leases: the right to use one connection for one exchange.

A lease is made by an adapter and owned by an exchange. Two members are required, `read` and `finish`; all others have
defaults here, so an adapter that says nothing about them gets the careful answer: not reusable, length unknown, nothing
buffered. The exchange, the body and the pool use no member that is not defined in this module.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import Framing
    from adieu.lifecycle.deadline import Deadline

__all__ = ["AnyLease", "AsyncLease", "Lease", "LeaseBase"]


class LeaseBase:
    """The members of a lease that sync and async share, with their defaults."""

    __slots__ = ()

    @property
    def reusable(self) -> bool:
        """Whether the connection could be used again once the body is complete."""
        return False

    @property
    def framing(self) -> Framing:
        """How the end of the body is marked. "none": there is no body, so the exchange ends with its head."""
        return "close"

    @property
    def received(self) -> int:
        """Raw body bytes that were read so far."""
        return 0

    @property
    def remaining(self) -> int | None:
        """Raw body bytes that are still to come; None: the framing does not tell."""
        return None

    @property
    def reused(self) -> bool:
        """Whether the connection had carried an exchange before this one."""
        return False

    @property
    def age(self) -> float:
        """Seconds since the connection was opened."""
        return 0.0

    @property
    def connection_id(self) -> int:
        """The number of the connection in events and reports, unique within the process; 0: there is none."""
        return 0

    @property
    def trailers(self) -> list[tuple[str, str]] | None:
        """The fields that came after the body, once it is complete (RFC 9110, section 6.5)."""
        return None

    @abstractmethod
    def finish(self, reuse: bool, why: str) -> None:
        """Release the connection, or discard it. Idempotent and synchronous.

        Never raises, never blocks, may be called from any thread and from a finalizer. A `read` that waits at this
        moment has to end with an error.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define finish(reuse, why)")

    @property
    def is_wrapped(self) -> bool:
        """Its bytes go through a function of `response.wrap`, which a read that times out ends for good."""
        return False

    def adopt(self, method: str, url: object, *, is_empty: bool = False) -> None:
        """An exchange becomes the owner of what was given as the body of a response: see `messages.source`."""

    def peek(self) -> bytes | None:
        """Body bytes that are here already, b"" at the end; None: `read` would have to wait, or might."""
        return None

    def take_rest(self) -> bytes | None:
        """The whole rest of the body, if all of it is here; None: it is not, or the lease cannot tell at once.

        After bytes, `peek` and `read` give b"".
        """
        return None

    def inherit(self, former: LeaseBase) -> None:
        """Take over the connection of `former`, whose message is complete, if this lease can use it.

        For schemes that authenticate connections, not requests: see `adieu.lifecycle.pinned`.
        """

    def note_opened_at(self, place: str | None) -> None:
        """A response was handed out unread by this line of the user's: what a `PoolTimeout` shows."""

    def survive_close(self) -> bool:
        """Let the body be read to its end although the client closes. False: this lease cannot."""
        return False

    def keep_content(self, end: Callable[[], object]) -> bool:
        """Call `end` when the lease ends, if the content of the request may be read until then.

        False, and `end` is not called: nothing reads it any more once there is a head, as over a connection.
        """
        return False


class Lease(LeaseBase):
    """The base of leases of sync adapters: define `read` and `finish`, and whatever else the connection can tell."""

    __slots__ = ()

    @abstractmethod
    def read(self, deadline: Deadline) -> bytes:
        """The next raw body bytes; b"" exactly at the end of the message."""
        raise NotImplementedError(f"{type(self).__name__} does not define read(deadline)")

    def stop_wrapping(self) -> Lease:
        """The lease to drain: one that is wrapped around another ends the wrapping, and gives the inner one."""
        return self


class AsyncLease(LeaseBase):
    """The base of leases of async adapters. Only `read` is awaited: ending a lease never waits."""

    __slots__ = ()

    @abstractmethod
    def read(self, deadline: Deadline) -> Awaitable[bytes]:
        """The next raw body bytes; b"" exactly at the end of the message."""
        raise NotImplementedError(f"{type(self).__name__} does not define read(deadline)")

    def stop_wrapping(self) -> AsyncLease:
        """The lease to drain: one that is wrapped around another ends the wrapping, and gives the inner one."""
        return self


AnyLease = Lease | AsyncLease
