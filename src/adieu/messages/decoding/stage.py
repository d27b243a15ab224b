"""One coding of a body, undone a bounded piece at a time: what gzip, br and the others share.

Rules of the room: no coding is named here. Coded bytes wait in the queue as they came and go to the
library in blocks: zlib copies what it could not use on every call, and with blocks that is linear.
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from adieu.errors import DecodeError

__all__ = ["BETWEEN", "BLOCK", "INSIDE", "OVER", "START", "Stage"]

BLOCK = 64 * 1024

# The states of a stage: what the next byte means depends on nothing else.
START = "start"  # the first bytes have to tell the format
INSIDE = "inside"  # within a coded stream
BETWEEN = "between"  # one member is complete; the next bytes tell whether another follows
OVER = "over"  # complete


class Stage:
    """One coding of a body. Coded bytes are pushed, decoded bytes pulled.

    `pending`: `pull` may have more to give; `taken`, `given`: coded and decoded bytes so far.
    """

    __slots__ = (
        "_at",
        "_block",
        "_chunk",
        "_engine",
        "_error",
        "_more",
        "_need",
        "_queue",
        "_state",
        "given",
        "pending",
        "taken",
    )

    coding: ClassVar[str]

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._chunk = b""
        self._at = 0
        self._block = BLOCK
        self._need = 1  # bytes that must be there before `_run` can say anything
        self._more = False  # the engine holds output back: it wants room, not input
        self._engine: Any = None
        self._error: type[Exception] = DecodeError  # what the engine raises on bad input
        self._state = START
        self.taken = 0
        self.given = 0
        self.pending = False

    def push(self, data: bytes) -> None:
        """Add coded bytes."""
        if data:
            self._queue.append(data)
            self.taken += len(data)
            self.pending = True

    def pull(self, room: int) -> bytes:
        """Take at most `room` decoded bytes. Raises `DecodeError`."""
        pieces: list[bytes] = []
        while room > 0:
            block = b"" if self._more else self._front()
            if not block and not self._more:
                self.pending = False
                break
            try:
                piece, used = self._run(block, room)
            except self._error as error:
                raise DecodeError(
                    f"the body is not valid {self.coding}, as its Content-Encoding says: {error} "
                    f"(in the first {self.taken} coded bytes, after {self.given} decoded ones)"
                ) from error
            self._at += used
            if piece:
                pieces.append(piece)
                room -= len(piece)
                self.given += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Check that the coded data is complete. Raises `DecodeError`. No data at all is fine."""
        if self.taken and not self._complete():
            raise DecodeError(
                f"the body ended before its {self.coding} data was complete: "
                f"{self.taken} coded bytes came, {self.given} bytes were decoded"
            )

    def _complete(self) -> bool:
        left = self._chunk[self._at :]  # Between members: padding, or a member cut short.
        return self._state is OVER or (self._state is BETWEEN and not (left and self._opens(left)))

    def _between(self, need: int) -> None:
        """A member is complete: `need` bytes tell whether another follows."""
        self._more = False
        self._state = BETWEEN
        # The next one may be as small, and the library copies all that follows its end.
        self._block = 1024
        self._need = need

    def _follows(self, block: bytes | memoryview) -> bool:
        """Whether another member follows. If not, all that comes is to be dropped."""
        if self._state is BETWEEN and self._opens(bytes(block[: self._need])):
            return True
        self._state = OVER
        self._need = 1
        return False

    def _opens(self, lead: bytes) -> bool:
        """Whether these bytes are, or begin, the ones that a member begins with."""
        raise NotImplementedError

    def _front(self) -> bytes | memoryview:
        """The next block of input; b"" if there are less than `_need` bytes."""
        while len(self._chunk) - self._at < self._need:
            if not self._queue:
                return b""
            self._chunk = self._chunk[self._at :] + self._queue.popleft()
            self._at = 0
        size = self._block
        self._block = min(size * 2, BLOCK)
        if self._at == 0 and len(self._chunk) <= size:
            return self._chunk
        return memoryview(self._chunk)[self._at : self._at + size]

    def _run(self, block: bytes | memoryview, room: int) -> tuple[bytes, int]:
        """At most `room` decoded bytes, and how many bytes of the block were used for them."""
        raise NotImplementedError
