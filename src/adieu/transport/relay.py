"""An exchange between a client of one kind and an adapter of the other: what `to_async` and `to_sync` share.

The adapter gets an exchange of its own kind, a relay. What the relay owns, the real exchange owns the moment it is
owned, in a lease of the real one's kind. So whatever ends the real exchange ends the adapter's lease, from any thread,
as the contract of leases allows. A lease that comes when the caller has given up is ended at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.errors import ClientClosed
from adieu.lifecycle.lease import LeaseBase
from adieu.texts import show_url
from adieu.transport.exchange import ExchangeCore

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.cleanup import Framing
    from adieu.messages.response_head import ResponseHead

__all__ = ["Relay", "RelayedLease", "continued"]


class Relay(ExchangeCore):
    """Mixed into an exchange of the adapter's kind."""

    __slots__ = ("_given_up", "_outer", "_owned")

    _outer: Any
    _owned: Any
    _given_up: bool

    def relay_for(self, outer: ExchangeCore) -> None:
        """Take over the settings of the real exchange, which owns what this one owns."""
        self.copy_settings(outer)
        self._outer = outer
        self._owned = None
        self._given_up = False

    def lease_around(self, lease: Any) -> RelayedLease:
        """The lease of the real exchange's kind around one of the adapter's."""
        raise NotImplementedError(f"{type(self).__name__} does not define lease_around(lease)")

    def own(self, lease: Any) -> None:
        if lease is self.lease:
            return
        super().own(lease)
        self._share(lease)

    def wrap(self, lease: Any) -> None:
        super().wrap(lease)
        owned = self._owned
        if owned is None or self._outer.lease is not owned:
            raise ClientClosed(f"{self.method} {show_url(self.url)} was given up by its caller")
        owned.lease = lease

    def _share(self, lease: Any) -> None:
        """Let the real exchange own the lease, too."""
        outer, former = self._outer, self._owned
        if not self._given_up:
            self._owned = owned = self.lease_around(lease)
            if former is not None and outer.lease is former:
                outer.lease = owned  # Its inner lease is over; `outer.own` would end its place, too, which is needed.
            else:
                outer.own(owned)
            # Asked again, because `give_up` may have looked just before that.
            if not self._given_up:
                return
            if outer.lease is owned:
                outer.lease = None
        super().end(False, "cancelled")
        raise ClientClosed(f"{self.method} {show_url(self.url)} was given up by its caller")

    def give_up(self, why: str) -> None:
        """The caller has stopped waiting."""
        self._given_up = True
        self._outer.end(False, why)

    def hand_over(self) -> None:
        """The adapter has returned: its changes of the exchange go to the real one."""
        if self._given_up:
            return
        self._outer.policy = self.policy
        if self.lease is None:
            self._outer.end(False, "ended by the adapter")

    def disown(self) -> None:
        """The real exchange alone owns the lease from now on."""
        self.lease = None


class RelayedLease(LeaseBase):
    """Mixed into a lease around one of the other kind: its facts. `lease` is the inner one."""

    __slots__ = ()

    lease: Any

    @property
    def is_wrapped(self) -> bool:
        wrapped: bool = self.lease.is_wrapped
        return wrapped

    @property
    def reusable(self) -> bool:
        reusable: bool = self.lease.reusable
        return reusable

    @property
    def framing(self) -> Framing:
        framing: Framing = self.lease.framing
        return framing

    @property
    def received(self) -> int:
        received: int = self.lease.received
        return received

    @property
    def remaining(self) -> int | None:
        remaining: int | None = self.lease.remaining
        return remaining

    @property
    def reused(self) -> bool:
        reused: bool = self.lease.reused
        return reused

    @property
    def age(self) -> float:
        age: float = self.lease.age
        return age

    @property
    def connection_id(self) -> int:
        number: int = self.lease.connection_id
        return number

    @property
    def trailers(self) -> list[tuple[str, str]] | None:
        trailers: list[tuple[str, str]] | None = self.lease.trailers
        return trailers

    def note_opened_at(self, place: str | None) -> None:
        self.lease.note_opened_at(place)

    def inherit(self, former: LeaseBase) -> None:
        if isinstance(former, RelayedLease):
            self.lease.inherit(former.lease)

    def keep_content(self, end: Callable[[], object]) -> bool:
        keeps: bool = self.lease.keep_content(end)
        return keeps


def continued(response: ResponseHead, raw: bytes | None, exchange: Any) -> Any:
    """The response of the adapter for readers of the other kind. `raw`: its body, if that is in memory."""
    other = exchange.respond(
        response.status_code,
        response.headers,
        raw,
        reason=response.reason,
        http_version=response.http_version,
    )
    if raw is None and exchange.lease is None:
        other.attach(None)  # It was closed unread.
    other.take_facts(response, shared=True)
    return other
