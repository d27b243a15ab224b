"""The items after the URL: `name=value`, `Header:value` and the like. Pure, but for the files that they name.

The first separator in an item decides; of two that begin at the same place, the longer one. A backslash before a
separator makes it a part of the name.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Items", "parse_items", "unreadable"]

_ITEM = re.compile(
    r"(?P<name>(?:\\.|[^\\:=@])*)(?P<sign>:=@|:=|==|=@|=|:|@)(?P<value>.*)", re.DOTALL
)


class Items(NamedTuple):
    """The parts of a request that its items have."""

    headers: list[tuple[str, str | None]]
    """None removes a default."""
    params: list[tuple[str, str]]
    fields: list[tuple[str, object]]
    """Of the JSON object, or of the form."""
    files: list[tuple[str, str]]
    """Names of form fields, and paths."""

    @property
    def has_content(self) -> bool:
        """There is something to send after the head."""
        return bool(self.fields or self.files)


def parse_items(texts: Iterable[str]) -> Items:
    """Take items apart. Raises `InvalidRequest` for one that is none, and for a file that cannot be read.

    >>> parse_items(["page==2", "Accept:text/csv", "name=a", "size:=3"])
    Items(headers=[('Accept', 'text/csv')], params=[('page', '2')], fields=[('name', 'a'), ('size', 3)], files=[])
    """
    items = Items([], [], [], [])
    for text in texts:
        found = _ITEM.fullmatch(text)
        if found is None:
            raise InvalidRequest(
                f"{text!r} is no item of a request: write name=value, name:=json, name==value (in the query), "
                "Header:value, or name@file"
            )
        name, sign, value = (
            re.sub(r"\\([:=@\\])", r"\1", found["name"]),
            found["sign"],
            found["value"],
        )
        if not name:
            raise InvalidRequest(f"{text!r} has no name before its {sign}")
        if sign == ":":
            items.headers.append((name, value.lstrip() or None))
        elif sign == "==":
            items.params.append((name, value))
        elif sign == "@":
            items.files.append((name, value))
        else:
            given = _text_of(value) if sign.endswith("@") else value
            items.fields.append((name, _json(given, text) if sign.startswith(":=") else given))
    return items


def unreadable(path: str, error: OSError) -> InvalidRequest:
    """The error for a file that was named on the command line."""
    return InvalidRequest(f"{path!r} cannot be read: {error.strerror or error}")


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{path!r} is no text in UTF-8; name@{path} sends it as a file"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _json(text: str, item: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"{item!r}: what follows := is no JSON: {error}") from error
