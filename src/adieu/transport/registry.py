"""Adapters as people give them, most of them by name: the entry points that installed packages offer.

Sync ones are in the group `adieu.adapters`, async ones in `adieu.async_adapters`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidRequest, UnknownAdapter
from adieu.transport.adapter import checked_adapter

if TYPE_CHECKING:
    from adieu.lifecycle.pool import Limits
    from adieu.transport.adapter import Adapter, AsyncAdapter

__all__ = ["NamedAdapter", "chosen", "find_adapter", "inner_adapter"]

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


def chosen(
    adapter: Adapter | AsyncAdapter | str, group: str, limits: Limits | None, awaits: bool
) -> Any:
    """What a client mounts: the adapter, checked, or what makes the one of this name when it is first used.

    `awaits`: the client is an async one.
    """
    if isinstance(adapter, str):
        return NamedAdapter(adapter, group, {} if limits is None else {"limits": limits})
    return checked_adapter(adapter, awaits=awaits)


class NamedAdapter:
    """An adapter chosen by name, which is made when it is first used."""

    __slots__ = ("group", "limits", "name")

    def __init__(self, name: str, group: str, limits: dict[str, Limits]) -> None:
        self.name = name
        self.group = group
        self.limits = limits

    def make(self) -> Adapter:
        """The adapter. Raises `UnknownAdapter`, and `InvalidRequest` if it takes no limits."""
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
