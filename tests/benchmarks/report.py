"""The report: the targets, a table for each case, and the page of the documentation."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.cases import CASES, TARGETS, Case, Target
from benchmarks.fresh import FRESH
from benchmarks.tables import number, span, table, unit

if TYPE_CHECKING:
    from benchmarks.measure import Measured
    from benchmarks.slices import Result

__all__ = ["Findings", "Verdict", "page", "summary", "verdicts"]

_PAGE: Final = """\
# Benchmarks

What adieu and other clients need, all in one run on one machine. Written by `PYTHONPATH=tests python -m benchmarks` on
{date}.

{machine}

![CPU time of one call, by client](benchmarks.svg)

The bars are logarithmic. A time is the CPU time that the client's process takes for one call; the server, which sends
prepared bytes (1 KiB of JSON after eight header fields), is another process on the same core and is not counted. The
peers take turns in slices of about 10 ms. A ratio is the median, over all rounds, of one time divided by the other in
the same round, and the quartiles of these ratios stand beside it. Ratios can be compared with other machines, times
cannot. Each client is used as its documentation says, with its defaults, and its answers are checked before they are
timed.

`socket` sends and reads prepared bytes without any HTTP, which is the lower limit for every client; over TLS its
context is made once, and its handshakes are full ones but for `socket, resumed`. `h11 loop` is a bare h11 without pool,
timeouts, redirects or a response object. pyreqwest, wreq and primp are written in Rust, pycurl in C, and aiohttp has
its parser in C.

## Targets

{targets}

{cases}

## An import and a GET in a fresh process

What it takes more than the bare interpreter. `import adieu` loads {modules} modules.

{fresh}

## A URL

One that was not seen before, on an origin that was.

{urls}

{layers}{pypy}"""

_LAYERS: Final = """\
## Where the work of a GET goes

A warm `Client.get`, by `python -m benchmarks.layers`: counts, which no other program disturbs. First the instructions,
by callgrind, without those of the system; then what Python executes in each package.

{parts}

{packages}
"""
_PYPY: Final = """
## PyPy

The same GET on a kept connection on {python}, where pyreqwest and pycurl do not run: {ratio} of the time of requests
({span}); the target is at most 0.50. adieu takes {own}, requests {other}.
"""


class Findings(NamedTuple):
    """All that a run has found."""

    cases: dict[str, Measured]
    fresh: Result | None
    urls: Result | None
    modules: list[str]
    machine: str
    parts: tuple[list[str], list[list[str]]] | None = None
    packages: tuple[list[str], list[list[str]]] | None = None
    pypy: dict[str, Any] | None = None

    def data(self) -> dict[str, Any]:
        """All figures, for a program: seconds of one call by case, peer and round."""
        return {
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "machine": self.machine,
            "cases": {name: case.result.rounds for name, case in self.cases.items()},
            "memory": {name: case.memory for name, case in self.cases.items() if case.memory},
            "fresh": self.fresh.rounds if self.fresh else {},
            "urls": self.urls.rounds if self.urls else {},
            "targets": [verdict._asdict() for verdict in verdicts(self)],
        }


class Verdict(NamedTuple):
    """A target, and whether it was met."""

    says: str
    measured: str
    target: str
    hope: str
    met: bool


def verdicts(found: Findings) -> list[Verdict]:
    """Those about the cases of this run, if both of their peers are installed."""
    judged = (_judge(target, found) for target in TARGETS)
    return [verdict for verdict in judged if verdict is not None]


def _judge(target: Target, found: Findings) -> Verdict | None:
    extra = {"fresh": found.fresh, "url": found.urls}
    case = found.cases.get(target.case)
    result = extra.get(target.case, case.result if case else None)
    if result is None or not {target.peer, target.reference or target.peer} <= result.rounds.keys():
        return None
    title = _TITLES.get(target.case, target.case)
    if target.reference:
        value = result.ratio(target.peer, target.reference)
        measured = f"{number(value)} ({span(result.quartiles(target.peer, target.reference))})"
        says, sign = f"{title}: {target.peer} / {target.reference}", ""
    elif case is not None:
        value, sign = case.memory[target.peer], " MiB"
        says, measured = f"{title}: memory added by {target.peer}", f"{value:.1f} MiB"
    else:
        scale, sign = (1e3, " ms") if target.case == "fresh" else (1e6, " µs")
        value = result.seconds(target.peer) * scale
        says = f"{title}: {target.peer}"
        measured = f"{number(value)}{sign} ({span(result.spread(target.peer), scale)})"
    hope = "" if target.hope is None else f"{number(target.hope)}{sign}"
    return Verdict(says, measured, f"{number(target.most)}{sign}", hope, value <= target.most)


_TITLES: Final = {
    **{case.name: case.title for case in CASES},
    "fresh": "Import and first GET",
    "url": "A URL",
}


def summary(found: Findings) -> str:
    """The targets, for a terminal and for the page."""
    rows = [
        [v.says, v.measured, f"<= {v.target}", v.hope and f"<= {v.hope}", "yes" if v.met else "NO"]
        for v in verdicts(found)
    ]
    return table(["what", "measured (quartiles)", "target", "hope", "met"], rows)


def case_table(case: Case, measured: Measured) -> str:
    """The peers of a case, fastest first."""
    result = measured.result
    reference = "adieu" if "adieu" in result.rounds else next(iter(result.rounds))
    rows = []
    for name in sorted(result.rounds, key=result.seconds):
        ratios = [number(result.ratio(name, reference)), span(result.quartiles(name, reference))]
        memory = [f"{measured.memory[name]:.1f} MiB"] if measured.memory else []
        rows.append([name, unit(result.seconds(name)), *ratios, *memory])
    missing = [name for name in case.peers if name not in result.rounds]
    rows += [[name, "not here", *("" for _ in rows[0][2:])] for name in missing]
    head = ["client", "takes", f"in terms of {reference}", "quartiles"]
    return table([*head, "adds memory"] if measured.memory else head, rows)


def _single(result: Result, names: list[str], reference: str) -> str:
    found = sorted(result.rounds, key=result.seconds)
    rows = [
        [name, unit(result.seconds(name)), number(result.ratio(name, reference)),
         span(result.quartiles(name, reference))]
        for name in found
    ]  # fmt: skip
    rows += [[name, "not here", "", ""] for name in names if name not in found]
    return table(["client", "takes", f"in terms of {reference}", "quartiles"], rows)


def page(found: Findings) -> str:
    """The page of the documentation, of a whole run."""
    assert found.fresh is not None
    assert found.urls is not None
    now = datetime.datetime.now(datetime.timezone.utc)
    cases = [
        f"## {case.title}\n\n{case_table(case, found.cases[case.name])}"
        + (f"\n\n{case.note}" if case.note else "")
        for case in CASES
        if case.name in found.cases
    ]
    layers = ""
    if found.packages is not None:
        parts = table(*found.parts) if found.parts is not None else "There was no valgrind."
        layers = _LAYERS.format(parts=parts, packages=table(*found.packages))
    return _PAGE.format(
        date=f"{now:%Y-%m-%d}",
        machine=found.machine,
        targets=summary(found),
        cases="\n\n".join(cases),
        modules=len(found.modules),
        fresh=_single(found.fresh, list(FRESH), "adieu"),
        urls=_single(found.urls, [], "adieu, a new path"),
        layers=layers,
        pypy=_pypy(found.pypy) if found.pypy else "",
    )


def _pypy(data: dict[str, Any]) -> str:
    from benchmarks.slices import Result

    result = Result(data["cases"]["get"])
    return _PYPY.format(
        python=data["python"],
        ratio=number(result.ratio("adieu", "requests")),
        span=span(result.quartiles("adieu", "requests")),
        own=unit(result.seconds("adieu")),
        other=unit(result.seconds("requests")),
    )


_PACKAGES: Final = (
    "adieu", "h11", "urllib3", "pyreqwest", "pycurl", "wreq", "primp", "httpx2", "httpx", "requests", "aiohttp",
    "uvloop",
)  # fmt: skip


def versions() -> str:
    """Python and the packages here."""
    found = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
