"""Which recorded exchange answers a request; and if none does, what differs from the nearest one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, get_args

from adieu.errors import AdieuError, InvalidRequest
from adieu.texts import show, show_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adieu.testing.scrub import Fields
    from adieu.testing.tape import Recorded

__all__ = ["Match", "RecordingMismatch", "checked_match", "differences", "explain", "find"]

Match = Literal["method", "url", "headers", "body"]


class RecordingMismatch(AdieuError, AssertionError):
    """A `Recorder` has no exchange for a request; the text says what differs from the nearest one."""


def checked_match(match: Iterable[str]) -> tuple[Match, ...]:
    """The parts by which requests are compared. Raises `InvalidRequest` for unknown ones."""
    given = tuple(match)
    unknown = [part for part in given if part not in get_args(Match)]
    if unknown or not given:
        raise InvalidRequest(f"match= names some of {', '.join(get_args(Match))}, not {given!r}")
    return tuple(part for part in get_args(Match) if part in given)


def find(asked: Recorded, recorded: Sequence[Recorded], match: Sequence[Match]) -> Recorded | None:
    """The first exchange that was not replayed yet and has the same request."""
    for each in recorded:
        if not each.played and not differences(each, asked, match):
            return each
    return None


def differences(known: Recorded, asked: Recorded, match: Sequence[Match]) -> list[str]:
    """What differs, a line for each part; empty if the request is the same."""
    found = []
    for part in match:
        if part == "method" and known.method != asked.method:
            found.append(f"method: recorded {known.method}, asked {asked.method}")
        elif part == "url" and known.url != asked.url:
            found += _urls(known.url, asked.url)
        elif part == "headers":
            found += _headers(known.fields, asked.fields)
        elif part == "body" and _comparable(known) != _comparable(asked):
            found.append(f"body: recorded {_body(known)}, asked {_body(asked)}")
    return found


def _urls(known: str, asked: str) -> list[str]:
    (known_place, _, known_query), (place, _, query) = known.partition("?"), asked.partition("?")
    found = []
    if known_place != place:
        found.append(f"url: recorded {show_url(known_place)}, asked {show_url(place)}")
    if known_query != query:
        found.append(
            f"query: recorded {show_url(f'?{known_query}')}, asked {show_url(f'?{query}')}"
        )
    return found


def _headers(known: Fields, asked: Fields) -> list[str]:
    before, after = _by_name(known), _by_name(asked)
    return [
        f"header {name}: recorded {before.get(name, ['none'])}, asked {after.get(name, ['none'])}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _by_name(fields: Fields) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name.lower(), []).append(value)
    return found


def _comparable(exchange: Recorded) -> object:
    """The content, so that the order of JSON's members and the boundary of a form do not count."""
    content = exchange.content
    media_type = next((v for n, v in exchange.fields if n.lower() == "content-type"), "")
    if "json" in media_type:
        try:
            return json.loads(content)
        except ValueError:
            return content
    boundary = media_type.partition("boundary=")[2].strip('"')
    return content.replace(boundary.encode(), b"-") if boundary else content


def _body(exchange: Recorded) -> str:
    return show(exchange.content) if exchange.content else "none"


def explain(
    asked: Recorded, recorded: Sequence[Recorded], match: Sequence[Match], path: object, mode: str
) -> RecordingMismatch:
    """The error for a request that no exchange answers."""
    what = f"{asked.method} {show_url(asked.url)} is not in the recording {path} (mode={mode!r})"
    hint = "To record it: mode='new', or delete the file."
    if not recorded:
        return RecordingMismatch(f"{what}, which is empty. {hint}")
    same = [each for each in recorded if not differences(each, asked, match)]
    if same:
        count = f"{len(same)} time{'s' if len(same) > 1 else ''}"
        return RecordingMismatch(
            f"{what} once more: it was recorded {count}, and replayed {count}. {hint}"
        )
    nearest = min(recorded, key=lambda each: (_distance(each, asked, match), each.played))
    lines = [f"  {line}" for line in differences(nearest, asked, match)]
    at = f"The nearest exchange is in line {recorded.index(nearest) + 2}"
    return RecordingMismatch("\n".join([f"{what}. {at}; it differs:", *lines, hint]))


def _distance(known: Recorded, asked: Recorded, match: Sequence[Match]) -> tuple[float, int]:
    """How far it is: first how little their URLs have in common, then how many parts differ."""
    common = 0
    for one, other in zip(known.url, asked.url, strict=False):
        if one != other:
            break
        common += 1
    near = common / max(len(known.url), len(asked.url), 1)
    return 1 - near, len(differences(known, asked, match))
