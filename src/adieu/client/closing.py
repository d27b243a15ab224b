"""How a client closes: every body that is still open, every adapter, and the report of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from adieu.lifecycle.body_state import BodyState
from adieu.lifecycle.cleanup import STREAM, checked_answer
from adieu.lifecycle.limits import CloseReport

if TYPE_CHECKING:
    from adieu.lifecycle.body_steps import BodyBase
    from adieu.lifecycle.steps import Steps
    from adieu.transport.adapter import Adapter

__all__ = ["CloseReport", "closing"]


def closing(
    bodies: Iterable[BodyBase], adapters: Callable[[], Iterable[Adapter]]
) -> Steps[CloseReport]:
    """End the bodies as their policies say, then close the adapters, all of them, whatever one of them raises."""
    holders = []
    failure: BaseException | None = None
    for body in bodies:
        if body.state not in (BodyState.OPEN, BodyState.BUFFERED):
            continue
        lease = body.lease
        try:
            if lease is not None:
                holders.append(str(body.exchange.info()))
            policy = body.exchange.policy
            wish = checked_answer(policy, "on_client_close", policy.on_client_close(body.view()))
            if wish is not STREAM or not (lease is None or lease.survive_close()):
                body.cut_off()
        except BaseException as error:
            # The policy's own, or an interrupt: raised when everything is closed.
            failure = error
            body.cut_off()
    idle = in_use = 0
    for adapter in adapters():
        try:
            report = yield adapter.close()
        except GeneratorExit:
            raise
        except BaseException as error:
            failure = error
            continue
        if isinstance(report, CloseReport):
            idle, in_use = idle + report.idle, in_use + report.in_use
    try:
        if failure is not None:
            raise failure
    finally:
        del failure  # Or the exception's traceback would refer to the exception: a cycle.
    return CloseReport(idle, in_use + len(holders), tuple(holders))
