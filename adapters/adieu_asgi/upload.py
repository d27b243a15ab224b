"""The request's content, for an app that receives it chunk by chunk.

A task of its own reads async content, one chunk at a time and only on request: if an app stops waiting for a chunk
(because of a timeout, or to check for a disconnect), the chunk must not be lost, nor the user's code be cut off.
An error of the content is raised in the client; the app sees a disconnected client.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adieu.errors import ContentError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from adieu.messages.request import Request

__all__ = ["Upload"]


class Upload:
    """The chunks of a request's content.

    `start(coroutine)` makes a task; `failed` is called after reading has failed. `ended`: the app has every chunk.
    """

    __slots__ = ("_chunks", "_due", "_failed", "_failure", "_pull", "_start", "_whole", "ended")

    def __init__(
        self,
        request: Request,
        start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        failed: Callable[[], None],
    ) -> None:
        content: Any = request.content
        self._start = start
        self._failed = failed
        self._failure: Exception | None = None
        self._pull: asyncio.Task[bytes | None] | None = None
        self._due = _announced(request)
        # Content in memory is one message, as from the buffer of a server.
        self._whole: bytes | None = content.body
        # A sync or async iterator; None after the end, or if no more is wanted.
        self._chunks: Any = content.async_chunks() if content.is_async else content.chunks()
        self.ended = False

    @property
    def has_failed(self) -> bool:
        """Reading raised an error that was not taken yet."""
        return self._failure is not None

    @property
    def is_cut(self) -> bool:
        """The content stopped before its end."""
        return self._chunks is None

    def take_failure(self) -> Exception | None:
        """Return the error of reading, and forget it, because its traceback refers to this object."""
        failure, self._failure = self._failure, None
        return failure

    async def message(self) -> dict[str, Any] | None:
        """The next `http.request` message; None if the content failed."""
        if self._whole is not None:
            body, self._whole = self._whole, None
            self.ended = True
            return {"type": "http.request", "body": body, "more_body": False}
        chunk = None
        try:
            chunk = await self._next()
            self._count(chunk)
        except Exception as error:
            self._fail(error)
        if self._chunks is None:
            return None
        self.ended = chunk is None
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    def cut(self) -> None:
        """The rest is not wanted."""
        self._chunks = self._whole = self._failure = None
        if self._pull is not None:
            self._pull.cancel()

    async def _next(self) -> bytes | None:
        chunks = self._chunks
        if chunks is None:
            return None
        if not hasattr(chunks, "__anext__"):
            chunk: bytes | None = next(chunks, None)
            return chunk
        while self._chunks is not None:
            if self._pull is None:
                self._pull = self._start(self._pulled(chunks))
            pull = self._pull
            await asyncio.wait((pull,))
            if self._pull is pull:  # Otherwise another task of the app has taken this chunk.
                self._pull = None
                return None if pull.cancelled() else pull.result()
        return None

    async def _pulled(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await chunks.__anext__()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError as error:
            if self._chunks is not None:  # Not by `cut`: something in the content was cancelled.
                self._fail(ContentError(f"the content was cancelled: {error!r}"))
            raise
        except Exception as error:
            self._fail(error)
            return None

    def _count(self, chunk: bytes | None) -> None:
        if self._due is None or self._chunks is None:
            return
        self._due -= len(chunk or b"")
        if self._due < 0:
            raise InvalidRequest(
                f"the content is at least {-self._due} bytes longer than its Content-Length"
            )
        if chunk is None and self._due:
            raise InvalidRequest(
                f"the content is {self._due} bytes shorter than its Content-Length"
            )

    def _fail(self, error: Exception) -> None:
        if self._chunks is not None:
            self._chunks = None
            self._failure = error
            self._failed()


def _announced(request: Request) -> int | None:
    text = request.headers.get("content-length")
    if text is not None and not (text.isascii() and text.isdigit()):
        raise InvalidRequest(f"the Content-Length header is no number: {text!r}")
    return None if text is None else int(text)
