"""Fixtures of the tests that run over every adapter."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from support.site import place

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["place", "uncollected"]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The cyclic collector is off, so reference cycles stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
