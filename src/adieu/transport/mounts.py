"""Mounts: which adapter (and policy) serves a URL, decided on parsed parts and never on raw text.

The most specific pattern wins: host first, then port, then path, then scheme. Two patterns that say the same cannot
both be mounted. `mount_pattern` says what a pattern matches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import ClientClosed, InvalidRequest, MountError, RedirectError
from adieu.lifecycle.lock import locked, new_lock
from adieu.messages.url import URL
from adieu.texts import show_url
from adieu.transport.adapter import base_of
from adieu.transport.mount_pattern import segments
from adieu.transport.registry import NamedAdapter

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.messages.url import Origin
    from adieu.net.connect import Connect
    from adieu.net.connection_settings import ConnectionSettings
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter
    from adieu.transport.mount_pattern import Pattern

__all__ = ["Mount", "Mounts"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SETTINGS = {
    "tls": "TLS settings",
    "connect": "connection settings",
    "guard": "a guard",
    "route": "the proxy chosen for it",
}
_CACHED_ORIGINS = 1024
_MAKING = new_lock()


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
        "removed",
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
        # It was unmounted, and makes no adapter any more.
        self.removed = False
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
            if self.removed:
                raise ClientClosed(f"{self.pattern} was unmounted meanwhile")
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
        # Removed ones, until their adapters are closed.
        self._leaving: list[Mount] = []
        self._by_origin: dict[Origin, tuple[Mount, ...]] = {}

    def add(self, mount: Mount) -> None:
        """Mount. Raises `MountError` if the same pattern is mounted already."""
        locked(_MAKING, self._add, mount)

    def _add(self, mount: Mount) -> None:
        for other in self._mounts:
            if other.pattern == mount.pattern:
                raise MountError(
                    f"{mount.pattern} is mounted already: unmount it first, or mount a more specific pattern"
                )
        kept = [*self._mounts, mount]
        kept.sort(key=_rank, reverse=True)
        self._mounts = kept
        self._by_origin = {}  # Last: see `_candidates`.

    def remove(self, pattern: Pattern) -> None:
        """Unmount: no call selects this mount any more. Raises `MountError` if the pattern is not mounted.

        Its adapter stays among `adapters()`, so that it is closed whatever happens, until `forget` is called.
        """
        locked(_MAKING, self._remove, pattern)

    def _remove(self, pattern: Pattern) -> None:
        mount = next((mount for mount in self._mounts if mount.pattern == pattern), None)
        if mount is None:
            mounted = ", ".join([str(mount.pattern) for mount in self._mounts]) or "nothing"
            raise MountError(f"{pattern} is not mounted; mounted is {mounted}")
        self._leaving = [*self._leaving, mount]
        self._mounts = [other for other in self._mounts if other is not mount]
        self._by_origin = {}  # Last: see `_candidates`.

    def removed(self) -> list[Mount]:
        """The mounts that were removed, and not forgotten yet. From now on they make no adapter."""
        return locked(_MAKING, self._removed)

    def _removed(self) -> list[Mount]:
        for mount in self._leaving:
            mount.removed = True
        return self._leaving

    def forget(self, mounts: list[Mount]) -> None:
        """Forget removed mounts, when their adapters are closed."""
        locked(_MAKING, self._forget, mounts)

    def _forget(self, mounts: list[Mount]) -> None:
        self._leaving = [mount for mount in self._leaving if mount not in mounts]

    def without_use(self, mounts: list[Mount]) -> list[Adapter]:
        """The adapters that these mounts alone have made."""
        used = {id(mount.made) for mount in self}
        return [a for mount in mounts if (a := mount.made) is not None and id(a) not in used]

    def adapters(self) -> list[Adapter]:
        """The adapters that were made, each once, with those of mounts that are being removed."""
        mounts = [*self._leaving, *self]
        return list({id(a): a for mount in mounts if (a := mount.made) is not None}.values())

    def select(self, url: URL) -> Mount:
        """The mount that serves this URL: the most specific one that matches."""
        if not self._mounts:
            return self._default
        candidates = self._by_origin.get(url.origin)
        if candidates is None:
            candidates = self._candidates(url)
        parts: tuple[str, ...] | None = None
        for mount in candidates:
            wanted = mount.pattern.segments if mount.pattern else ()
            if not wanted:
                return mount
            if parts is None:
                parts = segments(url.path)
            if parts[: len(wanted)] == wanted:
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
            why = pattern.why_not(url) or "a more specific one matches"
            lines.append(f"  not {pattern}: {why}")
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
