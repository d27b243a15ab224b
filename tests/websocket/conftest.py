"""WebSockets, sync and async. All adapters that can upgrade share one engine: `test_adapters.py` has each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from support.runner import RUNNERS
from support.stage import Stage
from support.websockets import Sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer
    from support.watch import Watch


@pytest.fixture(params=RUNNERS)
def stage(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Stage]:
    """Every mode; at the end no socket may be open."""
    runner = RUNNERS[request.param]()
    yield Stage(runner, "native", None, fault_server, census)
    runner.close()


@pytest.fixture
def is_async(stage: Stage) -> bool:
    """The clients of this stage are async."""
    return stage.runner.kind is adieu.AsyncClient


@pytest.fixture
def sockets(stage: Stage) -> Sockets:
    """WebSockets on the server of the stage."""
    return Sockets(stage.server)
