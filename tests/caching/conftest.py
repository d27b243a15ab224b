"""Fixtures of the tests of the cache."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from caching.origin import Cached, Origin
from support.runner import RUNNERS
from support.site import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adieu.testing import FaultServer

__all__ = ["cached", "origin", "place", "uncollected"]


@pytest.fixture
def origin(fault_server: FaultServer, census: object) -> Origin:
    return Origin(fault_server)


@pytest.fixture(params=["sync", "async"])
def cached(request: pytest.FixtureRequest, origin: Origin, tmp_path: Path) -> Iterator[Cached]:
    """The cache in each mode (trio, where a test asks for it); at the end no socket may be open."""
    runner = RUNNERS[request.param]()
    yield Cached(runner, origin, tmp_path)
    runner.close()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The cyclic collector is off, so reference cycles stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
