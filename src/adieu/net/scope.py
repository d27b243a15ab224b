"""The owner of everything that is created while one stream is being opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import ClientClosed, RequestTimeout
from adieu.net.closing import shut

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.net.address_rules import AddressRules
    from adieu.net.closing import Closable
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig

__all__ = ["ConnectScope"]


class ConnectScope:
    """Owner of everything that opening one stream creates, until the stream stands.

    `tls` says how to encrypt, `connect` how to connect, `guard` which addresses are allowed, `remaining()` how long a
    wait may last. `closed`: it was ended, perhaps from another thread. `checked`: the guard was asked.
    """

    __slots__ = (
        "_deadline",
        "_ends_at",
        "_owned",
        "checked",
        "closed",
        "connect",
        "guard",
        "tls",
    )

    def __init__(
        self,
        deadline: Deadline,
        tls: TLSConfig | None,
        connect: Connect | None = None,
        guard: AddressRules | None = None,
    ) -> None:
        self._deadline = deadline
        limit = deadline.timeout.connect
        self._ends_at = None if limit is None else deadline.now() + limit
        self.tls = tls
        self.connect = connect
        self.guard = guard
        self.checked = False
        self._owned: list[Closable] = []
        self.closed = False

    def remaining(self) -> float | None:
        """Seconds left for the name, the connection and TLS together (None: no limit); raises when none is."""
        whole = self._deadline.remaining("connect")
        if self._ends_at is None:
            return whole
        left = self._ends_at - self._deadline.now()
        if left <= 0:
            raise self._deadline.exceeded("connect")
        return left if whole is None or left < whole else whole

    def exceeded(self) -> RequestTimeout:
        """The error to raise when `remaining()` has passed."""
        return self._deadline.exceeded("connect")

    def own(self, thing: Closable) -> None:
        """Take over something with a `close()`, as soon as it exists."""
        self._owned.append(thing)
        if self.closed:
            shut(thing)
            raise ClientClosed("the client was closed while a connection was being opened")

    def close(self) -> None:
        """Close whatever has been made so far. Never raises; any number of calls."""
        self.closed = True
        for thing in reversed(self._owned):  # What watches a socket goes before the socket.
            shut(thing)
