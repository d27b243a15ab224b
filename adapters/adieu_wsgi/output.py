"""What an app gives: a head through `start_response`, a body in pieces; both checked, and kept until they are read."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from adieu_wsgi.head import Head, Unfit, head_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import OptExcInfo

    from adieu.errors import BodyTruncated
    from adieu.lifecycle.cleanup import Framing
    from adieu_wsgi.errors import Facts

__all__ = ["Output"]

_NO_CONTENT = (204, 304)


class Output:
    """The response of one call, as far as the app has given it.

    `started`: its first byte is there, so that the head is out as far as the app can tell (PEP 3333); `closed`: nobody
    will read any more of it. `framing`, `received` and `remaining` are what a lease says of its body.
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
        """The response has no body, whatever the app gives (RFC 9112, section 6.3)."""
        head = self.head
        return self._facts.method == "HEAD" or (head is not None and head.status in _NO_CONTENT)

    # -- what the app is given ---------------------------------------------------------------------------------------

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
        /,
    ) -> Callable[[bytes], object]:
        """Take the head. With `exc_info` it may take the place of an earlier one, as long as no byte has gone out."""
        if exc_info is not None:
            try:
                if self.started and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # In the frame that it refers to it would be a cycle (PEP 3333).
        elif self.head is not None:
            raise self._facts.refuse("it called start_response again, without exc_info")
        try:
            self.head = head_of(status, headers)
        except Unfit as error:
            raise self._facts.refuse(str(error)) from None
        return self.take

    def take(self, piece: bytes) -> None:
        """Take a piece of the body: of the iterable, or of a call of `write`, which is this method."""
        if not isinstance(piece, bytes):
            raise self._facts.refuse(
                f"its body has to be bytes, but a piece of it is {type(piece).__name__}"
            )
        if self.closed:
            raise BrokenPipeError("the client has gone: nobody reads this response any more")
        if not piece:
            return
        if self.head is None:
            raise self._facts.refuse("it gave its body before it called start_response")
        self._facts.response_started = True
        if not self.bodiless:
            self._pieces.append(piece)
        elif self._facts.method != "HEAD":
            raise self._facts.refuse(f"it gave a body, but a {self.head.status} has none")

    # -- what the client reads ---------------------------------------------------------------------------------------

    def final_head(self) -> Head:
        """The head, which cannot change any more."""
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
        """Answer in the app's place: nothing of its own has gone out."""
        self.head = head
        self._pieces.clear()
        if not self.bodiless:
            self._pieces.append(body)
        return self.final_head()

    def close(self) -> None:
        """Nobody reads on."""
        self.closed = True
        self._pieces.clear()
