"""`Content`: the bytes that a request carries, with their length, their media type and their trailers.

A request without content has `NO_CONTENT`, which differs from an empty content: a GET with `content=b""` announces
`Content-Length: 0`, a GET without content announces nothing. `content.is_given` tells them apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, ClassVar, Final

from adieu._portable import portable

if TYPE_CHECKING:
    from typing import SupportsIndex

    from adieu.lifecycle.steps import Steps
    from adieu.messages.fields.trailers import TrailersLike

__all__ = ["NO_CONTENT", "Content"]


class Content:
    """The content of a request.

    `body`: the whole content, if it is in memory, else None. `length`: bytes, None if only the end will tell.
    `media_type`: for the Content-Type field, None if the content does not say. `replayable`: `chunks` may be called
    again. `trailers`: the fields to send after it, or a function that returns them then; None if there are none.
    `is_given`: False for a request without content, True for an empty content. `is_async`: only `async_chunks` can
    read it.
    """

    __slots__ = ("body", "length", "media_type", "replayable", "trailers")

    is_given: ClassVar[bool] = True
    is_async: ClassVar[bool] = False

    def __init__(
        self,
        body: bytes | None,
        media_type: str | None = None,
        *,
        length: int | None = None,
        replayable: bool = True,
    ) -> None:
        self.body = body
        self.length = length if body is None else len(body)
        self.media_type = media_type
        self.replayable = replayable
        self.trailers: TrailersLike | None = None

    @property
    def sendable(self) -> bool:
        """Whether it can be sent now: it is replayable, or nothing of it has been read yet."""
        return self.replayable

    def chunks(self) -> Iterator[bytes]:
        """The bytes, from the beginning, in chunks that are never empty.

        Raises `InvalidRequest` if they cannot be read (again); also half way, for an item that is neither bytes nor
        text.
        """
        return iter((self.body,) if self.body else ())

    def async_chunks(self) -> AsyncIterator[bytes]:
        """As `chunks`, awaited: every content can be read so."""
        return _ReadyChunks(self.chunks())

    @property
    def needs_owner(self) -> bool:
        """Whether the call that sends it has to own it, because it holds iterators to be closed. Never if in memory."""
        return False

    def owned(self) -> Content:
        """The same content for one call, which ends it. An iterator of the user's belongs to that call from now on."""
        return self

    def end(self) -> Steps[None]:
        """Close the iterators that it holds, for an async client: an async generator is awaited. Idempotent.

        Files, and iterables that can be restarted, stay as they are. An error of a generator's clean-up is reported as
        Python reports those of finalizers.
        """
        yield from ()

    def end_now(self) -> None:
        """As `end`, without waiting: an async generator that awaits on its way out is left where it awaits."""

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> str | tuple[object, ...]:
        if self.trailers is not None:
            portable(
                "trailers=", self.trailers, "a function can be, if it stands at the top of a module"
            )
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        size = "unknown length" if self.length is None else f"{self.length} bytes"
        return f"<{type(self).__name__} {size}{f', {self.media_type}' if self.media_type else ''}>"


class _NoContent(Content):
    __slots__ = ()

    is_given: ClassVar[bool] = False

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> str:
        return "NO_CONTENT"  # unpickled as the one object of this module

    def __repr__(self) -> str:
        return "NO_CONTENT"


NO_CONTENT: Final[Content] = _NoContent(b"")
"""The content of every request that has none."""


class _ReadyChunks:
    """Chunks that need no waiting, as an async iterator."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> _ReadyChunks:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration
