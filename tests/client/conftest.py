"""A client behaves the same over every adapter, sync and async."""

from __future__ import annotations

from support.everywhere import is_async, stage
from support.site import place

__all__ = ["is_async", "place", "stage"]
