"""Why the names of a certificate do not match a host, in words (RFC 9525, section 6.3). OpenSSL has decided that."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["why_none_matches"]

# RFC 1123, section 2.1. OpenSSL matches a wildcard with no other label.
_LABEL = re.compile(r"[A-Za-z0-9-]+").fullmatch


def why_none_matches(host: str, names: Sequence[str]) -> str:
    """A clause about the wildcard among the names that seems to match; "" if none does.

    >>> why_none_matches("a.b.example.org", ["*.example.org"])
    '*.example.org stands for one label before example.org, and not for a.b'
    """
    host = host.rstrip(".").lower()
    for name in names:
        wildcard, _, domain = name.lower().partition(".")
        if wildcard != "*" or not domain:
            continue
        if host == domain:
            return f"{name} is for the hosts below {domain}, and not for {domain} itself"
        below, _, _ = host.rpartition(f".{domain}")
        if not below:
            continue
        if "." in below:
            return f"{name} stands for one label before {domain}, and not for {below}"
        if _LABEL(below) is None:
            return (
                f"a wildcard stands for letters, digits and hyphens only, and not for {below!r}: "
                "such a host needs a certificate with its whole name"
            )
    return ""
