"""How a client closes: every body and WebSocket that is still open, every adapter, and the report of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from adieu.lifecycle.limits import CloseReport

if TYPE_CHECKING:
    from adieu.lifecycle.events import LeaseInfo
    from adieu.lifecycle.steps import Steps
    from adieu.transport.adapter import Adapter

__all__ = ["CloseReport", "EndsWithClient", "closing"]


class EndsWithClient(Protocol):
    """What a client returns open: a body, a WebSocket."""

    def end_with_client(self) -> str | None:
        """The client closes: end as the policy says. Returns what it held, for the report; None: it was over."""
        ...

    def held_outside(self) -> LeaseInfo | None:
        """What is held, if no pool of an adapter knows of it; None: nothing."""
        ...

    def cut_off(self) -> None:
        """The client has closed already: end at once."""
        ...


def closing(
    held: Iterable[EndsWithClient], adapters: Callable[[], Iterable[Adapter]]
) -> Steps[CloseReport]:
    """End what is open as its policy says, then close the adapters, all of them, whatever one of them raises."""
    holders = []
    failure: BaseException | None = None
    for each in held:
        try:
            if (holder := each.end_with_client()) is not None:
                holders.append(holder)
        except BaseException as error:
            # The policy's own, or an interrupt: raised when everything is closed.
            failure = error
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
