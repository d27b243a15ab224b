"""Adapters by name: the entry points that installed packages offer in the group `adieu.adapters`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adieu.errors import UnknownAdapter

if TYPE_CHECKING:
    from adieu.transport.adapter import Adapter

__all__ = ["GROUP", "find_adapter"]

GROUP = "adieu.adapters"

_found: dict[str, Callable[..., Adapter]] = {}


def find_adapter(name: str) -> Callable[..., Adapter]:
    """What makes the adapter of this name. Raises `UnknownAdapter`, with the names there are."""
    if name not in _found:
        # Costs tens of milliseconds once, and loads the e-mail parser: not before somebody asks for a name.
        from importlib.metadata import entry_points

        points = {point.name: point for point in entry_points(group=GROUP)}
        if name not in points:
            known = ", ".join(sorted(points)) or "none at all; is adieu installed, or only on the path?"
            raise UnknownAdapter(f"no adapter is called {name!r}. Installed are: {known}")
        loaded: Any = points[name].load()
        _found[name] = loaded
    return _found[name]
