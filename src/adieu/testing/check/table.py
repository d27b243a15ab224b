"""The table of scenarios. Each one is bound to the invariant that it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.trial import Trial

__all__ = ["INVARIANTS", "SCENARIOS", "Need", "Scenario", "scenario"]

Need: TypeAlias = Literal[
    "sync", "async", "network", "https", "limits", "fork", "full backlogs", "references"
]
"""What a scenario needs: one kind of adapter; one that sends over a network, that serves https, or whose factory takes
`limits`; a system that forks, or on which connecting to a full backlog does not end; an interpreter that counts
references."""

INVARIANTS: dict[int, str] = {
    0: "the contract of adapters",
    1: "a connection is owned by exactly one of a pool, an exchange, or nobody",
    2: "a lease ends exactly once; ending it never raises and never blocks",
    3: "the owner exists before what it owns",
    4: "an exchange makes no reference cycle",
    5: "a body that is dropped unread gives its connection back, and is reported",
    6: "after close, nothing is open, readers get ClientClosed, and use is refused",
    7: "a response is never answered with another's bytes",
    8: "a request is sent again at most once, and only where that is safe",
    9: "every wait is finite",
    10: "a forked child uses no connection of its parent",
    11: "what the user gave is ended, too",
    12: "a read that failed never ends cleanly later",
    13: "no text shows a secret",
}
"""Those of adieu, by number; 0 is what an adapter owes its middlewares and users besides."""


class Scenario(NamedTuple):
    """`does`: what is done. `look`: where to look if it fails. `run`: its steps."""

    name: str
    invariant: int
    does: str
    look: str
    needs: frozenset[Need]
    run: Callable[[Trial], Steps[Either]]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    invariant: int, *, does: str, look: str, needs: tuple[Need, ...] = ()
) -> Callable[[Callable[[Trial], Steps[Either]]], Callable[[Trial], Steps[Either]]]:
    """Put a function into the table, under its name with hyphens."""

    def add(run: Callable[[Trial], Steps[Either]]) -> Callable[[Trial], Steps[Either]]:
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, invariant, does, look, frozenset(needs), run)
        return run

    return add
