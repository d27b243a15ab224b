"""The WebSocket of a sync client: the driver of `WebSocketBase`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidRequest, WebSocketClosed
from adieu.lifecycle.steps import drive
from adieu.lifecycle.waiting import ThreadWaiter
from adieu.messages.content.json import encode_json
from adieu.websocket.connection import END, Message, WebSocketBase
from adieu.websocket.json import decoded

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from adieu.messages.response import Response

__all__ = ["WebSocket"]


class WebSocket(WebSocketBase):
    """An open WebSocket: see `Client.websocket`. Use it in a `with` block, or call `close`.

    One thread may receive while others send. A call that receives also answers the server's pings and keeps the
    connection alive, so let one wait for messages if the server expects that.
    """

    @property
    def response(self) -> Response:
        """The 101 that opened it."""
        response: Response = self._answer
        return response

    def receive(self, timeout: float | None = None) -> Message:
        """The next message: text as str, binary as bytes.

        Raises `ReadTimeout` if none comes within `timeout` seconds (None: no limit beyond the keep-alive), after which
        the next call goes on waiting; `WebSocketClosed` when the WebSocket is over; `ClientClosed`; and `BodyBusy` if
        another thread receives.
        """
        return drive(self._receive(timeout))

    def receive_json(self, timeout: float | None = None) -> Any:
        """The next message, decoded from JSON. Raises `DecodeError` if it is none."""
        return decoded(drive(self._receive(timeout)))

    def send(self, message: Message | bytearray | memoryview | Iterable[Message]) -> None:
        """Send text, bytes, or the fragments of one message, all text or all bytes; wait until the system has it.

        Messages of several threads are sent one after the other. Raises `WebSocketClosed`, `ClientClosed`, and
        `WriteTimeout` if the server takes nothing for `Timeout.write`, after which nothing more can be sent.
        """
        drive(self._send(message))

    def send_json(self, value: object) -> None:
        """Send a value as JSON, in a text message."""
        drive(self._send(encode_json(value).decode()))

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; its pong comes while a call receives. The keep-alive sends pings of its own."""
        drive(self._ping(data))

    def pong(self, data: bytes = b"") -> None:
        """Send a pong that answers no ping. Pings are answered anyway."""
        drive(self._pong(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, wait for the server's as long as the policy says, and close the connection. Idempotent."""
        try:
            drive(self._close(code, reason, "exit"))
        except InvalidRequest:
            raise
        except BaseException:
            self._end("interrupted")
            raise

    def __iter__(self) -> Iterator[Message]:
        """The messages, until either side has closed without an error; any other end is raised."""
        while True:
            try:
                message = self.receive()
            except WebSocketClosed as error:
                if error.is_clean:
                    return
                raise
            yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                drive(self._close(1000, "", "exit"))
            elif issubclass(kind, Exception):
                drive(self._close(1011, "", "error"))
            else:
                self._end(kind.__name__)
        except BaseException:
            self._end("interrupted")
            raise

    def _waiter(self) -> ThreadWaiter:
        return ThreadWaiter()

    def _cancellation_point(self) -> None:
        """A thread is not cancelled."""

    def _fragments(self, message: object) -> Any:
        if not isinstance(message, Iterable):
            raise InvalidRequest(
                f"a message is text, bytes or an iterable of fragments, not {type(message).__name__}"
            )
        return iter(message)

    def _next_fragment(self, fragments: Any) -> object:
        return next(fragments, END)

    def _end_fragments(self, fragments: Any) -> None:
        if isinstance(fragments, Generator):
            fragments.close()

    def _survives(self, error: BaseException) -> bool:
        return isinstance(error, Exception)

    def _send_control(self, data: bytes) -> None:
        stream: Any = self._stream
        stream.send(data, self._limit)
