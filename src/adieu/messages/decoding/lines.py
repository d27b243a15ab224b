"""Lines out of text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import StringIO

from adieu.errors import BodyTooLarge, InvalidRequest

__all__ = ["LineSplitter"]

_LINE_END = re.compile(r"\r\n|\n|\r").split


class LineSplitter:
    r"""Lines without their ends, which are \n, \r\n and \r. `max_line`: the most characters of one line.

    `str.splitlines` would not do: it also splits at form feeds, U+0085, U+2028 and more, which are legal inside a line
    of JSON, CSV or a log, and does not know whether a last \r is half of a \r\n. The time is linear in the length of
    the text, however many pieces a line comes in; the memory is that of one line, and of one piece of text.
    """

    __slots__ = ("_after_cr", "_begun", "_max_line")

    def __init__(self, max_line: int) -> None:
        if type(max_line) is not int or max_line < 1:
            raise InvalidRequest(
                f"max_line is a number of characters of at least 1, not {max_line!r}"
            )
        self._max_line = max_line
        # The line that has not ended yet.
        self._begun = StringIO()
        self._after_cr = (
            False  # the text so far ended with \r, so that a following \n belongs to it
        )

    def feed(self, text: str) -> Iterable[str]:
        """Take text, return the lines that ended in it. Raises `BodyTooLarge`, perhaps after some lines.

        The lines must be read to their end before the next call.
        """
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text[-1:] == "\r"
        lines = _LINE_END(text) if "\r" in text else text.split("\n")
        rest = lines.pop()
        begun = self._begun
        # How long a line may be that ends here.
        longest = begun.tell() + len(text)
        if lines and begun.tell():
            lines[0] = begun.getvalue() + lines[0]
            self._begun = begun = StringIO()
        if rest:
            begun.write(rest)
        return lines if longest <= self._max_line else self._checked(lines)

    def _checked(self, lines: list[str]) -> Iterator[str]:
        for line in lines:
            self._check(len(line))
            yield line
        self._check(self._begun.tell())

    def _check(self, size: int) -> None:
        if size > self._max_line:
            raise BodyTooLarge(
                f"a line has more than {self._max_line} characters: raise max_line, if that is right"
            )

    def finish(self) -> list[str]:
        """Return the last line, if it had no end."""
        last = self._begun.getvalue()
        self._begun = StringIO()
        return [last] if last else []
