"""Adapters by name: the entry points that installed packages offer.

Sync ones are in the group `adieu.adapters`, async ones in `adieu.async_adapters`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adieu.errors import InvalidRequest, UnknownAdapter

__all__ = ["find_adapter", "inner_adapter"]

_found: dict[tuple[str, str], Callable[..., Any]] = {}


def find_adapter(name: str, group: str = "adieu.adapters") -> Callable[..., Any]:
    """What makes the adapter of this name. Raises `UnknownAdapter`, with the names there are."""
    key = (group, name)
    if key not in _found:
        # Costs tens of milliseconds once, and loads the e-mail parser: not before somebody asks for a name.
        from importlib.metadata import entry_points

        points = {point.name: point for point in entry_points(group=group)}
        if name not in points:
            known = (
                ", ".join(sorted(points)) or "none at all: is adieu installed, or only on the path?"
            )
            kind = "async adapter" if "async" in group else "adapter"
            raise UnknownAdapter(f"no {kind} is called {name!r}. Installed are: {known}")
        _found[key] = points[name].load()
    return _found[key]


def inner_adapter(inner: Any, limits: Any, default: str, group: str = "adieu.adapters") -> Any:
    """What an adapter goes around: `inner`, or the default one with `limits`. Both: `InvalidRequest`."""
    if inner is None:
        return find_adapter(default, group)(limits=limits)
    if limits is not None:
        raise InvalidRequest(
            f"limits= is for the adapter that would be made here: give it to {inner!r}"
        )
    return inner
