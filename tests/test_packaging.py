"""The packages that are shipped, and the names of the adapters in them."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ADAPTERS = sorted(path.parent for path in (ROOT / "adapters").glob("*/__init__.py"))

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.name)


def test_adieu_is_typed() -> None:
    assert (ROOT / "src/adieu/py.typed").exists()


@each_adapter
def test_an_adapter_is_typed(adapter: Path) -> None:
    assert (adapter / "py.typed").exists()


@pytest.mark.parametrize("group", ["adieu.adapters", "adieu.async_adapters"])
def test_every_adapter_that_has_a_name_can_be_loaded(group: str) -> None:
    found = entry_points(group=group)
    assert {"close", "native"} <= {entry.name for entry in found}
    for entry in found:
        assert callable(entry.load())
