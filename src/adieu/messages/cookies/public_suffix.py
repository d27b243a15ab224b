"""Public suffixes: domains under which anybody can register a name, so that no cookie may be set for all of them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

__all__ = ["is_public_suffix"]


@lru_cache(1024)
def is_public_suffix(domain: str) -> bool:
    """Whether a domain (A-labels, lower case, no address) is one under which anybody can register a name.

    The extra `public-suffixes` knows (by the list of publicsuffix.org, as old as the installed package). Without it,
    only a name of one label is taken for one: "com", but not "co.uk".
    """
    if "." not in domain:
        return True
    suffixes = _suffixes()
    return suffixes is not None and bool(suffixes.is_public(domain))


@lru_cache(1)
def _suffixes() -> PublicSuffixList | None:
    """The list, or None if the extra is not installed. Loading it takes 50 ms, for the first cookie with a Domain."""
    try:
        from publicsuffixlist import PublicSuffixList
    except ImportError:
        return None
    return PublicSuffixList()
