"""Splitting: the text of a URL, split into its raw parts, or refused.

The grammar is that of RFC 3986, section 3, with two liberties of browsers that people rely on: space around a URL is
dropped, and in http and https a backslash is a slash. Line breaks and tabs inside a URL, which browsers drop, are
refused: two parsers that disagree about them could see two different hosts.

An error says what is wrong and, if it can be guessed, what was meant. No error shows a user name or a password.
"""

from __future__ import annotations

import re

from adieu.errors import InvalidURL
from adieu.messages.url.origin import DEFAULT_PORTS
from adieu.messages.url.percent import PCHAR, decode
from adieu.texts import show_reference

__all__ = [
    "MAX_LENGTH",
    "clean",
    "refuse_controls",
    "refuse_long",
    "require_scheme",
    "shown",
    "split_authority",
    "split_plain",
    "split_reference",
    "split_scheme",
]

MAX_LENGTH = 64 * 1024
"""The longest URL, in characters, before and after encoding. Servers refuse far shorter ones."""

_MAX_SHOWN = 100
# The schemes in which what stands before an "@" is a part of an address, and no user name and password.
_ADDRESSES = ("mailto:", "sip:", "sips:", "xmpp:", "acct:", "im:", "news:", "mid:", "cid:")
_WHITE_SPACE = " \t\n\v\f\r"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BAD_SCHEME = re.compile(r"[^/?#\\]*:[/\\]{2}")
_SLASHES = ("//", "/\\", "\\/", "\\\\")
_HOST_AND_PORT = re.compile(r"[^/?#\\:@]+:[0-9]+(?![^/?#\\])")
_HOST = re.compile(r"[^/?#\\@]*")
_UP_TO_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}")

_PLAIN = re.compile(
    r"(https?://[^/?#\\@\x00-\x20\x7f]{1,500})"
    rf"((?:/[{PCHAR}/]*(?:%[0-9A-Fa-f]{{2}}[{PCHAR}/]*)*)?)"
    rf"(?:\?([{PCHAR}/?]*(?:%[0-9A-Fa-f]{{2}}[{PCHAR}/?]*)*))?"
).fullmatch


def split_plain(text: str) -> tuple[str, str, str | None] | None:
    """A plain http or https URL as (start, path, query), of which the last two are normal; None for others.

    Most URLs are plain: nothing to encode after the host, no user, no fragment. One match splits them. The start,
    "https://example.org:8080", is as it was written, and not checked.
    """
    match = _PLAIN(text)
    if match is None or len(text) > MAX_LENGTH:
        return None
    start, path, query = match.groups()
    # Not plain: possible dot segments ("%2E" is a dot).
    if "/." in path or "/%2" in path:
        return None
    return start, path or "/", query


def clean(text: object) -> str:
    """The text without the white space around it.

    Raises `InvalidURL` if it is no str, is too long, or has control characters inside.
    """
    if not isinstance(text, str):
        raise InvalidURL(f"a URL is a str or an adieu.URL, not {type(text).__name__}")
    text = text.strip(_WHITE_SPACE)
    refuse_long(text)
    refuse_controls(text, "the URL")
    return text


def refuse_long(text: str) -> None:
    """Raise `InvalidURL` if a URL has more than `MAX_LENGTH` characters."""
    if len(text) > MAX_LENGTH:
        raise InvalidURL(
            f"the URL {shown(text)} has {len(text)} characters; {MAX_LENGTH} are allowed"
        )


def refuse_controls(text: str, name: str) -> None:
    """Raise `InvalidURL` if a text has control characters or lone surrogates. `name`: what the error calls the text."""
    bad = _FORBIDDEN.search(text)
    if bad:
        raise InvalidURL(
            f"{name} {shown(text)} has the character U+{ord(bad[0]):04X} at position {bad.start()}:"
            " remove it, or percent-encode it if it is meant"
        )


def split_scheme(text: str) -> tuple[str | None, str]:
    """The scheme of a cleaned text, in lower case, None if it has none; and the rest after it."""
    match = _SCHEME.match(text)
    if match is None:
        return None, text
    return match[1].lower(), text[match.end() :]


def require_scheme(text: str) -> tuple[str, str]:
    """Like `split_scheme`, for a URL that must be absolute.

    Raises `InvalidURL` if the scheme is missing, also where a host or a user name only looks like
    one.
    """
    scheme, rest = split_scheme(text)
    if scheme is None:
        raise _no_scheme(text)
    if scheme in DEFAULT_PORTS:
        if not rest.startswith(_SLASHES):
            raise InvalidURL(f'the URL {shown(text)} needs two slashes after "{scheme}:"')
        return scheme, rest
    # By the grammar, "localhost:8000", "example.org:x" and "user:password@host" are a scheme and a path, which is not
    # what the caller means; the password in the last one would get into logs as a part of the path.
    if not rest.startswith("/") and (
        "." in scheme
        or ("@" in rest and f"{scheme}:" not in _ADDRESSES)
        or _HOST_AND_PORT.match(text) is not None
        or _bracketed(text) is not None
    ):
        raise _no_scheme(text)
    return scheme, rest


def _no_scheme(text: str) -> InvalidURL:
    if not text:
        return InvalidURL("the URL is empty")
    if _BAD_SCHEME.match(text):
        return InvalidURL(f"the URL {shown(text)} does not begin with a scheme, such as https")
    if text[0] in "?#/\\" and not text.startswith(_SLASHES):
        return InvalidURL(f"the URL {shown(text)} is relative: it lacks a scheme and a host")
    rest = text.lstrip("/\\")
    suggestion = f"https://{_bracketed(rest) or rest}"
    return InvalidURL(f"the URL {shown(text)} has no scheme: did you mean {shown(suggestion)}?")


def split_reference(text: str, *, special: bool) -> tuple[str | None, str, str | None, str | None]:
    """The text after a scheme as (authority, path, query, fragment); None for parts that are missing.

    `special`: the scheme is http or https, so a backslash before the query is a slash.
    """
    text, hash_mark, fragment = text.partition("#")
    text, question_mark, query = text.partition("?")
    if special:
        text = text.replace("\\", "/")
    authority: str | None = None
    if text.startswith("//"):
        authority, slash, path = text[2:].partition("/")
        text = slash + path
    return authority, text, query if question_mark else None, fragment if hash_mark else None


def split_authority(authority: str, text: str) -> tuple[str | None, str | None, str, int | None]:
    """An authority as (username, password, host, port): the first two decoded, the host raw.

    The last `@` ends the userinfo, as in browsers: the host of `https://api.example.org@evil.net/` is
    evil.net. `text` is the whole URL, for errors.
    """
    userinfo, _, host = authority.rpartition("@")
    raw_username, has_password, raw_password = userinfo.partition(":")
    username, password = decode(raw_username), decode(raw_password)
    if username is None or password is None:
        raise InvalidURL(
            f"the user name or the password in the URL {shown(text)} is not UTF-8:"
            " pass it as auth= instead"
        )
    port: int | None = None
    # What is wrong with brackets, or with colons outside of them, is said by the check of the host.
    name, colon, digits = host.rpartition(":")
    if colon and (name.endswith("]") if host[0] == "[" else ":" not in name):
        host, port = name, _port(digits, text)
    elif colon and text.count("@") > authority.count("@"):
        raise _secret_in_host(text)
    return username, password if has_password else None, host, port


def _port(digits: str, text: str) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0")  # int() refuses thousands of zeros
    if digits.isascii() and digits.isdigit() and len(significant) <= 5:
        port = int(significant or "0")
        if port <= 65535:
            return port
    if "@" in text:
        raise _secret_in_host(text)
    raise InvalidURL(f"the URL {shown(text)} has the port {digits[:20]!r}: it must be 0 to 65535")


def _secret_in_host(text: str) -> InvalidURL:
    """For `https://user:pass/word@host/`: the "port" is the first half of a password, which no error shows."""
    return InvalidURL(
        f"the URL {shown(text)} has no valid port: if a user name or a password holds one of"
        " / ? # \\ percent-encode it, or pass it as auth="
    )


def _bracketed(text: str) -> str | None:
    """A text that begins with an IPv6 address without brackets, with them; None for others."""
    from ipaddress import IPv6Address

    host = _HOST.match(text)
    assert host is not None  # It may be empty.
    try:
        IPv6Address(host[0].partition("%")[0])
    except ValueError:
        return None
    return f"[{host[0]}]{text[host.end() :]}"


def shown(text: str) -> str:
    """The text as errors quote it: shortened, and without anything that could be userinfo."""
    before, at, after = text.rpartition("@")
    if at and not text.lower().startswith(_ADDRESSES):
        start = _UP_TO_AUTHORITY.match(before)
        text = f"{start[0] if start else ''}***@{after}"
    return f"'{show_reference(text, _MAX_SHOWN)}'"
