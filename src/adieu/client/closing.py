"""How a client closes: every body that is still open, every adapter, and the report of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from adieu.lifecycle.cleanup import STREAM

if TYPE_CHECKING:
    from adieu.lifecycle.body import BodyCore
    from adieu.lifecycle.steps import Steps
    from adieu.transport.adapter import Adapter

__all__ = ["CloseReport", "closing"]


class CloseReport(NamedTuple):
    """What `close()` found: how many connections were idle, how many in use, and who held those."""

    idle: int
    in_use: int
    holders: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing was in use."""
        return not self.in_use and not self.holders

    def __str__(self) -> str:
        held = f": {'; '.join(self.holders)}" if self.holders else ""
        return f"closed {self.idle} idle connections and {self.in_use} in use{held}"


def closing(
    bodies: Iterable[BodyCore], adapters: Callable[[], Iterable[Adapter]]
) -> Steps[CloseReport]:
    """End the bodies as their policies say, then close the adapters, all of them, whatever one of them raises."""
    holders = []
    failure: BaseException | None = None
    for body in bodies:
        if body.state != "OPEN":
            continue
        try:
            holders.append(str(body.exchange.info()))
            lease = body.exchange.lease
            wish = body.exchange.policy.on_client_close(body.view())
            if wish is STREAM and hasattr(lease, "survives_close"):
                lease.survives_close = True
            else:
                body.cut_off()
        except BaseException as error:
            # The policy's own, or an interrupt: told when everything is closed.
            failure = error
            body.cut_off()
    idle = in_use = 0
    for adapter in adapters():
        try:
            counts = yield adapter.close()
        except GeneratorExit:
            raise
        except BaseException as error:
            failure = error
            continue
        match counts:  # An adapter without connections may return anything.
            case (int(closed_idle), int(closed_in_use), *_):
                idle, in_use = idle + closed_idle, in_use + closed_in_use
    try:
        if failure is not None:
            raise failure
    finally:
        del failure  # Or the exception's traceback would refer to the exception: a cycle.
    return CloseReport(idle, in_use + len(holders), tuple(holders))
