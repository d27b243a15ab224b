"""Waiting for a socket to become readable or writable, without a descriptor of its own that could be lost."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["READ", "WRITE", "milliseconds", "poller"]

READ: int = getattr(select, "POLLIN", 1)
WRITE: int = getattr(select, "POLLOUT", 4)
"""What to wait for; `READ | WRITE` is either. Windows has no poll(), and so no numbers of its own for them."""

# poll() takes a C int.
_LONGEST = 2**31 - 1


def poller(sock: socket.socket, events: int) -> Callable[[float | None], object]:
    """A function that waits until `sock` is ready: true if it is, false when the milliseconds it was given are over.

    None is no limit. A closed socket counts as ready, so that the operation that follows reports it. One function must
    not be used by two threads at once.
    """
    descriptor = sock.fileno()
    if descriptor < 0:
        return _ready_at_once
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, events)
        return poll.poll

    def wait(limit: float | None) -> object:  # Windows
        seconds = None if limit is None else limit / 1000
        reading, writing = [sock] if events & READ else [], [sock] if events & WRITE else []
        # A connection that failed is reported as exceptional alone.
        return any(select.select(reading, writing, writing, seconds))

    return wait


def _ready_at_once(limit: float | None) -> bool:
    return True


def milliseconds(seconds: float | None) -> float | None:
    """A timeout as `poller` takes it."""
    return None if seconds is None else min(seconds * 1000, _LONGEST)
