"""`check_adapter`: runs the table of scenarios against an adapter, and reports which invariants hold."""

from __future__ import annotations

import asyncio
import os
import platform
import textwrap
import threading
from typing import TYPE_CHECKING, Literal, NamedTuple

from adieu.errors import InvalidRequest
from adieu.lifecycle.steps import adrive, drive
from adieu.testing.check import exchanges as _exchanges  # noqa: F401 - fills the table
from adieu.testing.check import lives as _lives  # noqa: F401 - fills the table
from adieu.testing.check.table import INVARIANTS, SCENARIOS, Scenario
from adieu.testing.check.trial import Broken, Trial
from adieu.testing.faults import FaultServer
from adieu.transport.adapter import base_of, checked_adapter
from adieu.transport.functions import is_awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either

__all__ = ["AdapterReport", "CheckResult", "check_adapter"]

# Seconds that a scenario may take: its waits are bounded, but not those of an adapter that ignores its deadline.
_PATIENCE = 20.0
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
    """What `check_adapter` found. As text, it is the table of scenarios by invariant."""

    adapter: str
    results: tuple[CheckResult, ...]

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
        held = sum(result.state == "holds" for result in self.results)
        left = sum(result.state == "left out" for result in self.results)
        lines += ["", f"{held} hold, {len(self.broken)} are broken, {left} were left out"]
        return "\n".join(lines)


def check_adapter(
    factory: Callable[[], Either], *, only: Iterable[str] | None = None
) -> AdapterReport:
    """Run the scenarios against adapters that `factory` makes, sync or async (on asyncio), and report.

    The adapters send HTTP/1.1 requests to a `FaultServer` on the loopback address, each scenario with a new one. `only`
    names the scenarios to run. `report.ok` says whether all rules hold, and `print(report)` what was done, seen, and
    where to look. Raises `InvalidRequest` for what is no adapter, for one that serves no http, and for unknown names.
    """
    adapter = factory()
    awaits = bool(is_awaited(adapter.send) if hasattr(adapter, "send") else is_awaited(adapter))
    base = base_of(checked_adapter(adapter, awaits=awaits))
    if base.is_local or (base.schemes and "http" not in base.schemes):
        raise InvalidRequest(
            f"{adapter!r} sends nothing over http to a server, which is what these scenarios check"
        )
    names = list(SCENARIOS) if only is None else list(only)
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise InvalidRequest(
            f"no scenario is called {unknown[0]!r}. There are: {', '.join(SCENARIOS)}"
        )
    has = {"async" if awaits else "sync"}
    has |= {"fork"} if hasattr(os, "fork") else set()
    has |= {"https"} if not base.schemes or "https" in base.schemes else set()
    has |= {"references"} if platform.python_implementation() == "CPython" else set()
    results = [_result(SCENARIOS[name], factory, awaits, has) for name in names]
    return AdapterReport(repr(adapter), tuple(results))


def _result(
    scenario: Scenario, factory: Callable[[], Either], awaits: bool, has: set[str]
) -> CheckResult:
    missing = scenario.needs - has
    if missing:
        return CheckResult(scenario, "left out", f"needs {', '.join(sorted(missing))}")
    outcome: list[str | None] = []
    # Daemons, and not waited for longer than that: an adapter may wait for ever.
    thread = threading.Thread(
        target=lambda: outcome.append(_seen(scenario, factory, awaits)),
        name=f"check_adapter {scenario.name}",
        daemon=True,
    )
    thread.start()
    thread.join(_PATIENCE)
    seen = outcome[0] if outcome else f"it did not end within {_PATIENCE:g} s"
    return CheckResult(scenario, "holds") if seen is None else CheckResult(scenario, "broken", seen)


def _seen(scenario: Scenario, factory: Callable[[], Either], awaits: bool) -> str | None:
    """Run a scenario. Returns what was seen where a rule does not hold; None: it holds."""
    with FaultServer() as server:
        try:
            if awaits:
                asyncio.run(_async_trial(scenario, factory, server))
            else:
                trial = Trial(factory, server, awaits=False)
                drive(_and_close(trial, scenario))
        except Broken as broken:
            return str(broken)
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    return None


async def _async_trial(
    scenario: Scenario, factory: Callable[[], Either], server: FaultServer
) -> None:
    trial = Trial(factory, server, awaits=True)
    await adrive(_and_close(trial, scenario))


def _and_close(trial: Trial, scenario: Scenario) -> Steps[None]:
    """The steps of a scenario, and the end of its clients; an error of the first counts."""
    try:
        yield from scenario.run(trial)
    except BaseException:
        try:
            yield from trial.close_all()
        except Exception:
            pass  # What it broke is known.
        raise
    yield from trial.close_all()
    yield from trial.no_socket("all clients were closed")
