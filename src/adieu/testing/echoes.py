"""The secrets that a recorder has met, so that they are masked wherever a server repeats them.

A value is known as a secret by the name that it had once: of a header field, a parameter, a cookie, a member. From then
on it is masked in any text, in the forms in which texts have it: as it is, escaped for URLs, JSON and HTML, in base64.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote_plus

from adieu.texts import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Echoes"]

# Shorter values are found in many texts that mean something else.
_SHORTEST = 8


class Echoes:
    """Learns secrets, and masks them in texts."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, value: str) -> None:
        """This is a secret; of credentials, so is what comes after the scheme, and in it."""
        value = value.strip()
        if len(value) < _SHORTEST or value in self._values or set(value) == {"*"}:
            return
        self._values.add(value)
        self._pattern = None
        scheme, space, rest = value.partition(" ")
        if space and scheme.isalnum():
            self.learn(rest)
            if scheme.lower() == "basic":
                self._learn_password(rest)
        if "%" in value or "+" in value:
            self.learn(unquote_plus(value))

    def _learn_password(self, coded: str) -> None:
        try:
            name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except ValueError:
            return
        self.learn(f"{name}:{password}")
        self.learn(password)

    def masked(self, text: str) -> str:
        """The text without the secrets that are known by now."""
        if not self._values:
            return text
        if self._pattern is None:
            forms = {form for value in self._values for form in _forms(value)}
            longest_first = sorted(forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern.sub(MASK, text)


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield html.escape(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield base64.b64encode(value.encode()).decode("ascii")
