"""The messages on a connection are the same over every adapter, sync and async."""

from __future__ import annotations

from support.everywhere import is_async, stage
from support.ways import way

__all__ = ["is_async", "stage", "way"]
