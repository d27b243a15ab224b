"""A connection that speaks another protocol after a 101 (RFC 9110, section 7.8): it is the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.deadline import Within
from adieu.net.stream import ByteStream
from adieu.transport.upgraded_base import UpgradedBase

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Upgraded"]


class Upgraded(UpgradedBase[ByteStream]):
    """An upgraded connection as a byte stream. One thread may receive while another one sends; any may close it.

    It has left its pool: closing the client does not close it, you do.
    """

    def recv(self, max_bytes: int = 64 * 1024, timeout: float | None = 30.0) -> bytes:
        """The next bytes, b"" when the peer has closed. Those that came with the 101 come first.

        Raises `TimeoutError` if none come within these seconds (None: no limit).
        """
        if self._leftover:
            return self.take_leftover(max_bytes)
        return self._stream.recv(max_bytes, Within(timeout))

    def send(self, data: bytes, timeout: float | None = 30.0) -> None:
        """Send all of `data`, within these seconds."""
        self._stream.send(data, Within(timeout))

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
