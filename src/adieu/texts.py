"""How error texts, reprs, warnings, log lines and events quote what is not adieu's own: URLs, fields, a peer's bytes.

Invariants: a quoted text shows no secret that its name or its form gives away, has a bounded length, and has no control
character, so it cannot forge a log line or drive a terminal. Every other module quotes by these functions. They are
called when a text is made, never for an exchange that goes well.

Nothing can recognise every secret. The net is wide on purpose: a harmless value that is masked costs a reader little.
The path of a URL is shown.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = [
    "MASK",
    "is_secret",
    "mask",
    "mask_named",
    "mask_pairs",
    "mask_url",
    "show",
    "show_field",
    "show_reference",
    "show_url",
]

MASK = "***"

_LIMIT = 200
_URL_LIMIT = 1000

# Words that mean a secret anywhere in a name, and words that do so only where they stand alone.
_WORDS = (
    r"auth(?!or(?!i[sz]))|cookie|token|secret|passw|passphrase|passcode|credential|signature|sess(?:id|ion)|assertion"
    r"|jwt|jws|csrf|xsrf|bearer|saml|hmac|keys?(?:[-_]?id)?(?![a-z])"
    r"|(?<![a-z])(?:app[-_]?id|login|nonce|otp|pass|pin|psk|pw|pwd|sid|sig|sign|ticket|totp)(?![a-z])"
    r"|^code$|code[-_]verifier|(?:device|invite|recovery|security|user|verification)[-_]?code"
)
_PUBLIC_NAMES = frozenset(
    (
        "idempotency-key",
        "proxy-authenticate",
        "sec-websocket-key",
        "surrogate-key",
        "www-authenticate",
    )
)
_NAME = r"[\w.%\[\]-]"
# A name, perhaps in quotes, and the sign after it. It begins where no name goes on, which keeps the search linear.
_NAMED = rf"(?<!{_NAME})({_NAME}+)([\"']?)[ \t]*([:=])[ \t]*"
_QUOTED = r'"(?:[^"\\]|\\.)*"?'
# Letters and digits mixed, and too long for a word: a key, a token, a hash.
_RANDOM = r"(?<![\w-])(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{20,}"
_USERINFO = r"(?<=://)[^/?#\s]*@"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled when the first text is made, for `import adieu` makes none."""
    return re.compile(text)


def is_secret(name: str) -> bool:
    """Whether the values of a field or parameter of this name are masked. Escapes in the name count as what they mean.

    >>> is_secret("X-Api-Key"), is_secret("accessKeyId"), is_secret("api%5Fkey"), is_secret("keyword")
    (True, True, True, False)
    """
    if "%" in name:
        from urllib.parse import unquote_plus

        name = unquote_plus(name)
    if name.lower() in _PUBLIC_NAMES:
        return False
    words = _pattern(r"(?<=[a-z0-9])(?=[A-Z])").sub("-", name)
    return _pattern(_WORDS).search(words.lower()) is not None


def mask_pairs(text: str) -> str:
    """A URL or a form, with the values masked whose names say that they are secrets."""
    return _mask_named(text, "=") if "=" in text else text


def mask(text: str) -> str:
    """Any text, with the values masked that follow a secret's name (`name=...`, `name: ...`), and what looks random."""
    text = _pattern(_USERINFO).sub(f"{MASK}@", text)
    return _pattern(_RANDOM).sub(MASK, mask_named(text))


def mask_named(text: str) -> str:
    """Any text, with the values masked that follow a secret's name: `name=...`, `name: ...`, `"name": "..."`."""
    return _mask_named(text, ":=")


def show(text: str | bytes, limit: int = _LIMIT) -> str:
    r"""A text from outside for a text of ours: masked, escaped, and shortened to about `limit` characters.

    Bytes are read as Latin-1, as HTTP's are.

    >>> show(b"HTTP/1.1 200\x1b OK\r\nSet-Cookie: id=31d4")
    'HTTP/1.1 200\\x1b OK\\r\\nSet-Cookie: ***'
    """
    # What is cut off need not be looked at, however long it is.
    beginning = text[: 4 * limit]
    plain = beginning if isinstance(beginning, str) else beginning.decode("latin-1")
    return _bounded(mask(plain), limit, cut=len(beginning) < len(text))


def show_url(url: object) -> str:
    """A URL for a text: without user name, password and fragment, and with secret parameters masked.

    >>> show_url("https://me:pw@example.org/items?page=2&api_key=31d4#part")
    'https://***@example.org/items?page=2&api_key=***'
    """
    return show_reference(str(url).partition("#")[0], _URL_LIMIT)


def show_reference(text: str, limit: int = _LIMIT) -> str:
    """The same for a text that is a relative reference, or no URL at all; its fragment is shown as its query is."""
    beginning = text[: 4 * limit]
    return _bounded(mask_url(beginning), limit, cut=len(beginning) < len(text))


def mask_url(text: str) -> str:
    """A URL of any length, with the user name and secret parameters masked."""
    if "@" in text:
        text = _pattern(_USERINFO).sub(f"{MASK}@", text)
    place, mark, query = text.partition("?")
    return mask_pairs(f"{place}?{_pattern(_RANDOM).sub(MASK, query)}" if mark else place)


def show_field(name: str, value: str) -> str:
    """The value of a header field for a text; one of a harmless name may have a URL with secrets in it."""
    return MASK if is_secret(name) else mask_pairs(_pattern(_USERINFO).sub(f"{MASK}@", value))


def _bounded(text: str, limit: int, *, cut: bool) -> str:
    if not text.isprintable():
        text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return f"{text[: limit - 3]}..." if cut or len(text) > limit else text


def _mask_named(text: str, signs: str) -> str:
    parts: list[str] = []
    done = 0
    for named in _pattern(_NAMED).finditer(text):
        if named.start() < done or named[3] not in signs or not is_secret(named[1]):
            continue
        begin = named.end()
        value = text[begin : begin + 1]
        if value in ('"', "'"):
            end = _end(_QUOTED.replace('"', value), text, begin)
            shown = f"{value}{MASK}{value}"
        else:
            end = _end(_unquoted(named[3], in_json=bool(named[2]), value=value), text, begin)
            shown = MASK
        if end > begin:
            parts += text[done:begin], shown
            done = end
    return "".join([*parts, text[done:]])


def _unquoted(sign: str, *, in_json: bool, value: str) -> str:
    """The pattern of a value that is not in quotes: of a parameter, of a member of JSON, or of a header field."""
    if sign == "=":
        return r"[^\s&#]*"
    return r"[^,}\]\r\n]*" if in_json and value not in "[{" else r"[^\r\n]*"


def _end(pattern: str, text: str, begin: int) -> int:
    found = _pattern(pattern).match(text, begin)
    return begin if found is None else found.end()
