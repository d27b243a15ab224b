"""One WebSocket of an app: a task that runs beside the client, and the frames between them, in memory.

Theory of operation. The client speaks its protocol, and here is its other end: the sans-I/O core of `websockets`, whose
messages are ASGI's. The lease belongs to an exchange before the app's task begins. When the app accepts, the client
gets a 101 with a stream in memory; when it does not, the answer is a 403, or the response that the app sends instead.

What one side has not taken yet is bounded, so neither runs ahead. When the stream is closed the app notices as under a
server: `receive` returns `websocket.disconnect`, `send` raises an `OSError`; after `grace` seconds it is cancelled.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State
from websockets.utils import accept_key

from adieu.errors import BodyClosed
from adieu.messages.headers import Headers
from adieu.net.stream import AsyncByteStream
from adieu_asgi.app_task import TaskLease
from adieu_asgi.output import ClientDisconnected

if TYPE_CHECKING:
    from websockets.frames import Frame

    from adieu.lifecycle.deadline import Deadline, TimeLimit
    from adieu.messages.request import Request
    from adieu.transport.exchange import AsyncExchange
    from adieu_asgi.scope import ASGIApp, Message
    from adieu_asgi.waiting import Tasks

__all__ = ["Answer", "AppStream", "AppWebSocket"]

# How much may wait for either side before the other one has to (bytes).
_BUFFER = 64 * 1024


class Answer(NamedTuple):
    """What the app said to the handshake: a 101, or another response with its body."""

    status: int
    headers: Headers
    body: bytes = b""


class AppWebSocket(TaskLease):
    """One call of an app with a WebSocket scope. `raising`: whether exceptions of the app reach the client."""

    def __init__(
        self, request: Request, exchange: AsyncExchange, tasks: Tasks, raising: bool, grace: float
    ) -> None:
        super().__init__(exchange, raising, grace)
        self._key = request.headers.get("sec-websocket-key") or ""
        self._tasks = tasks
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=None)
        self._protocol.debug = False  # Its log would have the messages.
        # For the app: messages, and how many bytes they have.
        self._events: deque[Message] = deque([{"type": "websocket.connect"}])
        self._waiting = 0
        # A message whose last fragment is missing.
        self._parts: list[bytes] = []
        self._is_text = False
        # For the client.
        self._out = bytearray()
        self._answer: Answer | None = None
        self._begun: Answer | None = None
        self._disconnected = False

    # -- the app -------------------------------------------------------------------------------------------------------

    def start(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Start the task of the app."""
        self._tasks.start(copy_context(), self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        # Before the app does anything, so that every task has an owner that can end it.
        self._task = asyncio.current_task()
        try:
            if not self._ended:
                await app(scope, self._receive, self._send)
            self._close(1000, "")
        except asyncio.CancelledError as error:
            if not self._ended:
                self._raised = error
        except Exception as error:
            self._close(1011, "")
            if not self._ended and self._raising:
                self._raised = error
            elif not isinstance(error, ClientDisconnected):
                traceback.print_exception(error, file=sys.stderr)
        finally:
            self._app_has_ended()

    async def _receive(self) -> Message:
        await asyncio.sleep(0)  # A loop over messages that are there must not starve other tasks.
        await self._changes.until(lambda: bool(self._events) or self._ended)
        if self._events:
            message = self._events.popleft()
            self._waiting -= len(message.get("bytes") or message.get("text") or "")
            self._changes.notify()
            return message
        return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._ended or (self._disconnected and kind == "websocket.send"):
            raise ClientDisconnected("the client has closed the WebSocket")
        if self._answer is None:
            self._take_answer(kind, message)
        elif kind == "websocket.send" and self._is_open:
            text: str | None = message.get("text")
            data: bytes | None = message.get("bytes")
            if (text is None) == (data is None):
                raise self._facts.refuse("websocket.send has either text or bytes")
            if text is not None:
                self._protocol.send_text(text.encode())
            elif data is not None:
                self._protocol.send_binary(bytes(data))
            self._flush()
            await self._changes.until(lambda: len(self._out) < _BUFFER or self._ended)
        elif kind == "websocket.close" and self._is_open:
            self._close(message.get("code") or 1000, message.get("reason") or "")
        elif not (kind == "websocket.close" and self._disconnected):
            raise self._facts.refuse(
                f"it sent {kind!r} after the end, or at a time when it must not"
            )
        self._changes.notify()

    @property
    def _is_open(self) -> bool:
        answer = self._answer
        return answer is not None and answer.status == 101 and self._protocol.state is State.OPEN

    def _take_answer(self, kind: str, message: Message) -> None:
        """What the app sends first: it accepts, refuses, or sends a response (the extension for denials)."""
        headers = Headers(
            [(bytes(n).decode("latin-1"), bytes(v)) for n, v in message.get("headers", ())]
        )
        if kind == "websocket.accept":
            headers.update(
                {
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Accept": accept_key(self._key),
                }
            )
            if message.get("subprotocol"):
                headers["Sec-WebSocket-Protocol"] = message["subprotocol"]
            self._answer = Answer(101, headers)
            self._facts.response_started = True
        elif kind == "websocket.close":
            self._answer = Answer(403, Headers())
        elif kind == "websocket.http.response.start" and self._begun is None:
            self._begun = Answer(message["status"], headers)
        elif kind == "websocket.http.response.body" and self._begun is not None:
            begun = self._begun
            self._begun = begun._replace(body=begun.body + bytes(message.get("body", b"")))
            if not message.get("more_body"):
                self._answer = self._begun
        else:
            raise self._facts.refuse(f"it sent {kind!r} before it accepted the WebSocket")

    def _close(self, code: int, reason: str) -> None:
        if self._is_open:
            self._protocol.send_close(code, reason)
            self._flush()

    def _flush(self) -> None:
        for out in self._protocol.data_to_send():
            self._out += out
        self._changes.notify()

    # -- the handshake -------------------------------------------------------------------------------------------------

    async def begin(self, deadline: Deadline) -> Answer:
        """Wait for what the app says to the handshake."""

        def known() -> bool:
            return self._answer is not None or self._over or self._ended

        if not await self._changes.within(deadline.remaining("read"), known):
            raise deadline.exceeded("read")
        if self._answer is None:
            self._check()
            if self._ended:
                raise self._client_closed()
            if self._raising:
                raise self._facts.refuse("it returned without an answer to the handshake")
            return Answer(500, Headers())
        return self._answer

    def _check(self) -> None:
        """Raise the error of the app, once."""
        raised, self._raised = self._raised, None
        try:
            if self._facts.fault is not None:
                raise self._facts.violation() from raised
            if raised is not None:
                raise self._facts.raised(raised) from raised
        finally:
            del raised  # Or the exception's traceback would refer to the exception: a cycle.

    # -- the stream ----------------------------------------------------------------------------------------------------

    async def take(self, max_bytes: int, limit: TimeLimit) -> bytes:
        """Bytes for the client; b"" at the end."""

        def ready() -> bool:
            return bool(self._out) or self._over or self._ended

        if not await self._changes.within(limit.remaining("read"), ready):
            raise TimeoutError("the app sends nothing")
        if self._ended:
            raise ConnectionAbortedError("the connection was closed")
        if self._out:
            data = bytes(self._out[:max_bytes])
            del self._out[:max_bytes]
            self._changes.notify()
            return data
        self._check()
        return b""

    async def give(self, data: bytes, limit: TimeLimit) -> None:
        """Bytes of the client."""
        if self._ended:
            raise ConnectionAbortedError("the connection was closed")
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            self._hear(event)  # type: ignore[arg-type] # After the handshake every event is a frame.
        self._flush()

        def taken() -> bool:
            return self._waiting <= _BUFFER or self._over or self._ended

        if not await self._changes.within(limit.remaining("write"), taken):
            raise TimeoutError("the app takes nothing")

    def _hear(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            code = 1005 if close is None else int(close.code)
            reason = "" if close is None else close.reason
            self._disconnected = True
            self._events.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._parts.append(bytes(frame.data))
            if frame.fin:
                data, self._parts = b"".join(self._parts), []
                self._waiting += len(data)
                message: Message = {"type": "websocket.receive"}
                message["text" if self._is_text else "bytes"] = (
                    data.decode() if self._is_text else data
                )
                self._events.append(message)

    @property
    def has_bytes(self) -> bool:
        """`take` would not wait."""
        return bool(self._out) or self._over or self._ended

    # -- the end -------------------------------------------------------------------------------------------------------

    def read(self, deadline: Deadline) -> NoReturn:
        raise BodyClosed("a WebSocket has no body")

    def abort(self) -> None:
        """Cancel the app."""
        if self._task is not None:
            self._task.cancel()

    def _leave(self) -> None:
        self._ended = True
        self._raised = None
        self._changes.notify()
        self._cancel_later()


class AppStream(AsyncByteStream):
    """The client's end."""

    __slots__ = ("_socket",)

    def __init__(self, socket: AppWebSocket) -> None:
        self._socket = socket

    def readable(self) -> bool:
        return self._socket.has_bytes

    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        return await self._socket.take(max_bytes, limit)

    async def send(self, data: bytes, limit: TimeLimit) -> None:
        await self._socket.give(data, limit)

    def close(self) -> None:
        self._socket.finish(False, "closed")
