"""The command: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from benchmarks import __doc__ as about
from benchmarks import fresh
from benchmarks.cases import CASES
from benchmarks.chart import chart
from benchmarks.measure import measure
from benchmarks.report import Findings, case_table, page, summary, verdicts, versions
from benchmarks.surroundings import pin, serving, without_surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCS: Final = Path(__file__).parents[2] / "docs"
_SECONDS: Final = 300
_QUICK_SECONDS: Final = 60
_FRESH_WEIGHT: Final = 10
_URLS_WEIGHT: Final = 2


def main() -> int:
    """Run the benchmarks; return 1 with `--check` if a target is not met."""
    wanted = _arguments()
    without_surroundings()
    pin()
    interpreters = {"niquests": wanted.niquests} if wanted.niquests else {}
    cases = [case for case in CASES if not wanted.case or case.name in wanted.case]
    share = _shares(
        _QUICK_SECONDS if wanted.quick else _SECONDS,
        [*(case.weight for case in cases), _FRESH_WEIGHT, _URLS_WEIGHT],
    )
    measured = {}
    with serving() as origins:
        for case in cases:
            print(case.title, file=sys.stderr)
            found = measure(case, origins, interpreters, next(share))
            if found is not None:
                measured[case.name] = found
                print(case_table(case, found), end="\n\n", flush=True)
        imports = urls = None
        if not wanted.case:
            imports = fresh.importing(origins.last, interpreters, next(share))
            urls = fresh.parsing(next(share))
    findings = Findings(measured, imports, urls, fresh.loaded(), _machine(interpreters))
    print(summary(findings))
    if wanted.json:
        wanted.json.write_text(json.dumps(findings.data(), indent=1))
    if not wanted.quick and not wanted.case:
        from benchmarks import layers

        pypy = json.loads(wanted.pypy.read_text()) if wanted.pypy else None
        findings = findings._replace(
            parts=layers.by_part(), packages=layers.by_package(), pypy=pypy
        )
        (_DOCS / "benchmarks.md").write_text(page(findings), encoding="utf-8")
        (_DOCS / "benchmarks.svg").write_text(chart(measured), encoding="utf-8")
    return int(wanted.check and not all(verdict.met for verdict in verdicts(findings)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "benchmarks", description=about.splitlines()[0] if about else None
    )
    names = [case.name for case in CASES]
    parser.add_argument("--quick", action="store_true", help="less exact; does not write the page")
    parser.add_argument(
        "--case", nargs="+", choices=names, help="these only; does not write the page"
    )
    parser.add_argument("--niquests", metavar="PYTHON", help="an interpreter that has niquests")
    parser.add_argument("--pypy", type=Path, metavar="FILE", help="what --json wrote on PyPy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's times")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is not met")
    return parser.parse_args()


def _shares(seconds: float, weights: list[int]) -> Iterator[float]:
    """The time at which each part should end, by its weight; a late part shortens the later ones."""
    until = perf_counter() + seconds
    for count, weight in enumerate(weights):
        now = perf_counter()
        yield now + max(until - now, 0.0) * weight / sum(weights[count:])


def _machine(interpreters: dict[str, str]) -> str:
    """The processor, the system, the versions."""
    processor = platform.machine()
    if (described := Path("/proc/cpuinfo")).exists():
        names = re.findall(r"model name\s*: (.+)", described.read_text())
        processor = f"{names[0]}, {processor}" if names else processor
    system = f"{os.cpu_count()} cores ({processor}), {platform.system()}"
    more = "" if not interpreters else ", niquests in an environment of its own"
    return f"{system}; {versions()}{more}."


if __name__ == "__main__":
    sys.exit(main())
