"""Mounts: which adapter (and policy) serves a URL, decided on parsed parts and never on raw text.

A pattern looks like a URL: `scheme://host:port/path`. Its parts mean:

- scheme: exact, or `*` (also written `all`) for any.
- host: exact; `*.example.org` for every name below example.org (not itself); left out for every host.
- port: exact; left out it is the scheme's own (443 for https), as in a URL; `:*` for any. Without a host: any.
- path: whole segments from the left: `/v1` and `/v1/` match `/v1` and `/v1/users`, never `/v10`.

Userinfo, query and fragment of a URL never matter, and a pattern that has them is refused. The most specific pattern
wins: host first, then port, then path, then scheme. Two patterns that say the same cannot both be mounted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest, InvalidURL, MountError, RedirectError
from adieu.lifecycle.lock import locked, new_lock
from adieu.messages.url import URL
from adieu.texts import show_url
from adieu.transport.adapter import base_of
from adieu.transport.registry import NamedAdapter

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.messages.url import Origin
    from adieu.net.connect import Connect
    from adieu.net.connection_settings import ConnectionSettings
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter

__all__ = ["Mount", "Mounts", "Pattern"]

_SHAPE = re.compile(r"(\*|[A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(/[^?#\\]*)?", re.ASCII)
_PORT = re.compile(r"(.*?)(?::(\*|[0-9]+))?", re.DOTALL)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SETTINGS = {
    "tls": "TLS settings",
    "connect": "connection settings",
    "guard": "a guard",
    "route": "the proxy chosen for it",
}
_CACHED_ORIGINS = 1024
_ANY_PORT = -1  # Not 0, which a URL may have.
_MAKING = new_lock()


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
        match = _SHAPE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise MountError(
                f"{text!r} is no mount pattern: write scheme://host:port/path, without query and fragment"
            )
        scheme, authority, path = match.group(1).lower(), match.group(2), match.group(3) or "/"
        if scheme == "all":
            scheme = "*"
        if "@" in authority:
            raise MountError(f"{text!r}: userinfo never takes part in mounting; leave it out")
        if "*" in path:
            raise MountError(
                f"{text!r}: a path has no wildcards; whole segments match from the left"
            )
        parts = _PORT.fullmatch(authority)
        assert parts is not None
        host, port = parts.groups()
        if not host and (port or path != "/"):
            raise MountError(f"{text!r}: a port or a path needs a host before it")
        below = host.startswith("*.")
        name = host[2:] if below else host
        if "*" in name or (below and not name):
            raise MountError(f"{text!r}: the only wildcard of a host is a leading '*.'")
        # The URL's own parser normalises the parts: case, IDNA, IPv6, dots, percent signs.
        plain = "http" if scheme == "*" else scheme
        number = "" if port in (None, "*") else f":{port}"
        try:
            url = URL(f"{plain}://{name or 'any'}{number}{path}")
        except InvalidURL as error:
            raise MountError(f"{text!r} is no mount pattern: {error}") from error
        if name and (not url.host_key or url.host_key.endswith(".")):
            # The host of a scheme other than http and https may have any form.
            raise MountError(f"{text!r}: the host has an empty label: remove a dot")
        if below and (":" in url.host_key or url.host_key[-1].isdigit()):
            raise MountError(f"{text!r}: there is nothing below an address; '*.' needs a name")
        wanted = _ANY_PORT if port == "*" or not name else url.port
        if scheme == "*" and port is None:
            wanted = _ANY_PORT
        return cls(scheme, url.host_key if name else "", below, wanted, _segments(url.path))

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

    def __str__(self) -> str:
        port = "" if self.port in (None, _DEFAULT_PORTS.get(self.scheme)) else f":{self.port}"
        if self.port == _ANY_PORT:
            port = ":*" if self.host and self.scheme != "*" else ""
        name = f"[{self.host}]" if ":" in self.host else self.host
        path = "".join([f"/{segment}" for segment in self.segments])
        if self.host and not (self.segments and self.segments[-1]):
            path += "/"  # A slash at the end counts if the last segment is empty.
        return f"{self.scheme}://{'*.' if self.below else ''}{name}{port}{path}"


class Mount:
    """An adapter, and settings of its own if wished, for the URLs that match a pattern (None: every URL)."""

    __slots__ = (
        "_named",
        "connect",
        "default_connection",
        "from_network",
        "made",
        "pattern",
        "policy",
        "schemes",
        "tls",
    )

    def __init__(
        self,
        pattern: Pattern | None,
        adapter: Adapter | NamedAdapter,
        policy: CleanupPolicy | None,
        tls: TLSConfig | None = None,
        connect: Connect | None = None,
        from_network: bool = False,
    ) -> None:
        self.pattern = pattern
        self.policy = policy
        self.tls = tls
        self.connect = connect
        # Redirects from the network may lead here, wherever this is.
        self.from_network = from_network
        # It says nothing of how its connections are made.
        self.default_connection = tls is None and connect is None
        # An adapter chosen by name is made, and imported, when it is first used.
        self._named = adapter if isinstance(adapter, NamedAdapter) else None
        # The adapter, if there was a use for it yet.
        self.made = None if isinstance(adapter, NamedAdapter) else adapter
        # The schemes that the adapter serves, once there is one; empty: any.
        self.schemes: tuple[str, ...] = () if self.made is None else _schemes(self.made)

    @property
    def adapter(self) -> Adapter:
        adapter = self.made
        if adapter is None:
            # If two threads made one each, one of the two would never be closed.
            adapter = locked(_MAKING, self._first_use)
        return adapter

    def _first_use(self) -> Adapter:
        if (adapter := self.made) is None:
            assert self._named is not None
            adapter = self._named.make()
            self.schemes = _schemes(adapter)
            self.made = adapter
        return adapter

    def refuse_unhonoured(self, url: URL, settings: ConnectionSettings) -> None:
        """Raise `InvalidRequest` if the adapter cannot honour one of the settings: it would be bypassed in silence."""
        base = base_of(self.adapter)
        if base.is_local or url.scheme not in _DEFAULT_PORTS:
            return
        honours = base.honours
        for name, wanted in zip(settings._fields, settings, strict=True):
            if wanted is None or name in honours or (name == "tls" and url.scheme != "https"):
                continue
            raise InvalidRequest(
                f"{self.made!r} cannot send {show_url(url)}: it does not honour {_SETTINGS[name]} ({wanted!r}). "
                f"Mount another adapter for this URL, or leave the setting out"
                f"{', by proxy=None' if name == 'route' else ''}; an adapter that does honour it says so by `honours`"
            )

    def __reduce__(self) -> tuple[object, ...]:
        # One that was chosen by name is made anew.
        adapter = self._named or self.made
        settings = self.policy, self.tls, self.connect, self.from_network
        return Mount, (self.pattern, adapter, *settings)

    def __repr__(self) -> str:
        return f"<mount {self.pattern or 'default'}: {'not used yet' if self.made is None else self.made}>"


class Mounts:
    """The mounts of one client."""

    def __init__(self, default: Mount) -> None:
        self._default = default
        self._mounts: list[Mount] = []
        self._by_origin: dict[Origin, tuple[Mount, ...]] = {}

    def add(self, mount: Mount) -> None:
        """Mount. Raises `MountError` if the same pattern is mounted already."""
        locked(_MAKING, self._add, mount)

    def _add(self, mount: Mount) -> None:
        for other in self._mounts:
            if other.pattern == mount.pattern:
                raise MountError(
                    f"{mount.pattern} is mounted already, and a mount cannot be replaced: "
                    f"mount a more specific pattern, or make another client"
                )
        kept = [*self._mounts, mount]
        kept.sort(key=_rank, reverse=True)
        self._mounts = kept
        self._by_origin = {}  # Last: see `_candidates`.

    def select(self, url: URL) -> Mount:
        """The mount that serves this URL: the most specific one that matches."""
        if not self._mounts:
            return self._default
        candidates = self._by_origin.get(url.origin)
        if candidates is None:
            candidates = self._candidates(url)
        segments: tuple[str, ...] | None = None
        for mount in candidates:
            wanted = mount.pattern.segments if mount.pattern else ()
            if not wanted:
                return mount
            if segments is None:
                segments = _segments(url.path)
            if segments[: len(wanted)] == wanted:
                return mount
        return self._default

    def _candidates(self, url: URL) -> tuple[Mount, ...]:
        # First, before the mounts are read: a result from the old mounts must not go into the new cache.
        known = self._by_origin
        found = tuple(
            mount
            for mount in self._mounts
            if mount.pattern and mount.pattern.misses(url.origin, url.host_key) is None
        )
        if len(known) >= _CACHED_ORIGINS:
            known.clear()
        known[url.origin] = found
        return found

    def refuse_redirect(self, source: URL, target: URL) -> None:
        """Raise `RedirectError` if a server of the network chooses what is requested of this machine or process."""
        if not self._mounts:
            return
        before, after = self.select(source), self.select(target)
        if (
            after is before
            or after.from_network
            or base_of(after.adapter).on_network
            or not base_of(before.adapter).on_network
        ):
            return
        raise RedirectError(
            f"{source} redirects to {target}, which {after.adapter!r} serves: a server of the network must not choose "
            "what is requested of this machine or process. To allow it: client.mount(..., from_network=True)"
        )

    def explain(self, url: URL | str) -> str:
        """Which mount serves a URL, and why none of the others does: for people, in lines."""
        url = URL(url)
        chosen = self.select(url)
        lines = [f"{show_url(url)} is served by {chosen!r}"]
        for mount in self._mounts:
            pattern = mount.pattern
            if mount is chosen or pattern is None:
                continue
            why = pattern.misses(url.origin, url.host_key)
            if why is None and _segments(url.path)[: len(pattern.segments)] != pattern.segments:
                why = f"path {url.path} is not below /{'/'.join(pattern.segments)}"
            lines.append(f"  not {pattern}: {why or 'a more specific one matches'}")
        return "\n".join(lines)

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from self._mounts
        yield self._default

    def __repr__(self) -> str:
        return f"<Mounts {list(self)!r}>"


def _schemes(adapter: object) -> tuple[str, ...]:
    return tuple(base_of(adapter).schemes)


def _rank(mount: Mount) -> tuple[int, int, int, int, int]:
    assert mount.pattern is not None
    return mount.pattern.rank()


def _segments(path: str) -> tuple[str, ...]:
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
