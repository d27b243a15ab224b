"""Every proof is run over every mode, adapter and policy that it holds for."""

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
    """Every mode that the module names: all of them take their time."""
    if "runner" in metafunc.fixturenames:
        names = [name for name in getattr(metafunc.module, "MODES", ("sync",)) if name in RUNNERS]
        metafunc.parametrize("runner", names, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What there is for one mode only is not asked of another."""
    items[:] = [item for item in items if _makes_sense(getattr(item, "callspec", None))]


def _makes_sense(spec: Any) -> bool:
    if spec is None or spec.params.get("runner", "sync") == "sync":
        return True
    # What the adapters for async clients stand on is the same code; what differs is how it waits.
    adapter, policy = spec.params.get("adapter"), spec.params.get("policy")
    in_asyncio = spec.params["runner"] == "async"
    if str(spec.params.get("fault")).startswith("interrupt"):
        return False  # It leaves the event loop, at once, and takes the portal along.
    if adapter == "close":  # It wraps the other one, and leaves no policy a choice.
        return bool(in_asyncio and policy == "ReleaseOnRead")
    every = in_asyncio or not isinstance(policy, str)
    return adapter in {"native", None} and (every or policy in {"Prefetch", "ReleaseOnRead"})


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """How clients of one mode are driven."""
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
    """Every mode, adapter and policy; no socket is left at the end."""
    return Stage(runner, adapter, policy, fault_server, census)


@pytest.fixture
def bare(runner: Runner, adapter: str, fault_server: FaultServer, census: Watch) -> Stage:
    """Every mode and adapter, for what chooses its policy itself."""
    return Stage(runner, adapter, None, fault_server, census)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The cyclic collector is off: what a test leaves to it stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def afresh(uncollected: None) -> None:
    """The collector knows of what the test makes, and of nothing else.

    What is frozen stays so, or every collection after this one would go through all that pytest has made; garbage is
    not among it.
    """
    if hasattr(gc, "freeze"):
        gc.collect()
        gc.freeze()
