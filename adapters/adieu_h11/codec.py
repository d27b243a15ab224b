"""The codec over h11, and the checks that h11 leaves to its user.

The checks are those of a client whose responses share connections: a reply that two parsers could read differently is
refused, because the difference would be read as the next response (RFC 9112, section 11.2). What is to be read although
it breaks the grammar is brought into the strict form before h11 sees it, and that connection is not used again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import h11

from adieu.http1.chunk_guard import ChunkGuard
from adieu.http1.codec import Codec
from adieu.http1.head import (
    MAX_HEAD,
    Head,
    Malformed,
    Truncated,
    check_beginning,
    find_head,
    index_of,
    keep_for,
    says_close,
    strict_form,
)

if TYPE_CHECKING:
    from adieu.http1.head import Framing

__all__ = ["H11Codec"]

_MAX_FIELDS: Final = 1000
_ENDED: Final = (h11.DONE, h11.MUST_CLOSE)
_FRAMING: Final = re.compile(rb"(?i)\n(?:Content-Length|Transfer-Encoding):[^\n]*")


# Field names as servers write them: as text, and in lower case. Servers use few, and always the same.
_names: dict[bytes, tuple[str, str]] = {}
_MOST_NAMES: Final = 1024


class H11Codec(Codec):
    """See `Codec`. h11 reads the heads, and the chunks."""

    __slots__ = ("_guard", "_parser", "_searched")

    def _begin(self) -> None:
        # A parser for each exchange: h11 begins its next cycle only when it has seen the whole of the bodies.
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._guard: ChunkGuard | None = None
        # A head may come byte by byte: what has come of it, and how much of that was searched for its end.
        self._buffered = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> None:
        if not data:
            self._peer_closed = True
        if self._guard is not None:
            self._feed_chunks(self._guard, data)
        else:
            self._buffered += data

    def _feed_chunks(self, guard: ChunkGuard, data: bytes) -> None:
        strict = guard.check(data)
        if strict or not data:
            self._parser.receive_data(strict)

    def head(self) -> Head | None:
        buffered = self._buffered
        if not buffered:
            return None
        end = find_head(buffered, self._searched)
        if not end or end > MAX_HEAD:
            check_beginning(buffered)
            self._searched = max(len(buffered) - 3, 0)
            return None
        self._searched = 0
        block, self._buffered = bytes(buffered[:end]), buffered[end:]
        if block.find(b"\0") >= 0 or block.find(b"\v") >= 0 or block.find(b"\f") >= 0:
            raise Malformed("its head has a NUL, a vertical tab or a form feed in it")
        if (form := strict_form(block)) != block:
            block = form
            self._is_sound = False
        head = self._head(self._parsed(block))
        if head.status >= 200:
            self._framing = head.framing
            self._left = head.length or 0
            if head.framing == "chunked":
                self._guard = ChunkGuard()
                rest, self._buffered = self._buffered, b""
                if rest:
                    self._feed_chunks(self._guard, bytes(rest))
        else:
            self._is_sound = self._is_sound and head.keep_alive
        return head

    def _parsed(self, block: bytes) -> h11.Response | h11.InformationalResponse:
        parser = self._parser
        try:
            if block[9:10] == b"1" and parser.our_state is h11.IDLE:
                # Only an interim response depends on the request: an upgrade that it did not ask for is refused.
                parser.send(self._request())
            parser.receive_data(block)
            event = parser.next_event()
        except (h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            if self._ends_with_head(block[9:12]) and (without := _FRAMING.sub(b"", block)) != block:
                # RFC 9110, section 9.3.6, and 9112, 6.3: this message is framed by its status, not by these fields.
                self._is_sound = False
                self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
                return self._parsed(without)
            # Not from h11's own error, which quotes a whole line of the head.
            raise Malformed(str(error)) from None
        if not isinstance(event, (h11.Response, h11.InformationalResponse)):
            raise Malformed("it sent something that is no response head")
        return event

    def _ends_with_head(self, status: bytes) -> bool:
        method = self._method
        return (
            status[:1] == b"1"
            or status in (b"204", b"304")
            or method == "HEAD"
            or (method == "CONNECT" and status[:1] == b"2")
        )

    def _request(self) -> h11.Request:
        # Of the request, which has been sent, only this is looked at.
        fields = [(name, self._watched[name]) for name in ("upgrade",) if name in self._watched]
        return h11.Request(method=self._method, target="/", headers=[("host", "h"), *fields])

    def _head(self, event: h11.Response | h11.InformationalResponse) -> Head:
        version = event.http_version
        if not version.startswith(b"1."):
            raise Malformed(f"it speaks HTTP/{version.decode('latin-1')}")
        if len(event.headers) > _MAX_FIELDS:
            raise Malformed(f"it sent {len(event.headers)} header fields, more than {_MAX_FIELDS}")
        fields = []
        index = {}
        for raw, text in event.headers.raw_items():
            name, key = _names.get(raw) or _learn(raw)
            value = text.decode("latin-1")
            fields.append((name, value))
            index[key] = value
        if len(index) != len(fields):
            index = index_of(fields)
        length = int(index["content-length"]) if "content-length" in index else None
        is_chunked = "transfer-encoding" in index
        framing: Framing
        # RFC 9110, section 2.5: a higher minor version means no less.
        keep_alive = version != b"1.0" and not says_close(index.get("connection", ""))
        status = event.status_code
        if self._ends_with_head(b"%d" % status):
            # A 204 that announces content has a sender that may go on to send it.
            if (length is not None and is_chunked) or (status == 204 and (length or is_chunked)):
                keep_alive = False
            framing, length = "none", 0
        elif is_chunked:
            if length is not None:
                # RFC 9112, section 6.3: an attack or an error, and the end of the message is unknown.
                raise Malformed("it sent Transfer-Encoding together with Content-Length")
            framing = "chunked"
        elif length is not None:
            framing = "length" if length else "none"
        else:
            framing, keep_alive = "close", False
        hint = index.get("keep-alive")
        return Head(
            status,
            event.reason.decode("latin-1"),
            f"HTTP/{version.decode('ascii')}",
            fields,
            index,
            framing,
            length,
            keep_alive and self._is_sound,
            None if hint is None else keep_for(hint),
        )

    def _chunked(self) -> bytes | None:
        parser = self._parser
        pieces = []
        while parser.their_state not in _ENDED and (piece := self._next_chunk()) is not None:
            pieces.append(piece)
        return b"".join(pieces) or (b"" if parser.their_state in _ENDED else None)

    def _next_chunk(self) -> bytes | None:
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            raise (Truncated if self._peer_closed else Malformed)(str(error)) from error
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            assert self._guard is not None
            self.trailers = self._guard.trailers
            return b""
        raise Malformed(f"it sent {event!r} where a body was expected")

    def _chunks_are_clean(self) -> bool:
        guard, parser = self._guard, self._parser
        return (
            guard is not None
            and guard.is_strict
            and parser.their_state in _ENDED
            and not parser.trailing_data[0]
        )


def _learn(raw: bytes) -> tuple[str, str]:
    name = raw.decode("ascii")
    learnt = name, name.lower()
    if len(_names) < _MOST_NAMES and len(raw) <= 64:
        _names[raw] = learnt
    return learnt
