"""What an adapter cannot do because of the library below it: the one list by which tests leave adapters out.

A test says by `@pytest.mark.needs("upgrades")` what it needs, a scenario by its `needs`. docs/urllib3.md tells users
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["LACKS", "lacks"]

LACKS: dict[str, dict[str, str]] = {
    "urllib3": {
        "upgrades": "urllib3 hands no connection over after a 101 or a CONNECT",
        "sending trailers": "http.client ends a chunked body by itself",
        "digest for proxies": "urllib3 answers no proxy's challenge",
        "silent loggers": "urllib3 logs request targets with their query at the level DEBUG",
    },
}


def lacks(item: pytest.Item) -> bool:
    """Whether the test runs over an adapter that lacks what the test needs."""
    spec: Any = getattr(item, "callspec", None)
    params = spec.params if spec is not None else {}
    needed = {name for mark in item.iter_markers("needs") for name in mark.args}
    needed |= {
        need for need in (getattr(value, "needs", None) for value in params.values()) if need
    }
    unknown = needed - {name for each in LACKS.values() for name in each}
    assert not unknown, f"{item.nodeid} needs what is not in the list: {unknown}"
    return any(
        needed & set(missing) and any(_names(value, adapter) for value in params.values())
        for adapter, missing in LACKS.items()
    )


def _names(value: object, adapter: str) -> bool:
    """A parameter that chooses this adapter: its name, a pair of mode and adapter, or both in one text."""
    if isinstance(value, tuple):
        return adapter in value
    return isinstance(value, str) and value.rpartition("-")[2] == adapter
