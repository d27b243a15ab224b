"""The help of every command: in 80 columns, with what a manual page has."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("command", ["trace", "run", "demo", "check-adapter", "fault-server"])
def test_the_help_of_a_command_fits_80_columns_and_has_the_exit_status(
    adieu_: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = adieu_(command, "--help")
    assert ran.status == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "exit status" in " ".join(ran.out.lower().split())
    assert ran.out.startswith(f"usage: adieu {command} ")
