"""What a Set-Cookie field says (RFC 6265bis, section 5.6): its text taken apart, before anybody asks who may say so.

Servers write this field in every way there is, and so nothing here is an error: what breaks a rule is left out, the
attribute alone or the whole cookie, as every browser does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from adieu.messages.fields.date import parse_date

__all__ = ["LONGEST_ATTRIBUTE", "LONGEST_PAIR", "SetCookie", "parse_set_cookie"]

LONGEST_PAIR = 4096
"""Bytes of a name and its value together."""
LONGEST_ATTRIBUTE = 1024

# A tab is allowed. What is no Latin-1 did not come from a wire, and could not go back.
_REFUSED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]").search
_SECONDS = re.compile(r"-?[0-9]+").fullmatch
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_WSP = " \t"
_CENTURY = 100 * 366 * 86400  # More than any limit; a number of 1000 digits is no float.


class SetCookie(NamedTuple):
    """The parts of one field. None: not said, or not in a way that counts.

    `max_age`: seconds; `expires`: seconds since the epoch; `domain`: lower case, without the leading dot; `path`:
    begins with a slash, None for the default; `same_site`: "Strict", "Lax" or "None".
    """

    name: str
    value: str
    max_age: int | None
    expires: float | None
    domain: str | None
    path: str | None
    secure: bool
    http_only: bool
    same_site: str | None


def parse_set_cookie(text: str) -> SetCookie | None:
    """The parts of a Set-Cookie field; None if the cookie is to be ignored.

    >>> parse_set_cookie("SID=31d4; Path=/; Secure")[:2]
    ('SID', '31d4')
    """
    if _REFUSED(text):
        return None
    pair, _, rest = text.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(_WSP), value.strip(_WSP)
    if (not name and not value) or len(name) + len(value) > LONGEST_PAIR:
        return None
    if "\t" in name:
        return (
            None  # Section 5.7, step 1: we may. No cookies.txt could hold it; curl refuses it, too.
        )
    said = _attributes(rest) if rest else {}
    get = said.get
    return SetCookie(
        name,
        value,
        get("max-age"),
        get("expires"),
        get("domain") or None,
        get("path") or None,
        "secure" in said,
        "httponly" in said,
        get("samesite") or None,
    )


def _attributes(rest: str) -> dict[str, Any]:
    """The attributes by lower-case name. Of two with one name, the last one counts that can be read."""
    said: dict[str, Any] = {}
    for attribute in rest.split(";"):
        name, _, text = attribute.partition("=")
        name, text = name.strip(_WSP).lower(), text.strip(_WSP)
        if len(text) > LONGEST_ATTRIBUTE:
            continue
        read = _READERS.get(name)
        value = text if read is None else read(text)
        if value is not None:
            said[name] = value
    return said


def _max_age(text: str) -> int | None:
    return min(max(int(text), -1), _CENTURY) if _SECONDS(text) else None


def _domain(text: str) -> str:
    return text.removeprefix(".").lower()


def _path(text: str) -> str:
    # Section 5.6.4: what does not begin with a slash means the default, also where a good path came before it.
    return text if text[:1] == "/" and "\t" not in text else ""


def _same_site(text: str) -> str:
    return _SAME_SITE.get(text.lower(), "")


_READERS: dict[str, Callable[[str], Any]] = {
    "max-age": _max_age,
    "expires": parse_date,
    "domain": _domain,
    "path": _path,
    "samesite": _same_site,
}
