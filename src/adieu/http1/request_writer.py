"""The bytes of one request, framed as its own head says (RFC 9112, section 6).

The parts were checked when the request was made. Here the head is looked at once more as a whole, so that nothing that
got past those checks can become a second field or a second request. What the fields say is found out once for each list
of fields, and remembered with `Headers` that requests copy unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from adieu.messages.request import Request
    from adieu.transport.exchange import ExchangeCore

__all__ = [
    "FieldBlock",
    "PreparedFields",
    "RequestWriter",
    "block_to_send",
    "field_block",
    "fields_to_send",
]

_WATCHED = frozenset(
    (
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "expect",
        "proxy-authorization",
        "upgrade",
    )
)
_LISTS = frozenset(("connection", "upgrade"))


class FieldBlock(NamedTuple):
    """The header fields of a request, checked together. `text`: as they are sent, a line each.

    `watched`: the values of the fields that frame the message, or say something about its connection, by their names in
    lower case.
    """

    text: str
    watched: dict[str, str]

    @property
    def length(self) -> int:
        """The bytes of content that they announce."""
        return int(self.watched.get("content-length", "0"))

    @property
    def closes(self) -> bool:
        """They say that the connection is not to be kept."""
        options = self.watched.get("connection", "").lower().split(",")
        return "close" in [option.strip() for option in options]


class PreparedFields:
    """The header fields of requests that have the same, remembered with their `Headers`."""

    __slots__ = ("_block", "_latest")

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._block = field_block(fields)
        # What was sent last, and where: most clients send to one host again and again. One value, because several
        # threads may replace it.
        self._latest: tuple[str, bool, FieldBlock] | None = None

    def to_send(self, authority: str, keep_alive: bool) -> FieldBlock:
        """The fields as sent to this host: Host first (RFC 9110, section 7.2), and Connection if it is needed."""
        latest = self._latest
        if latest is not None and latest[0] == authority and latest[1] is keep_alive:
            return latest[2]
        text, watched = self._block
        if not keep_alive and "connection" not in watched:
            text, watched = f"{text}Connection: close\r\n", {**watched, "connection": "close"}
        if "host" not in watched:
            text = f"Host: {authority}\r\n{text}"
        block = FieldBlock(text, watched)
        self._latest = authority, keep_alive, block
        return block


def field_block(fields: list[tuple[str, str]]) -> FieldBlock:
    """Check fields, and put them together. Raises `InvalidRequest`."""
    watched: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key in _WATCHED:
            if key not in watched:
                watched[key] = value
            elif key in _LISTS:
                watched[key] = f"{watched[key]}, {value}"
            else:
                raise InvalidRequest(f"a request has one {name} field, not two")
    length = watched.get("content-length", "0")
    coding = watched.get("transfer-encoding")
    if not (length.isascii() and length.isdigit()):
        raise InvalidRequest(f"{length!r} is no Content-Length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise InvalidRequest(f"adieu sends the transfer coding chunked alone, not {coding!r}")
        if "content-length" in watched:
            raise InvalidRequest("a request has a Content-Length or a Transfer-Encoding, not both")
    elif "expect" in watched and not int(length):
        # RFC 9110, section 10.1.1: never without content. A client's own default says it of every request.
        del watched["expect"]
        fields = [field for field in fields if field[0].lower() != "expect"]
    text = "".join([f"{name}: {value}\r\n" for name, value in fields])
    _check_lines(text, len(fields))
    return FieldBlock(text, watched)


def block_to_send(request: Request, exchange: ExchangeCore) -> FieldBlock:
    """The header fields as sent: Host first, then the request's, then what the policy adds."""
    prepared = request.headers.remembered(PreparedFields)
    return prepared.to_send(request.url.authority, exchange.policy.keep_alive)


def fields_to_send(request: Request, exchange: ExchangeCore) -> list[tuple[str, str]]:
    """The same fields as `block_to_send`, as pairs."""
    headers = request.headers
    fields = headers.multi_items()
    if "host" not in headers:
        fields = [("Host", request.url.authority), *fields]
    if not exchange.policy.keep_alive and "connection" not in headers:
        fields = [*fields, ("Connection", "close")]
    return fields


class RequestWriter:
    """One request on its way out. `head` are the bytes of its head; `done`: it has been written in full.

    `closes`: the request says that its connection is not to be kept. `expects`: the peer is to say that it wants the
    content before that is sent (`Expect: 100-continue`).
    """

    __slots__ = ("_chunked", "_left", "closes", "done", "expects", "head")

    def __init__(
        self, method: str, target: str, fields: FieldBlock | list[tuple[str, str]]
    ) -> None:
        block = field_block(fields) if isinstance(fields, list) else fields
        text, watched = block
        self._chunked = self.closes = self.expects = False
        # The bytes that the Content-Length still asks for.
        self._left = 0
        if watched:
            if "proxy-authorization" in watched and target[0] in "/*":
                # RFC 9110, section 11.7.2: it is for the proxy alone, and this request goes past it.
                raise InvalidRequest(
                    "a Proxy-Authorization field would tell the origin what only a proxy may know: "
                    "give it to the proxy, by proxy=adieu.Proxy(url, auth=(user, password))"
                )
            self._left = block.length
            self._chunked = "transfer-encoding" in watched
            self.closes = block.closes
            self.expects = watched.get("expect", "").lower() == "100-continue"
        # Without content the head is all of it.
        self.done = not (self._left or self._chunked)
        request_line = f"{method} {target} HTTP/1.1\r\n"
        _check_lines(request_line, 1)
        try:
            self.head = f"{request_line}{text}\r\n".encode("latin-1")
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"this request cannot be sent as HTTP/1.1: {error}") from error

    def data(self, chunk: bytes) -> bytes:
        """The bytes that carry a piece of the body, which is not empty."""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        self._left -= len(chunk)
        if self._left < 0:
            raise InvalidRequest(
                f"the body is longer than its Content-Length, by {-self._left} bytes so far"
            )
        return chunk

    def end(self, trailers: Sequence[tuple[str, str]] = ()) -> bytes:
        """The bytes that end the body. The trailers are checked, as every `Headers` are."""
        if self._left > 0:
            raise InvalidRequest(f"the body is {self._left} bytes shorter than its Content-Length")
        self.done = True
        if not self._chunked:
            return b""
        fields = "".join([f"{name}: {value}\r\n" for name, value in trailers])
        return b"0\r\n%b\r\n" % fields.encode("latin-1")


def _check_lines(text: str, lines: int) -> None:
    if text.count("\n") != lines or text.count("\r") != lines or "\0" in text:
        raise InvalidRequest("a line of this request has a line break or a NUL in it")
