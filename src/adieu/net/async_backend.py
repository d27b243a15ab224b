"""The back end for the event loop that runs: asyncio's or trio's.

Code that decides is written once, for sync and async. Code that waits is written once for each kind of loop, in a
module with the functions of `AsyncBackend`. Trio is never imported here: as long as it is not imported, no run of it is
active.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.net.backends.contract import AsyncBackend

__all__ = ["current_backend", "in_trio"]


def in_trio() -> bool:
    """Whether a task of trio's calls this. Its thread is not enough: trio may run as a guest of asyncio's loop."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel is not None and bool(lowlevel.in_trio_task())


def current_backend() -> AsyncBackend:
    """The back end for the event loop that runs here."""
    if in_trio():
        from adieu.net.backends import trio_backend

        return trio_backend
    from adieu.net.backends import asyncio_backend

    return asyncio_backend
