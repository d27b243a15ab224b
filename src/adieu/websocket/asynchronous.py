"""The WebSocket of an async client: the driver of `WebSocketBase`."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterable,
)
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidRequest, WebSocketClosed
from adieu.lifecycle.deadline import Within
from adieu.lifecycle.fairness import cancellation_point, is_cancellation, uncancelled
from adieu.lifecycle.steps import adrive
from adieu.messages.content.json import encode_json
from adieu.net.async_backend import current_backend
from adieu.websocket.connection import END, Message, WebSocketBase
from adieu.websocket.json import decoded

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.messages.async_response import AsyncResponse
    from adieu.net.backends.contract import PoolWaiter

__all__ = ["AsyncWebSocket"]

# How long a server may take to take a control frame, which under trio a cancellation waits for (seconds).
_PATIENCE = 5.0


class AsyncWebSocket(WebSocketBase):
    """An open WebSocket: see `Client.websocket`. Use it in an `async with` block, or await `close`.

    One task may receive while others send. A cancelled `receive` loses nothing; a `send` that is cancelled when part of
    the message may be gone closes the connection.
    """

    @property
    def response(self) -> AsyncResponse:
        """The 101 that opened it."""
        response: AsyncResponse = self._answer
        return response

    async def receive(self, timeout: float | None = None) -> Message:
        """The next message: see `WebSocket.receive`."""
        return await adrive(self._receive(timeout))

    async def receive_json(self, timeout: float | None = None) -> Any:
        """The next message, decoded from JSON. Raises `DecodeError` if it is none."""
        return decoded(await adrive(self._receive(timeout)))

    async def send(
        self,
        message: Message | bytearray | memoryview | Iterable[Message] | AsyncIterable[Message],
    ) -> None:
        """Send a message, whole or in fragments: see `WebSocket.send`."""
        await adrive(self._send(message))

    async def send_json(self, value: object) -> None:
        """Send a value as JSON, in a text message."""
        await adrive(self._send(encode_json(value).decode()))

    async def ping(self, data: bytes = b"") -> None:
        """Send a ping: see `WebSocket.ping`."""
        await adrive(self._ping(data))

    async def pong(self, data: bytes = b"") -> None:
        """Send a pong that answers no ping."""
        await adrive(self._pong(data))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, wait for the server's as long as the policy says, and close the connection. Idempotent."""
        try:
            await adrive(self._close(code, reason, "exit"))
        except InvalidRequest:
            raise
        except BaseException:
            self._end("interrupted")
            raise

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await adrive(self._receive(None))
        except WebSocketClosed as error:
            if not error.is_clean:
                raise
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await adrive(self._close(1000, "", "exit"))
            elif issubclass(kind, Exception):
                await adrive(self._close(1011, "", "error"))
            else:
                self._end(kind.__name__)  # Cancelled: nothing may wait any more.
        except BaseException:
            self._end("interrupted")
            raise

    def _waiter(self) -> PoolWaiter:
        return current_backend().pool_waiter()

    def _cancellation_point(self) -> Awaitable[None]:
        return cancellation_point()

    def _fragments(self, message: object) -> Any:
        if isinstance(message, AsyncIterable):
            return message.__aiter__()
        if isinstance(message, Iterable):
            return iter(message)
        raise InvalidRequest(
            f"a message is text, bytes or an iterable of fragments, not {type(message).__name__}"
        )

    async def _next_fragment(self, fragments: Any) -> object:
        if isinstance(fragments, AsyncIterator):
            return await anext(fragments, END)
        return next(fragments, END)

    async def _end_fragments(self, fragments: Any) -> None:
        if isinstance(fragments, AsyncGenerator):
            await fragments.aclose()
        elif isinstance(fragments, Generator):
            fragments.close()

    def _survives(self, error: BaseException) -> bool:
        return isinstance(error, Exception) or is_cancellation(error)

    async def _send_control(self, data: bytes) -> None:
        stream: Any = self._stream
        await uncancelled(stream.send(data, Within(_PATIENCE, self._limit)))
