"""`Link` fields: relations between the requested resource and others (RFC 8288).

Invariants: the time is linear in the length of the field, and nothing raises: text that is no link is skipped (appendix
B.2). A link with an `anchor` is about another resource than the requested one, and is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidURL
from adieu.messages.fields.parameters import parameters_at

if TYPE_CHECKING:
    from adieu.messages.url import URL

__all__ = ["Link", "links_by_relation", "parse_links"]

_TARGET = re.compile(r"<([^<>]*)>")
_BETWEEN = re.compile(r"[ \t,]*")
# Up to the next comma outside of quotes, in few repetitions, because each of them takes memory.
_UP_TO_COMMA = re.compile(r'(?:"[^"\\]*(?:\\.[^"\\]*)*"?|[^",]+)*', re.DOTALL)


class Link(NamedTuple):
    """One link: its target, its relations (in lower case), and its other parameters."""

    url: URL
    relations: tuple[str, ...]
    parameters: dict[str, str]


def parse_links(value: str, base: URL) -> list[Link]:
    """The links of a field value, in order; relative ones are resolved against `base`."""
    links = []
    at = 0
    while at < len(value):
        # Not one pattern with the target: tried at each of many commas, it would take quadratic time.
        at = _end(_BETWEEN, value, at)
        target = _TARGET.match(value, at)
        if target is None:
            at = _end(_UP_TO_COMMA, value, at) + 1
            continue
        found, at = parameters_at(value, target.end())
        link = _link(target[1], found, base)
        if link is not None:
            links.append(link)
        at = _end(_UP_TO_COMMA, value, at) + 1
    return links


def links_by_relation(value: str, base: URL) -> dict[str, Link]:
    """The first link of each relation."""
    relations: dict[str, Link] = {}
    for link in parse_links(value, base):
        for relation in link.relations:
            relations.setdefault(relation, link)
    return relations


def _end(pattern: re.Pattern[str], value: str, at: int) -> int:
    """The end of the pattern's match at this position."""
    match = pattern.match(value, at)
    return match.end() if match is not None else len(value)


def _link(target: str, found: list[tuple[str, str]], base: URL) -> Link | None:
    # Of a repeated name, the first value counts (section 3.3); `title*` goes before `title` (section 3.4.1).
    parameters = dict(reversed(found))
    for name in [name for name in parameters if name.endswith("*") and len(name) > 1]:
        parameters[name[:-1]] = parameters.pop(name)
    relations = tuple(parameters.pop("rel", "").lower().split())
    if not relations or "anchor" in parameters:
        return None
    try:
        return Link(base.join(target), relations, parameters)
    except InvalidURL:
        return None
