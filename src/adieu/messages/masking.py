"""Masking: values that are hidden from logs and reports, recognised by the names of their fields and parameters."""

from __future__ import annotations

import re

__all__ = ["MASK", "is_secret", "masked_pairs", "masked_url"]

MASK = "[secret]"
_PAIR = re.compile(r"(^|[?&])([^=&]*)=([^&#]+)")
_SECRET = re.compile(
    r"authorization|cookie|token|secret|passw|credential|signature|x-auth"
    r"|(?:api|auth|access|subscription|functions)[-_]?key"
)
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")


def is_secret(name: str) -> bool:
    """Whether the values of a field or parameter of this name are secrets."""
    return _SECRET.search(name.lower()) is not None


def masked_pairs(text: str) -> str:
    """A URL or a form, with the values masked whose names say that they are secrets."""
    return _PAIR.sub(
        lambda pair: f"{pair[1]}{pair[2]}={MASK}" if is_secret(pair[2]) else pair[0], text
    )


def masked_url(url: str) -> str:
    """A URL for logs: user name and secret parameters masked, without the fragment, which is never sent."""
    shown = _USERINFO.sub(rf"\1{MASK}@", url.partition("#")[0])
    return masked_pairs(shown) if "=" in shown else shown
