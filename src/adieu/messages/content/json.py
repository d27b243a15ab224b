"""JSON out: strict (RFC 8259), as UTF-8, without spaces; and where in a value the fault lies.

Rules of the room: an error shows paths and types, never values, which may be secrets. `json` is
imported when the first value is encoded.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["encode_json"]


@lru_cache(maxsize=1)
def _encoder() -> Callable[[object], str]:
    from json import JSONEncoder

    return JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_json(value: object) -> bytes:
    """The value as UTF-8. Raises `InvalidRequest` naming what JSON cannot express, and its path."""
    try:
        return _encoder()(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"json= cannot be sent: {_fault(value) or error}") from error


def _fault(value: object) -> str | None:
    """What in a value JSON cannot express, and where; never the value itself. None: not found."""
    todo: list[tuple[str, object]] = [("json", value)]
    seen = set()  # Cycles end here; json itself says what is wrong with them.
    while todo:
        where, item = todo.pop()
        if isinstance(item, (dict, list, tuple)):
            if id(item) in seen:
                continue
            seen.add(id(item))
            for key in item if isinstance(item, dict) else ():
                if key is not None and not isinstance(key, (str, int, float)):
                    return f"{where} has a key of type {type(key).__name__}; keys are text"
            parts = item.items() if isinstance(item, dict) else enumerate(item)
            todo += [(f"{where}[{key!r}]", part) for key, part in parts][::-1]
        elif isinstance(item, float):
            if item - item != 0:
                return f"{where} is {item!r}, and JSON has no such number (RFC 8259, section 6)"
        elif isinstance(item, str):
            if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
                return f"{where} has a lone surrogate, which UTF-8 cannot express"
        elif item is not None and not isinstance(item, int):
            return f"{where} is {type(item).__name__}, which JSON cannot express"
    return None
