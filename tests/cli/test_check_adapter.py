"""`adieu check-adapter`: the report, and the exit status for a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adieu.cli import main
from adieu.testing.check.table import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

ADAPTER = """
import adieu
from adieu_native import NativeAdapter


class Kept:
    Sound = NativeAdapter


class Forgetful(NativeAdapter):
    def close(self):
        return None


@adieu.adapter(schemes=["http"])
def shop(request):
    return adieu.Response(200)


def calling(app):
    return adieu.adapter(lambda request: app(request))
"""

ONLY = "--only=nothing-is-open-after-close,requests-arrive-as-they-are"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a user, with a module of adapters."""
    (tmp_path / "adapters_of_mine.py").write_text(ADAPTER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adieu.testing.check.trial.SOON", 0.3)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    "factory", [["adapters_of_mine:Kept.Sound"], ["native"], ["h11", "--async"]]
)
def test_an_adapter_that_keeps_the_rules_is_status_0(
    factory: list[str], mine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-adapter", *factory, ONLY]) == 0
    assert capsys.readouterr().out.endswith("2 hold, 0 are broken, 0 were left out\n")


def test_one_that_does_not_is_status_1_with_what_was_seen(
    mine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-adapter", "adapters_of_mine:Forgetful", ONLY]) == 1
    said = capsys.readouterr().out
    assert "BROKEN  nothing-is-open-after-close" in said
    assert "seen: sockets were still open after close()" in said
    # What is left open after a scenario is found in each of them.
    assert "seen: sockets were still open after all clients were closed" in said
    assert said.endswith("0 hold, 2 are broken, 0 were left out\n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "name a factory"),
        (["nowhere:Adapter"], "No module named 'nowhere'"),
        (["adapters_of_mine:shop"], "adapter(shop) is an adapter already: give a class or"),
        (
            ["adapters_of_mine:calling"],
            "without arguments (missing a required argument: 'app'): if it takes an app, try",
        ),
        (["adapters_of_mine:Kept", "--app=wsgi"], "cannot be called with the app alone (too many"),
        (["adapters_of_mine:Missing"], "has no attribute 'Missing'"),
        (["nonsense"], "no adapter is called 'nonsense'"),
        (["native", "--only=x"], "no scenario is called 'x'"),
    ],
)
def test_wrong_usage_is_status_2_with_a_sentence(
    options: list[str], text: str, mine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check-adapter", *options])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_the_list_has_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-adapter", "--list"]) == 0
    listed: Any = capsys.readouterr().out
    assert [name for name in SCENARIOS if f"    {name}: " not in listed] == []
