"""One WebSocket without I/O: bytes that came become messages, messages become frames that wait to be sent.

Invariants:

- The object of `websockets`, and the queues, are used under one lock, which is never held while anything waits. One
  thread or task may receive while another one sends.
- Frames leave in the order in which they were made, because compression depends on it; but control frames, which are
  never compressed, overtake messages. Only one call at a time sends (`claim`), and goes on until nothing is left.
- No more of what came is parsed than the next message needs, in small pieces where it is compressed: what waits for
  the user takes no more memory than one message, and what a piece can grow to.
- At most one pong waits to be sent, the answer to the latest ping (RFC 6455, section 5.5.3).
"""

from __future__ import annotations

import codecs
from collections import deque
from typing import TYPE_CHECKING

from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State

from adieu.lifecycle.lock import locked, new_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.frames import Frame

    from adieu.websocket.handshake import Agreed

__all__ = ["CloseFrame", "Session"]

# How much is parsed at once if it may be compressed (bytes): it can grow a thousandfold.
_COMPRESSED_PIECE = 4096
_UTF8 = codecs.getincrementaldecoder("utf-8")
_OPCODE = 0x0F


class CloseFrame:
    """A Close frame: `code` 1005 if it had none."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class Session:
    """The state of one WebSocket, from its 101 to its end. `max_message`: in bytes, decompressed; None: no bound."""

    __slots__ = (
        "_control",
        "_data",
        "_failure",
        "_heard_pong",
        "_lock",
        "_messages",
        "_parts",
        "_piece",
        "_pong",
        "_protocol",
        "_reading",
        "_sender_failed",
        "_sending",
        "_text",
        "_unread",
        "_wakes",
    )

    def __init__(self, agreed: Agreed, max_message: int | None) -> None:
        self._lock = new_lock()
        self._protocol = protocol = Protocol(Side.CLIENT, state=State.OPEN, max_size=max_message)
        protocol.debug = False  # Its log would have the messages.
        protocol.extensions = list(agreed.extensions)
        self._piece = _COMPRESSED_PIECE if agreed.extensions else None
        self._unread = memoryview(b"")
        self._messages: deque[str | bytes] = deque()
        # Of a message that has begun: its parts, and how its text is decoded (None: it is bytes).
        self._parts: list[str | bytes] = []
        self._text: codecs.IncrementalDecoder | None = None
        # The payload of the latest pong, until the keep-alive has taken it.
        self._heard_pong: bytes | None = None
        self._pong = b""
        self._control: deque[bytes] = deque()
        self._data: deque[bytes] = deque()
        self._sending = False
        self._sender_failed = False
        self._reading = False
        self._wakes: list[Callable[[], object]] = []
        # The peer's violation of the protocol, or None.
        self._failure: Exception | None = None

    # -- in ----------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes that came, b"" at the end of the stream."""
        locked(self._lock, self._feed, data)

    def _feed(self, data: bytes) -> None:
        if data:
            # What was not parsed comes first: it is little, because the caller has asked `ready` before.
            self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
        else:
            self._protocol.receive_eof()
            self._after()

    def ready(self) -> bool:
        """Whether a whole message has come. Parses what came before."""
        return bool(self._messages) or locked(self._lock, self._parse)

    def _parse(self) -> bool:
        protocol = self._protocol
        while self._unread and not self._messages and not self.is_over:
            size = self._piece or len(self._unread)
            piece, self._unread = self._unread[:size], self._unread[size:]
            protocol.receive_data(bytes(piece))
            for event in protocol.events_received():
                # After the handshake every event is a frame.
                if not self._take(event):  # type: ignore[arg-type]
                    break
            self._after()
        return bool(self._messages)

    def _take(self, frame: Frame) -> bool:
        """Take a frame. False: it breaks a rule that the protocol does not check, and so does all that follows it."""
        opcode = frame.opcode
        if opcode is Opcode.PONG:
            self._heard_pong = bytes(frame.data)
        elif opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if opcode is not Opcode.CONT:
                self._text = _UTF8() if opcode is Opcode.TEXT else None
            part: str | bytes
            try:
                text = self._text
                part = bytes(frame.data) if text is None else text.decode(frame.data, frame.fin)
            except UnicodeDecodeError as error:
                self._fail(1007, f"text that is not UTF-8: {error.reason}", error)
                return False
            if part:  # Any number of empty fragments takes no memory.
                self._parts.append(part)
            if frame.fin:
                empty = b"" if self._text is None else ""
                parts, self._parts = self._parts, []
                # One part, as nearly always, is the message itself.
                self._messages.append(parts[0] if len(parts) == 1 else empty.join(parts))  # type: ignore[arg-type]
        return True

    def _after(self) -> None:
        """Queue what the protocol wants to say, and learn of its failure."""
        protocol = self._protocol
        if protocol.parser_exc is not None and self._failure is None:
            # Without its frames, which refer to the object that refers to it.
            self._failure = protocol.parser_exc.with_traceback(None)
        for frame in protocol.data_to_send():
            if not frame:
                continue  # The end of our direction: the socket is closed instead.
            opcode = frame[0] & _OPCODE
            if opcode == Opcode.PONG:
                self._pong = frame
            elif opcode > Opcode.BINARY:
                self._control.append(frame)
            else:
                self._data.append(frame)

    def pop(self) -> str | bytes:
        """The first message that is ready."""
        return self._messages.popleft()

    def take_pong(self) -> bytes | None:
        """The payload of the latest pong, once."""
        pong, self._heard_pong = self._heard_pong, None
        return pong

    def begin_reading(self) -> bool:
        """Take the turn to read from the stream. False: another thread or task has it."""
        return locked(self._lock, self._begin_reading)

    def _begin_reading(self) -> bool:
        if self._reading:
            return False
        self._reading = True
        return True

    def end_reading(self) -> None:
        """Leave the turn to read."""
        self._reading = False
        self._wake()

    # -- out ---------------------------------------------------------------------------------------------------------

    def send(self, data: bytes, is_text: bool, fin: bool = True) -> None:
        """Queue a message, or its first fragment (`fin` False)."""
        protocol = self._protocol
        locked(
            self._lock, self._do, protocol.send_text if is_text else protocol.send_binary, data, fin
        )

    def send_more(self, data: bytes, fin: bool) -> None:
        """Queue the next fragment of the message."""
        locked(self._lock, self._do, self._protocol.send_continuation, data, fin)

    def ping(self, data: bytes) -> None:
        """Queue a ping."""
        locked(self._lock, self._do, self._protocol.send_ping, data)

    def pong(self, data: bytes) -> None:
        """Queue a pong that answers no ping."""
        locked(self._lock, self._do, self._protocol.send_pong, data)

    def close(self, code: int, reason: str) -> None:
        """Queue a Close frame, unless one was sent or received."""
        locked(self._lock, self._close, code, reason)

    def _do(self, work: Callable[..., object], *facts: object) -> None:
        work(*facts)
        self._after()

    def _close(self, code: int, reason: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._after()

    def fail(self, code: int, reason: str, error: Exception) -> None:
        """Give up, with a Close frame if that can still be sent (RFC 6455, section 7.1.7)."""
        locked(self._lock, self._fail, code, reason, error)

    def _fail(self, code: int, reason: str, error: Exception) -> None:
        if not self.is_over:
            self._failure = error.with_traceback(None)
            self._protocol.fail(code, reason)
            self._after()

    def claim(self, messages: bool) -> bytes:
        """Frames to be sent now, after which the caller goes on with `claim_next`: control frames, or messages too.

        b"": nothing is to be sent, or another thread or task sends, and takes control frames along.
        """
        return locked(self._lock, self._claim, messages)

    def _claim(self, messages: bool) -> bytes:
        if self._sending or self._sender_failed:
            return b""
        out = self._first(messages)
        self._sending = bool(out)
        return out

    def claim_next(self, messages: bool) -> bytes:
        """What was claimed has been sent: the next frames, b"" if that was all."""
        return locked(self._lock, self._claim_next, messages)

    def _claim_next(self, messages: bool) -> bytes:
        out = self._first(messages)
        if not out:
            self._sending = False
            self._wake()
        return out

    def _first(self, messages: bool) -> bytes:
        control, pong = self._control, self._pong
        if control or pong:
            self._pong = b""
            out = b"".join([pong, *control])
            control.clear()
            return out
        return self._data.popleft() if messages and self._data else b""

    def lose_output(self) -> None:
        """What was claimed was sent in part, or perhaps not at all: nothing can be sent after it."""
        self._sending, self._sender_failed = False, True
        self._wake()

    @property
    def is_being_read(self) -> bool:
        """A call has the turn to read."""
        return self._reading

    @property
    def is_sending(self) -> bool:
        """A call sends what it has claimed."""
        return self._sending

    @property
    def cannot_send(self) -> bool:
        """A send was cut short."""
        return self._sender_failed

    @property
    def has_control_to_send(self) -> bool:
        """Control frames wait, and no call is there that takes them along."""
        return bool(self._control or self._pong) and not self._sending

    @property
    def has_messages_to_send(self) -> bool:
        """Frames of messages wait, or are being sent."""
        return (bool(self._data) or self._sending) and not self._sender_failed

    def wake_later(self, wake: Callable[[], object]) -> None:
        """Call this once, when the turn to read is left, or everything has been sent that was claimed."""
        self._wakes.append(wake)

    def _wake(self) -> None:
        wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """No Close frame has been sent or received, and nothing has failed."""
        return self._protocol.state is State.OPEN and not self._sender_failed

    @property
    def is_over(self) -> bool:
        """No message comes after those that are here."""
        protocol = self._protocol
        return (
            self._failure is not None
            or protocol.close_rcvd is not None
            or protocol.state is State.CLOSED
        )

    @property
    def received(self) -> CloseFrame | None:
        """The peer's Close frame."""
        close = self._protocol.close_rcvd
        return None if close is None else CloseFrame(int(close.code), close.reason)

    @property
    def sent(self) -> CloseFrame | None:
        """Our own."""
        close = self._protocol.close_sent
        return None if close is None else CloseFrame(int(close.code), close.reason)

    @property
    def peer_closed_first(self) -> bool:
        """The peer sent its Close frame before it had ours."""
        return bool(self._protocol.close_rcvd_then_sent)

    @property
    def failure(self) -> Exception | None:
        """The peer's violation of the protocol, the end of the stream without a Close frame (`EOFError`), or None."""
        return self._failure
