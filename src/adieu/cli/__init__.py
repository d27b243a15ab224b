"""The command `adieu`: its subcommands, one room each.

Rules of the house: a room parses nothing but its own options, prints to standard output, and returns the exit status:
0 for yes, 1 for no. What a user typed wrong is 2, with a sentence that says what would be right.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 128 + 2
"""What a shell reports for a program that SIGINT ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (without the program's name; default: the process's own) and return the exit status.

    As `argparse` has it, `--help`, `--version` and wrong usage raise `SystemExit` instead, the last with status 2.
    """
    from adieu.cli import demo

    parser = argparse.ArgumentParser(
        prog="adieu", description="An HTTP client that always says goodbye."
    )
    parser.add_argument("--version", action="version", version=f"adieu {_version()}")
    commands = parser.add_subparsers(title="commands", required=True)
    demo.add_to(commands)
    options = parser.parse_args(argv)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read our output has seen enough (`adieu demo | head`). The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return _INTERRUPTED
    return status


def _version() -> str:
    from adieu._version import __version__

    return __version__
