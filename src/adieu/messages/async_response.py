"""The async response: the same head, and a body whose reading is awaited."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from adieu.errors import AdieuError, BodyClosed, BodyTooLarge, DecodeError, InvalidRequest
from adieu.lifecycle.fairness import in_turns
from adieu.lifecycle.wrapped import AsyncWrappedLease
from adieu.messages.pieces import AsyncPieces, Decoded
from adieu.messages.response_head import MAX_EVENT, MAX_LINE, ResponseHead
from adieu.messages.source import AsyncSourceLease, is_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from types import TracebackType

    from typing_extensions import Self

    from adieu.lifecycle.blocks import Blocks
    from adieu.lifecycle.body import AsyncBody
    from adieu.lifecycle.wrapped import AsyncWrap
    from adieu.messages.async_files import AsyncReadable
    from adieu.messages.decoding.decoder import Decoder
    from adieu.messages.decoding.sse import ServerSentEvent
    from adieu.messages.pieces import Begin
    from adieu.messages.response import Response, ResponseContent

    AsyncResponseContent: TypeAlias = ResponseContent | AsyncReadable | AsyncIterable[bytes]
    """The types for the body of an async response that is made by hand."""

__all__ = ["AsyncResponse", "AsyncResponseContent", "awaited"]

_T = TypeVar("_T")


class AsyncResponse(ResponseHead):
    """An answer to a request: see `Response`.

    Content that was prefetched is there at once: `content`, `text` and `json()` are as in `Response`. Of a stream,
    `await response.read()` comes first.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        body: AsyncBody | None

    def _source_of(self, body: object) -> AsyncSourceLease:
        if not is_source(body, awaited=True):
            raise InvalidRequest(
                "an async response's body is bytes, text, a binary file, an iterable or an async iterable of bytes, "
                f"not {type(body).__name__}"
            )
        return AsyncSourceLease(body)

    def _rest_as_source(self) -> AsyncSourceLease:
        return AsyncSourceLease(self.iter_raw(), partial(self.body.abort, "replaced"))  # type: ignore[union-attr]

    # -- whole -------------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """The whole content, decoded: see `Response.read`."""
        if self._content is not None:
            return self._content
        if self._raw is None:
            self._refuse_rest()
            blocks: Blocks = []
            size = 0
            while chunk := await self._pull():
                size = self._collect(blocks, size, chunk)
            self.received(blocks, None if self.body is None else self.body.trailers)
        return await self._decoded_in_turns()

    async def _decoded_in_turns(self) -> bytes:
        """The content, from the raw bytes that have been read in full. Other tasks run while a long one is decoded."""
        raw, coding = self._raw, self.headers.get("content-encoding")
        if self._content is None and raw and coding:
            self._content = await in_turns(self._decoding(raw, coding))
        return self._decoded()

    async def decode_ahead(self) -> None:
        """Decode a body that was read whole: `content`, which is not awaited, would not let other tasks run."""
        try:
            await self._decoded_in_turns()
        except AdieuError:
            pass  # `content` raises it.

    @property
    def content(self) -> bytes:
        """The whole content, decoded, once it has been read."""
        if self._raw is None and self._content is None:
            if self.source is None and (self.body is None or not self.body.gives_bytes):
                raise BodyClosed("this body was closed before it was read to its end")
            self._refuse_rest()
            raise BodyClosed("this body has not been read: `await response.read()` first")
        return self._decoded()

    # -- in pieces ---------------------------------------------------------------------------------------------------

    async def _pull(self) -> bytes:
        body = self.body
        if body is not None:
            return await body.read()
        source: AsyncSourceLease | None = self.source
        if source is None:
            raise BodyClosed("the body of this response was not kept")
        return await source.read(None)

    async def _failed(self, error: Exception) -> None:
        """An iteration has ended early; an error of the wire has ended the body already."""
        self._name_request(error)
        if self.body is not None:
            if isinstance(error, DecodeError):
                await self.body.close("error")
            elif isinstance(error, BodyTooLarge):
                self.body.abort("line or event too large")

    def _pieces(self, begin: Begin[_T]) -> AsyncIterator[_T]:
        return AsyncPieces(begin, self._pull, self._failed)

    def iter_raw(self) -> AsyncIterator[bytes]:
        """The body as it comes over the wire, without undoing its content coding."""
        return self._pieces(self._raw_begin)

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The content in pieces, decoded: see `Response.iter_bytes`."""
        return self._pieces(self._pieces_begin(chunk_size))

    def iter_text(self) -> AsyncIterator[str]:
        """The content as text, in pieces."""
        return self._pieces(self._text_begin)

    def iter_lines(self, max_line: int = MAX_LINE) -> AsyncIterator[str]:
        """The content line by line: see `Response.iter_lines`."""
        return self._pieces(partial(self._lines_begin, max_line))

    def iter_events(self, max_event: int = MAX_EVENT) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events, as they come: see `Response.iter_events`."""
        return self._pieces(partial(self._events_begin, max_event))

    def wrap(self, function: AsyncWrap, *, decoded: bool = False) -> Self:
        """Let the body go through an async function, usually an async generator function: see `Response.wrap`."""
        decoder = self._decoder() if decoded else None
        wrap = function if decoder is None else _after_decoding(decoder, function)
        self._wrap(partial(AsyncWrappedLease, function=wrap))
        if decoder is not None:
            self._say_decoded()
        return self

    # -- ends --------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End the body, read or not, as the cleanup policy says. Idempotent."""
        try:
            if self.body is not None:
                await self.body.close("exit")
            elif self.source is not None:
                self.source.finish(False, "exit")
        except BaseException:
            self._abort()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            body = self.body
            if body is None:
                await self.close()
            elif kind is None or issubclass(kind, GeneratorExit):
                await body.close("exit")
            elif issubclass(kind, Exception):
                await body.close("error")
            else:
                body.abort("interrupted")  # Cancelled: the end must not wait for anything.
        except BaseException:
            self._abort()
            raise


def awaited(response: Response) -> AsyncResponse:
    """A response that was made by hand, for async readers. Its file or iterator is read where the event loop runs."""
    source = response.source
    other = AsyncResponse(
        response.status_code,
        response.headers.copy(),
        b"".join(response.iter_raw()) if response.is_read else None,
        reason=response.reason,
        http_version=response.http_version,
    )
    other.take_facts(response)
    if source is not None:
        end = partial(source.finish, False, "replaced")
        other.source, other._raw = AsyncSourceLease(response.iter_raw(), end), None
    return other


def _after_decoding(decoder: Decoder, function: AsyncWrap) -> AsyncWrap:
    def wrap(chunks: AsyncIterator[bytes]) -> AsyncIterable[bytes]:
        pull = partial(anext, chunks, b"")
        return function(AsyncPieces(lambda: (Decoded(decoder), None), pull, _ignore))

    return wrap


async def _ignore(error: Exception) -> None:
    """The reader of the wrapped body gets it."""
