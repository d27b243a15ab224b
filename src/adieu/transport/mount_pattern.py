"""Patterns of mounts: parsed parts of a URL, compared with those of another URL and never as raw text.

A pattern looks like a URL: `scheme://host:port/path`. Its parts mean:

- scheme: exact, or `*` (also written `all`) for any. `ws` and `wss` mean `http` and `https`, over which a WebSocket
  begins.
- host: exact; `*.example.org` for every name below example.org (not itself); left out for every host.
- port: exact; left out it is the scheme's own (443 for https), as in a URL; `:*` for any. Without a host, and for
  the scheme `*`: any.
- path: whole segments from the left: `/v1` and `/v1/` match `/v1` and `/v1/users`, never `/v10`.

Userinfo, query and fragment of a URL never matter, and a pattern that has them is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidURL, MountError
from adieu.messages.url import URL
from adieu.texts import mask_url

if TYPE_CHECKING:
    from adieu.messages.url import Origin

__all__ = ["Pattern", "segments"]

_SHAPE = re.compile(r"(\*|[A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(/[^?#\\]*)?", re.ASCII)
_PORT = re.compile(r"(.*?)(?::(\*|[0-9]+))?", re.DOTALL)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAME = {"all": "*", "ws": "http", "wss": "https"}
# The most characters of a text that an error quotes.
_SHOWN = 200
_ANY_PORT = -1  # Not 0, which a URL may have.


class Pattern(NamedTuple):
    """A parsed pattern. `port` -1 is any port; `host` "" is any host."""

    scheme: str
    host: str
    below: bool
    port: int | None
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, text: object) -> Pattern:
        """Raises `MountError` for anything that could be understood in two ways."""
        # Not as it is: a URL may hold a secret.
        shown = repr(mask_url(text[:_SHOWN]) if isinstance(text, str) else text)
        match = _SHAPE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise MountError(
                f"{shown} is no mount pattern: write scheme://host:port/path, without query and fragment"
            )
        scheme, authority, path = match.group(1).lower(), match.group(2), match.group(3) or "/"
        scheme = _SAME.get(scheme, scheme)
        if "@" in authority:
            raise MountError(f"{shown}: userinfo never takes part in mounting; leave it out")
        if "*" in path:
            raise MountError(
                f"{shown}: a path has no wildcards; whole segments match from the left"
            )
        parts = _PORT.fullmatch(authority)
        assert parts is not None
        host, port = parts.groups()
        if not host and (port or path != "/"):
            raise MountError(f"{shown}: a port or a path needs a host before it")
        below = host.startswith("*.")
        name = host[2:] if below else host
        if "*" in name or (below and not name):
            raise MountError(f"{shown}: the only wildcard of a host is a leading '*.'")
        # The URL's own parser normalises the parts: case, IDNA, IPv6, dots, percent signs.
        plain = "http" if scheme == "*" else scheme
        number = "" if port in (None, "*") else f":{port}"
        try:
            url = URL(f"{plain}://{name or 'any'}{number}{path}")
        except InvalidURL as error:
            raise MountError(f"{shown} is no mount pattern: {error}") from error
        if name and (not url.host_key or url.host_key.endswith(".")):
            # The host of a scheme other than http and https may have any form.
            raise MountError(f"{shown}: the host has an empty label: remove a dot")
        if below and (":" in url.host_key or url.host_key[-1].isdigit()):
            raise MountError(f"{shown}: there is nothing below an address; '*.' needs a name")
        wanted = _ANY_PORT if port == "*" or not name else url.port
        if scheme == "*" and port is None:
            wanted = _ANY_PORT
        return cls(scheme, url.host_key if name else "", below, wanted, segments(url.path))

    def rank(self) -> tuple[int, int, int, int, int]:
        """How specific it is; greater is more."""
        host = 2 if self.host and not self.below else 1 if self.host else 0
        return (
            host,
            self.host.count(".") if self.below else 0,
            self.port != _ANY_PORT,
            len(self.segments),
            self.scheme != "*",
        )

    def misses(self, origin: Origin, host: str) -> str | None:
        """Why a URL's origin does not match, or None if it does."""
        if self.scheme not in ("*", origin.scheme):
            return f"scheme {origin.scheme} is not {self.scheme}"
        if self.below and not host.endswith("." + self.host):
            return f"host {host} is not below {self.host}"
        if self.host and not self.below and host != self.host:
            return f"host {host} is not {self.host}"
        if self.port not in (_ANY_PORT, origin.port):
            return f"port {origin.port} is not {self.port}"
        return None

    def why_not(self, url: URL) -> str | None:
        """Why a URL does not match, for people; None if it does."""
        why = self.misses(url.origin, url.host_key)
        if why is None and segments(url.path)[: len(self.segments)] != self.segments:
            return f"path {url.path} is not below /{'/'.join(self.segments)}"
        return why

    def __str__(self) -> str:
        port = "" if self.port in (None, _DEFAULT_PORTS.get(self.scheme)) else f":{self.port}"
        if self.port == _ANY_PORT:
            port = ":*" if self.host and self.scheme != "*" else ""
        name = f"[{self.host}]" if ":" in self.host else self.host
        path = "".join([f"/{segment}" for segment in self.segments])
        if self.host and not (self.segments and self.segments[-1]):
            path += "/"  # A slash at the end counts if the last segment is empty.
        return f"{self.scheme}://{'*.' if self.below else ''}{name}{port}{path}"


def segments(path: str) -> tuple[str, ...]:
    """The segments of a normalised path, with what need not be escaped unescaped (RFC 3986, section 6.2.2.2)."""
    if "%" in path:
        path = _ESCAPE.sub(_unescape, path)
    parts = path.split("/")[1:]
    if parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _unescape(match: re.Match[str]) -> str:
    char = chr(int(match.group(1), 16))
    return char if char in _UNRESERVED else match.group().upper()
