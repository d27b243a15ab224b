"""An async client's connection after a 101: see `Upgraded`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.deadline import Within
from adieu.net.stream import AsyncByteStream
from adieu.transport.upgraded_base import UpgradedBase

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["AsyncUpgraded"]


class AsyncUpgraded(UpgradedBase[AsyncByteStream]):
    """An upgraded connection as an async byte stream, which one task may read while another one writes.

    It has left its pool: closing the client does not close it, you do. It belongs to the event loop it was made in.
    """

    async def recv(self, max_bytes: int = 64 * 1024, timeout: float | None = 30.0) -> bytes:
        """The next bytes, b"" when the peer has closed. Those that came with the 101 come first.

        Raises `TimeoutError` if none come within these seconds (None: no limit).
        """
        if self._leftover:
            return self.take_leftover(max_bytes)
        return await self._stream.recv(max_bytes, Within(timeout))

    async def send(self, data: bytes, timeout: float | None = 30.0) -> None:
        """Send all of `data`, within these seconds."""
        await self._stream.send(data, Within(timeout))

    async def close(self) -> None:
        """Close the connection. Idempotent; it is awaited as everything else is, and never waits."""
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
