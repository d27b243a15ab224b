"""docs/testing.md names all that there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

import adieu.testing
from adieu.testing.faults_net import TLSFault
from adieu.testing.mock_faults import _BY_ERROR, _CAUSES, FaultKind
from adieu.testing.routing import ROUTES

pytestmark = pytest.mark.lifecycle

PAGE = (Path(__file__).parents[2] / "docs/testing.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that begins with this cell, a row each, without the back quotes."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].splitlines()[2:]
    end = next(i for i, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in lines[:end]]


def test_the_page_has_every_fault_of_a_mock_with_its_facts() -> None:
    table = {row[0].strip('"'): row[1:] for row in rows("fault")}
    assert list(table) == list(get_args(FaultKind))
    for kind, (error, sent, by_class) in table.items():
        assert _CAUSES[kind].sent == sent  # type: ignore[index]
        assert issubclass(getattr(adieu, re.split("`|,", error)[0]), adieu.TransportError)
        classes = [f"adieu.{known.__name__}" for known in _BY_ERROR if _BY_ERROR[known] == kind]
        assert [by_class] == (classes or [""])


@pytest.mark.parametrize(
    ("module", "heading"), [("routes", "path | answers"), ("fault_routes", "path | does")]
)
def test_the_page_has_the_table_of_the_servers_routes(module: str, heading: str) -> None:
    expected = [
        f"| {', '.join(f'`{usage}`' for usage in entry.usages)} | {entry.does} |"
        for entry in dict.fromkeys(ROUTES.values())
        if entry.serve.__module__ == f"adieu.testing.{module}"
    ]
    assert expected
    lines = PAGE[PAGE.index(f"| {heading} |") :].splitlines()[2:]
    assert lines[: lines.index("")] == expected


def test_the_page_has_every_public_name_and_every_kind_of_tls_fault() -> None:
    missing = {name for name in adieu.testing.__all__ if not re.search(rf"`[^`]*\b{name}\b", PAGE)}
    assert missing == set()
    assert [kind for kind in get_args(TLSFault) if f'TLSFaults("{kind}")' not in PAGE] == []
