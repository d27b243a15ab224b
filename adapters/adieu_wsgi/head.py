"""The head of a response, from the arguments of `start_response`, checked as strictly as bytes from a wire."""

from __future__ import annotations

import re
from typing import NamedTuple

from adieu.errors import InvalidHeader
from adieu.messages.headers import Headers

__all__ = ["Head", "InvalidHead", "head_of"]

# Fields of the connection, which belong to the server (PEP 3333, "Other HTTP Features").
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "trailers", "transfer-encoding", "upgrade")
)
# Apps cannot send 1xx: they could not send another status afterwards.
_STATUS = re.compile(r"([2-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(r"[0-9]{1,19}")


class InvalidHead(Exception):
    """The arguments of the app make no head; the text says why."""


class Head(NamedTuple):
    """Status, reason, fields and the length of the body (None: unknown before its end)."""

    status: int
    reason: str
    headers: Headers
    length: int | None


def head_of(status: object, fields: object) -> Head:
    """The head for the arguments of `start_response`. Raises `InvalidHead`."""
    match = _STATUS.fullmatch(status) if isinstance(status, str) else None
    if match is None:
        raise InvalidHead(f'the status must be a str like "200 OK", not {status!r}')
    if not isinstance(fields, list):
        raise InvalidHead(f"the headers must be a list, not {type(fields).__name__}")
    for field in fields:
        if (
            not isinstance(field, tuple)
            or len(field) != 2
            or not all(isinstance(part, str) for part in field)
        ):
            raise InvalidHead("every header must be a tuple of two str")
        if field[0].lower() in _HOP_BY_HOP:
            raise InvalidHead(
                f"the header {field[0]} belongs to the server, which has the connection"
            )
    try:
        headers = Headers(fields)
    except InvalidHeader as error:
        raise InvalidHead(str(error)) from error
    return Head(int(match[1]), match[2], headers, _length(headers))


def _length(headers: Headers) -> int | None:
    values = set(headers.get_list("content-length"))
    if not values:
        return None
    text = values.pop()
    if values or not _LENGTH.fullmatch(text):
        raise InvalidHead("its Content-Length is not one number")
    return int(text)
