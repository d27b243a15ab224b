"""Parameters of a field value: `; name=token`, `; name="quoted"`, `; name*=UTF-8''encoded`.

The grammar is that of RFC 9110, section 5.6.6, and RFC 8187; white space around "=", an unclosed quote and empty
parameters are accepted, too. Invariants: the time is linear in the length of the text, and nothing raises.
"""

from __future__ import annotations

import re

__all__ = ["parameters", "parameters_at"]

# Matches a whole parameter, so that text inside a quoted value is not taken for one. It begins with the semicolon:
# white space before that would be tried again at each of its characters, in quadratic time.
_PARAMETER = re.compile(
    r';[ \t]*([^\s;=",]*)[ \t]*(?:=[ \t]*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;,\s]*)))?', re.DOTALL
)
_SPACE = re.compile(r"[ \t]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.IGNORECASE | re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def parameters(value: str) -> list[tuple[str, str]]:
    """The parameters of a whole value, in order, their names in lower case; other text is skipped."""
    return [found for match in _PARAMETER.finditer(value) if (found := _pair(match)) is not None]


def parameters_at(value: str, start: int) -> tuple[list[tuple[str, str]], int]:
    """The parameters from `start` on, and the position of their end: of the text, or of its first other part."""
    found: list[tuple[str, str]] = []
    while True:
        space = _SPACE.match(value, start)
        start = space.end() if space is not None else start
        match = _PARAMETER.match(value, start)
        if match is None:
            return found, start
        start = match.end()
        if (parameter := _pair(match)) is not None:
            found.append(parameter)


def _pair(match: re.Match[str]) -> tuple[str, str] | None:
    name, quoted, token = match.groups()
    if not name:
        return None
    text = token if quoted is None else _ESCAPED.sub(r"\1", quoted)
    return _decoded(name.lower(), text or "")


def _decoded(name: str, text: str) -> tuple[str, str]:
    """The parameter; if its name ends in "*" (RFC 8187), its percent-encoding and charset are decoded."""
    extended = _EXTENDED.fullmatch(text) if name.endswith("*") else None
    if extended is None:
        return name, text
    raw = _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), extended[2].encode("utf-8"))
    return name, raw.decode(extended[1].lower(), "replace")
