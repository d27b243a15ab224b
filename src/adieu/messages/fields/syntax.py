"""The syntax of header fields (RFC 9110, section 5): checks of names and values.

A checked name or value is sent unchanged: a line break in it would begin a second field, or a second request. Errors
name the field and the position, never the value: it may be a secret, also in a field that is not known to hold any.
"""

from __future__ import annotations

import re
from functools import lru_cache

from adieu.errors import InvalidHeader

__all__ = ["checked_name", "checked_value"]

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9!#$%&'*+\-.^_`|~]")
_NOT_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def checked_name(name: object) -> str:
    """The name of a field as a str, its case kept; bytes are read as Latin-1.

    Raises `InvalidHeader` if it is no token (RFC 9110, section 5.1).
    """
    if type(name) is str:
        return _checked_token(name)
    if isinstance(name, bytes):
        return _checked_token(name.decode("latin-1"))
    if isinstance(name, str):
        return _checked_token(str.__str__(name))  # an enum's own str() would be its name
    raise InvalidHeader(f"a header field name is str or bytes, not {type(name).__name__}")


@lru_cache(512)  # a program uses few names, and each field that it sends is checked
def _checked_token(name: str) -> str:
    if not name:
        raise InvalidHeader("a header field name is empty")
    bad = _NOT_IN_NAME.search(name)
    if bad:
        # The rest is not shown: if a whole line was passed as a name, it is the value.
        raise InvalidHeader(
            f"the header field name that begins with {name[: bad.start()][:40]!r} has {bad[0]!r}"
            f" at position {bad.start()}; letters, digits and !#$%&'*+-.^_`|~ are allowed"
        )
    return name


def checked_value(value: object, name: str) -> str:
    """The value of the field `name` as a str, without the space around it (RFC 9110, section 5.5).

    Bytes are read as Latin-1, an int is written out. Raises `InvalidHeader` for other types, for
    control characters except tabs, and for characters that are not in Latin-1.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, bytes):
        text = value.decode("latin-1")
    elif isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)  # str() of an IntEnum is its name on Python 3.10
    else:
        raise InvalidHeader(
            f"the value of the header field {name!r} is {type(value).__name__};"
            " it must be str, bytes or int"
        )
    text = text.strip(" \t")
    if text.isascii() and text.isprintable():
        return text
    bad = _NOT_IN_VALUE.search(text)
    if bad is None:
        return text
    where = f"the value of the header field {name!r} has"
    if bad[0] < " " or bad[0] == "\x7f":
        raise InvalidHeader(
            f"{where} the character U+{ord(bad[0]):04X} at position {bad.start()}: remove it"
        )
    raise InvalidHeader(
        f"{where} a character at position {bad.start()} that is not in Latin-1: encode it by"
        " RFC 8187 or the field's own rules, or pass the bytes that the server expects"
    )
