"""The codec: HTTP/1.1 messages into bytes and back, by h11, and the checks that h11 leaves to its user.

No other module uses h11. The checks are those of a client whose responses share connections: a reply that two parsers
could read differently is refused, because the difference would be read as the next response (RFC 9112, section 11.2):
a length beside a transfer coding, a bare CR or LF in the head, an unknown version.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal, NamedTuple

import h11

from adieu.http1.chunk_guard import ChunkGuard, LooseChunk
from adieu.http1.request_writer import RequestWriter

__all__ = ["MAX_HEAD", "Codec", "CodecState", "Head", "Malformed", "Truncated"]

MAX_HEAD: Final = 64 * 1024
"""How long a response head, a chunk's header or the trailers may be (bytes)."""

_MAX_FIELDS: Final = 1000
_ENDED: Final = (h11.DONE, h11.MUST_CLOSE)
_FRAMING_FIELDS: Final = frozenset(
    ("content-length", "transfer-encoding", "connection", "keep-alive")
)

# Field names as servers write them: the text, and what it says about framing. Servers use few, and always the same.
_names: dict[bytes, tuple[str, str | None]] = {}
_MOST_NAMES: Final = 1024

Framing = Literal["none", "length", "chunked", "close"]


class Malformed(Exception):
    """The peer's bytes are not what RFC 9112 calls a response."""


class Truncated(Malformed):
    """The peer closed in the middle of a message."""


class Head(NamedTuple):
    """A response head. `length` is the body's in bytes, where the framing tells it."""

    status: int
    reason: str
    http_version: str
    fields: list[tuple[str, str]]
    framing: Framing
    length: int | None
    keep_alive: bool
    keep_for: float | None


class CodecState(Enum):
    """What the codec reads next."""

    HEAD = "head"
    BODY = "body"
    PEER_CLOSED = "peer closed"  # the rest of the body, and nothing after it


class Codec:
    """The protocol state of one connection.

    h11 reads the heads, and the chunks. A body that has a length, or that ends with the connection, is counted here: an
    event for bytes that are handed on as they came costs more than the bytes.
    """

    __slots__ = (
        "_asked",
        "_buffered",
        "_framing",
        "_guard",
        "_left",
        "_parser",
        "_writer",
        "state",
        "trailers",
    )

    _writer: RequestWriter

    # -- out ---------------------------------------------------------------------------------------------------------

    def request(self, method: str, target: str, fields: list[tuple[str, str]]) -> bytes:
        """The bytes of a request head. Begins a new exchange."""
        self._writer = writing = RequestWriter(method, target, fields)
        self._asked = method, target, fields
        # A parser for each exchange: h11 begins its next cycle only when it has seen the whole of the bodies.
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        # Bytes that have come and are not handed on yet: of a head, of a body that is counted here, or after its end.
        self._buffered = b""
        self.state = CodecState.HEAD
        self._framing: Framing = "none"
        self._left = 0
        self._guard: ChunkGuard | None = None
        self.trailers: list[tuple[str, str]] = []
        return writing.head

    def data(self, chunk: bytes) -> bytes:
        """The bytes that carry a piece of the request's body."""
        return self._writer.data(chunk)

    def end(self, trailers: Sequence[tuple[str, str]] = ()) -> bytes:
        """The bytes that end the request's body."""
        return self._writer.end(trailers)

    # -- in ----------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the peer; b"" says, once the head is there, that it has closed."""
        if self._framing == "chunked":
            self._feed_chunks(data)
        elif data:
            self._buffered = self._buffered + data if self._buffered else data
        else:
            self.state = CodecState.PEER_CLOSED

    def _feed_chunks(self, data: bytes) -> None:
        if self._guard is None:
            self._guard = ChunkGuard()
        try:
            self._guard.check(data)
        except LooseChunk as error:
            raise Malformed(str(error)) from error
        self._parser.receive_data(data)

    def head(self) -> Head | None:
        """The next head, 1xx ones too; None: more bytes are needed. Raises `Malformed`."""
        buffered = self._buffered
        if not buffered:
            return None
        end = buffered.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            _check_unfinished(buffered)
            return None
        end += 4
        data = buffered[:end]
        fields = _lines(data) - 2  # Less the status line, and the empty one at the end.
        self._buffered = rest = buffered[end:]
        parser = self._parser
        try:
            if buffered[9:10] == b"1" and parser.our_state is h11.IDLE:
                # Only an interim response depends on the request: an upgrade that it did not ask for is refused.
                parser.send(_h11_request(*self._asked))
            parser.receive_data(data)
            event = parser.next_event()
        except (h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            raise Malformed(str(error)) from error
        if not isinstance(event, (h11.Response, h11.InformationalResponse)):
            raise Malformed("it sent something that is no response head")
        if len(event.headers) != fields:
            _check_folds(data)
        head = self._head(event)
        if head.status >= 200:
            self.state = CodecState.BODY
            self._framing = head.framing
            self._left = head.length or 0
            if head.framing == "chunked" and rest:
                self._buffered = b""
                self._feed_chunks(rest)
        return head

    def _head(self, event: h11.Response | h11.InformationalResponse) -> Head:
        version = event.http_version
        if not version.startswith(b"1."):
            raise Malformed(f"it speaks HTTP/{version.decode('latin-1')}")
        if len(event.headers) > _MAX_FIELDS:
            raise Malformed(f"it sent {len(event.headers)} header fields, more than {_MAX_FIELDS}")
        length: int | None = None
        chunked = False
        # RFC 9110, section 2.5: a higher minor version means no less.
        keep_alive = version != b"1.0"
        keep_for = None
        fields = []
        for raw, value in event.headers.raw_items():
            name, says = _names.get(raw) or _learn(raw)
            fields.append((name, value.decode("latin-1")))
            if says is None:
                continue
            if says == "content-length":
                length = int(value)
            elif says == "transfer-encoding":
                chunked = True
            elif says == "connection":
                keep_alive = keep_alive and not _says_close(value)
            elif says == "keep-alive":
                keep_for = _hint(value)
        if chunked and (length is not None or version == b"1.0"):
            # RFC 9112, sections 6.1 and 6.3: an attack or an error, and its end cannot be known.
            raise Malformed(
                "it sent Transfer-Encoding together with Content-Length, or in HTTP/1.0"
            )
        status = event.status_code
        announced = length
        asked = self._asked[0]
        if (
            status < 200
            or status in (204, 304)
            or asked == "HEAD"
            or (asked == "CONNECT" and status < 300)
        ):
            length = 0
        framing = _framing(length, chunked)
        return Head(
            status,
            event.reason.decode("latin-1"),
            "HTTP/1.1" if version == b"1.1" else f"HTTP/{version.decode('ascii')}",
            fields,
            framing,
            length,
            # A 204 has no content; one that announces some has a sender that may go on to send it.
            keep_alive and framing != "close" and not (status == 204 and (announced or chunked)),
            keep_for,
        )

    def body(self) -> bytes | None:
        """The next bytes of the body, b"" at its end; None: more bytes are needed. Raises `Malformed`."""
        framing = self._framing
        if framing == "chunked":
            return self._chunk()
        data = self._buffered
        if framing == "close":
            self._buffered = b""
            return data if data or self.state is CodecState.PEER_CLOSED else None
        left = self._left
        if not left:
            return b""
        if not data:
            if self.state is CodecState.PEER_CLOSED:
                raise Truncated(f"it closed the connection {left} bytes before the end of the body")
            return None
        if len(data) > left:
            data, self._buffered = data[:left], data[left:]
        else:
            self._buffered = b""
        self._left = left - len(data)
        return data

    def _chunk(self) -> bytes | None:
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            closed = self._parser.trailing_data[1]
            raise (Truncated if closed else Malformed)(str(error)) from error
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            if event.headers:
                self.trailers = [
                    (name.decode("ascii"), value.decode("latin-1"))
                    for name, value in event.headers.raw_items()
                ]
            return b""
        raise Malformed(f"it sent {event!r} where a body was expected")

    # -- between messages ----------------------------------------------------------------------------------------------

    def started(self) -> bool:
        """A head has begun to arrive."""
        return bool(self._buffered)

    def final_head_begun(self) -> bool:
        """The bytes that have arrived begin a final head: the peer answers."""
        begun = self._buffered
        return len(begun) > 11 and (begun[9:10] != b"1" or begun[9:12] == b"101")

    def is_reusable(self) -> bool:
        """Both halves are done, and not one byte came after the end: the next answer would be the next request's."""
        if not self._writer.done or self._writer.closes:
            return False
        if self._framing == "chunked":
            parser = self._parser
            return parser.their_state in _ENDED and not parser.trailing_data[0]
        return self.state is not CodecState.HEAD and not self._left and not self._buffered

    def expects(self) -> bool:
        """The request says that its content is to be asked for (RFC 9110, section 10.1.1)."""
        return self._writer.expects

    def sent_all(self) -> bool:
        """The request has been sent in full."""
        return self._writer.done

    def leftover(self) -> bytes:
        """The bytes that came after the head of an upgrade: they belong to the next protocol."""
        return self._buffered


def _h11_request(method: str, target: str, fields: list[tuple[str, str]]) -> h11.Request:
    encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields]
    return h11.Request(method=method, target=target, headers=encoded)


def _lines(head: bytes) -> int:
    """How many lines a head has."""
    lines = len(head.splitlines())
    if lines != head.count(b"\r\n"):
        # RFC 9112, section 2.2: recipients differ on whether a lone CR or LF is a line end.
        raise Malformed("its head has a line that does not end in CR LF")
    if b"\0" in head:
        raise Malformed("its head has a NUL in it")
    return lines


def _check_folds(head: bytes) -> None:
    """There are fewer fields than lines: some are folded, or say the same length twice, of which h11 keeps one."""
    if b"\n " in head or b"\n\t" in head:
        # RFC 9112, section 5.2 has it unfolded. No server folds any more; an attacker does, to hide a field from a
        # filter.
        raise Malformed("its head has a folded line")


def _check_unfinished(data: bytes) -> None:
    if len(data) > MAX_HEAD:
        raise Malformed(f"its head is longer than {MAX_HEAD} bytes")
    if not b"HTTP/1.".startswith(data[:7]) and not data.startswith(b"HTTP/1."):
        # RFC 9113, section 3.4: a server that speaks HTTP/2 begins with a SETTINGS frame, of stream 0.
        found = (
            "it speaks HTTP/2"
            if data[3:9] == b"\4\0\0\0\0\0"
            else f"its first bytes are {data[:24]!r}"
        )
        raise Malformed(f"it does not speak HTTP/1: {found}")
    if b"\n\n" in data:
        raise Malformed("its head has a line that does not end in CR LF")


def _learn(raw: bytes) -> tuple[str, str | None]:
    name = raw.decode("ascii")
    lowered = name.lower()
    learnt = (name, lowered if lowered in _FRAMING_FIELDS else None)
    if len(_names) < _MOST_NAMES and len(raw) <= 64:
        _names[raw] = learnt
    return learnt


def _framing(length: int | None, chunked: bool) -> Framing:
    if length is not None:
        return "length" if length else "none"
    return "chunked" if chunked else "close"


def _says_close(value: bytes) -> bool:
    """Whether one of the options is `close`: they are a list, without case (RFC 9110, section 7.6.1)."""
    lowered = value.lower()
    return b"close" in lowered and b"close" in [part.strip() for part in lowered.split(b",")]


def _hint(value: bytes) -> float | None:
    """Seconds for which the server keeps an idle connection, less a second for the way (its `Keep-Alive: timeout=`)."""
    for part in value.split(b","):
        name, _, number = part.partition(b"=")
        if name.strip().lower() == b"timeout" and number.strip().isdigit():
            return max(float(number.strip()[:9]) - 1.0, 0.5)
    return None
