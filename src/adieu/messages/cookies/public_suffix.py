"""Public suffixes: under which domains strangers live side by side, so that no cookie may be set for all of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["is_public_suffix"]

_list: Any = None


@lru_cache(1024)
def is_public_suffix(domain: str) -> bool:
    """Whether a domain (A-labels, lower case, no address) is one under which anybody can have a name.

    Known for certain with the extra `public-suffixes` (the list of publicsuffix.org, as old as the installed package).
    Without it, a name of one label is one ("com", but not "co.uk").
    """
    return "." not in domain or _listed(domain)


def _listed(domain: str) -> bool:
    global _list
    if _list is None:
        try:
            from publicsuffixlist import PublicSuffixList
        except ImportError:
            _list = False
        else:
            _list = (
                PublicSuffixList()
            )  # 50 ms, when the first cookie comes that is meant for a whole domain.
    return _list is not False and bool(_list.is_public(domain))
