"""What an upgraded connection of a sync and of an async client have in common: the stream, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.fork import call_first_after_fork

if TYPE_CHECKING:
    from adieu.net.stream import AsyncByteStream, ByteStream

__all__ = ["UpgradedBase"]

S = TypeVar("S", bound="ByteStream | AsyncByteStream")


class UpgradedBase(Generic[S]):
    """A stream that has left its pool, and the bytes that came with the 101."""

    def __init__(self, stream: S, leftover: bytes) -> None:
        self._stream = stream
        self._leftover = leftover
        self._closed = False
        call_first_after_fork(self, UpgradedBase._forget)

    @property
    def stream(self) -> S:
        """The stream, for code that has a `TimeLimit` for each call. It begins after `take_leftover`."""
        return self._stream

    def take_leftover(self, max_bytes: int | None = None) -> bytes:
        """The bytes that came with the 101, and have not been received yet: so many at most (None: all)."""
        leftover = self._leftover[:max_bytes]
        self._leftover = self._leftover[len(leftover) :]
        return leftover

    def end(self) -> None:
        """Close the connection, at once and from any thread. Idempotent."""
        self._closed = True
        self._stream.close()

    def _forget(self) -> None:
        """In a forked child: it is the parent's."""
        self._closed = True
        self._stream.forget()

    @quiet_at_exit
    def __del__(self) -> None:
        if not self._closed:
            import warnings

            self.end()
            warnings.warn(
                f"{self!r} was dropped without being closed", ResourceWarning, stacklevel=2
            )
