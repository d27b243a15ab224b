"""Routes: whether a request goes directly or through a proxy, and which. The client decides, not the adapter.

If `proxy=` is given, the environment is ignored: `http_proxy` and the like, and `no_proxy` too. The decision depends on
the origin alone, and is remembered for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from adieu._not_given import NOT_GIVEN, NotGiven
from adieu.errors import InvalidRequest, MountError
from adieu.net.proxies.environment import Environment
from adieu.net.proxies.proxy import Proxy, ProxyLike
from adieu.transport.mount_pattern import Pattern

if TYPE_CHECKING:
    from adieu.messages.url import URL, Origin

    _State: TypeAlias = tuple[bool, Proxy | None, list[tuple[Pattern, Proxy | None]] | None]

__all__ = ["ProxySetting", "Routes"]

_CACHED_ORIGINS = 1024
_SCHEMES = ("http", "https", "all", "*")

ProxySetting: TypeAlias = ProxyLike | Mapping[str, ProxyLike | None] | None
"""The values of `proxy=`: one proxy for all requests, a mapping from patterns to proxies, or None for no proxy."""


class Routes:
    """The routes of a client, or of one call.

    `proxy` is a proxy or its URL; a mapping from patterns, written as for mounts but without paths, to proxies or None
    (origins with None, and those that no pattern matches, are reached directly); or None for no proxy at all. If it is
    not given, the environment decides; it is read at the first request. Raises `InvalidRequest` or `MountError`.
    """

    __slots__ = ("_environment", "_known", "_only", "_patterns", "is_direct")

    def __init__(self, proxy: ProxySetting | NotGiven = NOT_GIVEN) -> None:
        self._known: dict[Origin, Proxy | None] = {}
        # No request has a proxy. The environment is asked by the first request.
        self.is_direct = proxy is None
        self._only: Proxy | None = None
        self._patterns: list[tuple[Pattern, Proxy | None]] | None = None
        self._environment: Environment | None = None
        if isinstance(proxy, Mapping):
            self._patterns = _patterns(proxy)
        elif proxy is not None and proxy is not NOT_GIVEN:
            self._only = Proxy.of(proxy)

    @property
    def setting(self) -> ProxySetting | NotGiven:
        """The value of `proxy=`, checked; NOT_GIVEN: the environment decides."""
        if self._patterns is not None:
            return MappingProxyType({str(pattern): proxy for pattern, proxy in self._patterns})
        if self._only is not None:
            return self._only
        return None if self.is_direct and self._environment is None else NOT_GIVEN

    def __getstate__(self) -> _State:
        # Without decisions of the environment: the process that unpickles this has its own.
        return self.is_direct and self._environment is None, self._only, self._patterns

    def __setstate__(self, state: _State) -> None:
        Routes.__init__(self)
        self.is_direct, self._only, self._patterns = state

    def select(self, url: URL) -> Proxy | None:
        """The proxy for a request to this URL. None: the request goes directly."""
        if self.is_direct:
            return None
        try:
            return self._known[url.origin]
        except KeyError:
            return self._decide(url)

    def _decide(self, url: URL) -> Proxy | None:
        if self._only is not None:
            found: Proxy | None = self._only
        elif self._patterns is not None:
            found = next(
                (
                    proxy
                    for pattern, proxy in self._patterns
                    if pattern.misses(url.origin, url.host_key) is None
                ),
                None,
            )
        else:
            if self._environment is None:
                self._environment = Environment(os.environ)
                self.is_direct = not self._environment
            found = self._environment.proxy_for(url.origin)
        if len(self._known) >= _CACHED_ORIGINS:
            self._known = {}
        self._known[url.origin] = found
        return found


def _patterns(
    proxies: Mapping[str, ProxyLike | None],
) -> list[tuple[Pattern, Proxy | None]]:
    parsed: dict[Pattern, Proxy | None] = {}
    for text, value in proxies.items():
        pattern = _pattern(text)
        if pattern.segments:
            raise InvalidRequest(f"proxy={text!r}: a proxy is chosen by origin; leave the path out")
        if pattern in parsed:
            raise InvalidRequest(f"proxy={text!r}: another pattern says the same: {pattern}")
        parsed[pattern] = None if value is None else Proxy.of(value)
    return sorted(parsed.items(), key=lambda item: item[0].rank(), reverse=True)


def _pattern(text: object) -> Pattern:
    """A pattern for proxies. Its scheme is `http`, `https`, or `all` or `*` for both."""
    scheme, separator, _ = text.partition("://") if isinstance(text, str) else ("", "", "")
    if separator and scheme.lower() not in _SCHEMES:
        raise InvalidRequest(
            f"proxy={text!r}: no adapter sends requests for {scheme}:// through a proxy; a pattern begins with "
            "http://, https://, or all:// (also written *://)"
        )
    if not separator and isinstance(text, str) and text.lower() in _SCHEMES:
        raise InvalidRequest(
            f"proxy={text!r}: a pattern has the form of a URL: did you mean '{text}://'?"
        )
    try:
        return Pattern.parse(text)
    except MountError as error:
        raise MountError(f"proxy={text!r}: {error}") from None
