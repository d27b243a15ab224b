"""The arguments of `Client.map` and `AsyncClient.map`, checked when they are given."""

from __future__ import annotations

from enum import Enum

from adieu.errors import InvalidRequest

__all__ = ["NoRequest", "checked_limit", "refused_source"]


class NoRequest(Enum):
    """Why a source gave no request."""

    NOT_YET = "not yet"
    EXHAUSTED = "exhausted"


def checked_limit(limit: int) -> int:
    """How many requests may be under way at a time. Raises `InvalidRequest` for anything but a number from 1."""
    if type(limit) is not int or limit < 1:
        raise InvalidRequest(f"map: limit takes a whole number from 1, not {limit!r}")
    return limit


def refused_source(requests: object) -> InvalidRequest:
    """The error for an argument that is no iterable of requests. A string is one of characters."""
    return InvalidRequest(f"map takes an iterable of requests or URLs, not {requests!r:.80}")
