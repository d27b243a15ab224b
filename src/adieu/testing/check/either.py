"""The one type of what scenarios work with, which are written once for sync and async."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Either"]

Either: TypeAlias = Any
"""An adapter, a client, a response or a function, sync or async. What it returns goes through the steps' driver."""
