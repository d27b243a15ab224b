"""The async response: the same head, and a body whose reading is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, DecodeError, InvalidRequest
from adieu.messages.response import ResponseHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from typing_extensions import Self

    from adieu.lifecycle.body import AsyncBody

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
            chunks = []
            while chunk := await self._pull():
                chunks.append(chunk)
            self.received(chunks)
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

    async def iter_raw(self) -> AsyncIterator[bytes]:
        """The body as it comes over the wire, without undoing its content coding."""
        if self._raw is not None:
            if self._raw:
                yield self._raw
            return
        while chunk := await self._pull():
            yield chunk

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The content in pieces, decoded; with `chunk_size`, in pieces of so many bytes (the last may be shorter)."""
        if chunk_size is not None and chunk_size < 1:
            raise InvalidRequest(f"chunk_size must be at least 1 byte, not {chunk_size}")
        kept = bytearray()
        async for piece in self._decoded_pieces():
            if chunk_size is None:
                yield piece
                continue
            kept += piece
            while len(kept) >= chunk_size:
                yield bytes(kept[:chunk_size])
                del kept[:chunk_size]
        if kept:
            yield bytes(kept)

    async def _decoded_pieces(self) -> AsyncIterator[bytes]:
        if self._content is not None or self._raw is not None:
            if content := self._decoded():
                yield content
            return
        decoder = self._decoder()
        try:
            async for chunk in self.iter_raw():
                if decoder is None:
                    yield chunk
                    continue
                for piece in decoder.pieces(chunk):
                    yield piece
            if decoder is not None:
                for piece in decoder.pieces(None):
                    yield piece
        except DecodeError:
            if self.body is not None:
                await self.body.close("error")
            raise

    async def iter_text(self) -> AsyncIterator[str]:
        """The content as text, in pieces."""
        decoder = self._text_decoder()
        async for piece in self.iter_bytes():
            if text := decoder.feed(piece):
                yield text
        if text := decoder.finish():
            yield text

    async def iter_lines(self) -> AsyncIterator[str]:
        """The content line by line, without the line ends (LF, CR LF or CR)."""
        from adieu.messages.charset import LineSplitter

        splitter = LineSplitter()
        async for piece in self.iter_text():
            for line in splitter.feed(piece):
                yield line
        for line in splitter.finish():
            yield line

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
