"""The head of a response, as an app gives it to `start_response`, checked as strictly as bytes from a wire."""

from __future__ import annotations

import re
from typing import NamedTuple

from adieu.errors import InvalidHeader
from adieu.messages.headers import Headers

__all__ = ["Head", "Unfit", "head_of"]

# What belongs to a connection, and so to the server (PEP 3333, "Other HTTP Features").
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "trailers", "transfer-encoding", "upgrade")
)
# 1xx are not for apps: there is no way to send another status after them.
_STATUS = re.compile(r"([2-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,19}")


class Unfit(Exception):
    """What an app gave is no head; the text says why."""


class Head(NamedTuple):
    """Status, reason and fields, and how long the body is (None: the end will tell)."""

    status: int
    reason: str
    headers: Headers
    length: int | None


def head_of(status: object, fields: object) -> Head:
    """The head of what `start_response` was called with. Raises `Unfit`."""
    match = _STATUS.fullmatch(status) if isinstance(status, str) else None
    if match is None:
        raise Unfit(f'the status must be a str like "200 OK", not {status!r}')
    if not isinstance(fields, list):
        raise Unfit(f"the headers must be a list, not {type(fields).__name__}")
    for field in fields:
        if (
            not isinstance(field, tuple)
            or len(field) != 2
            or not all(isinstance(part, str) for part in field)
        ):
            raise Unfit("every header must be a tuple of two str")
        if field[0].lower() in _HOP_BY_HOP:
            raise Unfit(f"the header {field[0]} belongs to the server, which has the connection")
    try:
        headers = Headers(fields)
    except InvalidHeader as error:
        raise Unfit(str(error)) from error
    return Head(int(match[1]), match[2], headers, _length(headers))


def _length(headers: Headers) -> int | None:
    values = set(headers.get_list("content-length"))
    if not values:
        return None
    text = values.pop()
    if values or not _LENGTH.fullmatch(text):
        raise Unfit("its Content-Length is not one number")
    return int(text)
