"""No exchange makes a reference cycle, with or without an exception, and no response reaches its client.

So with reference counting, dropping the last reference ends everything, without the collector. (This says nothing about
PyPy; the other files, which run there too, show what must not depend on a finalizer.)
"""

from __future__ import annotations

import gc
import types
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.scenarios import SCENARIOS, Scenario
from support.stage import COUNTS_REFERENCES, caught

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.stage import Stage

pytestmark = [
    pytest.mark.lifecycle,
    pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references"),
]

MODES = ("sync", "async")

# Of these nothing is left once an exchange is over.
_ENDED_KINDS = {"Body", "Call", "Exchange", "H1Lease", "Request", "Response", "Urllib3Lease"}
_ROOTS = ("adieu", "adieu_close", "adieu_native", "adieu_urllib3", "h11", "urllib3")


def _ours(thing: object) -> bool:
    """An object of adieu or of a library below it, or a frame of their code."""
    if isinstance(thing, (types.FrameType, types.GeneratorType, types.CoroutineType)):
        frame = thing if isinstance(thing, types.FrameType) else getattr(thing, "gi_frame", None)
        return frame is not None and _root(frame.f_globals.get("__name__")) in _ROOTS
    return not isinstance(thing, type) and _root(type(thing).__module__) in _ROOTS


def _root(name: object) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""


@pytest.fixture
def garbage(afresh: None) -> Iterator[list[Any]]:
    """The objects that the collector had to find, after `gc.collect` was called."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_the_collector_finds_nothing_of_ours(
    bare: Stage, garbage: list[Any], scenario: Scenario
) -> None:
    # Streaming policies keep more objects; the scenarios that read cover the default one.
    for bare.policy in (adieu.ReleaseOnRead(), adieu.Prefetch()):
        with bare.block(bare.one(**scenario.options)) as client:
            held = scenario.play(bare, client)
        del client, held
    garbage.clear()
    gc.collect()
    assert [repr(thing)[:200] for thing in garbage if _ours(thing)] == []


def _take_live() -> Counter[str]:
    """The living objects of adieu, by the names of their sync classes."""
    modules = ((type(thing).__module__, type(thing).__name__) for thing in gc.get_objects())
    return Counter(
        name.removeprefix("Async")
        for module, name in modules
        if module.startswith("adieu") and not module.startswith("adieu.testing")
    )


@pytest.mark.parametrize("path", ["/bytes?n=100000", "/redirect?n=2", "/until-close", "/empty"])
def test_dropping_the_last_reference_frees_everything(
    stage: Stage, afresh: None, path: str
) -> None:
    client = stage.client()
    for how in ("read", "partly", "unread", "read"):
        _look_at(stage, client, path, how)
        stage.runner.settle()
        left = _take_live()
        assert not set(left) & _ENDED_KINDS, left
        assert left["Connection"] == left["SocketStream"] <= 1
    stage.run(client.close())
    stage.runner.settle()
    assert _take_live()["Client"] == 1
    del client
    left = _take_live()
    assert not set(left) & {"Client", "Pool", "Connection", "SocketStream", "Engine"}, left


def _look_at(stage: Stage, client: Any, path: str, how: str) -> None:
    response = stage.run(client.stream("GET", path))
    if how == "read":
        stage.read(response)
    elif how == "partly":
        for _ in stage.runner.each(response.iter_bytes()):
            break
    stage.run(response.close())


@pytest.mark.parametrize("state", ["read", "open", "closed", "failed"])
def test_nothing_that_a_response_reaches_is_a_client(stage: Stage, state: str) -> None:
    with stage.block(stage.client()) as client:
        if state == "failed":
            response = caught(adieu.StatusError, _refused, stage, client).response  # type: ignore[attr-defined]
        else:
            path = "/redirect?n=2&to=/bytes?n=100000&body=900"
            response = stage.run(client.stream("GET", path))
        if state == "read":
            stage.read(response)
        elif state == "closed":
            stage.run(response.close())
        reached = {type(thing).__name__ for thing in _reached(response)}
        assert stage.runner.kind.__name__ not in reached
        assert "Request" in reached
        if state != "open":
            # Then it does not reach a connection or the pool either.
            assert not reached & {
                "Pool",
                "Connection",
                "SocketStream",
                "AsyncSocketStream",
                "socket",
                "SSLSocket",
            }
        stage.run(response.close())


def _refused(stage: Stage, client: Any) -> None:
    stage.get(client, "/redirect?n=1&to=/status/404?body=100000").raise_for_status()


def _reached(start: object) -> Iterator[object]:
    """Everything that an object refers to, directly or not, except through classes, modules and functions."""
    seen = {id(start)}
    waiting = [start]
    while waiting:
        thing = waiting.pop()
        yield thing
        for other in gc.get_referents(thing):
            if id(other) in seen or isinstance(
                other, (type, types.ModuleType, types.FunctionType, types.CodeType)
            ):
                continue
            seen.add(id(other))
            waiting.append(other)
