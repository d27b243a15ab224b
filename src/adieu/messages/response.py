"""The response: a head, and a body that is already here or still on its way.

The response is not what holds a connection; its body is, and the body ends by itself: at its last byte, when the
response is closed, when the `with` block is left, or in the finalizer. An iterator over a response owns nothing, so one
that is dropped half way loses nothing either.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, BodyClosed, DecodeError, InvalidRequest
from adieu.messages.headers import Headers

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType

    from typing_extensions import Self

    from adieu.lifecycle.body import Body
    from adieu.messages.charset import IncrementalText
    from adieu.messages.coding import Decoder
    from adieu.messages.request import HeadersLike, Request
    from adieu.messages.url import URL

__all__ = ["Response", "ResponseHead", "StatusError"]


class StatusError(AdieuError):
    """`raise_for_status()` found a 4xx or 5xx status. `response` is the response, with what was read of its body."""

    response: ResponseHead

    def __init__(self, message: str, *, response: ResponseHead) -> None:
        super().__init__(message)
        self.response = response

    @property
    def status_code(self) -> int:
        """The status that was found."""
        return self.response.status_code


class ResponseHead:
    """What sync and async responses share: the head, and what can be told from content that has been read."""

    __slots__ = (
        "_content",
        "_encoding",
        "_raw",
        "_text",
        "body",
        "headers",
        "history",
        "http_version",
        "reason",
        "request",
        "seconds",
        "source",
        "status_code",
        "upgraded",
    )

    def __init__(
        self,
        status_code: int,
        headers: HeadersLike | None = None,
        body: Any = None,
        *,
        reason: str | None = None,
        http_version: str = "HTTP/1.1",
    ) -> None:
        self.status_code = status_code
        self.headers = headers if type(headers) is Headers else Headers(headers)
        self.http_version = http_version
        self.reason = reason if reason is not None else _phrase(status_code)
        self.history: tuple[Self, ...] = ()
        self.request: Request | None = None
        # Seconds from the beginning of the call to this head.
        self.seconds: float | None = None
        # The body in progress; set by the client when the response came over a lease.
        self.body: Any = None
        # What an adapter without connections gave as body, if that has to be read or closed.
        self.source: Any = None
        self.upgraded: Any = None
        self._raw: bytes | None = None
        self._content: bytes | None = None
        self._text: str | None = None
        self._encoding: str | None = None
        if body is None:
            self._raw = b""
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self._raw = bytes(body)
        elif isinstance(body, str):
            self._raw = body.encode()
        elif hasattr(body, "read") or hasattr(body, "__iter__") or hasattr(body, "__aiter__"):
            self.source = body
        else:
            raise InvalidRequest(
                f"a response's body is bytes, text, a file or an iterable of bytes, not {type(body).__name__}"
            )

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> URL:
        """The URL that answered, after redirects."""
        if self.request is None:
            raise BodyClosed("this response was made by hand: it has no request, and so no URL")
        return self.request.url

    @property
    def ok(self) -> bool:
        """The status is below 400."""
        return self.status_code < 400

    is_success = property(lambda self: 200 <= self.status_code < 300)

    @property
    def is_redirect(self) -> bool:
        """A 3xx with a Location, which a client that follows redirects would follow."""
        return self.status_code in (301, 302, 303, 307, 308) and "location" in self.headers

    @property
    def elapsed(self) -> timedelta:
        """From the beginning of the exchange to the end of the response's head."""
        from datetime import timedelta

        return timedelta(seconds=self.seconds or 0.0)

    @property
    def is_closed(self) -> bool:
        """The body holds no connection (any more)."""
        return self.body is None or self.body.state != "OPEN"

    def raise_for_status(self) -> Self:
        """This response, or `StatusError` if its status is 4xx or 5xx.

        An unread body is closed before the error is raised, so that whoever keeps the error keeps no connection.
        """
        if self.status_code < 400:
            return self
        if self.body is not None:
            self.body.abort("error status")
        kind = "client" if self.status_code < 500 else "server"
        where = f" for {self.request.method} {self.request.url}" if self.request else ""
        raise StatusError(f"{self.status_code} {self.reason}: {kind} error{where}", response=self)

    # -- content, once it is here ------------------------------------------------------------------------------------

    @property
    def encoding(self) -> str:
        """The charset `text` is decoded with. Assign to overrule what the headers say."""
        from adieu.messages.charset import charset_of

        if self._encoding is not None:
            return self._encoding
        return charset_of(self.headers.get("content-type")) or "utf-8"

    @encoding.setter
    def encoding(self, name: str) -> None:
        "".encode(name)  # An unknown codec is an error here, not when the text is wanted.
        self._encoding = name
        self._text = None

    def attach(self, body: Any) -> None:
        """The content is still on its way, and comes through this body."""
        self.body = body
        self._raw = None

    def received(self, chunks: list[bytes]) -> None:
        """The whole raw body, handed over by whoever read it."""
        self._raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _decoded(self) -> bytes:
        """The content, from the raw bytes that have been read in full."""
        content = self._content
        if content is None:
            raw = self._raw
            assert raw is not None
            coding = self.headers.get("content-encoding")
            if coding and raw:
                from adieu.messages.coding import decode

                raw = decode(raw, coding)
            self._content = content = raw
        return content

    def _as_text(self, content: bytes) -> str:
        if self._text is None:
            from adieu.messages.charset import decode_text

            if self._encoding is not None:
                self._text = content.decode(self._encoding, "replace")
            else:
                self._text = decode_text(content, self.headers.get("content-type"))
        return self._text

    def _decoder(self) -> Decoder | None:
        coding = self.headers.get("content-encoding")
        if not coding:
            return None
        from adieu.messages.coding import decoder_for

        return decoder_for(coding)

    def _text_decoder(self) -> IncrementalText:
        from adieu.messages.charset import IncrementalText

        if self._encoding is not None:
            return IncrementalText(None, self._encoding)
        return IncrementalText(self.headers.get("content-type"))

    def _as_json(self, content: bytes, **options: Any) -> Any:
        import json

        if not content:
            raise DecodeError(f"{self!r} has no content, so there is no JSON in it")
        try:
            # json finds UTF-8, -16 and -32 by itself (RFC 8259, section 8.1).
            return json.loads(content, **options)
        except ValueError as error:
            start = content[:60]
            raise DecodeError(f"{self!r} is not JSON: {error}; it begins with {start!r}") from error

    def __repr__(self) -> str:
        return f"<Response {self.status_code} {self.reason}>".replace(" >", ">")

    # A response travels without its connection: what was not read is not there at the other end.

    def __getstate__(self) -> dict[str, Any]:
        kept = ("status_code", "reason", "http_version", "headers", "history", "request", "seconds")
        state: dict[str, Any] = {name: getattr(self, name) for name in kept}
        return {**state, "_raw": self._raw, "_encoding": self._encoding}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ResponseHead.__init__(self, 0)
        for name, value in state.items():
            setattr(self, name, value)


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
            chunks = []
            while chunk := self._pull():
                chunks.append(chunk)
            self.received(chunks)
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
        if self._content is not None or (self._raw is not None):
            if content := self._decoded():
                yield content
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
        from adieu.messages.charset import LineSplitter

        splitter = LineSplitter()
        for piece in self.iter_text():
            yield from splitter.feed(piece)
        yield from splitter.finish()

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


@lru_cache(128)  # looking into an enum is a Python call, with an import before it
def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
