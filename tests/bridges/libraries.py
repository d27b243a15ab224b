"""httpx and httpx2, each with its bridge: those that are installed, for httpx2 needs Python 3.11."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["LIBRARIES"]

LIBRARIES: dict[str, Any] = {
    name: (import_module(name), import_module(f"adieu_httpx.{name}"))
    for name in ("httpx", "httpx2")
    if find_spec(name) is not None
}
