"""`Link` fields: relations between what was answered and other resources (RFC 8288).

Rules of the room: linear in the length of the field, and nothing raises: what is no link is skipped, as section B.2 of
the RFC has it. A link with an `anchor` is about some other resource than the one that was asked for, and is left out.
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
# Up to the next comma that is not quoted; in as few repetitions as it takes, because each of them takes memory.
_PAST = re.compile(r'(?:"[^"\\]*(?:\\.[^"\\]*)*"?|[^",]+)*', re.DOTALL)


class Link(NamedTuple):
    """One link: where it leads, by which relations (in lower case), and what else is said about it."""

    url: URL
    relations: tuple[str, ...]
    parameters: dict[str, str]


def parse_links(value: str, base: URL) -> list[Link]:
    """The links of a field value, in order; relative ones are resolved against `base`."""
    links = []
    at = 0
    while at < len(value):
        # PoolKey from the target: tried again at each of many commas, the two would take quadratic time.
        at = _end(_BETWEEN, value, at)
        target = _TARGET.match(value, at)
        if target is None:
            at = _end(_PAST, value, at) + 1
            continue
        found, at = parameters_at(value, target.end())
        link = _link(target[1], found, base)
        if link is not None:
            links.append(link)
        at = _end(_PAST, value, at) + 1
    return links


def links_by_relation(value: str, base: URL) -> dict[str, Link]:
    """The first link of each relation."""
    relations: dict[str, Link] = {}
    for link in parse_links(value, base):
        for relation in link.relations:
            relations.setdefault(relation, link)
    return relations


def _end(pattern: re.Pattern[str], value: str, at: int) -> int:
    """Where what this pattern matches from here on ends."""
    match = pattern.match(value, at)
    return match.end() if match is not None else len(value)


def _link(target: str, found: list[tuple[str, str]], base: URL) -> Link | None:
    # The first of each name counts (section 3.3), and that in UTF-8 before the plain one (section 3.4.1).
    named = dict(reversed(found))
    for name in [name for name in named if name.endswith("*") and len(name) > 1]:
        named[name[:-1]] = named.pop(name)
    relations = tuple(named.pop("rel", "").lower().split())
    if not relations or "anchor" in named:
        return None
    try:
        return Link(base.join(target), relations, named)
    except InvalidURL:
        return None
