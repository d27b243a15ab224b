"""The owner of everything that is created while one stream is being opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import ClientClosed, RequestTimeout
from adieu.net.closing import shut

if TYPE_CHECKING:
    from collections.abc import Hashable

    from adieu.lifecycle.deadline import Deadline, Wait
    from adieu.lifecycle.reporting import Connecting
    from adieu.net.address_rules import AddressRules
    from adieu.net.closing import Closable
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig

__all__ = ["ConnectScope"]


class ConnectScope:
    """The owner of everything that is created while one stream is being opened.

    `tls` says how to encrypt, `connect` how to connect, `guard` which addresses are allowed, `remaining()` how long a
    wait may last. `closed`: `close` was called, perhaps by another thread. `checked`: a guard checked the addresses.
    `peer`: the key of the connection in its pool, or the proxy while TLS leads only to that; a TLS session is resumed
    between equal ones. None: no session is.
    """

    __slots__ = (
        "_deadline",
        "_ends_at",
        "_owned",
        "checked",
        "closed",
        "connect",
        "events",
        "guard",
        "peer",
        "tls",
    )

    def __init__(
        self,
        deadline: Deadline,
        tls: TLSConfig | None,
        connect: Connect | None = None,
        guard: AddressRules | None = None,
        peer: Hashable = None,
    ) -> None:
        self._deadline = deadline
        limit = deadline.timeout.connect
        self._ends_at = None if limit is None else deadline.now() + limit
        self.tls = tls
        self.connect = connect
        self.guard = guard
        self.peer = peer
        self.checked = False
        # Tells the listeners, if there are any.
        self.events: Connecting | None = None
        self._owned: list[Closable] = []
        self.closed = False

    def remaining(self, wait: Wait = "connect") -> float | None:
        """Seconds left for lookup, connecting and TLS together, whatever is waited for (None: no limit).

        Raises `RequestTimeout` when none are left.
        """
        whole = self._deadline.remaining("connect")
        if self._ends_at is None:
            return whole
        left = self._ends_at - self._deadline.now()
        if left <= 0:
            raise self._deadline.exceeded("connect")
        return left if whole is None or left < whole else whole

    def exceeded(self) -> RequestTimeout:
        """The error to raise when the time of `remaining()` is over."""
        return self._deadline.exceeded("connect")

    def own(self, thing: Closable) -> None:
        """Take over something with a `close()`, as soon as it exists."""
        self._owned.append(thing)
        if self.closed:
            shut(thing)
            raise ClientClosed("the client was closed while a connection was being opened")

    def close(self) -> None:
        """Close everything that was created so far. Never raises; any number of calls."""
        self.closed = True
        for thing in reversed(self._owned):  # A stream or a race is closed before its sockets.
            shut(thing)
