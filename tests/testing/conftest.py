"""A test that takes `runner` runs in every mode: sync, asyncio and trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.runner import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.runner import Runner


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    runner = RUNNERS[request.param]()
    yield runner
    runner.close()
