"""The messages that an app sends: a head, and a body in chunks; checked, and kept until the client takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from adieu.errors import InvalidHeader
from adieu.messages.headers import Headers

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import Framing
    from adieu_asgi.errors import Facts, NotASGI
    from adieu_asgi.scope import Message
    from adieu_asgi.waiting import Changes

__all__ = ["ClientDisconnected", "Head", "Output"]

_NO_CONTENT = (204, 304)
_SORRY = b"Internal Server Error"


class ClientDisconnected(ConnectionResetError):
    """`send` was called after the client disconnected (an `OSError`, by ASGI's HTTP specification 2.4)."""


class Head(NamedTuple):
    """Status, fields and the length of the body (None: unknown before its end)."""

    status: int
    headers: Headers
    length: int | None


class Output:
    """The response of one call, as far as the app has sent it.

    `begun`: the head has arrived; `body_begun`: so has the first body message; `complete`: so has the last. `framing`,
    `received` and `remaining` are those of the lease.
    """

    __slots__ = (
        "_changes",
        "_chunk",
        "_closed",
        "_facts",
        "_given",
        "_head",
        "body_begun",
        "complete",
        "framing",
        "received",
        "remaining",
    )

    def __init__(self, facts: Facts, changes: Changes) -> None:
        self._facts = facts
        self._changes = changes
        self._head: Head | None = None
        self._chunk: bytes | None = None
        self._given = 0
        self._closed = False
        self.body_begun = False
        self.complete = False
        self.framing: Framing = "close"
        self.received = 0
        self.remaining: int | None = None

    @property
    def begun(self) -> bool:
        return self._head is not None

    @property
    def has_chunk(self) -> bool:
        return self._chunk is not None

    @property
    def bodiless(self) -> bool:
        """The response has no body, even if the app sends one (RFC 9112, section 6.3)."""
        head = self._head
        return self._facts.method == "HEAD" or (head is not None and head.status in _NO_CONTENT)

    async def send(self, message: Message) -> None:
        """Take a message. Waits until the client has taken the last chunk; raises if it has disconnected."""
        kind = message.get("type")
        if self.complete:
            raise self._refused(f"it sent {kind} after its response was complete")
        if self._closed:
            raise ClientDisconnected(
                "the client has disconnected and reads no more of this response"
            )
        if kind == "http.response.start":
            if self._head is not None:
                raise self._refused("it sent http.response.start twice")
            self._head = self._checked(message)
            self._changes.notify()
        elif kind == "http.response.body":
            await self._take(message.get("body", b""), bool(message.get("more_body", False)))
        else:
            raise self._refused(f"it sent {kind!r}, which no response has")

    async def _take(self, body: Any, more: bool) -> None:
        head = self._head
        if head is None:
            raise self._refused("it sent http.response.body before http.response.start")
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise self._refused(f"its body has to be bytes, not {type(body).__name__}")
        if self.bodiless:
            if body and self._facts.method != "HEAD":
                raise self._refused(f"it gave a body, but a {head.status} has none")
            # Nothing here waits for the client, so an endless body must yield to the loop now and then.
            await asyncio.sleep(0)
        elif body:
            self._given += len(body)
            if head.length is not None and self._given > head.length:
                raise self._refused("its body is longer than its Content-Length")
            await self._changes.until(lambda: self._chunk is None or self._closed)
            if self._closed:
                raise ClientDisconnected(
                    "the client has disconnected and reads no more of this response"
                )
            self._chunk = bytes(body)
        self.body_begun = self._facts.response_started = True
        self.complete = not more
        self._changes.notify()

    def _refused(self, what: str) -> NotASGI:
        error = self._facts.refuse(what)
        self._changes.notify()  # The client gets the error, even if the app catches it.
        return error

    def _checked(self, message: Message) -> Head:
        refuse = self._refused
        status = message.get("status")
        if type(status) is not int or not 200 <= status <= 999:
            raise refuse(f"the status must be a whole number from 200 to 999, not {status!r}")
        fields = []
        for field in message.get("headers", ()):
            name, value = _pair(field)
            if not isinstance(name, bytes) or not isinstance(value, bytes):
                raise refuse("every header must be a pair of bytes")
            if name.lower() != b"transfer-encoding":  # Servers ignore it, by the specification.
                fields.append((name, value))
        try:
            headers = Headers(fields)
        except InvalidHeader as error:
            raise refuse(str(error)) from None
        lengths = set(headers.get_list("content-length"))
        if not lengths:
            return Head(status, headers, None)
        text = lengths.pop()
        if lengths or not (text.isascii() and text.isdigit()):
            raise refuse("its Content-Length is not one number")
        return Head(status, headers, int(text))

    def final_head(self) -> Head:
        """The head; from now on it cannot change."""
        head = self._head
        assert head is not None
        self._facts.response_started = True
        self.remaining = 0 if self.bodiless else head.length
        if self.remaining is not None:
            self.framing = "length" if self.remaining else "none"
        return head

    def take(self) -> bytes | None:
        """The waiting chunk, if there is one. The app may then send the next one."""
        chunk, self._chunk = self._chunk, None
        if chunk is not None:
            self._changes.notify()
            self.received += len(chunk)
            if self.remaining is not None:
                self.remaining -= len(chunk)
        return chunk

    def replace_with_500(self) -> None:
        """Answer with a 500 for an app that failed before its response began."""
        fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(_SORRY)))]
        self._head = Head(500, Headers(fields), len(_SORRY))
        self.body_begun = self.complete = True
        if not self.bodiless:
            self._chunk = _SORRY

    def close(self) -> None:
        """The client reads no more."""
        self._closed = True
        self._chunk = None


def _pair(field: Any) -> tuple[Any, Any]:
    try:
        name, value = field
    except (TypeError, ValueError):
        return None, None
    return name, value
