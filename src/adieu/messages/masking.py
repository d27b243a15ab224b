"""What of a message is not for logs and bug reports: secrets, known by the names that they have."""

from __future__ import annotations

import re

from adieu.messages.fields.syntax import is_secret

__all__ = ["MASK", "masked_pairs", "masked_url"]

MASK = "[secret]"
_PAIR = re.compile(r"(^|[?&])([^=&]*)=([^&#]+)")
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")


def masked_pairs(text: str) -> str:
    """A URL or a form, the values masked whose names say that they are secrets."""
    return _PAIR.sub(
        lambda pair: f"{pair[1]}{pair[2]}={MASK}" if is_secret(pair[2]) else pair[0], text
    )


def masked_url(url: str) -> str:
    """A URL for logs: without a user name, a secret parameter, and the fragment, which nobody is sent."""
    shown = _USERINFO.sub(rf"\1{MASK}@", url.partition("#")[0])
    return masked_pairs(shown) if "=" in shown else shown
