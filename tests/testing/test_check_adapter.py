"""`check_adapter`: sound adapters pass, and each of the broken ones is found by the scenario that is meant for it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import REPLIES, MockAdapter, check_adapter
from adieu.testing.check.profile import ReplyProfile
from adieu.testing.check.table import INVARIANTS, SCENARIOS
from adieu_asgi import ASGIAdapter, AsyncASGIAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_wsgi import WSGIAdapter
from support.stage import collect
from testing.mutants import MUTANTS, Mutant, example, source

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.check.site import AppKind

pytestmark = pytest.mark.lifecycle

# The other adapters, and how strictly each reads replies: python -m check_table (docs/checked-adapters.md).
SOUND: dict[str, Callable[[], Any]] = {
    "native": NativeAdapter,
    "async native": AsyncNativeAdapter,
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
    assert report.profile is not None
    assert len(report.profile.strict) == len(REPLIES)


def test_the_example_of_the_documents_passes() -> None:
    report = check_adapter(example(source()), only=SCENARIOS)
    assert report.ok, str(report)
    assert report.profile is None  # Of some scenarios, and so of all that are named.


def mocked(answer: Any) -> MockAdapter:
    mock = MockAdapter()
    mock.on("*", "http://app.invalid", answer)
    return mock


LOCAL: dict[str, tuple[Callable[..., Any], AppKind]] = {
    "wsgi": (WSGIAdapter, "wsgi"),
    "asgi": (ASGIAdapter, "asgi"),
    "async asgi": (AsyncASGIAdapter, "asgi"),
    "mock": (mocked, "function"),
}


@pytest.mark.parametrize("name", LOCAL)
def test_an_adapter_of_something_local_is_checked_with_an_app(name: str) -> None:
    factory, kind = LOCAL[name]
    report = check_adapter(factory, app=kind)
    # A mock may serve one client after the other.
    beyond = {"a-closed-adapter-is-refused"} if name == "mock" else set()
    assert {result.scenario.name for result in report.broken} == beyond, str(report)
    assert sum(result.state == "holds" for result in report.results) >= 20
    assert report.profile is None


def unended(app: Any) -> Any:
    """A WSGI adapter of which the app is never told that its response is over."""

    def forgetful(environ: Any, start_response: Any) -> Any:
        return [piece for piece in app(environ, start_response)]  # noqa: C416 - it closes nothing

    return WSGIAdapter(forgetful)


def test_an_app_that_is_not_told_of_an_end_counts_as_open(impatient: None) -> None:
    report = check_adapter(unended, app="wsgi", only=["a-head-without-a-body-frees-its-connection"])
    assert "more than one of the responses of the app was open after" in report.results[0].seen


class Whole(adieu.AdapterBase):
    """Reads every answer before it returns it, so that there is no lease."""

    def __init__(self) -> None:
        self._inner = adieu.Client(adapter="native")

    def send(self, request: Any, exchange: Any) -> Any:
        answer = self._inner.request(request.method, str(request.url))
        return adieu.Response(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        self._inner.close()


def test_an_adapter_without_leases_breaks_no_rule_about_them() -> None:
    (result,) = check_adapter(Whole, only=["a-lease-that-ended-harms-no-other"]).results
    assert str(result) == "-       a-lease-that-ended-harms-no-other (it has no lease)"


def test_what_was_seen_names_no_object_of_the_kit(impatient: None) -> None:
    scenario = "a-failed-read-does-not-end-cleanly-later"
    mutant = next(each for each in MUTANTS if each.scenario == scenario)
    (result,) = check_adapter(example(mutant.apply(source())), only=[scenario]).results
    assert result.seen == "reading raised no AdieuError, and returned b''"


def test_a_profile_names_what_is_tolerated_and_what_is_dangerous() -> None:
    text = str(ReplyProfile(("length",), (), ("http-0.9",), ("lengths-differ", "length-empty")))
    assert text == (
        "1 of 4 replies are read strictly\n"
        "tolerant       1: http-0.9\n"
        "dangerous      2: lengths-differ, length-empty"
    )


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Some of them leak sockets.
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.scenario}: {mutant.fault}")
def test_a_broken_adapter_is_found_by_the_scenario_that_is_meant_for_it(
    mutant: Mutant, impatient: None
) -> None:
    report = check_adapter(example(mutant.apply(source())), only=[mutant.scenario])
    (result,) = report.results
    collect()
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


CANCELLED = ["a-cancelled-call-leaves-nothing", "a-cancellation-at-any-turn-leaves-nothing"]


@pytest.mark.parametrize("scenario", CANCELLED)
def test_an_async_adapter_that_ignores_a_cancellation_is_found(
    scenario: str, impatient: None
) -> None:
    report = check_adapter(lambda: Deaf(AsyncNativeAdapter()), only=[scenario])
    assert not report.ok


def test_each_scenario_finds_something_and_shows_an_invariant() -> None:
    found = {mutant.scenario for mutant in MUTANTS} | set(CANCELLED)
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
        (lambda: WSGIAdapter(print), {}, "sends nothing over http.*app= says which"),  # type: ignore[arg-type]
        (lambda app: NativeAdapter(), {"app": "wsgi"}, "is not local"),
        (WSGIAdapter, {"app": "cgi"}, "app='cgi' is none of wsgi, asgi, function"),
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
