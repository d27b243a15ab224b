"""Leases over another library, which reads the body: how it ends, how much of it came, and whether it was ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import ClientClosed
from adieu.lifecycle.lease import LeaseBase

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import Framing

__all__ = ["CountedLease"]


class CountedLease(LeaseBase):
    """Mixed into a lease: `read` returns `self.counted(data)`, and `finish` begins with `if not self.begin_end()`.

    `framing` and `remaining` are what the head said, as those of a lease.
    """

    def __init__(self, framing: Framing, remaining: int | None) -> None:
        self._framing: Framing = framing
        self._remaining = remaining
        self._received = 0
        self._ended = False

    @property
    def framing(self) -> Framing:
        return self._framing

    @property
    def remaining(self) -> int | None:
        return self._remaining

    @property
    def received(self) -> int:
        return self._received

    def counted(self, data: bytes) -> bytes:
        """These bytes, which were read. Raises `ClientClosed` if the lease was ended meanwhile."""
        self.check_open()
        self._received += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data

    def check_open(self) -> None:
        """Raise `ClientClosed` if the lease was ended: whatever a read has met, that is why."""
        if self._ended:
            raise ClientClosed("the body was closed while it was read")

    def begin_end(self) -> bool:
        """Whether this is the first end."""
        is_first, self._ended = not self._ended, True
        return is_first
