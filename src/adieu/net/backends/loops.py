"""Event loops, of asyncio or trio, as things that end: a client's connections belong to one of them."""

from __future__ import annotations

import asyncio
from typing import Any

from adieu.errors import ClientClosed

__all__ = ["has_ended", "wrong_loop"]


def has_ended(loop: Any) -> bool:
    """Whether nothing will run any more in this loop of asyncio's, or run of trio's (given as its token)."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.is_closed()
    try:
        # A run that has ended refuses. `idempotent`: ten calls wake the run up once.
        loop.run_sync_soon(_nothing, idempotent=True)
    except RuntimeError:
        return True
    return False


def _nothing() -> None:
    pass


def wrong_loop(loop: object) -> ClientClosed:
    """The error for a caller outside the event loop that a connection belongs to."""
    state = "has ended" if has_ended(loop) else "is not this one"
    return ClientClosed(
        f"the event loop in which this client opened its connections {state}: "
        "make a client in each loop, and close it before the loop ends"
    )
