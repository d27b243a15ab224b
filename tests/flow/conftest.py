"""The flow of a call is the same over every adapter, in both colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.runner import RUNNERS
from support.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.watch import Watch

_PLACES = [
    ("sync", "urllib3"),
    ("sync", "h11"),
    ("sync", "close"),
    ("async", "h11"),
    ("async", "close"),
]


@pytest.fixture(params=_PLACES, ids="-".join)
def stage(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Stage]:
    """Every colour with each of its adapters; at the end no socket is left."""
    colour, adapter = request.param
    runner = RUNNERS[colour]()
    yield Stage(runner, adapter, None, fault_server, census)
    runner.close()


@pytest.fixture
def stranger() -> Iterator[FaultServer]:
    """A second server: another origin, by its port."""
    with FaultServer() as server:
        KNOWN_PORTS.add(server.port)
        yield server
