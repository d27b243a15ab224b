"""The base of sync and async responses: the head, and the properties of content that has been read."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from adieu._elsewhere import NamesElsewhere
from adieu.errors import AdieuError, BodyClosed, BodyTooLarge, DecodeError, InvalidRequest
from adieu.lifecycle.blocks import collect
from adieu.lifecycle.steps import drive
from adieu.messages.headers import Headers
from adieu.messages.pieces import Decoded, Events, Lines, Raw, Sized, Text
from adieu.texts import show, show_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from typing_extensions import Self

    from adieu.lifecycle.blocks import Blocks
    from adieu.lifecycle.body import AnyBody
    from adieu.lifecycle.lease import AnyLease
    from adieu.lifecycle.reporting import ExchangeReport
    from adieu.lifecycle.steps import Steps
    from adieu.messages.decoding.charset import IncrementalText
    from adieu.messages.decoding.decoder import Decoder
    from adieu.messages.decoding.sse import ServerSentEvent
    from adieu.messages.fields.links import Link
    from adieu.messages.pieces import Begin, Step
    from adieu.messages.request import HeadersLike, Request
    from adieu.messages.url import URL

__all__ = ["MAX_BODY", "MAX_EVENT", "MAX_LINE", "MAX_MESSAGE", "ResponseHead", "StatusError"]

MAX_BODY = 1024 * 1024 * 1024
"""The most bytes of a body that is read whole, decoded, unless `max_body` says otherwise."""

MAX_EVENT = 1024 * 1024
"""The most bytes of one server-sent event, unless `max_event` says otherwise."""

MAX_MESSAGE = 16 * 1024 * 1024
"""The most bytes of one message of a WebSocket, decompressed, unless `max_message` says otherwise."""

MAX_LINE = 1024 * 1024
"""The most characters of one line, unless `max_line` says otherwise."""


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


class ResponseHead(NamesElsewhere):
    """The base of `Response` and `AsyncResponse`, which add the reading.

    `json`: a value to encode as the content, with its Content-Type if `headers` has none; None means "not given".
    """

    __slots__ = (
        "_content",
        "_encoding",
        "_extras",
        "_for_one_call",
        "_raw",
        "_streamed",
        "_text",
        "_trailers",
        "body",
        "events",
        "for_request",
        "headers",
        "history",
        "http_version",
        "max_body",
        "reason",
        "seconds",
        "source",
        "status_code",
        "upgraded",
    )

    def __init__(
        self,
        status_code: int,
        headers: HeadersLike | None = None,
        body: object = None,
        *,
        json: object = None,
        reason: str | None = None,
        http_version: str = "HTTP/1.1",
    ) -> None:
        self.status_code = status_code
        self.headers = headers if type(headers) is Headers else Headers(headers)
        self.http_version = http_version
        self.reason = reason if reason is not None else _phrase(status_code)
        self.history: tuple[Self, ...] = ()
        # The request that it answers, set by the call when the adapter has returned it.
        self.for_request: Request | None = None
        # Seconds from the beginning of the exchange to this head.
        self.seconds: float | None = None
        # Tells the listeners; set by the call if there are any.
        self.events: ExchangeReport | None = None
        # The body in progress, once it comes over a lease.
        self.body: Any = None
        # A file, an iterator or another response that was given as body, until an exchange owns it.
        self.source: Any = None
        self.upgraded: Any = None
        self._raw: bytes | None = None
        self._streamed = False
        self._content: bytes | None = None
        self._text: str | None = None
        self._encoding: str | None = None
        self._extras: dict[str, Any] | None = None
        self._trailers: list[tuple[str, str]] | None = None
        # It was made for one call: by `copy`, or by an exchange that gave it a body.
        self._for_one_call = False
        # Bounds what is read whole; set by the exchange.
        self.max_body: int | None = MAX_BODY
        if json is not None:
            body = self._encode_json(json, body)
        if body is None:
            self._raw = b""
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self._raw = bytes(body)
        elif isinstance(body, str):
            self._raw = body.encode()
        else:
            self.source = self._source_of(body)

    def _encode_json(self, json: object, body: object) -> bytes:
        if body is not None:
            raise InvalidRequest("body= and json= were given: a response has one content")
        from adieu.messages.content.json import encode_json

        if "content-type" not in self.headers:
            self.headers = self.headers.copy()  # The given ones are the caller's.
            self.headers["Content-Type"] = "application/json"
        return encode_json(json)

    def _source_of(self, body: object) -> AnyLease:
        """The lease of a body that is read in pieces. Raises `InvalidRequest` for what is none."""
        raise NotImplementedError(f"{type(self).__name__} is no response that can be made")

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> URL:
        """The URL that answered, after redirects. Raises as `request` does."""
        return self.request.url

    @property
    def request(self) -> Request:
        """The request that it answers. Raises `BodyClosed` if it has none: until a call returns it, or made by hand."""
        if self.for_request is None:
            raise BodyClosed(
                "this response has no request, and so no URL: it was made by hand, or no call has returned it yet"
            )
        return self.for_request

    @property
    def ok(self) -> bool:
        """The status is below 400."""
        return self.status_code < 400

    is_success = property(lambda self: 200 <= self.status_code < 300)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that this response sets, by name. Which of them are kept and sent, `client.cookies` tells.

        One that the response deletes is left out.
        """
        from adieu.messages.cookies.set_cookie import parse_set_cookie

        found = map(parse_set_cookie, self.headers.get_list("set-cookie"))
        return {
            cookie.name: cookie.value
            for cookie in found
            if cookie is not None and (cookie.max_age is None or cookie.max_age > 0)
        }

    @property
    def links(self) -> dict[str, Link]:
        """The first link of each relation that the `Link` fields name (RFC 8288): `response.links["next"].url`."""
        value = self.headers.get("link")
        if value is None:
            return {}
        from adieu.messages.fields.links import links_by_relation

        return links_by_relation(value, self.url)

    @property
    def is_redirect(self) -> bool:
        """A 3xx with a Location, which a client that follows redirects would follow."""
        return self.status_code in (301, 302, 303, 307, 308) and "location" in self.headers

    @property
    def elapsed(self) -> timedelta:
        """From the beginning of this exchange to the end of its head, without the hops and attempts before it."""
        from datetime import timedelta

        return timedelta(seconds=self.seconds or 0.0)

    @property
    def trailers(self) -> Headers:
        """The fields that came after the body (RFC 9110, section 6.5); empty until it has been read to its end.

        They are never merged into `headers`, and those that would change what the head said are left out.
        """
        found = self._trailers
        if found is None and self.body is not None:
            found = self.body.trailers
        if not found:
            return Headers()
        from adieu.messages.fields.trailers import received_trailers

        return received_trailers(found)

    @property
    def extras(self) -> dict[str, Any]:
        """Facts that middlewares leave for the user, by name. They are pickled with the response."""
        if self._extras is None:
            self._extras = {}
        return self._extras

    @property
    def is_closed(self) -> bool:
        """The body holds no connection (any more)."""
        return self.body is None or self.body.lease is None

    def raise_for_status(self) -> Self:
        """This response, or `StatusError` if its status is 4xx or 5xx.

        An unread body is closed before the error is raised, so that keeping the error keeps no connection. Calls read
        the content of an error before they return a stream, if it is short (64 KiB) and comes soon (one second): then
        the error's `response` has it.
        """
        if self.status_code < 400:
            return self
        if self.body is not None:
            self.body.abort("error status")
        raise self._status_error()

    def _status_error(self) -> StatusError:
        kind = "client" if self.status_code < 500 else "server"
        request = self.for_request
        where = f" for {request.method} {show_url(request.url)}" if request else ""
        error = StatusError(
            f"{self.status_code} {show(self.reason)}: {kind} error{where}", response=self
        )
        self._name_request(error)
        return error

    # -- content, once it is here ------------------------------------------------------------------------------------

    @property
    def encoding(self) -> str:
        """The charset `text` is decoded with. Assign to overrule what the headers say."""
        from adieu.messages.decoding.charset import charset_of

        if self._encoding is not None:
            return self._encoding
        return charset_of(self.headers.get("content-type")) or "utf-8"

    @encoding.setter
    def encoding(self, name: str) -> None:
        "".encode(name)  # An unknown codec is an error here, not when the text is wanted.
        self._encoding = name
        self._text = None

    def detect_encoding(self) -> str | None:
        """The charset that the content seems to be in, whatever the headers say; None: it seems to be no text.

        `response.encoding = response.detect_encoding() or "utf-8"` uses it for `text`. For content that has been read.
        Only the first 64 KiB are looked at. Raises `MissingExtra` without the extra `charset`, unless it is UTF-8.
        """
        from adieu.messages.decoding.charset import detect

        if self._raw is None and self._content is None:
            raise BodyClosed("this body has not been read: `response.read()` first")
        return detect(self._decoded())

    def _refuse_rest(self) -> None:
        """Raise if pieces were given away: the rest is not the content."""
        # A body that was closed, cut off or has failed says so itself.
        body = self.body
        if self._streamed and (body is None or body.gives_bytes):
            raise BodyClosed(
                "this body has been read in pieces, wholly or in part: what is left of it is not the content. "
                "To read it twice, begin with `response.read()`; to read on, keep the iterator"
            )

    @property
    def is_read(self) -> bool:
        """The whole body is in memory, to be had any number of times."""
        return self._raw is not None

    @property
    def raw_size(self) -> int:
        """How many bytes of the raw body are in memory."""
        return 0 if self._raw is None else len(self._raw)

    @property
    def streamed(self) -> bool:
        """The body is being read in pieces, or was: by the user, a hook or a middleware."""
        return self._streamed

    def belongs_to(self, exchange: object) -> bool:
        """It was made for this exchange, and no user has seen it: it may be given facts of the call."""
        if self.body is not None:
            return self.body.exchange is exchange
        return self._for_one_call and self.for_request is None

    def attach(self, body: AnyBody | None) -> None:
        """The content is still on its way, and comes through this body."""
        self.body = body
        self._raw = None

    def received(self, blocks: Blocks, trailers: list[tuple[str, str]] | None = None) -> None:
        """The whole raw body, and what came after it, handed over by its reader."""
        self._raw = b"".join(blocks)
        if trailers is not None:
            self._trailers = trailers
        if self.source is not None:
            self.source.finish(False, "complete")
            self.source = None

    def copy(self) -> Self:
        """The same response for another call: with headers and extras of its own, and no request.

        Content in memory is shared. A body that is read in pieces can be read once: it goes to the first copy that a
        call takes over. The copy of a response that is still open on a connection reads it through that response.
        """
        # Every slot by itself, because the constructor would look at all of it once more.
        other: Self = object.__new__(type(self))
        other.status_code = self.status_code
        other.reason = self.reason
        other.http_version = self.http_version
        other.headers = self.headers.copy()
        other.history, other.for_request, other.seconds, other.body = (), None, None, None
        other._raw, other._content, other._text = self._raw, self._content, None
        other._for_one_call, other.max_body = True, self.max_body
        other.source, other.events = self.source, None
        other.take_facts(self)
        body = self.body
        if self._raw is None and body is not None and body.gives_bytes:
            other.source = self._rest_as_source()
        elif self._raw is None:
            other.body = body
        return other

    def take_facts(self, other: ResponseHead, shared: bool = False) -> None:
        """Take over what is known besides the head and the content, and whether reading has begun.

        `shared`: both are one response, in two forms, so that facts that are left later go to both.
        """
        self.upgraded = other.upgraded
        self._encoding = other._encoding
        self._trailers = other._trailers
        self._extras = other.extras if shared else other._extras and dict(other._extras)
        self._streamed = other._streamed

    def _rest_as_source(self) -> AnyLease:
        raise NotImplementedError(f"{type(self).__name__} is no response that can be made")

    def _collect(self, blocks: Blocks, size: int, chunk: bytes) -> int:
        """Take one more piece of a body that is read whole; gives the size of all of them."""
        size += len(chunk)
        body = self.body
        remaining = body.remaining if body is not None else 0
        if (bound := self.max_body) is not None and size + remaining > bound:
            if body is not None:
                raise body.refuse()
            raise BodyTooLarge(f"the body of {self!r} has more than max_body={bound} bytes")
        collect(blocks, chunk)
        return size

    def _decoded(self) -> bytes:
        """The content, from the raw bytes that have been read in full."""
        content = self._content
        if content is None:
            raw = self._raw
            assert raw is not None
            headers = self.headers
            coding = headers["content-encoding"] if headers.has("content-encoding") else None
            bound = self.max_body
            if (coding and raw) or (bound is not None and len(raw) > bound):
                raw = drive(self._decoding(raw, coding))
            self._content = content = raw
        return content

    def _decoding(self, raw: bytes, coding: str | None) -> Steps[bytes]:
        from adieu.messages.decoding.decoder import MAX_RATIO, decoding

        bound = self.max_body
        ratio = None if bound is None else MAX_RATIO
        try:
            content = yield from decoding(raw, coding, max_bytes=bound, max_ratio=ratio)
        except AdieuError as error:
            self._name_request(error)
            raise
        if self.events is not None and content is not raw:
            self.events.decoded(len(raw), len(content))
        return content

    def _name_request(self, error: Exception) -> None:
        """Add the request to an error of the decoders, which see bytes alone."""
        request = self.for_request
        if request is not None and isinstance(error, AdieuError) and error.method is None:
            error.method, error.url = request.method, str(request.url)

    @property
    def content(self) -> bytes:
        """The whole content, decoded."""
        raise NotImplementedError(f"{type(self).__name__} is no response that can be made")

    @property
    def text(self) -> str:
        """The content as text: by its BOM, its declared charset, or UTF-8. What cannot be decoded becomes U+FFFD."""
        content = self.content
        if self._text is None:
            from adieu.messages.decoding.charset import decode_text

            if self._encoding is not None:
                self._text = content.decode(self._encoding, "replace")
            else:
                self._text = decode_text(content, self.headers.get("content-type"))
        return self._text

    # -- in pieces: the steps, which sync and async share --------------------------------------------------------------

    def _abort(self) -> None:
        """End the body at once, because its end was interrupted: the traceback of that may keep the response."""
        if self.body is not None:
            self.body.abort("interrupted")
        elif self.source is not None:
            self.source.finish(False, "interrupted")

    def _raw_begin(self) -> tuple[Step[bytes], bytes | None]:
        if self._raw is None:
            self._refuse_rest()
            # From now on the user has pieces of the body.
            self._streamed = True
        return Raw(), self._raw

    def _decoded_begin(self) -> tuple[Step[bytes], bytes | None]:
        if self._content is not None:
            return Raw(), self._content
        step, whole = self._raw_begin()
        decoder = self._decoder()
        return step if decoder is None else Decoded(decoder, self.events), whole

    def _sized_begin(self, size: int) -> tuple[Step[bytes], bytes | None]:
        step, whole = self._decoded_begin()
        return Sized(step, size), whole

    def _text_begin(self) -> tuple[Step[str], bytes | None]:
        step, whole = self._decoded_begin()
        return Text(step, self._text_decoder()), whole

    def _lines_begin(self, max_line: int) -> tuple[Step[str], bytes | None]:
        from adieu.messages.decoding.lines import LineSplitter

        splitter = LineSplitter(max_line)
        step, whole = self._text_begin()
        return Lines(step, splitter), whole

    def _events_begin(self, max_event: int) -> tuple[Step[ServerSentEvent], bytes | None]:
        from adieu.messages.decoding.sse import EventParser, check_event_stream

        check_event_stream(self.headers.get("content-type"), self.for_request and self.url)
        step, whole = self._decoded_begin()
        return Events(step, EventParser(max_event)), whole

    def _pieces_begin(self, chunk_size: int | None) -> Begin[bytes]:
        if chunk_size is None:
            return self._decoded_begin
        if chunk_size < 1:
            raise InvalidRequest(f"chunk_size must be at least 1 byte, not {chunk_size}")
        return partial(self._sized_begin, chunk_size)

    def _decoder(self) -> Decoder | None:
        coding = self.headers.get("content-encoding")
        if not coding:
            return None
        from adieu.messages.decoding.decoder import decoder_for

        return decoder_for(coding)

    def _text_decoder(self) -> IncrementalText:
        from adieu.messages.decoding.charset import IncrementalText

        if self._encoding is not None:
            return IncrementalText(None, self._encoding)
        return IncrementalText(self.headers.get("content-type"))

    def _wrap(self, lease: Callable[[Any, Blocks], AnyLease]) -> None:
        """Put `lease(inner, ahead)` between the body, which must be whole, and its reader: see `BodyBase.wrap`."""
        body = self.body
        if self._raw is None:
            self._refuse_rest()
            if body is not None:
                if body.lease is not None:
                    body.wrap(lease)
                    return
                if not body.gives_bytes:
                    raise body.refusal()
                self.received(body.take(), body.trailers)
        source = self.source
        if source is None:
            if self._raw is None:
                raise BodyClosed("the body of this response was not kept")
            source = self._source_of((self._raw,) if self._raw else ())
        self._for_one_call = self._for_one_call or body is not None
        self.source, self.body = lease(source, []), None
        self._raw = self._content = self._text = None

    def _say_decoded(self) -> None:
        """The content coding is undone before the first read: the head no longer names it, or the coded length."""
        self.headers.pop("content-encoding", None)
        self.headers.pop("content-length", None)

    def json(self, **options: Any) -> Any:
        """The content as JSON; options go to `json.loads`. Raises `DecodeError` if it is none.

        JSON is UTF-8, -16 or -32, as its first bytes tell (RFC 8259, section 8.1), whatever charset is declared. A
        declared charset counts for what is none of them, and an assigned `encoding` in any case.
        """
        import json

        content = self.content
        if not content:
            raise self._no_json("has no content, so there is no JSON in it")
        try:
            try:
                return json.loads(
                    content if self._encoding is None else content.decode(self._encoding), **options
                )
            except UnicodeDecodeError:
                if self._encoding is not None or (declared := self._declared_charset()) is None:
                    raise
            return json.loads(content.decode(declared), **options)
        except (ValueError, RecursionError) as error:  # The second for what is nested too deeply.
            raise self._no_json(
                f"is not JSON: {error}; {_described(content, self.headers)}"
            ) from error

    def _declared_charset(self) -> str | None:
        from adieu.messages.decoding.charset import charset_of

        return charset_of(self.headers.get("content-type"))

    def _no_json(self, why: str) -> DecodeError:
        error = DecodeError(f"{self!r} {why}")
        self._name_request(error)
        return error

    def __repr__(self) -> str:
        return f"<Response {self.status_code} {show(self.reason)}>".replace(" >", ">")

    # A response is pickled without its connection, so content that was not read is missing in the copy.

    def __getstate__(self) -> dict[str, object]:
        kept = (
            "status_code",
            "reason",
            "http_version",
            "headers",
            "history",
            "for_request",
            "seconds",
        )
        state: dict[str, object] = {name: getattr(self, name) for name in kept}
        request = self.for_request
        if request is not None and request.content.body is None:
            from adieu.messages.content.encode import spent

            # A file, or an iterator: the answer must not be lost for what was asked.
            state["for_request"] = request = request.copy()
            request.content = spent(request.content)
        hidden = ("_raw", "_encoding", "_trailers", "_extras", "max_body")
        return {**state, **{name: getattr(self, name) for name in hidden}}

    def __setstate__(self, state: dict[str, object]) -> None:
        ResponseHead.__init__(self, 0, reason="")
        for name, value in state.items():
            setattr(self, name, value)


def _described(content: bytes, headers: Headers) -> str:
    """A description of content that is no JSON. It is not quoted: the answer to a login may be a secret as a whole."""
    kind = show(headers.get("content-type", "content of no declared type"), 100)
    markup = " that begins as HTML or XML does" if content.lstrip()[:1] == b"<" else ""
    return f"it is {len(content)} bytes of {kind}{markup} (`content` has them)"


@lru_cache(128)  # looking into an enum is a Python call, with an import before it
def _phrase(status: int) -> str:
    from http import HTTPStatus

    if not isinstance(status, int) or not 100 <= status <= 999:
        raise InvalidRequest(
            f"the status of a response is a number from 100 to 999, not {status!r}"
        )
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
