"""The response: a head, and a body that is already here or still on its way.

The response is not what holds a connection; its body is, and the body ends by itself: at its last byte, when the
response is closed, when the `with` block is left, or in the finalizer. An iterator over a response owns nothing, so one
that is dropped half way loses nothing either.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeVar

from adieu.errors import BodyClosed, BodyTooLarge, DecodeError, InvalidRequest
from adieu.lifecycle.wrapped import WrappedLease
from adieu.messages.pieces import Decoded, Pieces
from adieu.messages.response_head import (
    MAX_BODY,
    MAX_EVENT,
    MAX_LINE,
    MAX_MESSAGE,
    ResponseHead,
    StatusError,
)
from adieu.messages.source import SourceLease, is_source

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.lifecycle.blocks import Blocks
    from adieu.lifecycle.body import Body
    from adieu.lifecycle.wrapped import Wrap
    from adieu.messages.decoding.decoder import Decoder
    from adieu.messages.decoding.sse import ServerSentEvent
    from adieu.messages.pieces import Begin

__all__ = [
    "MAX_BODY",
    "MAX_EVENT",
    "MAX_LINE",
    "MAX_MESSAGE",
    "Response",
    "ResponseContent",
    "ResponseHead",
    "StatusError",
]

_T = TypeVar("_T")

ResponseContent: TypeAlias = bytes | bytearray | memoryview | str | BinaryIO | Iterable[bytes]
"""The types for the body of a response that is made by hand."""


class Response(ResponseHead):
    """An answer to a request.

    `content`, `text` and `json()` read the whole body, if that was not done yet; the `iter_*` methods give it in
    pieces. Made by hand (in an adapter or a test), `body` is bytes, text, a binary file or an iterable of bytes; `json`
    is a value to be encoded instead (None: not given), as application/json unless `headers` has another Content-Type.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        body: Body | None

    def _source_of(self, body: object) -> SourceLease:
        if not is_source(body, awaited=False):
            hint = (
                ": an async iterable needs an AsyncResponse"
                if isinstance(body, AsyncIterable)
                else ""
            )
            raise InvalidRequest(
                "a response's body is bytes, text, a binary file or an iterable of bytes, "
                f"not {type(body).__name__}{hint}"
            )
        return SourceLease(body)

    def _rest_as_source(self) -> SourceLease:
        return SourceLease(self.iter_raw(), partial(self.body.abort, "replaced"))  # type: ignore[union-attr]

    # -- whole -------------------------------------------------------------------------------------------------------

    def read(self) -> bytes:
        """The whole content, decoded. Raises `DecodeError`, `BodyTruncated`, `ReadTimeout` and their like."""
        if self._content is not None:
            return self._content
        if self._raw is None:
            self._refuse_rest()
            blocks: Blocks = []
            size = 0
            while chunk := self._pull():
                size = self._collect(blocks, size, chunk)
            self.received(blocks, None if self.body is None else self.body.trailers)
        return self._decoded()

    def decode_ahead(self) -> None:
        """`content` decodes, in the thread that asks for it."""

    # Not a method that calls `read`: that is one more call for each response.
    content = property(read, doc="The whole content, decoded (`read()`).")  # pyright: ignore[reportIncompatibleMethodOverride]

    # -- in pieces ---------------------------------------------------------------------------------------------------

    def _pull(self) -> bytes:
        body = self.body
        if body is not None:
            return body.read()
        source: SourceLease | None = self.source
        if source is None:
            raise BodyClosed("the body of this response was not kept")
        return source.read(None)

    def _failed(self, error: Exception) -> None:
        """An iteration has ended early; an error of the wire has ended the body already."""
        self._name_request(error)
        if self.body is not None:
            if isinstance(error, DecodeError):
                self.body.close("error")
            elif isinstance(error, BodyTooLarge):
                self.body.abort("line or event too large")

    def _pieces(self, begin: Begin[_T]) -> Iterator[_T]:
        return Pieces(begin, self._pull, self._failed)

    def iter_raw(self) -> Iterator[bytes]:
        """The body as it comes over the wire, without undoing its content coding."""
        return self._pieces(self._raw_begin)

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The content in pieces, decoded; with `chunk_size`, in pieces of so many bytes (the last may be shorter).

        A body that was read in pieces cannot be read again: `BodyClosed`. Content that the cleanup policy has
        prefetched, or that `read()` has read, can be, any number of times.
        """
        return self._pieces(self._pieces_begin(chunk_size))

    def iter_text(self) -> Iterator[str]:
        """The content as text, in pieces."""
        return self._pieces(self._text_begin)

    def iter_lines(self, max_line: int = MAX_LINE) -> Iterator[str]:
        """The content line by line, without the line ends (LF, CR LF or CR).

        Raises `BodyTooLarge` for a line of more than `max_line` characters: a line is kept until its end comes, and a
        small body can decode to a line of any length.
        """
        return self._pieces(partial(self._lines_begin, max_line))

    def iter_events(self, max_event: int = MAX_EVENT) -> Iterator[ServerSentEvent]:
        """Server-sent events, as they come; `client.event_stream()` connects again where this ends.

        Raises `DecodeError` if the content is no `text/event-stream`, and `BodyTooLarge` for an event of more than
        `max_event` bytes.
        """
        return self._pieces(partial(self._events_begin, max_event))

    def wrap(self, function: Wrap, *, decoded: bool = False) -> Self:
        """Let the body go through a function: for a middleware that counts, copies, decrypts or bounds it.

        `function` gets an iterator over the bytes as they come from the wire, or, with `decoded`, with their content
        coding undone (`headers` then names no coding and no length any more). It gives an iterable of the bytes that
        the reader is to get; a generator function is the usual form. It is called when the body is read. When the body
        is closed, dropped or fails, the generator is closed, and so is what it reads from. What it tells the user goes
        into `extras`, taken before: a function that refers to the response itself makes a reference cycle.

        ```python
        class Counting(adieu.Middleware):
            def send(self, request, exchange):
                def count(chunks):
                    for chunk in chunks:
                        print(len(chunk), "bytes")
                        yield chunk

                return self.inner.send(request, exchange).wrap(count)
        ```

        Raises `BodyClosed` if the body was closed, or read in pieces, before.
        """
        decoder = self._decoder() if decoded else None
        wrap = function if decoder is None else _after_decoding(decoder, function)
        self._wrap(partial(WrappedLease, function=wrap))
        if decoder is not None:
            self._say_decoded()
        return self

    # -- ends --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the body, read or not, as the cleanup policy says. Idempotent."""
        try:
            if self.body is not None:
                self.body.close("exit")
            elif self.source is not None:
                self.source.finish(False, "exit")
        except BaseException:
            self._abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            body = self.body
            if body is None:
                self.close()
            elif kind is None or issubclass(kind, GeneratorExit):
                body.close("exit")
            elif issubclass(kind, Exception):
                body.close("error")
            else:
                body.abort("interrupted")
        except BaseException:
            self._abort()
            raise


def _after_decoding(decoder: Decoder, function: Wrap) -> Wrap:
    def wrap(chunks: Iterator[bytes]) -> Iterable[bytes]:
        return function(
            Pieces(lambda: (Decoded(decoder), None), partial(next, chunks, b""), _ignore)
        )

    return wrap


def _ignore(error: Exception) -> None:
    """The reader of the wrapped body gets it."""
