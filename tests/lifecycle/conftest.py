"""Runs each test with every mode, adapter and policy for which its rule holds."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from support.runner import RUNNERS, Runner
from support.stage import ADAPTERS, POLICIES, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import adieu
    from adieu.testing import FaultServer
    from support.watch import Watch


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The modes that the test module names; running all of them would take too long."""
    if "runner" in metafunc.fixturenames:
        names = [name for name in getattr(metafunc.module, "MODES", ("sync",)) if name in RUNNERS]
        metafunc.parametrize("runner", names, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the combinations that do not exist in a mode, or that test nothing new there."""
    items[:] = [item for item in items if _makes_sense(getattr(item, "callspec", None))]


def _makes_sense(spec: Any) -> bool:
    if spec is None or spec.params.get("runner", "sync") == "sync":
        return True
    # The async adapters share one engine; they differ only in how it waits.
    adapter, policy = spec.params.get("adapter"), spec.params.get("policy")
    in_asyncio = spec.params["runner"] == "async"
    if str(spec.params.get("fault")).startswith("interrupt"):
        return False  # An interrupt ends the event loop, and the portal with it.
    if adapter == "close":  # It wraps the other adapter, and every policy acts alike under it.
        return bool(in_asyncio and policy == "ReleaseOnRead")
    every = in_asyncio or not isinstance(policy, str)
    return adapter in {"native", None} and (every or policy in {"Prefetch", "ReleaseOnRead"})


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """The runner of one mode."""
    made = RUNNERS[request.param]()
    yield made
    made.close()


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """The name of an adapter."""
    name: str = request.param
    return name


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> adieu.CleanupPolicy:
    """A policy of each kind."""
    return POLICIES[request.param]()


@pytest.fixture
def stage(
    runner: Runner,
    adapter: str,
    policy: adieu.CleanupPolicy,
    fault_server: FaultServer,
    census: Watch,
) -> Stage:
    """Every mode, adapter and policy; no socket may be open at the end."""
    return Stage(runner, adapter, policy, fault_server, census)


@pytest.fixture
def bare(runner: Runner, adapter: str, fault_server: FaultServer, census: Watch) -> Stage:
    """Every mode and adapter, for tests that choose the policy themselves."""
    return Stage(runner, adapter, None, fault_server, census)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The cyclic collector is off, so reference cycles stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def afresh(uncollected: None) -> None:
    """The collector sees only objects that the test makes.

    The older objects stay frozen, or every later collection would traverse all objects of pytest; there is no garbage
    among them.
    """
    if hasattr(gc, "freeze"):
        gc.collect()
        gc.freeze()
