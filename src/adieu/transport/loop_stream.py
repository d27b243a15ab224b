"""An upgraded connection of an event loop in another thread, as a stream for threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from adieu.net.stream import ByteStream

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import TimeLimit
    from adieu.transport.async_upgrade import AsyncUpgraded
    from adieu.transport.background_loop import BackgroundLoop

__all__ = ["LoopStream"]


class LoopStream(ByteStream):
    """Waits for each operation in the loop. Closing does not wait."""

    __slots__ = ("_loop", "_upgraded")

    def __init__(self, upgraded: AsyncUpgraded, loop: BackgroundLoop) -> None:
        # The owner of the async stream: with it, that one is closed.
        self._upgraded = upgraded
        self._loop = loop

    def readable(self) -> bool:
        return self._upgraded.stream.readable()

    def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        data: bytes = self._loop.call(partial(self._upgraded.stream.recv, max_bytes, limit))
        return data

    def send(self, data: bytes, limit: TimeLimit) -> None:
        self._loop.call(partial(self._upgraded.stream.send, data, limit))

    def close(self) -> None:
        self._upgraded.end()

    def forget(self) -> None:
        self._upgraded.stream.forget()
