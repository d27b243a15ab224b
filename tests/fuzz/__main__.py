"""The command: see the package's docstring."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from fuzz import __doc__ as about
from fuzz.targets import TARGETS

_LONGEST = 8192
"""Bytes of an input. That time is linear is tested with larger ones, in test_parsers."""
_SLOW = 10
"""Seconds for one input, after which it counts as a fault."""


class Outcome(NamedTuple):
    """What a run of one target came to."""

    inputs: int
    edges: int
    kept: int
    text: str
    found: bool


def main() -> int:
    """Fuzz; return 1 if an input shows a fault."""
    parser = argparse.ArgumentParser("fuzz", description=about.splitlines()[0] if about else None)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, if there is none")
    parser.add_argument("--seconds", type=int, default=30, help="for each target; 30")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), metavar="FOLDER")
    parser.add_argument("--input", type=Path, metavar="FILE", help="run the target on this only")
    parser.add_argument("--list", action="store_true", help="print the targets")
    wanted = parser.parse_args()
    if unknown := set(wanted.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if wanted.list:
        print(*TARGETS, sep="\n")
        return 0

    wanted.keep.mkdir(exist_ok=True)
    print("| target | inputs | edges | inputs kept | fault |\n| --- | ---: | ---: | ---: | --- |")
    total = faults = 0
    for name in wanted.targets or TARGETS:
        outcome = _run(name, wanted.seconds, wanted.keep, wanted.input)
        total, faults = total + outcome.inputs, faults + outcome.found
        cells = (
            name,
            outcome.inputs,
            outcome.edges,
            outcome.kept,
            "FOUND" if outcome.found else "",
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        if outcome.found:
            print(outcome.text, file=sys.stderr)
    print(f"\n{total} inputs, {faults} targets with a fault")
    return int(faults > 0)


def _run(name: str, seconds: int, keep: Path, given: Path | None) -> Outcome:
    prefix = f"-artifact_prefix={keep.resolve()}/{re.sub(r'[^a-z0-9]+', '-', name.lower())}-"
    options = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", f"-timeout={_SLOW}", prefix]
    with tempfile.TemporaryDirectory(prefix="adieu-fuzz-") as work:
        command = [sys.executable, "-m", "fuzz.run", name, work, *options]
        if given is not None:
            command.append(str(given))
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, errors="replace"
        )
    text = done.stdout
    executed = _last(r"stat::number_of_executed_units: (\d+)", text)
    return Outcome(
        executed,
        _last(r"cov: (\d+)", text),
        _last(r"corp: (\d+)", text),
        text,
        done.returncode != 0,
    )


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
