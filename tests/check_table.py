"""The table of docs/checked-adapters.md: what `check_adapter` finds of the adapters here. It takes about a minute.

    PYTHONPATH=tests python -m check_table            # writes the tables into the page
    PYTHONPATH=tests python -m check_table --check    # exit status 1 if the page says something else

A rule that is broken needs its reason in `REASONS`, and a reason a rule that is broken. How strictly other libraries
read depends on their versions, so `--check` does not compare these numbers.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
from requests.adapters import HTTPAdapter

from adieu.testing import MockAdapter, check_adapter
from adieu.testing.check.table import INVARIANTS, SCENARIOS
from adieu_asgi import ASGIAdapter, AsyncASGIAdapter
from adieu_cache import AsyncCacheAdapter, CacheAdapter
from adieu_close import AsyncCloseAdapter, CloseAdapter
from adieu_h11 import AsyncH11Adapter, H11Adapter
from adieu_httpx.httpx2 import AsyncHttpxAdapter, HttpxAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_requests import RequestsAdapter
from adieu_urllib3 import Urllib3Adapter
from adieu_wsgi import WSGIAdapter
from testing.mutants import example, source

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.check.report import AdapterReport
    from adieu.testing.check.site import AppKind

PAGE = Path(__file__).parents[1] / "docs/checked-adapters.md"
BEGIN, END = "<!-- made by tests/check_table.py -->\n", "<!-- end -->\n"


class Checked(NamedTuple):
    """An adapter: its factories, for sync and async clients, and what it depends on besides adieu."""

    name: str
    factories: tuple[Callable[..., Any], ...]
    app: AppKind | None = None
    libraries: tuple[str, ...] = ()


def mock(answer: Callable[..., Any]) -> MockAdapter:
    made = MockAdapter()
    made.on("*", "http://app.invalid", answer)
    return made


ADAPTERS = [
    Checked("native", (NativeAdapter, AsyncNativeAdapter)),
    Checked("h11", (H11Adapter, AsyncH11Adapter)),
    Checked("urllib3", (Urllib3Adapter,)),
    Checked("close", (CloseAdapter, AsyncCloseAdapter)),
    Checked("cache", (CacheAdapter, AsyncCacheAdapter)),
    Checked("wsgi", (WSGIAdapter,), "wsgi"),
    Checked("asgi", (ASGIAdapter, AsyncASGIAdapter), "asgi"),
    Checked("mock", (mock,), "function"),
    Checked("example", (example(source()),), libraries=("Python",)),
    Checked(
        "requests",
        (lambda: RequestsAdapter(HTTPAdapter()),),
        libraries=("Python", "requests", "urllib3"),
    ),
    Checked(
        "httpx2",
        (
            lambda: HttpxAdapter(httpx2.HTTPTransport()),
            lambda: AsyncHttpxAdapter(httpx2.AsyncHTTPTransport()),
        ),
        libraries=("httpx2", "h11"),
    ),
]

REASONS = {
    ("mock", "a-closed-adapter-is-refused"): (
        "it holds nothing, and may serve one client after the other"
    ),
    ("requests", "interim-answers-are-read-past"): (
        "`http.client` takes one such as 103 for the last one; the bridge makes it a `ProtocolError`"
    ),
    ("httpx2", "surplus-bytes-answer-no-request"): (
        "httpcore does not look at what it has read already, so the next call fails"
    ),
    ("httpx2", "a-socket-call-that-fails-leaves-nothing"): (
        "httpcore leaves a socket to the collector of which an option cannot be set"
    ),
}


class Column(NamedTuple):
    """What was found of one adapter. `cells`: a word for each scenario."""

    cells: dict[str, str]
    profile: str


def installed(library: str) -> str:
    """Its version."""
    if library == "Python":
        return ".".join(platform.python_version_tuple()[:2])
    return version(library)


def measured(adapter: Checked) -> Column:
    """The column of an adapter, for its sync and its async kind together."""
    reports = [_report(adapter, factory) for factory in adapter.factories]
    cells = {name: _cell(adapter, name, reports) for name in SCENARIOS}
    profiles = {_profile(report) for report in reports}
    return Column(cells, " / ".join(sorted(profiles)))


def _report(adapter: Checked, factory: Callable[..., Any]) -> AdapterReport:
    """What is found; what is broken is tried once more, for a busy machine can exceed the kit's time limits."""
    report = check_adapter(factory, app=adapter.app)
    again = [
        result.scenario.name
        for result in report.broken
        if (adapter.name, result.scenario.name) not in REASONS
    ]
    better = {
        result.scenario.name: result
        for result in check_adapter(factory, app=adapter.app, only=again).results
    }
    results = tuple(better.get(result.scenario.name, result) for result in report.results)
    return report._replace(results=results)


def _cell(adapter: Checked, name: str, reports: list[AdapterReport]) -> str:
    results = [r for report in reports for r in report.results if r.scenario.name == name]
    states = {result.state for result in results}
    if "broken" in states:
        if (adapter.name, name) not in REASONS:
            seen = "; ".join(result.seen for result in results)
            sys.exit(f"{adapter.name} breaks {name}, for no reason in REASONS: {seen}")
        return "**no**"
    if (adapter.name, name) in REASONS:
        sys.exit(f"{adapter.name} does not break {name}: REASONS says that it does")
    return "yes" if "holds" in states else ""


def _profile(report: AdapterReport) -> str:
    return "" if report.profile is None else " | ".join(str(len(each)) for each in report.profile)


def table(columns: dict[str, Column]) -> str:
    """The text of the page between its marks."""
    names = [adapter.name for adapter in ADAPTERS]
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for number, rule in INVARIANTS.items():
        lines.append(f"| *{f'{number}. ' if number else ''}{rule}* |{' |' * len(names)}")
        for scenario in SCENARIOS.values():
            if scenario.invariant == number:
                cells = " | ".join(columns[name].cells[scenario.name] for name in names)
                lines.append(f"| `{scenario.name}` | {cells} |")
    lines += ["", "| broken by | scenario | why |", "| --- | --- | --- |"]
    lines += [f"| {name} | `{scenario}` | {why} |" for (name, scenario), why in REASONS.items()]
    lines += ["", "| replies | strict | refused | tolerant | dangerous | measured with |"]
    lines.append("| --- |" + " --- |" * 5)
    for adapter in ADAPTERS:
        if adapter.app is None:
            lines.append(_row(adapter, columns[adapter.name].profile))
    return "\n".join([*lines, ""])


def _row(adapter: Checked, profile: str) -> str:
    versions = ", ".join(f"{name} {installed(name)}" for name in adapter.libraries)
    return f"| {adapter.name} | {profile} | {versions} |"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    written, _, after = rest.partition(END)
    columns = {}
    for adapter in ADAPTERS:
        columns[adapter.name] = measured(adapter)
        print(adapter.name, columns[adapter.name].profile, flush=True)
    made = table(columns)
    if "--check" not in arguments:
        PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")
        return 0
    rows = [
        (adapter.name, _row(adapter, columns[adapter.name].profile))
        for adapter in ADAPTERS
        if adapter.app is None and not adapter.libraries
    ]
    stale = [name for name, row in rows if row not in written]
    marks = made.index("| replies |")
    if made[:marks] not in written:
        stale.append("the table of scenarios")
    if stale:
        print(f"docs/checked-adapters.md says something else of: {', '.join(stale)}")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
