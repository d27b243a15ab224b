"""The scripts by which a shell completes `adieu`: commands, their options, the values of options, and file names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from adieu.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SHELLS", "completion"]

SHELLS: Final = ("bash", "zsh", "fish", "tcsh", "powershell")


def completion(
    shell: str,
    commands: Iterable[Callable[[argparse._SubParsersAction[argparse.ArgumentParser]], None]],
    add_options: Callable[[argparse.ArgumentParser], None],
) -> str:
    """The script for a shell. `add_options`: adds the options of a request, which needs no command."""
    try:
        import shtab
    except ImportError:
        raise MissingExtra("--completion needs shtab: pip install 'adieu[cli]'") from None
    parser = argparse.ArgumentParser(prog="adieu")
    added = parser.add_subparsers()
    for add_to in commands:
        add_to(added)
    add_options(parser)
    for each in (parser, *added.choices.values()):
        for action in each._actions:
            if action.metavar == "FILE":
                action.complete = shtab.FILE  # type: ignore[attr-defined] # as shtab wants it
    return str(shtab.complete(parser, shell))
