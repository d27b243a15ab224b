"""Event loops, of asyncio or trio, as things that end: a client's connections belong to one of them."""

from __future__ import annotations

from typing import Any

from adieu.errors import ClientClosed

__all__ = ["has_ended", "wrong_loop"]


def has_ended(home: Any) -> bool:
    """Whether nothing will run in this loop any more."""
    if hasattr(home, "is_closed"):
        return bool(home.is_closed())
    try:
        # Trio tells by refusing. `idempotent`: asked ten times, it wakes up for one.
        home.run_sync_soon(_nothing, idempotent=True)
    except RuntimeError:
        return True
    return False


def _nothing() -> None:
    pass


def wrong_loop(home: object) -> ClientClosed:
    """The error for who comes from elsewhere than the event loop that a connection belongs to."""
    state = "has ended" if has_ended(home) else "is not this one"
    return ClientClosed(
        f"the event loop in which this client opened its connections {state}: "
        "make a client in each loop, and close it before the loop ends"
    )
