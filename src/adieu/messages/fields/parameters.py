"""Parameters of a field value: `; name=token`, `; name="quoted"`, `; name*=UTF-8''coded` (RFC 9110, 5.6.6; RFC 8187).

Rules of the room: linear in the length of the text, nothing raises, whatever a server sends. More lenient than the
grammar where that harms nobody: white space around "=", an unclosed quote, empty parameters.
"""

from __future__ import annotations

import re

__all__ = ["parameters", "parameters_at"]

# A whole parameter at a time, so that nothing inside a quoted value looks like one. It begins with its semicolon:
# white space before that, tried again at each of its characters, would take quadratic time.
_PARAMETER = re.compile(
    r';[ \t]*([^\s;=",]*)[ \t]*(?:=[ \t]*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;,\s]*)))?', re.DOTALL
)
_SPACE = re.compile(r"[ \t]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.IGNORECASE | re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def parameters(value: str) -> list[tuple[str, str]]:
    """The parameters of a whole value, in order, their names in lower case; what stands between them is skipped."""
    return [found for match in _PARAMETER.finditer(value) if (found := _named(match)) is not None]


def parameters_at(value: str, start: int) -> tuple[list[tuple[str, str]], int]:
    """The parameters that begin here, and where they end: at the end of the text, or at what is no parameter."""
    found: list[tuple[str, str]] = []
    while True:
        space = _SPACE.match(value, start)
        start = space.end() if space is not None else start
        match = _PARAMETER.match(value, start)
        if match is None:
            return found, start
        start = match.end()
        if (parameter := _named(match)) is not None:
            found.append(parameter)


def _named(match: re.Match[str]) -> tuple[str, str] | None:
    name, quoted, token = match.groups()
    if not name:
        return None
    text = token if quoted is None else _ESCAPED.sub(r"\1", quoted)
    return _decoded(name.lower(), text or "")


def _decoded(name: str, text: str) -> tuple[str, str]:
    """A parameter whose name ends in "*" has a charset and percent signs, which are undone."""
    extended = _EXTENDED.fullmatch(text) if name.endswith("*") else None
    if extended is None:
        return name, text
    raw = _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), extended[2].encode("utf-8"))
    return name, raw.decode(extended[1].lower(), "replace")
