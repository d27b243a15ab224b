"""`wsgi.input`: the request's content, read when the app asks for it.

The app never sees an error of the content's iterator: for a server, a client that fails half way is a broken
connection. The error itself is raised in the client.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from adieu.errors import Sent
    from adieu.messages.request import Request

__all__ = ["ContentReader"]


class ContentReader(io.RawIOBase):
    """The chunks of a content as a raw binary file; an `io.BufferedReader` around it gives the app its methods.

    `failure`: the error of reading the content, until it is taken.
    """

    def __init__(self, request: Request) -> None:
        super().__init__()
        content = request.content
        self.failure: Exception | None = None
        self._chunks: Iterator[bytes] | None = content.chunks()
        self._rest = memoryview(b"")
        # Bytes that still have to come; None: unknown.
        self._due = _announced(request)
        self._ended = content.length == 0

    @property
    def sent(self) -> Sent:
        """How much of the content the app has got."""
        return "wholly" if self._ended and not self._rest else "partly"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        rest = self._rest or memoryview(self._next())
        size = min(len(buffer), len(rest))
        buffer[:size] = rest[:size]
        self._rest = rest[size:]
        return size

    def readall(self) -> bytes:
        # The base class would copy everything through small buffers.
        pieces = [bytes(self._rest)]
        self._rest = memoryview(b"")
        while chunk := self._next():
            pieces.append(chunk)
        return b"".join(pieces)

    def cut(self) -> None:
        """The client has disconnected: further reads raise the error that a server would raise."""
        self._rest = memoryview(b"")
        self._chunks = None
        self._ended = False

    def take_failure(self) -> Exception | None:
        """Return the error of reading, and forget it, because its traceback refers to this reader."""
        failure, self.failure = self.failure, None
        return failure

    def _next(self) -> bytes:
        if self._ended:
            return b""
        if self._chunks is None:
            raise ConnectionResetError(
                "the client has disconnected: the rest of its request will not come"
            )
        try:
            chunk = next(self._chunks, b"")
            self._count(chunk)
        except Exception as error:
            self.failure = error
            self._chunks = None
            raise ConnectionResetError(
                "the client broke off in the middle of its request"
            ) from error
        return chunk

    def _count(self, chunk: bytes) -> None:
        self._ended = not chunk
        if self._due is None:
            return
        self._due -= len(chunk)
        if self._due < 0:
            raise InvalidRequest(
                f"the content is at least {-self._due} bytes longer than its Content-Length"
            )
        if self._ended and self._due:
            raise InvalidRequest(
                f"the content is {self._due} bytes shorter than its Content-Length"
            )


def _announced(request: Request) -> int | None:
    text = request.headers.get("content-length")
    if text is not None and not (text.isascii() and text.isdigit()):
        raise InvalidRequest(f"the Content-Length header is no number: {text!r}")
    return None if text is None else int(text)
