"""The Set-Cookie field (RFC 6265bis, section 5.6): its syntax. Whether the server may set the cookie is decided later.

Nothing raises: servers write this field in every imaginable way. Anything that breaks a rule is ignored, the attribute
or the whole cookie, as in browsers.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from adieu.messages.fields.date import parse_date

__all__ = ["LONGEST_ATTRIBUTE", "LONGEST_PAIR", "SetCookie", "parse_set_cookie"]

LONGEST_PAIR = 4096
"""Bytes of a name and its value together."""
LONGEST_ATTRIBUTE = 1024

# A tab is allowed. Characters beyond Latin-1 cannot be in a received field, and could not be sent.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]").search
_SECONDS = re.compile(r"-?[0-9]+").fullmatch
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_WSP = " \t"
# More than any limit. A number of 1000 digits would not fit into a float.
_CENTURY = 100 * 366 * 86400


class SetCookie(NamedTuple):
    """The parts of one field. None: missing, or ignored because it breaks a rule.

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
    if _FORBIDDEN(text):
        return None
    pair, _, rest = text.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(_WSP), value.strip(_WSP)
    if (not name and not value) or len(name) + len(value) > LONGEST_PAIR:
        return None
    if "\t" in name:
        # Section 5.7, step 1, allows to ignore it. A cookies.txt cannot hold it, and curl ignores it, too.
        return None
    return SetCookie(name, value, *(_attributes(rest) if rest else _NO_ATTRIBUTES))


_Attributes: TypeAlias = tuple[
    "int | None", "float | None", "str | None", "str | None", bool, bool, "str | None"
]
_NO_ATTRIBUTES: _Attributes = (None, None, None, None, False, False, None)


def _attributes(text: str) -> _Attributes:
    """The attributes, in the order of `SetCookie`. If one is repeated, its last valid value counts."""
    max_age: int | None = None
    expires: float | None = None
    domain = path = same_site = ""
    secure = http_only = False
    for attribute in text.split(";"):
        name, _, value = attribute.partition("=")
        name, value = name.strip(_WSP).lower(), value.strip(_WSP)
        if len(value) > LONGEST_ATTRIBUTE:
            continue
        if name == "max-age":
            if _SECONDS(value):
                max_age = min(max(int(value), -1), _CENTURY)
        elif name == "expires":
            date = parse_date(value)
            expires = expires if date is None else date
        elif name == "domain":
            domain = value.removeprefix(".").lower()
        elif name == "path":
            # Section 5.6.4: any other value means the default path, also after a valid path.
            path = value if value[:1] == "/" and "\t" not in value else ""
        elif name == "secure":
            secure = True
        elif name == "httponly":
            http_only = True
        elif name == "samesite":
            same_site = _SAME_SITE.get(value.lower(), "")
    return max_age, expires, domain or None, path or None, secure, http_only, same_site or None
