"""Messages as JSON."""

from __future__ import annotations

from typing import Any

from adieu.errors import DecodeError

__all__ = ["decoded"]


def decoded(message: str | bytes) -> Any:
    """The value of a message: text, or bytes in UTF-8, -16 or -32. Raises `DecodeError`."""
    from json import loads

    try:
        return loads(message)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the message is no JSON: {error}") from error
