"""The response of an app: a head through `start_response`, and a body in pieces; checked, and kept until read."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from adieu_wsgi.head import Head, InvalidHead, head_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import OptExcInfo

    from adieu.errors import BodyTruncated
    from adieu.lifecycle.cleanup import Framing
    from adieu_wsgi.errors import Facts

__all__ = ["Output"]

_NO_CONTENT = (204, 304)


class Output:
    """The response of one call, as far as the app has sent it.

    `started`: its first byte has arrived, so for the app the head is sent (PEP 3333); `closed`: no more of it will be
    read. `framing`, `received` and `remaining` are those of the lease.
    """

    __slots__ = ("_facts", "_pieces", "closed", "framing", "head", "received", "remaining")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._pieces: deque[bytes] = deque()
        self.head: Head | None = None
        self.closed = False
        self.framing: Framing = "close"
        self.received = 0
        self.remaining: int | None = None

    @property
    def started(self) -> bool:
        return self._facts.response_started

    @property
    def bodiless(self) -> bool:
        """The response has no body, even if the app sends one (RFC 9112, section 6.3)."""
        head = self.head
        return self._facts.method == "HEAD" or (head is not None and head.status in _NO_CONTENT)

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
        /,
    ) -> Callable[[bytes], object]:
        """Take the head. With `exc_info` it may replace an earlier one, as long as no byte was sent."""
        if exc_info is not None:
            try:
                if self.started and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = (
                    None  # Kept in the frame to which it refers, it would be a cycle (PEP 3333).
                )
        elif self.head is not None:
            raise self._facts.refuse("it called start_response again, without exc_info")
        try:
            self.head = head_of(status, headers)
        except InvalidHead as error:
            raise self._facts.refuse(str(error)) from None
        return self.take

    def take(self, piece: bytes) -> None:
        """Take a piece of the body, from the iterable or from `write`, which is this method."""
        if not isinstance(piece, bytes):
            raise self._facts.refuse(
                f"its body has to be bytes, but a piece of it is {type(piece).__name__}"
            )
        if self.closed:
            raise BrokenPipeError("the client has disconnected and reads no more of this response")
        if not piece:
            return
        if self.head is None:
            raise self._facts.refuse("it gave its body before it called start_response")
        self._facts.response_started = True
        if not self.bodiless:
            self._pieces.append(piece)
        elif self._facts.method != "HEAD":
            raise self._facts.refuse(f"it gave a body, but a {self.head.status} has none")

    def final_head(self) -> Head:
        """The head; from now on it cannot change."""
        head = self.head
        if head is None:
            raise self._facts.refuse("it ended without a call of start_response")
        self.remaining = 0 if self.bodiless else head.length
        if self.remaining is not None:
            self.framing = "length" if self.remaining else "none"
        return head

    def next(self) -> bytes | None:
        """The next piece, if there is one."""
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        size = len(piece)
        if self.remaining is not None:
            if size > self.remaining:
                raise self._facts.refuse("its body is longer than its Content-Length")
            self.remaining -= size
        self.received += size
        return piece

    def truncated(self, why: str) -> BodyTruncated:
        """The error for a body that ended too early."""
        return self._facts.truncated(self.received, self.remaining, why)

    def replace(self, head: Head, body: bytes) -> Head:
        """Answer in place of the app, which has sent nothing yet."""
        self.head = head
        self._pieces.clear()
        if not self.bodiless:
            self._pieces.append(body)
        return self.final_head()

    def close(self) -> None:
        """The client reads no more."""
        self.closed = True
        self._pieces.clear()
