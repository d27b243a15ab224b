"""Hooks that can be pickled: other processes find them under their name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import adieu

__all__ = ["die", "tell_process"]


def tell_process(request: adieu.Request) -> None:
    """Say in which process the request was sent."""
    request.headers["X-Worker"] = str(os.getpid())


def die(request: adieu.Request) -> None:
    """End the process before one request."""
    if request.url.path == "/die":
        os._exit(3)
