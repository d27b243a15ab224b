"""Parts of a stored body (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from adieu import Headers
    from adieu_cache.stored import Stored

__all__ = ["Part", "part_of"]

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII).fullmatch


class Part(NamedTuple):
    """The bytes from `first` to `last`, which is one of them, of a body of `length` bytes."""

    first: int
    last: int
    length: int

    def __str__(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.length}"


def part_of(wanted: Headers, stored: Stored, length: int) -> Part | None:
    """The part of a stored body that a request asks for. None: the server has to answer that.

    So it is with several ranges, with one that the body does not have, and with an If-Range that is not about the
    stored body for certain (section 13.1.5).
    """
    found = _ONE_RANGE(wanted["range"].strip().lower())
    if found is None or stored.status != 200 or not _is_about(wanted.get("if-range"), stored):
        return None
    first, last = found[1], found[2]
    if first:
        part = Part(int(first), min(int(last), length - 1) if last else length - 1, length)
    elif last:
        part = Part(max(0, length - int(last)), length - 1, length)
    else:
        return None
    return part if part.first <= part.last else None


def _is_about(condition: str | None, stored: Stored) -> bool:
    if condition is None:
        return True
    return condition.startswith('"') and condition == stored.headers.get("etag")
