"""The tests of `adieu.flow` run over every adapter, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.everywhere import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["stage"]


@pytest.fixture
def other_server() -> Iterator[FaultServer]:
    """A second server: another origin, by its port."""
    with FaultServer() as server:
        KNOWN_PORTS.add(server.port)
        yield server
