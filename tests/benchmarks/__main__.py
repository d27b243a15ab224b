"""The command: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from benchmarks import __doc__ as about
from benchmarks import costs
from benchmarks.cases import ASYNC_CASES, CASES, CROWD
from benchmarks.measure import measure
from benchmarks.report import Report
from benchmarks.surroundings import pin, serving, without_surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_ALL: Final = (*CASES, *ASYNC_CASES, CROWD)
_SECONDS: Final = 140
_QUICK_SECONDS: Final = 18
_COSTS_WEIGHT: Final = 5


def main() -> int:
    """Run the benchmarks; return 1 with `--check` if a promise is not kept."""
    parser = argparse.ArgumentParser(
        "benchmarks", description=about.splitlines()[0] if about else None
    )
    names = [case.name for case in _ALL]
    parser.add_argument(
        "--quick", action="store_true", help="25 s at most; does not write the page"
    )
    parser.add_argument(
        "--case", nargs="+", choices=names, help="these only; does not write the page"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's times")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a promise is not kept")
    wanted = parser.parse_args()

    without_surroundings()
    where = f"{_machine()}, {pin()}"
    cases = [case for case in _ALL if not wanted.case or case.name in wanted.case]
    share = _shares(
        _QUICK_SECONDS if wanted.quick else _SECONDS,
        [*(case.weight for case in cases), _COSTS_WEIGHT, _COSTS_WEIGHT],
    )
    results = {}
    with serving() as origins:
        for case in cases:
            print(case.title, file=sys.stderr)
            if (result := measure(case, origins, next(share))) is not None:
                results[case.name] = result
    imports, clients = costs.importing(next(share)), costs.constructing(next(share))
    report = Report(results, imports, clients, costs.loaded(), where)
    print(report.text())
    if wanted.json:
        wanted.json.write_text(json.dumps(report.data(), indent=1))
    if not wanted.quick and not wanted.case:
        _PAGE.write_text(report.page(), encoding="utf-8")
    return int(wanted.check and not all(verdict.met for verdict in report.verdicts()))


def _shares(seconds: float, weights: list[int]) -> Iterator[float]:
    """The time at which each part should end, by its weight; a late part shortens the later ones."""
    until = perf_counter() + seconds
    for number, weight in enumerate(weights):
        now = perf_counter()
        yield now + max(until - now, 0.0) * weight / sum(weights[number:])


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"


if __name__ == "__main__":
    sys.exit(main())
