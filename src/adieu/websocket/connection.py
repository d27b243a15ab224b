"""A WebSocket over an upgraded connection: the steps of receiving, sending and closing, which sync and async share.

Theory of operation. The exchange of the opening handshake owns the connection until the end, which is `_end`: one
synchronous call, from any thread. The session says what is to be sent and what was received; the steps wait. A call
that receives also answers pings and keeps the connection alive, so nothing runs unless the user waits for something.

A cancelled wait costs nothing but that wait, with one exception: a send that was cut short may have sent half a frame,
after which nothing can be sent; so it ends the connection, as every interrupt does.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from adieu.errors import (
    BodyBusy,
    ClientClosed,
    InvalidRequest,
    ReadTimeout,
    RequestTimeout,
)
from adieu.lifecycle.cleanup import CLOSE, checked_answer
from adieu.lifecycle.deadline import Deadline, Within
from adieu.lifecycle.events import CLIENT_CLOSED
from adieu.lifecycle.exchange import BackupFinalizer, caller
from adieu.texts import show_url
from adieu.websocket.errors import closed_error
from adieu.websocket.line import Line, Place
from adieu.websocket.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.errors import TransportError
    from adieu.lifecycle.events import LeaseInfo
    from adieu.lifecycle.steps import Steps
    from adieu.lifecycle.waiting import Waiter
    from adieu.messages.response_head import ResponseHead
    from adieu.net.stream import AnyStream
    from adieu.transport.async_upgrade import AsyncUpgraded
    from adieu.transport.exchange import ExchangeCore
    from adieu.transport.upgrade import Upgraded
    from adieu.websocket.handshake import Agreed
    from adieu.websocket.keepalive import Keepalive

__all__ = ["END", "Message", "WebSocketBase"]

Message = str | bytes

_READ = 64 * 1024
# What a fragment iterator gives at its end.
END = object()


class WebSocketBase:
    """What the sync and the async WebSocket share. `exchange` owns the connection."""

    def __init__(
        self,
        exchange: ExchangeCore,
        response: ResponseHead,
        upgraded: Upgraded | AsyncUpgraded,
        agreed: Agreed,
        keepalive: Keepalive,
        max_message: int | None,
    ) -> None:
        self._exchange = exchange
        self._answer: Any = response
        self._stream: AnyStream = upgraded.stream
        self._session = Session(agreed, max_message)
        self._max_message = max_message
        self._subprotocol = agreed.subprotocol
        self._keepalive = keepalive
        # The limits of each wait; `total` was for the handshake.
        self._limit = Deadline(exchange.deadline.timeout.replace(total=None))
        self._line = Line()
        # Why the connection is closed; None: it is not.
        self._why: str | None = None
        leftover = upgraded.take_leftover()
        if leftover:
            self._session.feed(leftover)
        exchange.opened_at = caller()
        self._backup_finalizer = BackupFinalizer(exchange)

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose; None: none."""
        return self._subprotocol

    @property
    def close_code(self) -> int | None:
        """The code of the server's Close frame (1005: it had none); 1006 if the connection ended without; else None."""
        received = self._session.received
        if received is not None:
            return received.code
        return None if self._why is None else 1006

    @property
    def close_reason(self) -> str:
        """The reason in the server's Close frame."""
        received = self._session.received
        return "" if received is None else received.reason

    @property
    def latency(self) -> float | None:
        """Seconds between the latest ping of the keep-alive and its pong; None: there was none yet."""
        return self._keepalive.latency

    @property
    def state(self) -> Literal["open", "closing", "closed"]:
        """Where it stands. "closing": a Close frame was sent or received, and the connection is still there."""
        if self._why is not None:
            return "closed"
        return "open" if self._session.is_open else "closing"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {show_url(self._exchange.url)}: {self.state}>"

    # -- what the drivers are different in ---------------------------------------------------------------------------

    def _waiter(self) -> Waiter:
        raise NotImplementedError

    def _cancellation_point(self) -> object:
        raise NotImplementedError

    def _next_fragment(self, fragments: Any) -> object:
        raise NotImplementedError

    def _end_fragments(self, fragments: Any) -> object:
        raise NotImplementedError

    def _send_control(self, data: bytes) -> object:
        """Send control frames. A cancellation comes before or after them: it may be that of a `receive`."""
        raise NotImplementedError

    def _survives(self, error: BaseException) -> bool:
        """Whether a wait that ended with this can be begun again, and nothing was lost."""
        raise NotImplementedError

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _receive(self, seconds: float | None) -> Steps[Message]:
        """The next message, within these seconds."""
        session = self._session
        if not session.begin_reading():
            raise BodyBusy("another thread or task is receiving from this WebSocket")
        try:
            limit = Within(seconds)
            while not session.ready():
                if session.is_over or self._why is not None:
                    yield from self._after_the_last()
                    raise self._over()
                yield from self._say()
                yield from self._hear(limit, seconds)
            yield from self._say()
            return session.pop()
        except BaseException as error:
            if not self._survives(error):
                self._end(type(error).__name__)
            raise
        finally:
            session.end_reading()

    def _hear(self, limit: Within, seconds: float | None) -> Steps[None]:
        """Wait for some bytes; or for the time of a ping."""
        session, keepalive = self._session, self._keepalive
        patience = Within(keepalive.wait(monotonic()), limit)
        try:
            data = yield self._stream.recv(_READ, patience)
        except TimeoutError as error:
            self._after_silence(limit, seconds, error)
            return
        except OSError as error:
            if self._why is None:
                session.fail(1006, "", error)
            return
        keepalive.heard(monotonic())
        session.feed(data)
        session.ready()
        if (pong := session.take_pong()) is not None:
            keepalive.answered(pong, monotonic())

    def _after_silence(self, limit: Within, seconds: float | None, error: TimeoutError) -> None:
        now = monotonic()
        doing = self._keepalive.after_silence(now)
        if doing == "ping":
            self._session.ping(self._keepalive.ping(now))
        elif doing == "dead":
            # Not by the Close frame alone, which it would never read.
            text = f"nothing came for {self._keepalive.timeout:g} s after a ping"
            self._session.fail(1011, "keep-alive timeout", TimeoutError(text))
        try:
            limit.remaining("read")
        except TimeoutError:
            raise self._with_facts(
                ReadTimeout(f"no message came within {seconds:g} s", limit=seconds)
            ) from error

    def _say(self) -> Steps[None]:
        """Send control frames, unless another call sends. If they cannot be sent, reading will tell why."""
        if self._session.has_control_to_send:
            yield self._cancellation_point()
            try:
                yield from self._transmit(self._session.claim(False), False)
            except OSError:
                pass

    def _after_the_last(self) -> Steps[None]:
        """No message comes any more: the answer to the Close frame, and the end of the connection."""
        if self._why is None:
            yield from self._say()
            self._end("closed by the server" if self._session.received else "broken")

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send(self, message: object) -> Steps[None]:
        """A message: text, bytes, or an iterable of fragments that are all one or the other."""
        is_text = isinstance(message, str)
        fragments = None
        try:
            if isinstance(message, str):
                data = _encoded(message)
            elif isinstance(message, (bytes, bytearray, memoryview)):
                data = bytes(message)
            elif isinstance(message, Mapping):
                # It is an iterable of its keys, which are no message.
                raise InvalidRequest(
                    f"a message is text, bytes or an iterable of fragments, not {type(message).__name__}: "
                    "send_json() sends it as JSON"
                )
            else:
                data, fragments = b"", self._fragments(message)
            yield from self._in_line(lambda: self._session.send(data, is_text), fragments)
        except GeneratorExit:
            raise  # Nothing can be awaited any more. The iterator ends as it is dropped.
        except BaseException:
            if fragments is not None:
                yield self._end_fragments(fragments)
            raise
        if fragments is not None:
            yield self._end_fragments(fragments)

    def _fragments(self, message: object) -> Any:
        """An iterator over the fragments. Raises `InvalidRequest` for what is neither text, bytes nor iterable."""
        raise NotImplementedError

    def _in_line(self, queue: Callable[[], object], fragments: Any = None) -> Steps[None]:
        """Send what `queue` makes, or fragments, when it is the turn of this call."""
        yield self._cancellation_point()
        place = Place()
        try:
            self._line.join(place)
            yield from self._until_first(place)
            if fragments is None:
                self._refuse_if_over()
                queue()
                yield from self._drain()
            else:
                yield from self._send_fragments(fragments)
        except BaseException as error:
            if not self._survives(error):
                self._end(type(error).__name__)
            raise
        finally:
            self._line.leave(place)

    def _until_first(self, place: Place) -> Steps[None]:
        while not self._line.is_first(place):
            waiter = self._waiter()
            place.wake = waiter.wake
            if self._line.is_first(place):
                return
            # Others may send for as long as they like, each within its own limit.
            yield waiter.wait(None)

    def _send_fragments(self, fragments: Any) -> Steps[None]:
        """Each fragment goes when the next one, or the end, is known: the last one has to say that it is (`fin`)."""
        session = self._session
        is_text: bool | None = None
        begun = False
        try:
            held = yield self._next_fragment(fragments)
            while True:
                data, kind = _fragment(held)
                if is_text is None:
                    is_text = kind
                elif kind is not is_text:
                    raise InvalidRequest("the fragments of one message are all text, or all bytes")
                following = yield self._next_fragment(fragments)
                is_last = following is END
                self._refuse_if_over()
                if begun:
                    session.send_more(data, is_last)
                else:
                    session.send(data, is_text, is_last)
                begun = True
                yield from self._drain()
                if is_last:
                    return
                held = following
        except BaseException:
            if begun:
                # The rest of the message will not come, and nothing else can be said before it.
                self._goodbye(1011, "a message was cut short")
                self._end("message cut short")
            raise

    def _drain(self) -> Steps[None]:
        """Send what is queued, messages too; wait for a call that sends control frames at the moment."""
        session = self._session
        while session.has_messages_to_send:
            out = session.claim(True)
            if out:
                yield from self._transmit(out, True)
                return
            waiter = self._waiter()
            session.wake_later(waiter.wake)
            if session.is_sending:
                yield waiter.wait(self._limit.remaining("write"))
        self._refuse_if_broken()

    def _transmit(self, out: bytes, messages: bool) -> Steps[None]:
        """Send what was claimed, and what is queued meanwhile."""
        session = self._session
        try:
            while out:
                if messages:
                    yield self._stream.send(out, self._limit)
                else:
                    yield self._send_control(out)
                out = session.claim_next(messages)
        except TimeoutError as error:
            session.lose_output()
            raise self._with_facts(self._limit.exceeded("write")) from error
        except OSError as error:
            session.lose_output()
            if not messages:
                raise
            raise self._over(f"it broke while a message was sent: {error}") from error
        except BaseException:
            session.lose_output()
            self._end("interrupted")
            raise

    def _ping(self, data: bytes) -> Steps[None]:
        yield from self._control(self._session.ping, data)

    def _pong(self, data: bytes) -> Steps[None]:
        yield from self._control(self._session.pong, data)

    def _control(self, queue: Callable[[bytes], None], data: bytes) -> Steps[None]:
        if not isinstance(data, (bytes, bytearray, memoryview)) or len(data) > 125:
            raise InvalidRequest("the data of a ping or pong is bytes, 125 of them at most")
        yield self._cancellation_point()
        self._refuse_if_over()
        try:
            queue(bytes(data))
            yield from self._transmit(self._session.claim(False), False)
        except OSError as error:
            if isinstance(error, RequestTimeout):
                raise
            raise self._over(f"it broke while a control frame was sent: {error}") from error
        except BaseException as error:
            if not self._survives(error):
                self._end(type(error).__name__)
            raise

    # -- the end -------------------------------------------------------------------------------------------------------

    def _close(self, code: int, reason: str, why: Literal["exit", "error"]) -> Steps[None]:
        """The close handshake, as long as the policy waits for it; then the socket."""
        if self._why is not None:
            return
        _check_close(code, reason)
        exchange, session = self._exchange, self._session
        policy = exchange.policy
        try:
            wish = checked_answer(
                policy, "on_websocket_close", policy.on_websocket_close(exchange.view(), why)
            )
            if wish is CLOSE:
                self._goodbye(code, reason)
                return
            session.close(code, reason)
            if not session.cannot_send:
                limit = Within(wish.max_seconds)
                yield from self._say_within(limit)
                yield from self._until_closed(limit, wish.max_bytes)
        except OSError:
            pass  # It is being thrown away: a slow or broken peer is no error.
        finally:
            self._end(why)

    def _say_within(self, limit: Within) -> Steps[None]:
        out = self._session.claim(False)
        while out:
            yield self._stream.send(out, limit)
            out = self._session.claim_next(False)

    def _until_closed(self, limit: Within, most: int) -> Steps[None]:
        """Read and drop what the server still sends, until it closes too."""
        session, size = self._session, 0
        while not session.is_over and self._why is None and size <= most:
            if not session.begin_reading():
                # The call that receives will see the Close frame, and wakes this one as it leaves.
                waiter = self._waiter()
                session.wake_later(waiter.wake)
                if session.is_being_read:
                    yield waiter.wait(limit.remaining("read"))
                continue
            try:
                data = yield self._stream.recv(_READ, limit)
                session.feed(data)
                size += len(data)
                while session.ready():
                    session.pop()
            finally:
                session.end_reading()

    def _goodbye(self, code: int, reason: str) -> None:
        """Send a Close frame if that goes without waiting."""
        self._session.close(code, reason)
        out = self._session.claim(False)
        if out:
            try:
                self._stream.send_now(out)
            except Exception:
                pass  # The connection is closed anyway.

    def _end(self, why: str) -> None:
        """Close the connection now. Idempotent, from any thread; the first reason counts."""
        if self._why is None:
            self._why = why
        self._exchange.end(False, why)

    def end_with_client(self) -> str | None:
        """The client closes: end as the policy says. Returns what it was, for the report."""
        if self._why is not None:
            return None
        exchange = self._exchange
        holder = str(exchange.info())
        try:
            policy = exchange.policy
            wish = checked_answer(
                policy, "on_client_close", policy.on_client_close(exchange.view())
            )
            if wish is not CLOSE:
                return None
            self._goodbye(1001, "")
        except BaseException:
            self._end(CLIENT_CLOSED)
            raise
        self._end(CLIENT_CLOSED)
        return holder

    def held_outside(self) -> LeaseInfo | None:
        """The description of the connection, which has left its pool; None: it is closed."""
        return self._exchange.info() if self._why is None else None

    def cut_off(self) -> None:
        """The client was closed while this was opened."""
        self._end(CLIENT_CLOSED)

    # -- errors --------------------------------------------------------------------------------------------------------

    def _refuse_if_over(self) -> None:
        if self._why is not None or not self._session.is_open:
            raise self._over()

    def _refuse_if_broken(self) -> None:
        if self._why is not None or self._session.cannot_send:
            raise self._over()

    def _over(self, lost: str | None = None) -> ClientClosed | TransportError:
        """The error of a call on a WebSocket that is over."""
        if self._why == CLIENT_CLOSED:
            return ClientClosed("the client was closed while this WebSocket was open")
        return self._with_facts(closed_error(self._session, self._max_message, lost or self._why))

    def _with_facts(self, error: TransportError) -> TransportError:
        exchange = self._exchange
        error.method, error.url = exchange.method, str(exchange.url)
        if error.elapsed is None:
            error.elapsed = exchange.deadline.elapsed()
        return error


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"the text has a lone surrogate at position {error.start}, which UTF-8 cannot express"
        ) from None


def _fragment(piece: object) -> tuple[bytes, bool]:
    if isinstance(piece, str):
        return _encoded(piece), True
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece), False
    if piece is END:
        return b"", False
    raise InvalidRequest(f"a fragment is text or bytes, not {type(piece).__name__}")


def _check_close(code: int, reason: str) -> None:
    """Raise `InvalidRequest` for what no Close frame may have (RFC 6455, sections 5.5 and 7.4)."""
    allowed = type(code) is int and (
        code in (*range(1000, 1004), *range(1007, 1015)) or 3000 <= code < 5000
    )
    if not allowed:
        raise InvalidRequest(
            f"a close code is 1000 to 1003, 1007 to 1014, or 3000 to 4999: {code!r}"
        )
    if not isinstance(reason, str) or len(_encoded(reason)) > 123:
        raise InvalidRequest("the reason of a close is text of at most 123 bytes")
