"""`check_adapter`: runs the table of scenarios against an adapter, and reports which invariants hold."""

from __future__ import annotations

import asyncio
import inspect
import os
import platform
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from adieu.errors import InvalidRequest
from adieu.lifecycle.steps import adrive, drive
from adieu.testing.check import calls as _calls  # noqa: F401 - fills the table
from adieu.testing.check import exchanges as _exchanges  # noqa: F401 - fills the table
from adieu.testing.check import lives as _lives  # noqa: F401 - fills the table
from adieu.testing.check import settings as _settings  # noqa: F401 - fills the table
from adieu.testing.check.profile import profile
from adieu.testing.check.report import AdapterReport, CheckResult
from adieu.testing.check.site import AppKind, AppSite, NetworkSite
from adieu.testing.check.table import SCENARIOS, Need, Scenario
from adieu.testing.check.trial import Broken, LeftOut, Trial
from adieu.transport.adapter import AdapterBase, base_of, checked_adapter
from adieu.transport.functions import is_awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either

__all__ = ["check_adapter"]

# Seconds that a scenario may take: its waits are bounded, but not those of an adapter that ignores its deadline.
_PATIENCE = 20.0


def check_adapter(
    factory: Callable[..., Either],
    *,
    only: Iterable[str] | None = None,
    app: AppKind | None = None,
) -> AdapterReport:
    """Run the scenarios against adapters that `factory` makes, sync or async (on asyncio), and report.

    The adapters send HTTP/1.1 requests to a `FaultServer` on the loopback address, each scenario with a new one. `only`
    names the scenarios to run. `report.ok` says whether all rules hold, and `print(report)` what was done, seen, and
    where to look.

    A factory with a parameter `limits` gets `adieu.Limits(1)` where a pool has to be full. For adapters that call
    something in this process, `app` says what: "wsgi", "asgi", or "function", a function of a request that returns a
    response. The factory gets it as its argument, and the scenarios of servers are left out.

    Raises `InvalidRequest` for what is no adapter, for one that does not fit `app`, and for unknown names.
    """
    kit = _Kit(factory, app)
    names = list(SCENARIOS) if only is None else list(only)
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise InvalidRequest(
            f"no scenario is called {unknown[0]!r}. There are: {', '.join(SCENARIOS)}"
        )
    results = tuple(kit.result(SCENARIOS[name]) for name in names)
    read = kit.run(profile) if only is None and app is None else None
    return AdapterReport(kit.name, results, None if isinstance(read, str) else read)


class _Kit:
    """What the scenarios of one adapter have in common: how it is made, and what it can."""

    def __init__(self, factory: Callable[..., Either], app: AppKind | None) -> None:
        kinds: tuple[AppKind, ...] = get_args(AppKind)
        if app is not None and app not in kinds:
            raise InvalidRequest(f"app={app!r} is none of {', '.join(kinds)}")
        self._factory = factory
        self._app: AppKind | None = app
        adapter = _first(factory, app)
        self._awaits = bool(
            is_awaited(adapter.send) if hasattr(adapter, "send") else is_awaited(adapter)
        )
        base = base_of(checked_adapter(adapter, awaits=self._awaits))
        self.name = repr(adapter)
        serves_http = not base.schemes or "http" in base.schemes
        if base.is_local == (app is None) or not serves_http:
            raise InvalidRequest(
                f"{adapter!r} sends nothing over http to a server, which is what these scenarios check; "
                "if it calls an app or a function in this process, app= says which"
                if app is None
                else f"{adapter!r} is not local: it sends to a server, and app= is for those that call an app"
            )
        self._has = self._needs_met(not base.schemes or "https" in base.schemes)

    def _needs_met(self, serves_https: bool) -> set[Need]:
        met: dict[Need, bool] = {
            "async": self._awaits,
            "sync": not self._awaits,
            "network": self._app is None,
            "https": serves_https,
            "limits": _takes(self._factory, "limits"),
            "fork": hasattr(os, "fork"),
            "full backlogs": sys.platform == "linux",
            "references": platform.python_implementation() == "CPython",
        }
        return {need for need, is_met in met.items() if is_met}

    def result(self, scenario: Scenario) -> CheckResult:
        """The outcome of a scenario."""
        missing = scenario.needs - self._has
        if missing:
            return CheckResult(scenario, "left out", f"needs {', '.join(sorted(missing))}")
        seen = self.run(scenario.run)
        if isinstance(seen, LeftOut):
            return CheckResult(scenario, "left out", seen.why)
        if seen is None:
            return CheckResult(scenario, "holds")
        return CheckResult(scenario, "broken", seen)

    def run(self, steps: Callable[[Trial], Steps[Any]]) -> Any:
        """What the steps return; a text if a rule did not hold."""
        outcome: list[Any] = []
        # Daemons, and not waited for longer than that: an adapter may wait for ever.
        thread = threading.Thread(
            target=lambda: outcome.append(self._seen(steps)),
            name=f"check_adapter {getattr(steps, '__name__', steps)}",
            daemon=True,
        )
        thread.start()
        thread.join(_PATIENCE)
        return outcome[0] if outcome else f"it did not end within {_PATIENCE:g} s"

    def _seen(self, steps: Callable[[Trial], Steps[Any]]) -> Any:
        if self._app is None:
            with NetworkSite() as server:
                return self._seen_at(steps, server, self._factory)
        site = AppSite()
        return self._seen_at(steps, site, partial(self._factory, site.app(self._app)))

    def _seen_at(
        self,
        steps: Callable[[Trial], Steps[Any]],
        site: AppSite | NetworkSite,
        factory: Callable[..., Either],
    ) -> Any:
        try:
            if self._awaits:
                return asyncio.run(_awaited(steps, Trial(factory, site, awaits=True)))
            return drive(_and_close(steps, Trial(factory, site, awaits=False)))
        except Broken as broken:
            return str(broken)
        except BaseException as error:
            return f"{type(error).__name__}: {error}"


async def _awaited(steps: Callable[[Trial], Steps[Any]], trial: Trial) -> Any:
    return await adrive(_and_close(steps, trial))


def _first(factory: Callable[..., Either], app: AppKind | None) -> Either:
    """An adapter, or an `InvalidRequest` that tells what is wrong with the factory."""
    if not callable(factory):
        raise InvalidRequest(
            f"{factory!r} is an adapter already: give a class or a function that makes a new one"
            if isinstance(factory, AdapterBase)
            else f"{factory!r} is no factory: give a class or a function that makes a new adapter"
        )
    given = () if app is None else (AppSite().app(app),)
    try:
        inspect.signature(factory).bind(*given)
    except ValueError:
        pass  # It has no signature that could be read.
    except TypeError as error:
        raise InvalidRequest(
            f"the factory cannot be called without arguments ({error}): if it takes an app, try app= "
            "(on the command line --app function, wsgi or asgi)"
            if app is None
            else f"the factory cannot be called with the app alone ({error})"
        ) from error
    return factory(*given)


def _takes(factory: Callable[..., object], name: str) -> bool:
    try:
        return name in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # It has no signature that could be read.
        return False


def _and_close(steps: Callable[[Trial], Steps[Any]], trial: Trial) -> Steps[Any]:
    """The steps of a scenario, and the end of its clients; an error of the first counts."""
    try:
        found = yield from steps(trial)
    except BaseException:
        try:
            yield from trial.close_all()
        except Exception:
            pass  # What it broke is known.
        raise
    yield from trial.close_all()
    yield from trial.no_socket("all clients were closed")
    return found
