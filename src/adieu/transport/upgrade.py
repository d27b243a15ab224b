"""A connection that speaks another protocol after a 101 (RFC 9110, section 7.8): it is the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.at_exit import quiet_at_exit
from adieu.lifecycle.deadline import Within
from adieu.lifecycle.fork import call_first_after_fork

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.net.stream import ByteStream

__all__ = ["Upgraded"]


class Upgraded:
    """An upgraded connection as a byte stream. One thread may receive while another one sends; any may close it.

    It has left its pool: closing the client does not close it, you do.
    """

    def __init__(self, stream: ByteStream, leftover: bytes) -> None:
        self._stream = stream
        self._leftover = leftover
        self._closed = False
        call_first_after_fork(self, Upgraded._forget)

    @property
    def stream(self) -> ByteStream:
        """The stream, for code that has a `TimeLimit` for each call. It begins after `leftover`."""
        return self._stream

    def take_leftover(self) -> bytes:
        """The bytes that came with the 101, and have not been received yet."""
        leftover, self._leftover = self._leftover, b""
        return leftover

    def recv(self, max_bytes: int = 64 * 1024, timeout: float | None = 30.0) -> bytes:
        """The next bytes, b"" when the peer has closed. Those that came with the 101 come first.

        Raises `TimeoutError` if none come within these seconds (None: no limit).
        """
        if self._leftover:
            data, self._leftover = self._leftover[:max_bytes], self._leftover[max_bytes:]
            return data
        return self._stream.recv(max_bytes, Within(timeout))

    def send(self, data: bytes, timeout: float | None = 30.0) -> None:
        """Send all of `data`, within these seconds."""
        self._stream.send(data, Within(timeout))

    def _forget(self) -> None:
        """In a forked child: it is the parent's."""
        self._closed = True
        self._stream.forget()

    def end(self) -> None:
        """Close the connection, at once and from any thread. Idempotent."""
        self._closed = True
        self._stream.close()

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

    @quiet_at_exit
    def __del__(self) -> None:
        if not self._closed:
            import warnings

            self.close()
            warnings.warn(
                f"{self!r} was dropped without being closed", ResourceWarning, stacklevel=2
            )
