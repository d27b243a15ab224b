"""The command `adieu`: a request (`adieu URL`), or a command with a name, each in a module.

Invariants. A command parses only its own options, prints to standard output, and returns the exit status: 0 for yes, 1
for no; requests have more. Wrong usage is 2, with a sentence that says what would be right.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Subcommands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["main"]


_INTERRUPTED = 128 + 2
"""The status that a shell reports for a program that SIGINT ended."""


def _add_trace(commands: Subcommands) -> None:
    from adieu.cli import trace

    trace.add_to(commands)


def _add_run(commands: Subcommands) -> None:
    from adieu.cli import run_script

    run_script.add_to(commands)


def _add_demo(commands: Subcommands) -> None:
    from adieu.cli import demo

    demo.add_to(commands)


def _add_check_adapter(commands: Subcommands) -> None:
    from adieu.cli import check_adapter

    check_adapter.add_to(commands)


def _add_fault_server(commands: Subcommands) -> None:
    from adieu.cli import fault_server

    fault_server.add_to(commands)


class _Command(NamedTuple):
    """A command with a name. Its module is imported when it is asked for."""

    add_to: Callable[[Subcommands], None]
    summary: str
    passes_arguments_on: bool = False
    """What follows its first argument is for a program that it runs."""


_COMMANDS = {
    "trace": _Command(_add_trace, "send requests, and print what each connection did, and when"),
    "run": _Command(_add_run, "run a script, and print what it opened, reused and left open", True),
    "demo": _Command(_add_demo, "show here that no client of adieu leaves a connection open"),
    "check-adapter": _Command(
        _add_check_adapter, "check which rules of the lifecycle an adapter keeps"
    ),
    "fault-server": _Command(
        _add_fault_server, "run a server that misbehaves as each request asks"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (without the program's name; default: the process's own) and return the exit status.

    As `argparse` does it, `--help`, `--version` and wrong usage raise `SystemExit` instead, the last with status 2.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        run = _command if arguments and arguments[0] in _COMMANDS else _fetch
        status = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has closed it (`adieu demo | head`). The interpreter flushes again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return _INTERRUPTED
    return status


def _command(arguments: list[str]) -> int:
    """One of the commands that have a name."""
    name, *rest = arguments
    command = _COMMANDS[name]
    commands = argparse.ArgumentParser(prog="adieu").add_subparsers()
    command.add_to(commands)
    parser = commands.choices[name]
    parse = parser.parse_args if command.passes_arguments_on else parser.parse_intermixed_args
    options = parse(rest)
    status: int = options.run(options)
    return status


def _fetch(arguments: list[str]) -> int:
    """A request: what begins with no command's name."""
    from adieu.cli.fetch.command import run

    commands = "".join(f"  {name:<14} {command.summary}\n" for name, command in _COMMANDS.items())
    return run(arguments, commands, _completion)


def _completion(shell: str) -> str:
    """The script by which a shell completes all of this."""
    from adieu.cli.completion import completion
    from adieu.cli.fetch.arguments import add_options

    return completion(shell, [command.add_to for command in _COMMANDS.values()], add_options)
