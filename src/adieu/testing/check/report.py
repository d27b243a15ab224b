"""What `check_adapter` has found, as values and as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal, NamedTuple

from adieu.testing.check.table import INVARIANTS, Scenario

if TYPE_CHECKING:
    from adieu.testing.check.profile import ReplyProfile

__all__ = ["AdapterReport", "CheckResult", "State"]

_WIDTH = 98

State = Literal["holds", "broken", "left out"]


class CheckResult(NamedTuple):
    """The outcome of one scenario. `seen`: what was seen instead, or why the scenario was left out."""

    scenario: Scenario
    state: State
    seen: str = ""

    def __str__(self) -> str:
        mark = {"holds": "ok", "broken": "BROKEN", "left out": "-"}[self.state]
        lines = [f"{mark:<8}{self.scenario.name}"]
        if self.state == "left out":
            lines[0] += f" ({self.seen})"
        if self.state == "broken":
            told = (
                ("done", self.scenario.does),
                ("seen", self.seen),
                ("look at", self.scenario.look),
            )
            for name, text in told:
                head = f"        {name}: "
                lines.append(
                    textwrap.fill(text, _WIDTH, initial_indent=head, subsequent_indent=" " * 12)
                )
        return "\n".join(lines)


class AdapterReport(NamedTuple):
    """What `check_adapter` found. As text, it is the table of scenarios by invariant.

    `profile`: how strictly the adapter reads replies; None if only some scenarios were run, or if it reads none. It is
    no rule, so it does not count for `ok`.
    """

    adapter: str
    results: tuple[CheckResult, ...]
    profile: ReplyProfile | None = None

    @property
    def broken(self) -> list[CheckResult]:
        """The scenarios in which a rule did not hold."""
        return [result for result in self.results if result.state == "broken"]

    @property
    def ok(self) -> bool:
        """Every rule that was checked holds."""
        return not self.broken

    def __str__(self) -> str:
        lines = [self.adapter]
        for number, rule in INVARIANTS.items():
            found = [str(each) for each in self.results if each.scenario.invariant == number]
            if found:
                lines += ["", f"{number}. {rule}" if number else rule, *found]
        if self.profile is not None:
            lines += ["", str(self.profile)]
        held = sum(result.state == "holds" for result in self.results)
        left = sum(result.state == "left out" for result in self.results)
        lines += ["", f"{held} hold, {len(self.broken)} are broken, {left} were left out"]
        return "\n".join(lines)
