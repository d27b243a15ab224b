"""Percent-encoding: any text, encoded to the characters that its part of a URL may have.

The grammar is that of RFC 3986, sections 2 and 3. A valid `%XX` is never changed, neither decoded nor upper-cased,
because a server may have signed exactly this spelling. A `%` that begins no escape is data and becomes `%25`; every
other character that the grammar does not allow is encoded as UTF-8. So encoding twice changes nothing.

Browsers send `|`, `[`, `]`, `^` and a few more unencoded. Strict servers answer those with 400, and every server
understands the escape, so the RFC is followed here.
"""

from __future__ import annotations

import re

__all__ = [
    "PCHAR",
    "decode",
    "decode_bytes",
    "encode_fragment",
    "encode_path",
    "encode_query",
    "encode_reg_name",
    "encode_userinfo",
]

_REG_NAME = r"A-Za-z0-9\-._~!$&'()*+,;="
PCHAR = _REG_NAME + ":@"
"""The characters of a path segment besides escapes (RFC 3986, section 3.3), as a regex class."""


def _outside(allowed: str) -> re.Pattern[str]:
    return re.compile(rf"[^{allowed}%]+|%(?![0-9A-Fa-f]{{2}})")


_NOT_IN_PATH = _outside(PCHAR + "/")
_NOT_IN_QUERY = _outside(PCHAR + "/?")
_NOT_IN_REG_NAME = _outside(_REG_NAME)
_NOT_IN_USERINFO = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=]+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def _escape(match: re.Match[str]) -> str:
    return "".join([f"%{byte:02X}" for byte in match[0].encode()])


def encode_path(text: str) -> str:
    """Encode the characters that a path may not have; `/` stays, `?` and `#` are data here."""
    return _NOT_IN_PATH.sub(_escape, text)


def encode_query(text: str) -> str:
    """Encode the characters that a query may not have; `#` is data here."""
    return _NOT_IN_QUERY.sub(_escape, text)


encode_fragment = encode_query  # one grammar: RFC 3986, sections 3.4 and 3.5


def encode_reg_name(text: str) -> str:
    """Encode the characters that the registered name of a generic scheme may not have."""
    return _NOT_IN_REG_NAME.sub(_escape, text)


def encode_userinfo(text: str) -> str:
    """Encode a decoded user name; a `%` is data here, whatever follows it."""
    return _NOT_IN_USERINFO.sub(_escape, text)


def decode(text: str) -> str | None:
    """The text with its escapes decoded as UTF-8; None if they are not UTF-8.

    Not an exception: a `UnicodeDecodeError` carries the text, which may be a password.
    """
    if "%" not in text:
        return text
    try:
        return decode_bytes(text).decode()
    except UnicodeDecodeError:
        return None


def decode_bytes(text: str) -> bytes:
    """The text, with its escapes decoded, as bytes; what is not escaped is encoded as UTF-8."""
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), text.encode())
