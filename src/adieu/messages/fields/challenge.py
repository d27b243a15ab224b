"""Challenges: what WWW-Authenticate and Proxy-Authenticate ask for, and what the -Info fields tell afterwards.

Rules of the room: a server's text is read, never believed to be well formed and never an error. What the grammar (RFC
9110, sections 11.2 to 11.6) does not know ends the reading; what stood before it counts. Every value that leaves this
room may be written into a field of ours: there are no control characters in it. The time taken is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Challenge", "parse_challenges", "parse_parameters", "quoted"]

_WORD = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
_TEXT = r"[\t !\x23-\x5b\x5d-\x7e\x80-\xff]*"
_QUOTED = rf'"{_TEXT}(?:\\[\t\x20-\x7e\x80-\xff]{_TEXT})*"'
_gap = re.compile(r"[\t ,]*").match
_token = re.compile(_WORD).match
# The lookahead tells `realm=x` from a scheme that is followed by something: a parameter ends where its list goes on.
_parameter = re.compile(rf"({_WORD})[\t ]*=[\t ]*(?:({_WORD})|({_QUOTED}))(?=[\t ]*(?:,|$))").match
_token68 = re.compile(r" +([A-Za-z0-9\-._~+/]+=*)(?=[\t ]*(?:,|$))").match
_escape = re.compile(r"\\(.)", re.DOTALL)
_needs_escape = re.compile(r'["\\]')


class Challenge(NamedTuple):
    """One way in which a server lets itself be convinced (RFC 9110, section 11.3).

    `scheme` and the names in `parameters` are in lower case; values are unquoted. Schemes of the older kind (Negotiate,
    NTLM) have a `token68` instead of parameters.
    """

    scheme: str
    token68: str | None
    parameters: dict[str, str]


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """The challenges in all fields of one name, in order: several in a field or one in each, as servers like it.

    >>> [c.scheme for c in parse_challenges(['Digest realm="a, b", nonce=x, Basic realm=c', "Negotiate"])]
    ['digest', 'basic', 'negotiate']
    """
    return [challenge for text in fields for challenge in _challenges(text)]


def _challenges(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = _gap(text).end()  # type: ignore[union-attr]
    while at < len(text):
        if found and found[-1].token68 is None and (parameter := _parameter(text, at)):
            _add(found[-1].parameters, parameter)
            at = parameter.end()
        elif scheme := _token(text, at):
            at = scheme.end()
            token68 = _token68(text, at)
            if token68:
                at = token68.end()
            elif at < len(text) and text[at] not in " \t,":
                break
            found.append(Challenge(scheme[0].lower(), token68 and token68[1], {}))
        else:
            break
        at = _gap(text, at).end()  # type: ignore[union-attr]
    return found


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of an Authentication-Info or Proxy-Authentication-Info field (RFC 9110, section 11.6.3)."""
    parameters: dict[str, str] = {}
    at = _gap(text).end()  # type: ignore[union-attr]
    while parameter := _parameter(text, at):
        _add(parameters, parameter)
        at = _gap(text, parameter.end()).end()  # type: ignore[union-attr]
    return parameters


def _add(parameters: dict[str, str], found: re.Match[str]) -> None:
    name, token, text = found.groups()
    # RFC 9110, section 11.2: a name occurs once. Of two, the first one counts.
    parameters.setdefault(name.lower(), token if text is None else _escape.sub(r"\1", text[1:-1]))


def quoted(value: str) -> str:
    """The value as a quoted-string (RFC 9110, section 5.6.4)."""
    return f'"{_needs_escape.sub(_escaped, value)}"'


def _escaped(character: re.Match[str]) -> str:
    return f"\\{character[0]}"
