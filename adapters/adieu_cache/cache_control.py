"""The field Cache-Control, of requests and responses (RFC 9111, section 5.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu import Headers

__all__ = ["CacheControl"]

# A directive, its value (quoted or not), and what follows up to the next comma that is in no quoted string: RFC 9110,
# sections 5.6.1 and 5.6.4. Something that follows makes the value invalid.
_MEMBER = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s",]*)))?([^,]*)""", re.ASCII
)
_ESCAPED = re.compile(r"\\(.)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_MOST_SECONDS = 2**31
"""RFC 9111, section 1.2.2: greater numbers of seconds are this one."""


class CacheControl:
    """The directives of a message. Of a directive that is there twice, the first counts (section 4.2.1)."""

    __slots__ = ("_values",)

    def __init__(self, headers: Headers) -> None:
        self._values: dict[str, str | None] = {}
        # Lines are members of one list (RFC 9110, section 5.3).
        for line in headers.get_list("cache-control"):
            for name, quoted, plain, rest in _MEMBER.findall(line):
                value = _ESCAPED.sub(r"\1", quoted) if quoted else plain + rest.strip()
                self._values.setdefault(name.lower(), value or None)

    def has(self, name: str) -> bool:
        """The directive is there, with a value or without."""
        return name in self._values

    def is_plain(self, name: str) -> bool:
        """It is there, and not limited to some fields by a value."""
        return name in self._values and self._values[name] is None

    def seconds(self, name: str) -> int | None:
        """Its value in seconds; None: it is not there. A value that is no number counts as 0, so as the shortest."""
        if name not in self._values:
            return None
        value = self._values[name] or ""
        return min(int(value), _MOST_SECONDS) if value.isascii() and value.isdecimal() else 0

    def fields(self, name: str) -> set[str]:
        """The names of the fields that a directive is limited to, in lower case."""
        return set(_NAME.findall((self._values.get(name) or "").lower()))

    def __bool__(self) -> bool:
        return bool(self._values)
