"""Finds adapters by name: those that come with adieu, and those among the entry points of other installed packages.

Sync adapters are in the group `adieu.adapters`, async ones in `adieu.async_adapters`. To read the entry points takes as
long as to load all of adieu, and more with each installed package, so adieu's own adapters are found without. A name is
looked for when it is given, and its adapter is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from adieu._loading import Loading
from adieu.errors import InvalidRequest, UnknownAdapter
from adieu.transport.adapter import checked_adapter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from adieu.lifecycle.limits import Limits
    from adieu.transport.adapter import Adapter, AdapterLike, AnyAdapter

__all__ = ["NamedAdapter", "chosen", "find_adapter", "inner_adapter"]

A = TypeVar("A", bound="AnyAdapter")

# As pyproject.toml has them.
_OWN = {
    "adieu.adapters": {
        "cache": "adieu_cache:CacheAdapter",
        "close": "adieu_close:CloseAdapter",
        "h11": "adieu_h11:H11Adapter",
        "native": "adieu_native:NativeAdapter",
        "urllib3": "adieu_urllib3:Urllib3Adapter",
    },
    "adieu.async_adapters": {
        "cache": "adieu_cache:AsyncCacheAdapter",
        "close": "adieu_close:AsyncCloseAdapter",
        "h11": "adieu_h11:AsyncH11Adapter",
        "native": "adieu_native:AsyncNativeAdapter",
    },
}

_found: dict[tuple[str, str], Callable[..., Any]] = {}
_installed: dict[tuple[str, str], EntryPoint] = {}


def find_adapter(name: str, group: str = "adieu.adapters") -> Callable[..., Any]:
    """The class or function that makes adapters of this name. Raises `UnknownAdapter`, with the known names."""
    key = (group, name)
    if key not in _found:
        own = _OWN.get(group, {}).get(name)
        load = _point(name, group).load if own is None else partial(_load, own)
        with Loading(f"the adapter {name!r}"):
            _found[key] = load()
    return _found[key]


def _load(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    loaded: Callable[..., Any] = getattr(__import__(module), name)
    return loaded


def _point(name: str, group: str) -> EntryPoint:
    key = (group, name)
    if key not in _installed:
        with Loading("the list of adapters"):
            # Imported here, because it takes tens of milliseconds and loads the e-mail parser.
            from importlib.metadata import entry_points

            points = {point.name: point for point in entry_points(group=group)}
        if name not in points:
            known = ", ".join(sorted({*points, *_OWN.get(group, ())}))
            kind = "async adapter" if "async" in group else "adapter"
            raise UnknownAdapter(f"no {kind} is called {name!r}. Installed are: {known}")
        _installed[key] = points[name]
    return _installed[key]


def inner_adapter(
    inner: A | None, limits: Limits | None, default: str, group: str = "adieu.adapters"
) -> A:
    """The adapter inside another one: `inner`, or the default one with `limits`. Both: `InvalidRequest`."""
    if inner is None:
        made: A = find_adapter(default, group)(limits=limits)
        return made
    if limits is not None:
        raise InvalidRequest(
            f"limits= is for the adapter that would be made here: give it to {inner!r}"
        )
    return inner


def chosen(
    adapter: AdapterLike | str, group: str, limits: Limits | None, awaits: bool
) -> Adapter | NamedAdapter:
    """The adapter, checked, or for a name a `NamedAdapter`, which makes the adapter at its first use.

    `awaits`: the client is an async one. Raises `UnknownAdapter`, and `InvalidRequest` for what is no adapter.
    """
    if isinstance(adapter, str):
        if adapter not in _OWN.get(group, ()):
            _point(adapter, group)
        return NamedAdapter(adapter, group, {} if limits is None else {"limits": limits})
    # An async client calls an async adapter through the same type, and awaits what it returns.
    return cast("Adapter", checked_adapter(adapter, awaits=awaits))


class NamedAdapter:
    """The name of an adapter, from which the adapter is made at its first use."""

    __slots__ = ("group", "limits", "name")

    def __init__(self, name: str, group: str, limits: dict[str, Limits]) -> None:
        self.name = name
        self.group = group
        self.limits = limits

    def make(self) -> Adapter:
        """The adapter. Raises `InvalidRequest` if it takes no limits, `UnknownAdapter` if it was pickled elsewhere."""
        make = find_adapter(self.name, self.group)
        try:
            adapter: Adapter = make(**self.limits)
        except TypeError as error:
            if not self.limits:
                raise
            raise InvalidRequest(
                f"the adapter {self.name!r} cannot be made with limits=: {error}"
            ) from error
        return adapter
