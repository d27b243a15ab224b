"""Hooks that can be pickled, because other processes can import them by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import adieu

__all__ = ["die", "tell_process"]


def tell_process(request: adieu.Request) -> None:
    """Add the id of the sending process to the request."""
    request.headers["X-Worker"] = str(os.getpid())


def die(request: adieu.Request) -> None:
    """End the process before one request."""
    if request.url.path == "/die":
        os._exit(3)
