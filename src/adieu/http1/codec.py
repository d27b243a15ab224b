"""The codec: HTTP/1.1 messages into bytes and back. h11 does it; this room adds what h11 leaves to its user.

That is: one place where h11's names end and ours begin, and the strictness of a client that shares connections between
answers. A reply that two parsers could read differently is refused, because the difference is somebody's next response
(RFC 9112, section 11.2): a length beside a transfer coding, a bare CR or LF in the head, an unknown version.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import h11

from adieu.errors import InvalidRequest
from adieu.http1.chunks import ChunkGuard, LooseChunk

__all__ = ["MAX_HEAD", "Codec", "Head", "Malformed", "Truncated"]

MAX_HEAD: Final = 64 * 1024
"""How long a response head, a chunk's header or the trailers may be (bytes)."""

_MAX_FIELDS: Final = 1000
_END_OF_MESSAGE: Final = h11.EndOfMessage()
_FRAMING_FIELDS: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"connection", b"keep-alive")
)

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


class Codec:
    """The protocol state of one connection."""

    __slots__ = ("_buffered", "_guard", "_head_done", "_method", "_parser", "trailers")

    def __init__(self) -> None:
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._method = ""
        self._buffered = b""
        self._head_done = False
        self._guard: ChunkGuard | None = None
        self.trailers: list[tuple[str, str]] = []

    # -- out ---------------------------------------------------------------------------------------------------------

    def request(self, method: str, target: str, fields: list[tuple[str, str]]) -> bytes:
        """The bytes of a request head. Begins a new cycle on a connection that has served before."""
        parser = self._parser
        if parser.our_state is h11.DONE:
            parser.start_next_cycle()
            self._head_done = False
            self._guard = None
            if self.trailers:
                self.trailers = []
        self._method = method
        try:
            event = h11.Request(
                method=method,
                target=target,
                headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in fields],
            )
            return parser.send(event) or b""
        except h11.LocalProtocolError as error:
            raise InvalidRequest(f"this request cannot be sent as HTTP/1.1: {error}") from error

    def data(self, chunk: bytes) -> bytes:
        """The bytes that carry a piece of the request's body."""
        try:
            return self._parser.send(h11.Data(data=chunk)) or b""
        except h11.LocalProtocolError as error:
            raise InvalidRequest(f"the body is longer than its Content-Length: {error}") from error

    def end(self) -> bytes:
        """The bytes that end the request's body."""
        try:
            return self._parser.send(_END_OF_MESSAGE) or b""
        except h11.LocalProtocolError as error:
            raise InvalidRequest(f"the body is shorter than its Content-Length: {error}") from error

    # -- in ----------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the peer; b"" says, once the head is there, that it has closed."""
        if self._head_done:
            if self._guard is not None:
                self._check_chunks(data)
            self._parser.receive_data(data)
        else:
            self._buffered = self._buffered + data if self._buffered else data

    def head(self) -> Head | None:
        """The next head, 1xx ones too; None: more bytes are needed. Raises `Malformed`."""
        buffered = self._buffered
        if not buffered:
            return None
        end = buffered.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            _check_unfinished(buffered)
            return None
        _check_lines(buffered[:end])
        if buffered[9:10] == b"1":
            # 1xx: what follows is a head again, which has to pass the same checks before h11 sees it.
            self._buffered = buffered[end + 4 :]
            buffered = buffered[: end + 4]
        else:
            self._buffered = b""
        parser = self._parser
        parser.receive_data(buffered)
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise Malformed(str(error)) from error
        if not isinstance(event, (h11.Response, h11.InformationalResponse)):
            raise Malformed("it sent something that is no response head")
        head = self._head(event)
        self._head_done = head.status >= 200 or head.status == 101
        if head.status == 101 and self._buffered:
            parser.receive_data(self._buffered)
            self._buffered = b""
        elif head.framing == "chunked":
            self._guard = ChunkGuard()
            self._check_chunks(buffered[end + 4 :])
        return head

    def _check_chunks(self, data: bytes) -> None:
        assert self._guard is not None
        try:
            self._guard.check(data)
        except LooseChunk as error:
            raise Malformed(str(error)) from error

    def _head(self, event: h11.Response | h11.InformationalResponse) -> Head:
        version = event.http_version
        if not version.startswith(b"1."):
            raise Malformed(f"it speaks HTTP/{version.decode('latin-1')}")
        if len(event.headers) > _MAX_FIELDS:
            raise Malformed(f"it sent {len(event.headers)} header fields, more than {_MAX_FIELDS}")
        length: int | None = None
        chunked = False
        keep_alive = (
            version != b"1.0"
        )  # RFC 9110, section 2.5: a higher minor version means no less.
        keep_for = None
        fields = []
        for raw, value in event.headers.raw_items():
            fields.append((raw.decode("ascii"), value.decode("latin-1")))
            name = raw.lower()
            if name not in _FRAMING_FIELDS:
                continue
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"connection" and b"close" in value.lower():
                keep_alive = False
            elif name == b"keep-alive":
                keep_for = _hint(value)
        if chunked and (length is not None or version == b"1.0"):
            # RFC 9112, sections 6.1 and 6.3: an attack or an error, and nobody can know where it ends.
            raise Malformed(
                "it sent Transfer-Encoding together with Content-Length, or in HTTP/1.0"
            )
        status = event.status_code
        announced = length
        if status < 200 or status in (204, 304) or self._method == "HEAD":
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
        """What has arrived of the next head does not look like a 1xx: the peer answers."""
        begun = self._buffered
        return len(begun) > 9 and begun[9:10] != b"1"

    def clean(self) -> bool:
        """Both halves are done, and not one byte came after the end: the next answer would be the next request's."""
        parser = self._parser
        return (
            parser.our_state is h11.DONE
            and parser.their_state is h11.DONE
            and not parser.trailing_data[0]
        )

    def sent_all(self) -> bool:
        """The request has been sent in full."""
        return self._parser.our_state is not h11.SEND_BODY

    def leftover(self) -> bytes:
        """The bytes that came after the head of an upgrade: they belong to the next protocol."""
        return self._parser.trailing_data[0]


def _check_lines(head: bytes) -> None:
    # RFC 9112, section 2.2: a lone CR or LF is not a line end that everybody agrees on.
    if head.count(b"\n") != (pairs := head.count(b"\r\n")) or head.count(b"\r") != pairs:
        raise Malformed("its head has a line that does not end in CR LF")
    if b"\0" in head:
        raise Malformed("its head has a NUL in it")
    if b"\n " in head or b"\n\t" in head:
        # RFC 9112, section 5.2 has it unfolded. No server folds any more; who smuggles a field past a filter does.
        raise Malformed("its head has a folded line")


def _check_unfinished(data: bytes) -> None:
    if len(data) > MAX_HEAD:
        raise Malformed(f"its head is longer than {MAX_HEAD} bytes")
    if not b"HTTP/1.".startswith(data[:7]) and not data.startswith(b"HTTP/1."):
        raise Malformed(f"it does not speak HTTP/1: its first bytes are {data[:24]!r}")
    if b"\n\n" in data:
        raise Malformed("its head has a line that does not end in CR LF")


def _framing(length: int | None, chunked: bool) -> Framing:
    if length is not None:
        return "length" if length else "none"
    return "chunked" if chunked else "close"


def _hint(value: bytes) -> float | None:
    """Seconds for which the server keeps an idle connection, less a second for the way (its `Keep-Alive: timeout=`)."""
    for part in value.split(b","):
        name, _, number = part.partition(b"=")
        if name.strip().lower() == b"timeout" and number.strip().isdigit():
            return max(float(number.strip()[:9]) - 1.0, 0.5)
    return None
