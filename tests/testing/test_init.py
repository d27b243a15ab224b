from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import adieu.testing

pytestmark = pytest.mark.lifecycle


def test_every_exported_name_is_exported_by_its_module_too() -> None:
    for name in adieu.testing.__all__:
        thing = getattr(adieu.testing, name)
        home = importlib.import_module(f"adieu.testing.{adieu.testing._MODULES[name]}")
        assert thing is getattr(home, name)
        assert name in home.__all__
        assert name in dir(adieu.testing)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match=r"'adieu\.testing' has no attribute 'FaultSever'"):
        adieu.testing.FaultSever  # type: ignore[attr-defined]  # noqa: B018


def test_no_module_is_imported_before_its_first_use() -> None:
    code = (
        "import sys, adieu.testing as t; before = set(sys.modules); t.established; "
        "print([m for m in before if m.startswith('adieu.testing.')], "
        "'adieu.testing.socket_table' in sys.modules, 'adieu.testing.faults' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["[]", "True", "False"]
