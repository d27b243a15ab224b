"""Cookies are the same over every adapter, sync and async."""

from __future__ import annotations

from support.everywhere import stage

__all__ = ["stage"]
