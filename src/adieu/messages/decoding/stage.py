"""One content coding of a body, decoded in pieces of limited size: the base class of gzip, br and the others.

Coded bytes wait in a queue as they came, and go to the library in blocks: zlib copies all input that it could not use,
at every call, which blocks keep linear.
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, Literal, TypeAlias

from adieu.errors import DecodeError

__all__ = ["BLOCK_SIZE", "Stage", "State"]

BLOCK_SIZE = 64 * 1024

State: TypeAlias = Literal["start", "inside", "between", "over"]
"""The meaning of the next byte depends on nothing else.

"start": the first bytes have to show the format. "inside": within a coded stream. "between": one member is complete,
and the next bytes show whether another follows. "over": complete.
"""


class Stage:
    """One coding of a body: coded bytes are pushed, decoded bytes pulled.

    `pending`: `pull` may return more. `bytes_in`, `bytes_out`: coded and decoded bytes so far.
    """

    __slots__ = (
        "_block_size",
        "_chunk",
        "_engine",
        "_error",
        "_holds_output",
        "_min_input",
        "_position",
        "_queue",
        "_state",
        "bytes_in",
        "bytes_out",
        "pending",
    )

    coding: ClassVar[str]

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._chunk = b""
        self._position = 0  # in `_chunk`
        self._block_size = BLOCK_SIZE
        self._min_input = 1  # how many bytes `_decode` needs at least
        self._holds_output = False  # the engine has more output for the input so far
        self._engine: Any = None
        self._error: type[Exception] = DecodeError  # the engine's exception for bad input
        self._state: State = "start"
        self.bytes_in = 0
        self.bytes_out = 0
        self.pending = False

    def push(self, data: bytes) -> None:
        """Add coded bytes."""
        if data:
            self._queue.append(data)
            self.bytes_in += len(data)
            self.pending = True

    def pull(self, max_length: int) -> bytes:
        """Take at most `max_length` decoded bytes. Raises `DecodeError`."""
        pieces: list[bytes] = []
        while max_length > 0:
            block = b"" if self._holds_output else self._next_block()
            if not block and not self._holds_output:
                self.pending = False
                break
            try:
                piece, used = self._decode(block, max_length)
            except self._error as error:
                raise DecodeError(
                    f"the body is not valid {self.coding}, as its Content-Encoding says: {error} "
                    f"(in the first {self.bytes_in} coded bytes, after {self.bytes_out} decoded ones)"
                ) from error
            self._position += used
            if piece:
                pieces.append(piece)
                max_length -= len(piece)
                self.bytes_out += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Check that the coded data is complete; no data at all is. Raises `DecodeError`."""
        if self.bytes_in and not self._is_complete():
            raise DecodeError(
                f"the body ended before its {self.coding} data was complete: "
                f"{self.bytes_in} coded bytes came, {self.bytes_out} bytes were decoded"
            )

    def _is_complete(self) -> bool:
        if self._state == "between":
            rest = self._chunk[self._position :]  # padding, or a member that was cut off
            return not (rest and self._begins_member(rest))
        return self._state == "over"

    def _end_member(self, min_input: int) -> None:
        """A member is complete: this many bytes show whether another follows."""
        self._holds_output = False
        self._state = "between"
        # The next member may be as small, and the library copies all input after its end.
        self._block_size = 1024
        self._min_input = min_input

    def _member_follows(self, block: bytes | memoryview) -> bool:
        """Whether another member begins here. If not, all further input is dropped."""
        if self._state == "between" and self._begins_member(bytes(block[: self._min_input])):
            return True
        self._state = "over"
        self._min_input = 1
        return False

    def _begins_member(self, lead: bytes) -> bool:
        """Whether a member can begin with these bytes, which may be fewer than `_min_input`."""
        raise NotImplementedError

    def _next_block(self) -> bytes | memoryview:
        """The next block of input; b"" if there are fewer than `_min_input` bytes."""
        while len(self._chunk) - self._position < self._min_input:
            if not self._queue:
                return b""
            self._chunk = self._chunk[self._position :] + self._queue.popleft()
            self._position = 0
        size = self._block_size
        self._block_size = min(size * 2, BLOCK_SIZE)
        if self._position == 0 and len(self._chunk) <= size:
            return self._chunk
        return memoryview(self._chunk)[self._position : self._position + size]

    def _decode(self, block: bytes | memoryview, max_length: int) -> tuple[bytes, int]:
        """At most `max_length` decoded bytes, and how many bytes of the block were used for them."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.coding} {self._state}, {self.bytes_in} bytes in, {self.bytes_out} out>"
