"""The packages that are shipped, and the names of the adapters in them."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from runpy import run_path

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


LONG_DESCRIPTION = run_path(str(ROOT / "hatch_build.py"))["long_description"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", [None, "https://code.example.org/adieu"])
def test_no_link_of_the_long_description_is_relative(source: str | None) -> None:
    text = LONG_DESCRIPTION(README, source)
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    if source is not None:
        assert f"[docs/mounts.md]({source}/blob/main/docs/mounts.md)" in text
        assert text.replace(f"{source}/blob/main/", "") == README


def test_every_file_that_the_readme_links_to_exists() -> None:
    targets = re.findall(r"\]\((?!https:|#)([^)#]*)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_source_distribution_has_the_files_that_it_names() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [listed] = re.findall(r"(?s)targets\.sdist\]\nonly-include = \[(.*?)\]", text)
    names = re.findall(r'"([^"]+)"', listed)
    assert {"CHANGELOG.md", "README.md", "examples"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []
