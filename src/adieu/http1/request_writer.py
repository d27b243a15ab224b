"""The bytes of one request, framed as its own head says (RFC 9112, section 6).

The parts were checked when the request was made. Here the head is looked at once more as a whole, so that nothing that
got past those checks can become a second field or a second request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from adieu.messages.request import Request
    from adieu.transport.exchange import ExchangeCore

__all__ = ["RequestWriter", "fields_to_send"]

_WATCHED = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "expect", "proxy-authorization")
)


def fields_to_send(request: Request, exchange: ExchangeCore) -> list[tuple[str, str]]:
    """The header fields as sent: Host first (RFC 9110, section 7.2), then the request's, then what the policy adds."""
    headers = request.headers
    fields = headers.multi_items()
    if "host" not in headers:
        fields = [("Host", request.url.authority), *fields]
    if not exchange.policy.keep_alive and "connection" not in headers:
        fields = [*fields, ("Connection", "close")]
    return fields


class RequestWriter:
    """One request on its way out. `head` are the bytes of its head; `done`: it has been written in full.

    `expects`: the peer is to say that it wants the content before that is sent (`Expect: 100-continue`).
    """

    __slots__ = ("_chunked", "_left", "closes", "done", "expects", "head")

    def __init__(self, method: str, target: str, fields: list[tuple[str, str]]) -> None:
        self.done = False
        # The request says that its connection is not to be kept.
        self.closes = False
        self.expects = False
        # The bytes that the Content-Length still asks for.
        self._left = 0
        self._chunked = False
        seen: set[str] = set()
        for name, value in fields:
            key = name.lower()
            if key in _WATCHED:
                if key in seen and key != "connection":
                    raise InvalidRequest(f"a request has one {name} field, not two")
                seen.add(key)
                self._learn(key, value)
        if "proxy-authorization" in seen and target[0] in "/*":
            # RFC 9110, section 11.7.2: it is for the proxy alone, and this request goes past it.
            raise InvalidRequest(
                "a Proxy-Authorization field would tell the origin what only a proxy may know: "
                "give it to the proxy, by proxy=adieu.Proxy(url, auth=(user, password))"
            )
        if self._chunked and "content-length" in seen:
            raise InvalidRequest("a request has a Content-Length or a Transfer-Encoding, not both")
        if self.expects and not (self._chunked or self._left):
            # RFC 9110, section 10.1.1: never without content. A client's own default says it of every request.
            self.expects = False
            fields = [field for field in fields if field[0].lower() != "expect"]
        lines = [f"{name}: {value}\r\n" for name, value in fields]
        text = f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n"
        ends = len(lines) + 2
        if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
            raise InvalidRequest("a line of this request has a line break or a NUL in it")
        try:
            self.head = text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"this request cannot be sent as HTTP/1.1: {error}") from error

    def _learn(self, key: str, value: str) -> None:
        if key == "content-length":
            if not (value.isascii() and value.isdigit()):
                raise InvalidRequest(f"{value!r} is no Content-Length")
            self._left = int(value)
        elif key == "transfer-encoding":
            if value.lower() != "chunked":
                raise InvalidRequest(
                    f"adieu sends the transfer coding chunked alone, not {value!r}"
                )
            self._chunked = True
        elif key == "connection":
            options = [option.strip() for option in value.lower().split(",")]
            self.closes = self.closes or "close" in options
        elif key == "expect":
            self.expects = value.lower() == "100-continue"

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
