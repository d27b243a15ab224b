"""Tables as plain text, printed line by line while the work goes on, so their widths are known beforehand.

Colour only says again what the words say: it is there if the output is a terminal and nobody asked for none
(https://no-color.org), and everything lines up without it.
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
    """A heading of one or more lines, the width in characters, and the side to which the cells are moved."""

    heading: tuple[str, ...]
    width: int
    side: Literal["<", ">"] = ">"


class Table:
    """Prints to `out`, at once."""

    def __init__(self, columns: Sequence[Column], out: TextIO | None = None) -> None:
        self._columns = columns
        self._out = out if out is not None else sys.stdout
        self._coloured = _wants_colour(self._out)

    def headings(self) -> None:
        """The headings, as low as they go, and a rule below them."""
        depth = max(len(column.heading) for column in self._columns)
        stacked = [("",) * (depth - len(head)) + head for head, _, _ in self._columns]
        for line in zip(*stacked, strict=True):
            self._line(line)
        self.say("-" * self.width, "dim")

    def row(self, cells: Sequence[str], style: Style = "plain") -> None:
        """One line. The style is the last cell's, which is the verdict."""
        self._line(cells, style)

    def say(self, text: str = "", style: Style = "plain") -> None:
        """A line of text between the rows. What the output cannot encode, of somebody's error text, is escaped."""
        encoding = self._out.encoding or "utf-8"
        safe = text.encode(encoding, "backslashreplace").decode(encoding)
        print(self._painted(safe, style), file=self._out, flush=True)

    @property
    def width(self) -> int:
        """Of a line, in characters."""
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
    # The old console of Windows prints the codes as they are; its Terminal says that it is there.
    return os.name != "nt" or "WT_SESSION" in os.environ
