"""`adieu demo` shows on this machine, without a network, that nothing stays open. The operating system counts.

Every adapter with every policy runs `adieu.cli.scenarios` in a `with` block, with the garbage collector off: first
against a server whose connections are counted, then against one with ten threads. The verdict is about adieu alone;
other libraries run for comparison.
"""

from __future__ import annotations

import argparse
import platform
import textwrap
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from adieu._version import __version__
from adieu.cli.candidates import OTHERS, POLICIES, Candidate, adieu_candidate, candidates_of
from adieu.cli.run_scenarios import Result, run_scenarios
from adieu.cli.scenarios import TIMES, UNREAD
from adieu.cli.small_server import THREADS
from adieu.cli.table import Column, Table
from adieu.errors import MissingExtra, UnknownAdapter
from adieu.transport.registry import find_adapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["add_to"]

_WIDTH = 98
_FIRST = ("native", "urllib3", "h11", "close", "cache")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to a parser's subcommands."""
    parser = commands.add_parser(
        "demo",
        help="show on this machine that nothing stays open, under every adapter and policy",
        description=(
            "Runs the same scenarios with every adapter and every cleanup policy, against servers of its own on the "
            "loopback address, and counts the sockets in the operating system's table. Exit status: 0 if nothing "
            "stayed open and nothing blocked, 1 if something did, 2 for wrong usage."
        ),
    )
    parser.add_argument(
        "--adapters",
        metavar="NAME,...",
        type=_adapters,
        help="these instead of all that are installed",
    )
    parser.add_argument(
        "--policies",
        metavar="NAME,...",
        type=partial(_chosen, tuple(POLICIES), "policy"),
        default=list(POLICIES),
        help=f"these instead of all: {', '.join(POLICIES)}",
    )
    parser.add_argument(
        "--against",
        metavar="NAME,...",
        type=partial(_chosen, tuple(OTHERS), "library to compare with"),
        default=[],
        help=f"the same with other libraries, where installed: {', '.join(OTHERS)}",
    )
    parser.set_defaults(run=partial(_run, parser))


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("name at least one, or leave the option out")
    return names


def _chosen(known: Sequence[str], what: str, text: str) -> list[str]:
    """Some of the known names, in any case."""
    by_lower = {name.lower(): name for name in known}
    names = []
    for name in _names(text):
        if name.lower() not in by_lower:
            raise argparse.ArgumentTypeError(
                f"no {what} is called {name!r}. Known are: {', '.join(known)}"
            )
        names.append(by_lower[name.lower()])
    return names


def _adapters(text: str) -> list[str]:
    names = _names(text)
    for name in names:
        try:
            find_adapter(name)
        except UnknownAdapter as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        except Exception:
            pass  # It is installed. Its row of the table will say why it does not work.
    return names


def _installed() -> list[str]:
    """The names of all adapters. Those that come with adieu are first."""
    names = {point.name for point in entry_points(group="adieu.adapters")}
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else 99, name))


def _ready() -> tuple[list[str], list[MissingExtra]]:
    """The names of the installed adapters, and the errors of those that need an extra which is not installed."""
    names, lacking = [], []
    for name in _installed():
        try:
            find_adapter(name)
        except MissingExtra as error:
            lacking.append(error)
            continue
        except Exception:
            pass  # Its row of the table will say why it does not work.
        names.append(name)
    return names, lacking


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    adapters, lacking = (options.adapters, []) if options.adapters else _ready()
    if not adapters:
        parser.error("no adapter is installed; is adieu installed, or only on the path?")
    groups = [[adieu_candidate(name, policy) for policy in options.policies] for name in adapters]
    comparisons = [(library, candidates_of(library)) for library in options.against]
    table = _table([candidate for group in groups for candidate in group], comparisons)
    _introduce(table)
    table.headings()
    results: list[Result] = []
    for group in groups:
        if results:
            table.say()
        results += _show(table, group)
    other_results: list[Result] = []
    for library, candidates in comparisons:
        table.say()
        if not candidates:
            table.say(f"{library} is not installed, so it is not compared (pip install {library}).")
        other_results += _show(table, candidates)
    for error in lacking:
        table.say(f"Left out: {error}")
    _explain(table, [*results, *other_results])
    return _conclude(table, results)


def _show(table: Table, candidates: Iterable[Candidate]) -> list[Result]:
    results = []
    for candidate in candidates:
        result = run_scenarios(candidate)
        table.row(_cells(result), "bad" if result.faults else "good")
        results.append(result)
    return results


def _table(
    candidates: Iterable[Candidate], comparisons: Iterable[tuple[str, list[Candidate]]]
) -> Table:
    all_candidates = [*candidates, *(candidate for _, some in comparisons for candidate in some)]
    return Table(
        [
            Column(("adapter",), max(len(candidate.name) for candidate in all_candidates), "<"),
            Column(("policy",), max(len(candidate.mode) for candidate in all_candidates), "<"),
            Column(("open", "before"), 6),
            Column(("open", "after"), 5),
            Column(("connections", "accepted"), 11),
            Column(("seconds",), 7),
            Column(("next", "client"), 8),
            Column(("verdict",), 21, "<"),
        ]
    )


def _cells(result: Result) -> list[str]:
    cells = [result.candidate.name, result.candidate.mode]
    if result.ordinary_use is None:
        cells += ["-"] * 4
    else:
        before, after, accepted, seconds = result.ordinary_use
        cells += [str(before), str(after), str(accepted), f"{seconds:.2f}"]
    if result.many_unread is None:
        cells.append("-")
    else:
        wait = result.many_unread.wait
        cells.append("never" if wait is None else f"{wait * 1000:.1f} ms")
    return [*cells, ", ".join(result.faults) or "clean"]


def _introduce(table: Table) -> None:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    table.say(
        f"""\
adieu {__version__} on {python}, {platform.system()}. No network: the servers are in this process.

Every row is a client in a `with` block. The garbage collector is off, every response and every
error is kept, nothing is closed by hand, and the operating system counts the open sockets.

  1. {TIMES} HEAD, {TIMES} GET read, {TIMES} GET unread, {TIMES} 404 unread, 5 redirects, a timeout, an exception
     in the middle of a body, a last GET: sockets open before the end of the block, and after it.
  2. {UNREAD} GET unread, alternately small and kept, or large and left early, to a server with {THREADS}
     threads. While all of them are kept, one more client sends a request: how long does it wait?
"""
    )


def _explain(table: Table, results: Sequence[Result]) -> None:
    """Print the details of all faults."""
    table.say()
    for result in results:
        for detail in result.details:
            text = f"{result.candidate.name}, {result.candidate.mode}: {detail.rstrip('.')}."
            table.say(textwrap.fill(text, _WIDTH, subsequent_indent="    "))
    if any(result.details for result in results):
        table.say()


def _conclude(table: Table, results: Sequence[Result]) -> int:
    bad, count = sum(1 for result in results if result.faults), len(results)
    if bad:
        table.say(f"adieu is NOT CLEAN, {bad} of {count}: see above what happened.", "bad")
        return 1
    table.say(
        f"adieu is clean, {count} of {count}: nothing stayed open, no client was kept waiting.",
        "good",
    )
    return 0
