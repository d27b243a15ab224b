"""Lines out of text that comes in pieces."""

from __future__ import annotations

import re

__all__ = ["LineSplitter"]

_LINE_END = re.compile(r"\r\n|\n|\r").split


class LineSplitter:
    r"""Lines without their ends, which are \n, \r\n and \r.

    `str.splitlines` would not do: it also splits at form feeds, U+0085, U+2028 and more, which are legal inside a line
    of JSON, CSV or a log, and does not know whether a last \r is half of a \r\n. The time is linear in the length of
    the text, however many pieces a line comes in.
    """

    __slots__ = ("_after_cr", "_parts")

    def __init__(self) -> None:
        self._parts: list[str] = []  # of the line that has not ended yet
        self._after_cr = (
            False  # the text so far ended with \r, so that a following \n belongs to it
        )

    def feed(self, text: str) -> list[str]:
        """Take text, return the lines that ended in it."""
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text[-1:] == "\r"
        lines = _LINE_END(text) if "\r" in text else text.split("\n")
        rest = lines.pop()
        if lines and self._parts:
            lines[0] = "".join(self._parts) + lines[0]
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        return lines

    def finish(self) -> list[str]:
        """Return the last line, if it had no end."""
        lines = ["".join(self._parts)] if self._parts else []
        self._parts.clear()
        return lines
