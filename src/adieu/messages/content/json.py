"""`json=`: encoded strictly (RFC 8259, so without NaN), as UTF-8, without spaces.

An error names the path and the type of the value that JSON cannot express, never the value, which may be a secret.
`json` is imported when the first value is encoded.
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
    """The value as UTF-8. Raises `InvalidRequest` with the path of the part that JSON cannot express."""
    try:
        return _encoder()(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"json= cannot be sent: {_find_fault(value) or error}") from error


def _find_fault(value: object) -> str | None:
    """Which part of a value JSON cannot express, and why; None if none is found."""
    todo: list[tuple[str, object]] = [("json", value)]
    seen = set()  # ends a cycle; the error of `json` says that there is one
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
