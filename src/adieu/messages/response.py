"""The response: a head, and a body that is already here or still on its way.

The response is not what holds a connection; its body is, and the body ends by itself: at its last byte, when the
response is closed, when the `with` block is left, or in the finalizer. An iterator over a response owns nothing, so one
that is dropped half way loses nothing either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyClosed, BodyTooLarge, DecodeError, InvalidRequest
from adieu.messages.response_head import MAX_BODY, MAX_EVENT, ResponseHead, StatusError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.lifecycle.body import Body
    from adieu.messages.decoding.sse import ServerSentEvent

__all__ = ["MAX_BODY", "MAX_EVENT", "Response", "ResponseHead", "StatusError"]


class Response(ResponseHead):
    """An answer to a request.

    `content`, `text` and `json()` read the whole body, if that was not done yet; the `iter_*` methods give it in
    pieces. Made by hand (in an adapter or a test), `body` is bytes, text, a binary file or an iterable of bytes.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        body: Body | None

    # -- whole -------------------------------------------------------------------------------------------------------

    def read(self) -> bytes:
        """The whole content, decoded. Raises `DecodeError`, `BodyTruncated`, `ReadTimeout` and their like."""
        if self._content is not None:
            return self._content
        if self._raw is None:
            self._refuse_rest()
            chunks: list[bytes] = []
            size = 0
            while chunk := self._pull():
                size = self._collect(chunks, size, chunk)
            self.received(chunks, self._trailers)
        return self._decoded()

    content = property(read, doc="The whole content, decoded (`read()`).")

    @property
    def text(self) -> str:
        """The content as text: by its BOM, its declared charset, or UTF-8. What cannot be decoded becomes U+FFFD."""
        return self._as_text(self.read())

    def json(self, **options: Any) -> Any:
        """The content as JSON; options go to `json.loads`. Raises `DecodeError` if it is none."""
        return self._as_json(self.read(), **options)

    # -- in pieces ---------------------------------------------------------------------------------------------------

    def _pull(self) -> bytes:
        body = self.body
        if body is None:
            raise BodyClosed("the body of this response was not kept")
        return body.read()

    def iter_raw(self) -> Iterator[bytes]:
        """The body as it comes over the wire, without undoing its content coding."""
        if self._raw is not None:
            if self._raw:
                yield self._raw
            return
        self._begin_stream()
        while chunk := self._pull():
            yield chunk

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The content in pieces, decoded; with `chunk_size`, in pieces of so many bytes (the last may be shorter)."""
        pieces = self._decoded_pieces()
        if chunk_size is None:
            yield from pieces
            return
        if chunk_size < 1:
            raise InvalidRequest(f"chunk_size must be at least 1 byte, not {chunk_size}")
        kept = bytearray()
        for piece in pieces:
            kept += piece
            if len(kept) >= chunk_size:
                whole = len(kept) - len(kept) % chunk_size
                view = bytes(kept[:whole])
                del kept[:whole]
                for start in range(0, whole, chunk_size):
                    yield view[start : start + chunk_size]
        if kept:
            yield bytes(kept)

    def _decoded_pieces(self) -> Iterator[bytes]:
        if self._content is not None:
            if self._content:
                yield self._content
            return
        decoder = self._decoder()
        if decoder is None:
            yield from self.iter_raw()
            return
        try:
            for chunk in self.iter_raw():
                yield from decoder.pieces(chunk)
            yield from decoder.pieces(None)
        except DecodeError:
            if self.body is not None:
                self.body.close("error")
            raise

    def iter_text(self) -> Iterator[str]:
        """The content as text, in pieces."""
        decoder = self._text_decoder()
        for piece in self.iter_bytes():
            if text := decoder.feed(piece):
                yield text
        if text := decoder.finish():
            yield text

    def iter_lines(self) -> Iterator[str]:
        """The content line by line, without the line ends (LF, CR LF or CR)."""
        from adieu.messages.decoding.lines import LineSplitter

        splitter = LineSplitter()
        for piece in self.iter_text():
            yield from splitter.feed(piece)
        yield from splitter.finish()

    def iter_events(self, max_event: int = MAX_EVENT) -> Iterator[ServerSentEvent]:
        """Server-sent events, as they come; `client.event_stream()` connects again where this ends.

        Raises `DecodeError` if the content is no `text/event-stream`, and `BodyTooLarge` for an event of more than
        `max_event` bytes.
        """
        parser = self._event_parser(max_event)
        try:
            for piece in self.iter_bytes():
                yield from parser.feed(piece)
        except BodyTooLarge:
            if self.body is not None:
                self.body.abort("event too large")
            raise

    # -- ends --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the body, read or not, as the cleanup policy says. Any number of calls."""
        if self.body is not None:
            self.body.close("exit")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        body = self.body
        if body is None:
            return
        if kind is None or issubclass(kind, GeneratorExit):
            body.close("exit")
        elif issubclass(kind, Exception):
            body.close("error")
        else:
            body.abort("interrupted")
