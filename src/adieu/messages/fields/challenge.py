"""Authentication fields: the challenges of WWW-Authenticate and Proxy-Authenticate, the parameters of the -Info fields.

Invariants: no text of a server raises. Parsing ends at the first text that the grammar (RFC 9110, sections 11.2-11.6)
does not allow, and returns what stood before it; but the quotes around a value may be missing, as cameras and other
devices leave them out. No returned value has control characters, so that it may be written
into a field of a request. The time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Challenge", "parse_challenges", "parse_parameters", "quoted"]

_WORD = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
_TEXT = r"[\t !\x23-\x5b\x5d-\x7e\x80-\xff]*"
_QUOTED = rf'"{_TEXT}(?:\\[\t\x20-\x7e\x80-\xff]{_TEXT})*"'
# A value without its quotes. Only its first word may have an "=", as base64 does: "c Digest realm=d" is no value.
_BARE = r"[!\x23-\x2b\x2d-\x7e\x80-\xff]+(?:[\t ]+[!\x23-\x2b\x2d-\x3c\x3e-\x7e\x80-\xff]+)*"
_gap = re.compile(r"[\t ,]*").match
_token = re.compile(_WORD).match
# A parameter ends before a comma or at the end of the text; without the lookahead, a scheme could be taken for one.
_END = r"(?=[\t ]*(?:,|$))"
_parameter = re.compile(
    rf"({_WORD})[\t ]*=[\t ]*(?:({_WORD}){_END}|({_QUOTED}){_END}|({_BARE}){_END})"
).match
_token68 = re.compile(r" +([A-Za-z0-9\-._~+/]+=*)(?=[\t ]*(?:,|$))").match
_escape = re.compile(r"\\(.)", re.DOTALL)
_needs_escape = re.compile(r'["\\]')


class Challenge(NamedTuple):
    """One way to authenticate that a server offers (RFC 9110, section 11.3).

    `scheme` and the names in `parameters` are in lower case; values are unquoted. Schemes of the older kind (Negotiate,
    NTLM) have a `token68` instead of parameters.
    """

    scheme: str
    token68: str | None
    parameters: dict[str, str]


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """The challenges in all fields of one name, in order. A field may have several challenges.

    >>> [c.scheme for c in parse_challenges(['Digest realm="a, b", nonce=x, Basic realm=c', "Negotiate"])]
    ['digest', 'basic', 'negotiate']
    """
    return [challenge for text in fields for challenge in _challenges(text)]


def _challenges(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = _skip_gap(text, 0)
    while at < len(text):
        if found and found[-1].token68 is None and (parameter := _parameter(text, at)):
            _add(found[-1].parameters, parameter)
            at = parameter.end()
        elif scheme := _token(text, at):
            at = scheme.end()
            if found and _continues_qop(found[-1], scheme[0]):
                found[-1].parameters["qop"] += f", {scheme[0]}"
                at = _skip_gap(text, at)
                continue
            token68 = _token68(text, at)
            if token68:
                at = token68.end()
            elif at < len(text) and text[at] not in " \t,":
                break
            found.append(Challenge(scheme[0].lower(), token68 and token68[1], {}))
        else:
            break
        at = _skip_gap(text, at)
    return found


def _continues_qop(challenge: Challenge, word: str) -> bool:
    """Whether a word belongs to `qop=auth,auth-int`, which lost its quotes, and is no scheme."""
    names = list(challenge.parameters)
    return names[-1:] == ["qop"] and word.lower() in ("auth", "auth-int")


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of an Authentication-Info or Proxy-Authentication-Info field (RFC 9110, section 11.6.3)."""
    parameters: dict[str, str] = {}
    at = _skip_gap(text, 0)
    while parameter := _parameter(text, at):
        _add(parameters, parameter)
        at = _skip_gap(text, parameter.end())
    return parameters


def _skip_gap(text: str, at: int) -> int:
    gap = _gap(text, at)
    return at if gap is None else gap.end()


def _add(parameters: dict[str, str], found: re.Match[str]) -> None:
    name, token, text, bare = found.groups()
    value = token or bare if text is None else _escape.sub(r"\1", text[1:-1])
    # RFC 9110, section 11.2: a name occurs once. If it is repeated, the first value counts.
    parameters.setdefault(name.lower(), value)


def quoted(value: str) -> str:
    """The value as a quoted-string (RFC 9110, section 5.6.4)."""
    return f'"{_needs_escape.sub(_escaped, value)}"'


def _escaped(character: re.Match[str]) -> str:
    return f"\\{character[0]}"
