"""The back end for the event loop that runs: asyncio's or trio's.

Code that decides is written once, for sync and async. Code that waits is written once for each kind of loop, in a
module with the functions of `AsyncBackend`. Trio is never imported here: as long as it is not imported, no run of it is
active.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.fairness import in_trio

if TYPE_CHECKING:
    from adieu.net.backends.contract import AsyncBackend

__all__ = ["current_backend", "in_trio"]


def current_backend() -> AsyncBackend:
    """The back end for the event loop that runs here."""
    if in_trio():
        from adieu.net.backends import trio_backend

        return trio_backend
    from adieu.net.backends import asyncio_backend

    return asyncio_backend
