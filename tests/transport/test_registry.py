"""Adapters are found by name: adieu's own at once, those of other packages among their entry points."""

from __future__ import annotations

import importlib.metadata
import pickle
from pathlib import Path
from typing import Any

import pytest

import adieu
from adieu.transport import registry

tomllib = pytest.importorskip("tomllib", reason="it came with Python 3.11")


def test_the_own_adapters_are_those_of_the_package() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    points = project["project"]["entry-points"]
    adapters = {group: names for group, names in points.items() if group.startswith("adieu.")}
    assert adapters == registry._OWN


def test_no_entry_point_is_read_for_an_own_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**group: str) -> Any:
        raise AssertionError(group)

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    monkeypatch.setattr(registry, "_found", {})
    for group, names in registry._OWN.items():
        for name, place in names.items():
            found = registry.find_adapter(name, group)
            assert f"{found.__module__.partition('.')[0]}:{found.__name__}" == place


def test_an_unknown_name_is_refused_with_all_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = importlib.metadata.EntryPoint("theirs", "json:loads", "adieu.adapters")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [theirs])
    with pytest.raises(adieu.UnknownAdapter) as caught:
        registry.find_adapter("natve")
    assert str(caught.value) == (
        "no adapter is called 'natve'. Installed are: cache, close, h11, native, theirs, urllib3"
    )


def test_an_installed_adapter_is_imported_when_it_is_first_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = importlib.metadata.EntryPoint("theirs", "json.no_module:loads", "adieu.adapters")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [theirs])
    monkeypatch.setattr(registry, "_installed", {})
    with adieu.Client(adapter="theirs") as client, pytest.raises(ModuleNotFoundError):
        client.get("http://127.0.0.1/")


def test_a_client_that_came_from_a_pickle_says_that_its_adapter_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = importlib.metadata.EntryPoint("theirs", "json:loads", "adieu.adapters")
    monkeypatch.setattr(registry, "_installed", {("adieu.adapters", "theirs"): theirs})
    pickled = pickle.dumps(adieu.Client(adapter="theirs"))
    monkeypatch.setattr(registry, "_installed", {})
    with pytest.raises(adieu.UnknownAdapter, match="'theirs'"):
        pickle.loads(pickled)
