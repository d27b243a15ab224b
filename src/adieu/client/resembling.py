"""The option or setting that an unknown name resembles: misspelt, or called otherwise in other libraries."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["resembling"]

_ELSEWHERE = {
    "allow_redirects": "follow_redirects",
    "hooks": "event_hooks",
    "max_retries": "retry",
    "proxies": "proxy",
    "retries": "retry",
    "transport": "adapter",
    "trust_env": "proxy",
}


@lru_cache(maxsize=256)
def resembling(name: str, known: frozenset[str]) -> str | None:
    """The known name that this one resembles, or None."""
    from difflib import get_close_matches

    elsewhere = _ELSEWHERE.get(name)
    if elsewhere in known:
        return elsewhere
    return next(iter(get_close_matches(name, known, 1, 0.75)), None)
