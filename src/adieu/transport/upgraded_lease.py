"""The lease of a connection that has changed to another protocol, until a new owner has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from adieu.errors import BodyClosed
from adieu.lifecycle.lease import Lease, LeaseBase

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.transport.async_upgrade import AsyncUpgraded
    from adieu.transport.upgrade import Upgraded

__all__ = ["UpgradedLease"]


class UpgradedLease(Lease):
    """Lets an exchange own an upgraded connection, sync or async, that has left its pool.

    Whatever fails between the 101 and the user, a hook say, ends it with the exchange. `former`: the lease over which
    the 101 came, for its facts; it ends too if it has not yet.
    """

    __slots__ = ("_former", "upgraded")

    def __init__(self, upgraded: Upgraded | AsyncUpgraded, former: LeaseBase | None = None) -> None:
        self.upgraded = upgraded
        self._former = former

    @property
    def age(self) -> float:
        return 0.0 if self._former is None else self._former.age

    @property
    def connection_id(self) -> int:
        return 0 if self._former is None else self._former.connection_id

    @property
    def reused(self) -> bool:
        return self._former is not None and self._former.reused

    def read(self, deadline: Deadline) -> NoReturn:
        raise BodyClosed("this connection speaks another protocol now: there is no body")

    def finish(self, reuse: bool, why: str) -> None:
        try:
            if self._former is not None:
                self._former.finish(False, why)
        finally:
            self.upgraded.end()
