"""Fixtures for tests that hold over every adapter, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from support.runner import RUNNERS
from support.stage import ADAPTERS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer
    from support.watch import Watch

_PLACES = [
    (mode, adapter)
    for mode in RUNNERS
    for adapter in ADAPTERS
    if mode == "sync" or adapter != "urllib3"  # which has no async face
]


@pytest.fixture(params=_PLACES, ids="-".join)
def stage(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Stage]:
    """Every mode with each of its adapters; at the end no socket may be open."""
    mode, adapter = request.param
    runner = RUNNERS[mode]()
    yield Stage(runner, adapter, None, fault_server, census)
    runner.close()


@pytest.fixture
def is_async(stage: Stage) -> bool:
    """The clients of this stage are async."""
    return stage.runner.kind is adieu.AsyncClient
