"""Every mode with each of its adapters: for rules that hold on all of them and need one test on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.transport.registry import find_adapter
from support.runner import RUNNERS
from support.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing import FaultServer
    from support.watch import Watch

__all__ = ["PLACES", "Place", "placed"]

PLACES = [
    place
    for place in (
        "sync-urllib3",
        "sync-native",
        "sync-close",
        "async-native",
        "async-close",
        "async-trio-native",
    )
    if place.rpartition("-")[0] in RUNNERS
]


class Place(Stage):
    """A stage that can also make an adapter of its kind."""

    mode = "sync"

    @property
    def is_async(self) -> bool:
        return self.mode != "sync"

    def made(self, **options: Any) -> Any:
        """A new adapter of this place."""
        group = "adieu.async_adapters" if self.is_async else "adieu.adapters"
        return find_adapter(self.adapter, group)(**options)


def placed(name: str, server: FaultServer, watch: Watch) -> Iterator[Place]:
    """The place of this name, for a fixture."""
    mode, _, adapter = name.rpartition("-")
    runner = RUNNERS[mode]()
    place = Place(runner, adapter, None, server, watch)
    place.mode = mode
    yield place
    runner.close()
