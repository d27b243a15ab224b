"""Fixtures for what observes clients: the tests run over every adapter, sync and async."""

from __future__ import annotations

from support.everywhere import stage

__all__ = ["stage"]
