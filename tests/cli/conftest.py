"""What the tests of the command line share."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from support.command_line import Ran


@pytest.fixture
def adieu_(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Runs a command line: see `Ran`."""
    return partial(Ran, capfdbinary)
