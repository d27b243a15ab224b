"""`adieu demo`: what adieu promises, shown on this machine: no network, and no word of adieu's own taken for it.

Every adapter with every policy plays the script of `adieu.cli.scenarios` in a `with` block, the garbage collector
switched off: first against a server whose connections are counted, then against one with ten threads. The verdict is
about adieu alone; other libraries are played for comparison.
"""

from __future__ import annotations

import argparse
import platform
import textwrap
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from adieu._version import __version__
from adieu.cli import candidates
from adieu.cli.candidates import OTHERS, POLICIES, Player
from adieu.cli.run_scenarios import Line, play
from adieu.cli.scenarios import CROWD, TIMES
from adieu.cli.small_server import THREADS
from adieu.cli.table import Column, Table
from adieu.errors import UnknownAdapter
from adieu.transport.registry import find_adapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["add_to"]

_WIDTH = 98
_FIRST = ("native", "urllib3", "h11", "close")


def add_to(commands: Any) -> None:
    """Add this command to a parser's subcommands."""
    parser = commands.add_parser(
        "demo",
        help="show on this machine that nothing stays open, under every adapter and policy",
        description=(
            "Plays one script with every adapter and every cleanup policy against servers of its own on the loopback "
            "address, and counts the sockets by the operating system's table. Exit status: 0 if nothing stayed "
            "open and nothing blocked, 1 if something did, 2 for wrong usage."
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
            pass  # It is there, and its line of the table will say why it does not work.
    return names


def _installed() -> list[str]:
    """The names of all adapters, those that adieu brings first."""
    names = {point.name for point in entry_points(group="adieu.adapters")}
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else 99, name))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    adapters: list[str] = options.adapters or _installed()
    if not adapters:
        parser.error("no adapter is installed; is adieu installed, or only on the path?")
    groups = [[candidates.ours(name, policy) for policy in options.policies] for name in adapters]
    comparisons = [(library, candidates.others(library)) for library in options.against]
    table = _table([player for group in groups for player in group], comparisons)
    _introduce(table)
    table.headings()
    lines: list[Line] = []
    for group in groups:
        if lines:
            table.say()
        lines += _show(table, group)
    other_lines: list[Line] = []
    for library, players in comparisons:
        table.say()
        if not players:
            table.say(f"{library} is not installed, so it is not compared (pip install {library}).")
        other_lines += _show(table, players)
    _explain(table, [*lines, *other_lines])
    return _conclude(table, lines)


def _show(table: Table, players: Iterable[Player]) -> list[Line]:
    lines = []
    for player in players:
        line = play(player)
        table.row(_cells(line), "bad" if line.faults else "good")
        lines.append(line)
    return lines


def _table(players: Iterable[Player], comparisons: Iterable[tuple[str, list[Player]]]) -> Table:
    all_players = [*players, *(player for _, some in comparisons for player in some)]
    return Table(
        [
            Column(("adapter",), max(len(player.name) for player in all_players), "<"),
            Column(("policy",), max(len(player.way) for player in all_players), "<"),
            Column(("open", "before"), 6),
            Column(("open", "after"), 5),
            Column(("connections", "accepted"), 11),
            Column(("seconds",), 7),
            Column(("next", "client"), 8),
            Column(("verdict",), 21, "<"),
        ]
    )


def _cells(line: Line) -> list[str]:
    cells = [line.player.name, line.player.way]
    if line.classic is None:
        cells += ["-"] * 4
    else:
        before, after, accepted, seconds = line.classic
        cells += [str(before), str(after), str(accepted), f"{seconds:.2f}"]
    if line.crowd is None:
        cells.append("-")
    else:
        wait = line.crowd.wait
        cells.append("never" if wait is None else f"{wait * 1000:.1f} ms")
    return [*cells, ", ".join(line.faults) or "clean"]


def _introduce(table: Table) -> None:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    table.say(
        f"""\
adieu {__version__} on {python}, {platform.system()}. No network: the servers are in this process.

Every line is a client in a `with` block. The garbage collector is off, every response and every
error is kept, nothing is closed by hand, and the operating system counts the open sockets.

  1. {TIMES} HEAD, {TIMES} GET read, {TIMES} GET unread, {TIMES} 404 unread, 5 redirects, a timeout, an exception
     in the middle of a body, a last GET: sockets open before the end of the block, and after it.
  2. {CROWD} GET unread, by turns small and put aside, or large and left early, to a server with {THREADS}
     threads. While all of that is still there, one more client asks: how long does it wait?
"""
    )


def _explain(table: Table, lines: Sequence[Line]) -> None:
    """What is behind the verdicts that are not good."""
    table.say()
    for line in lines:
        for detail in line.details:
            text = f"{line.player.name}, {line.player.way}: {detail.rstrip('.')}."
            table.say(textwrap.fill(text, _WIDTH, subsequent_indent="    "))
    if any(line.details for line in lines):
        table.say()


def _conclude(table: Table, lines: Sequence[Line]) -> int:
    bad = sum(1 for line in lines if line.faults)
    if bad:
        table.say(f"adieu is NOT CLEAN, {bad} of {len(lines)}: see above what happened.", "bad")
        return 1
    table.say(
        f"adieu is clean, {len(lines)} of {len(lines)}: nothing stayed open, nobody was kept waiting.",
        "good",
    )
    return 0
