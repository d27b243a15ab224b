"""The async response: the same head, and a body whose reading is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, BodyTooLarge, DecodeError, InvalidRequest
from adieu.messages.async_pieces import AsyncPieces
from adieu.messages.response_head import MAX_EVENT, ResponseHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from typing_extensions import Self

    from adieu.lifecycle.body import AsyncBody
    from adieu.lifecycle.steps import Steps
    from adieu.messages.decoding.sse import ServerSentEvent

__all__ = ["AsyncResponse"]


class AsyncResponse(ResponseHead):
    """An answer to a request: see `Response`.

    Content that was prefetched is there at once: `content`, `text` and `json()` are as in `Response`. Of a stream,
    `await response.read()` comes first.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        body: AsyncBody | None

    # -- whole -------------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """The whole content, decoded: see `Response.read`."""
        if self._content is not None:
            return self._content
        if self._raw is None:
            self._refuse_rest()
            chunks: list[bytes] = []
            size = 0
            while chunk := await self._pull():
                size = self._collect(chunks, size, chunk)
            self.received(chunks, self._trailers)
        return self._decoded()

    @property
    def content(self) -> bytes:
        """The whole content, decoded, once it has been read."""
        if self._raw is None and self._content is None:
            if self.body is None or self.body.state == "CLOSED":
                raise BodyClosed("this body was closed before it was read to its end")
            raise BodyClosed("this body has not been read: `await response.read()` first")
        return self._decoded()

    @property
    def text(self) -> str:
        """The content as text: see `Response.text`."""
        return self._as_text(self.content)

    def json(self, **options: Any) -> Any:
        """The content as JSON: see `Response.json`."""
        return self._as_json(self.content, **options)

    # -- in pieces ---------------------------------------------------------------------------------------------------

    async def _pull(self) -> bytes:
        body = self.body
        if body is None:
            raise BodyClosed("the body of this response was not kept")
        return await body.read()

    def iter_raw(self) -> AsyncIterator[bytes]:
        """The body as it comes over the wire, without undoing its content coding."""
        return AsyncPieces(self._raw_steps())

    def _raw_steps(self) -> Steps[None]:
        if self._raw is not None:
            if self._raw:
                yield self._raw
            return
        self._begin_stream()
        while chunk := (yield self._pull()):
            yield chunk

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The content in pieces, decoded; with `chunk_size`, in pieces of so many bytes (the last may be shorter)."""
        if chunk_size is None:
            return AsyncPieces(self._decoded_steps())
        if chunk_size < 1:
            raise InvalidRequest(f"chunk_size must be at least 1 byte, not {chunk_size}")
        return AsyncPieces(self._sized_steps(chunk_size))

    def _sized_steps(self, size: int) -> Steps[None]:
        kept = bytearray()
        pieces = AsyncPieces[bytes](self._decoded_steps())
        while (piece := (yield pieces.next())) is not None:
            kept += piece
            while len(kept) >= size:
                yield bytes(kept[:size])
                del kept[:size]
        if kept:
            yield bytes(kept)

    def _decoded_steps(self) -> Steps[None]:
        if self._content is not None:
            if self._content:
                yield self._content
            return
        decoder = self._decoder()
        if decoder is None:
            yield from self._raw_steps()
            return
        raw = AsyncPieces[bytes](self._raw_steps())
        try:
            while (chunk := (yield raw.next())) is not None:
                yield from decoder.pieces(chunk)
            yield from decoder.pieces(None)
        except DecodeError:
            if self.body is not None:
                yield self.body.close("error")
            raise

    def iter_text(self) -> AsyncIterator[str]:
        """The content as text, in pieces."""
        return AsyncPieces(self._text_steps())

    def _text_steps(self) -> Steps[None]:
        decoder = self._text_decoder()
        pieces = AsyncPieces[bytes](self._decoded_steps())
        while (piece := (yield pieces.next())) is not None:
            if text := decoder.feed(piece):
                yield text
        if text := decoder.finish():
            yield text

    def iter_lines(self) -> AsyncIterator[str]:
        """The content line by line, without the line ends (LF, CR LF or CR)."""
        return AsyncPieces(self._line_steps())

    def _line_steps(self) -> Steps[None]:
        from adieu.messages.decoding.lines import LineSplitter

        splitter = LineSplitter()
        texts = AsyncPieces[str](self._text_steps())
        while (piece := (yield texts.next())) is not None:
            yield from splitter.feed(piece)
        yield from splitter.finish()

    def iter_events(self, max_event: int = MAX_EVENT) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events, as they come: see `Response.iter_events`."""
        return AsyncPieces(self._event_steps(max_event))

    def _event_steps(self, max_event: int) -> Steps[None]:
        parser = self._event_parser(max_event)
        pieces = AsyncPieces[bytes](self._decoded_steps())
        try:
            while (piece := (yield pieces.next())) is not None:
                yield from parser.feed(piece)
        except BodyTooLarge:
            if self.body is not None:
                self.body.abort("event too large")
            raise

    # -- ends --------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End the body, read or not, as the cleanup policy says. Any number of calls."""
        if self.body is not None:
            await self.body.close("exit")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        body = self.body
        if body is None:
            return
        if kind is None or issubclass(kind, GeneratorExit):
            await body.close("exit")
        elif issubclass(kind, Exception):
            await body.close("error")
        else:
            body.abort("interrupted")  # Cancelled: the end must not wait for anything.
