"""Tables as plain text, printed row by row while the work goes on, with column widths that are given beforehand.

Colour adds nothing that the words do not say. It is used if the output is a terminal and NO_COLOR is not set
(https://no-color.org).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Column", "Style", "Table"]

Style = Literal["good", "bad", "dim", "plain"]

_CODES: Final[dict[Style, str]] = {"good": "32", "bad": "1;31", "dim": "2"}
_GAP = "  "


class Column(NamedTuple):
    """A heading of one or more lines, the width in characters, and the side to which the cells are aligned."""

    heading: tuple[str, ...]
    width: int
    side: Literal["<", ">"] = ">"


class Table:
    """Prints to `out` without buffering."""

    def __init__(self, columns: Sequence[Column], out: TextIO | None = None) -> None:
        self._columns = columns
        self._out = out if out is not None else sys.stdout
        self._coloured = _wants_colour(self._out)

    def headings(self) -> None:
        """Print the headings, aligned at the bottom, and a rule below them."""
        depth = max(len(column.heading) for column in self._columns)
        stacked = [("",) * (depth - len(head)) + head for head, _, _ in self._columns]
        for line in zip(*stacked, strict=True):
            self._line(line)
        self.say("-" * self.width, "dim")

    def row(self, cells: Sequence[str], style: Style = "plain") -> None:
        """Print a row. The style is for the last cell, which is the verdict."""
        self._line(cells, style)

    def say(self, text: str = "", style: Style = "plain") -> None:
        """Print text between the rows. Characters that the output cannot encode are escaped."""
        encoding = self._out.encoding or "utf-8"
        safe = text.encode(encoding, "backslashreplace").decode(encoding)
        print(self._painted(safe, style), file=self._out, flush=True)

    @property
    def width(self) -> int:
        """The width of a row, in characters."""
        widths = [column.width for column in self._columns]
        return sum(widths) + len(_GAP) * (len(widths) - 1)

    def _line(self, cells: Sequence[str], style: Style = "plain") -> None:
        padded = [
            f"{cell:{column.side}{column.width}}"
            for cell, column in zip(cells, self._columns, strict=True)
        ]
        padded[-1] = self._painted(padded[-1].rstrip(), style)
        self.say(_GAP.join(padded).rstrip())

    def _painted(self, text: str, style: Style) -> str:
        if not self._coloured or style not in _CODES or not text:
            return text
        return f"\033[{_CODES[style]}m{text}\033[0m"


def _wants_colour(out: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not out.isatty():
        return False
    # The old Windows console prints the codes as text; Windows Terminal sets WT_SESSION.
    return os.name != "nt" or "WT_SESSION" in os.environ
