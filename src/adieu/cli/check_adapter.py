"""`adieu check-adapter module:factory` runs the scenarios of `adieu.testing.check_adapter` against any adapter."""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args

from adieu.errors import InvalidRequest, UnknownAdapter
from adieu.testing.check.run import check_adapter
from adieu.testing.check.site import AppKind
from adieu.testing.check.table import INVARIANTS, SCENARIOS
from adieu.transport.registry import find_adapter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["add_to"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to a parser's subcommands."""
    parser = commands.add_parser(
        "check-adapter",
        help="check which rules of the lifecycle an adapter keeps",
        description=(
            "Runs scenarios against adapters that the factory makes, sync or async, over a server of its own on the "
            "loopback address, and prints which rules hold; for those that do not, what was done, what was seen, and "
            "where to look. Exit status: 0 if all that was checked holds, 1 if something does not, 2 for wrong usage."
        ),
    )
    parser.add_argument(
        "factory",
        nargs="?",
        metavar="MODULE:FACTORY",
        help="a class or function without arguments; or the name of an installed adapter",
    )
    parser.add_argument(
        "--async", dest="awaits", action="store_true", help="the name is that of an async adapter"
    )
    parser.add_argument(
        "--app",
        choices=get_args(AppKind),
        help="the adapters call an app in this process: the factory gets one of this kind as its argument",
    )
    parser.add_argument("--only", metavar="NAME,...", help="these scenarios instead of all")
    parser.add_argument("--list", action="store_true", help="list the scenarios, and run nothing")
    parser.set_defaults(run=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.list:
        print(_listed())
        return 0
    if options.factory is None:
        parser.error("name a factory, as in my_package:MyAdapter")
    try:
        factory = _found(options.factory, awaits=options.awaits)
        only = None if options.only is None else options.only.split(",")
        report = check_adapter(factory, only=only, app=options.app)
    except (ImportError, AttributeError, UnknownAdapter, InvalidRequest) as error:
        parser.error(str(error))
    print(report)
    return 0 if report.ok else 1


def _found(name: str, *, awaits: bool) -> Callable[[], Any]:
    module, sign, attribute = name.partition(":")
    if not sign:
        return find_adapter(name, "adieu.async_adapters" if awaits else "adieu.adapters")
    if "" not in sys.path:
        sys.path.insert(0, "")  # As for `python -m`: what is in this folder can be named.
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    factory: Callable[[], Any] = found
    return factory


def _listed() -> str:
    lines = []
    for number, rule in INVARIANTS.items():
        lines.append(f"{number}. {rule}" if number else rule)
        lines += [f"    {s.name}: {s.does}" for s in SCENARIOS.values() if s.invariant == number]
    return "\n".join(lines)
