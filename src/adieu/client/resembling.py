"""The option or setting that an unknown name resembles: misspelt, or called otherwise in other libraries."""

from __future__ import annotations

from functools import lru_cache

from adieu._elsewhere import OPTIONS

__all__ = ["resembling"]


@lru_cache(maxsize=256)
def resembling(name: str, known: frozenset[str]) -> str | None:
    """The known name that this one resembles, or None."""
    from difflib import get_close_matches

    elsewhere = OPTIONS.get(name)
    if elsewhere in known:
        return elsewhere
    return next(iter(get_close_matches(name, known, 1, 0.75)), None)
