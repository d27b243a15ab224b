"""`check_adapter`: sound adapters pass, and each of the broken ones is found by the scenario that is meant for it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import check_adapter
from adieu.testing.check.table import INVARIANTS, SCENARIOS
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_urllib3 import Urllib3Adapter
from adieu_wsgi import WSGIAdapter
from testing.mutants import MUTANTS, Mutant, example, source

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lifecycle

# What docs/example-adapter.md says that its adapter does not do.
BEYOND = {"ambiguous-framing-is-refused", "interim-answers-are-read-past"}

SOUND: dict[str, Callable[[], Any]] = {
    "native": NativeAdapter,
    "async native": AsyncNativeAdapter,
    "urllib3": Urllib3Adapter,
    "to_async": lambda: adieu.to_async(NativeAdapter()),
    "to_sync": lambda: adieu.to_sync(AsyncNativeAdapter()),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes at once in a sound adapter is not waited for long in a broken one."""
    monkeypatch.setattr("adieu.testing.check.trial.SOON", 0.3)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_adapter_passes(name: str) -> None:
    report = check_adapter(SOUND[name])
    assert report.ok, str(report)
    left_out = {result.scenario.name for result in report.results if result.state == "left out"}
    assert len(left_out) <= 3


def test_the_example_of_the_documents_passes_but_for_what_its_page_says() -> None:
    report = check_adapter(example(source()))
    assert {result.scenario.name for result in report.broken} == BEYOND, str(report)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.scenario)
def test_a_broken_adapter_is_found_by_the_scenario_that_is_meant_for_it(
    mutant: Mutant, impatient: None
) -> None:
    report = check_adapter(example(mutant.apply(source())), only=[mutant.scenario])
    (result,) = report.results
    if result.state == "left out":
        pytest.skip(result.seen)
    assert result.state == "broken", f"{mutant.fault}: not found"
    assert not result.seen.startswith("it did not end")


class Deaf(adieu.AsyncMiddleware):
    """Goes on after a cancellation."""

    async def send(self, request: Any, exchange: Any) -> Any:
        try:
            return await self.inner.send(request, exchange)
        except asyncio.CancelledError:
            await asyncio.sleep(30)
            raise


def test_an_async_adapter_that_ignores_a_cancellation_is_found(impatient: None) -> None:
    report = check_adapter(
        lambda: Deaf(AsyncNativeAdapter()), only=["a-cancelled-call-leaves-nothing"]
    )
    assert not report.ok


def test_each_scenario_finds_something_and_shows_an_invariant() -> None:
    found = {mutant.scenario for mutant in MUTANTS} | BEYOND | {"a-cancelled-call-leaves-nothing"}
    assert found == set(SCENARIOS)
    assert {each.invariant for each in SCENARIOS.values()} == set(INVARIANTS)
    assert len(MUTANTS) >= 25
    for each in SCENARIOS.values():
        assert each.does
        assert each.look


def test_the_report_says_what_was_done_and_seen_and_where_to_look() -> None:
    mutant = next(each for each in MUTANTS if each.scenario == "responses-arrive-as-they-are")
    broken = example(mutant.apply(source()))
    names = ["requests-arrive-as-they-are", mutant.scenario, "a-cancelled-call-leaves-nothing"]
    text = str(check_adapter(broken, only=names))
    assert "ok      requests-arrive-as-they-are\n" in text
    assert re.search(
        r"BROKEN  responses-arrive-as-they-are\n"
        r" +done: gets responses with .*\n +seen: two fields came as \['2'\]\n +look at: every field",
        text,
    )
    assert "-       a-cancelled-call-leaves-nothing (needs async)" in text
    assert text.endswith("1 hold, 1 are broken, 1 were left out")


@pytest.mark.parametrize(
    ("factory", "options", "match"),
    [
        (lambda: WSGIAdapter(print), {}, "sends nothing over http"),  # type: ignore[arg-type]
        (lambda: NativeAdapter, {}, "is a class"),
        (object, {}, "is neither"),
        (
            NativeAdapter,
            {"only": ["nonsense"]},
            "no scenario is called 'nonsense'.*no-cycle-is-left",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(factory: Any, options: Any, match: str) -> None:
    with pytest.raises(adieu.InvalidRequest, match=match):
        check_adapter(factory, **options)
