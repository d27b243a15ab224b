"""What is shipped, and what keeps its parts apart where import-linter needs to be told their names."""

from __future__ import annotations

import ast
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ADAPTERS = sorted(path.parent for path in (ROOT / "adapters").glob("*/__init__.py"))

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.name)


def project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib")  # Python 3.10 has none.
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return loaded


def promised() -> set[str]:
    """The modules that docs/adapters.md says an adapter may import."""
    rooms = {"adieu"}
    table = re.findall(
        r"(?m)^\| `(adieu\.\w+)` \| (.*) \|$", (ROOT / "docs/adapters.md").read_text()
    )
    for room, holds in table:
        rooms.add(room)
        rooms.update(f"{room}.{name}" for name in re.findall(r"`(\w+)", holds))
    return rooms


def imported(source: Path) -> set[str]:
    """The modules of adieu that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] == "adieu"}


def test_adieu_is_typed() -> None:
    assert (ROOT / "src/adieu/py.typed").exists()


@each_adapter
def test_an_adapter_is_typed(adapter: Path) -> None:
    assert (adapter / "py.typed").exists()


@each_adapter
def test_an_adapter_is_under_every_contract_of_import_linter(adapter: Path) -> None:
    linter = project()["tool"]["importlinter"]
    assert adapter.name in linter["root_packages"]
    by_id = {contract["id"]: contract for contract in linter["contracts"]}
    assert adapter.name in by_id["beside"]["source_modules"]
    assert adapter.name in by_id["found-by-name"]["forbidden_modules"]
    assert adapter.name in by_id["apart"]["modules"]


@each_adapter
def test_an_adapter_imports_what_the_documents_promise_and_nothing_else(adapter: Path) -> None:
    rooms = promised()
    assert len(rooms) > 10
    for source in adapter.rglob("*.py"):
        assert imported(source) <= rooms, (
            f"{source.name} imports what docs/adapters.md does not name"
        )


@pytest.mark.parametrize("group", ["adieu.adapters", "adieu.async_adapters"])
def test_every_adapter_that_has_a_name_can_be_loaded(group: str) -> None:
    found = entry_points(group=group)
    assert {"close", "h11"} <= {entry.name for entry in found}
    for entry in found:
        assert callable(entry.load())
