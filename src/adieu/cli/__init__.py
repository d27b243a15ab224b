"""The command `adieu`. Each subcommand is a module.

Invariants. A subcommand parses only its own options, prints to standard output, and returns the exit status: 0 for yes,
1 for no. Wrong usage is 2, with a sentence that says what would be right.
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
"""The status that a shell reports for a program that SIGINT ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (without the program's name; default: the process's own) and return the exit status.

    As `argparse` does it, `--help`, `--version` and wrong usage raise `SystemExit` instead, the last with status 2.
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
        # The reader of the output has closed it (`adieu demo | head`). The interpreter flushes again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return _INTERRUPTED
    return status


def _version() -> str:
    from adieu._version import __version__

    return __version__
