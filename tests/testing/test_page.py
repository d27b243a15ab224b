"""docs/testing.md names all that there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

import adieu
from adieu.testing.mock_faults import _BY_ERROR, _CAUSES, FaultKind

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
