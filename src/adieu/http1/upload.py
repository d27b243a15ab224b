"""The upload half of a round trip: a body of any length goes out piece by piece, while the peer is heard.

Theory of operation. Each step sends a piece or receives what the peer said, whichever can be done first, so that a peer
that answers without reading cannot make the client wait for it. With content from an async iterable, which may be
awaited for long, a second task does the listening. Interim heads are reported. A final head that refuses
the content ends the upload (`early_answer`). After any other the upload goes on; what comes of the body meanwhile
is held, and handed to the codec in the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, ContentError
from adieu.http1.early_answer import MOST_HELD, answer_after, stops_upload
from adieu.http1.head import MAX_INTERIM, Head, Malformed
from adieu.http1.request_writer import block_to_send
from adieu.lifecycle.deadline import Within
from adieu.lifecycle.fairness import checkpoint, turn_ends_at, turn_is_over
from adieu.lifecycle.steps import adrive
from adieu.messages.fields.trailers import sent_trailers
from adieu.net.async_backend import current_backend
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.http1.connection import H1LeaseBase
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request
    from adieu.transport.exchange import ExchangeCore

__all__ = ["Upload", "report_interim"]

_READ = 64 * 1024
# How long a peer that was asked whether it wants the content may keep silent (seconds): many do not know the question.
_CONTINUE_TIMEOUT = 1.0
# How long to pause where only the end of the time is waited for (seconds).
_LONG = 3600.0
# How often to look for input in a stream that does not tell when it comes (seconds).
_LOOK_AGAIN = 0.05


class Upload:
    """The request of one exchange on its way to the peer, head and body."""

    __slots__ = (
        "_answer",
        "_codec",
        "_deadline",
        "_exchange",
        "_head_bytes",
        "_held",
        "_held_bytes",
        "_lease",
        "_over",
        "_request",
        "_sent_bytes",
        "_stream",
    )

    def __init__(self, lease: H1LeaseBase, request: Request, exchange: ExchangeCore) -> None:
        connection = lease.connection
        assert connection is not None
        assert connection.stream is not None
        self._lease = lease
        self._request = request
        self._exchange = exchange
        self._codec = connection.codec
        self._stream = connection.stream
        self._deadline = exchange.deadline
        # The final head, once it has come, and what has come after it.
        self._answer: Head | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        # What was sent so far: of the head, and of the body as it was framed.
        self._head_bytes = 0
        self._sent_bytes = 0
        # The rest of the content is not wanted, or there is no time for it, as was found out while it was awaited.
        self._over = False

    def steps(self, head: bytes) -> Steps[Head | None]:
        """Send all of it, unless the peer answers that it does not want the rest, or hangs up.

        Returns the final head, if it has come meanwhile.
        """
        try:
            yield from self._send(head)
        except OSError as error:
            if self._answer is None:
                self._hear((yield from answer_after(error, self._stream)))
        if self._held:
            self._codec.feed(b"".join(self._held))
        return self._answer

    def _send(self, head: bytes) -> Steps[None]:
        yield self._stream.send(head, self._deadline)
        self._head_bytes = len(head)
        if self._codec.expects() and not (yield from self._await_continue()):
            return
        if self._request.content.is_async:
            # While the user's iterator is awaited, nothing else would notice an answer, or the end of the time.
            yield current_backend().beside(adrive(self._listen()), adrive(self._send_content()))
        else:
            yield from self._send_content()

    def _send_content(self) -> Steps[None]:
        lease, request, codec = self._lease, self._request, self._codec
        content: Any = request.content
        reading = _Reading(request)
        trailers: list[tuple[str, str]] = []
        turn = turn_ends_at()
        with reading:
            chunks = content.async_chunks() if content.is_async else content.chunks()
        while True:
            with reading:
                chunk = (yield anext(chunks, None)) if content.is_async else next(chunks, None)
                if chunk is None and content.trailers is not None:
                    trailers = sent_trailers(content.trailers)
            if self._over:
                return  # The user's iterator went on in spite of its cancellation.
            if chunk == b"":
                continue  # An empty chunk would end a chunked body.
            piece = codec.end(trailers) if chunk is None else codec.data(bytes(chunk))
            self._sent_bytes += len(piece)
            if content.is_async:
                try:
                    yield self._stream.send(piece, self._deadline)
                except OSError:
                    if self._over:
                        return  # A reset, for one, wakes both tasks: the listener, which was first, tells of it.
                    raise
                if turn_is_over(turn):
                    turn = turn_ends_at()
                    yield checkpoint()  # Neither the iterator nor the peer need make a pause.
            elif not (yield from self._send_and_hear(memoryview(piece))):
                return
            if chunk is None:
                break
        lease.sent = "wholly"
        if (events := self._exchange.events) is not None:
            events.request_sent(lease.connection_id, self._head_bytes, self._sent_bytes)

    def _send_and_hear(self, rest: memoryview) -> Steps[bool]:
        """Send a piece, and take what the peer says meanwhile: whether it wants more."""
        stream, deadline = self._stream, self._deadline
        while rest:
            if self._held_bytes < MOST_HELD:
                done = yield stream.send_or_recv(rest, deadline)
            else:
                yield stream.send(bytes(rest), deadline)
                return True
            if isinstance(done, int):
                rest = rest[done:]
            elif not done or self._hear(done):
                return False
        return True

    def _listen(self) -> Steps[None]:
        """Take what the peer says, until there is no use for the rest of the content."""
        try:
            yield from self._listen_on()
        finally:
            self._over = True

    def _listen_on(self) -> Steps[None]:
        """Until the peer refuses the rest of the content, or has hung up. Raises if the time is over."""
        stream: Any = self._stream
        end = self._deadline.end()
        while self._held_bytes < MOST_HELD:
            if stream.readable():
                try:
                    data = yield stream.recv(_READ, Within(0.0))
                except TimeoutError:
                    pass  # Part of a TLS record, or one without data.
                else:
                    if not data or self._hear(data):
                        return
                    continue
            if not (yield stream.until_input(end)):
                yield self._pause(_LOOK_AGAIN)
        while True:  # The rest of the answer waits in the system's buffers; only the end of the time can end this.
            yield self._pause(_LONG)

    def _pause(self, seconds: float) -> object:
        left = self._deadline.end().remaining("write")
        return current_backend().sleep(seconds if left is None else min(left, seconds))

    def _hear(self, data: bytes) -> bool:
        """Take what the peer sent: whether it says that it does not want the rest."""
        lease, events = self._lease, self._exchange.events
        if events is not None and not lease.started:
            events.first_byte(lease.connection_id)
        lease.started = True
        if self._answer is not None:
            self._held.append(data)
            self._held_bytes += len(data)
            return False
        codec = self._codec
        codec.feed(data)
        while (head := codec.head()) is not None:
            if head.status >= 200 or head.status == 101:
                self._answer = head
                asked = block_to_send(self._request, self._exchange)
                return stops_upload(head, asked.closes)
            report_interim(self._lease, self._exchange, head)
        return False

    def _await_continue(self) -> Steps[bool]:
        """Whether to send the content that the peer was asked about: not if it answers without it, or has hung up."""
        lease, stream, deadline = self._lease, self._stream, self._deadline
        lease.got_continue = False
        soon = Within(_CONTINUE_TIMEOUT, deadline)
        while True:
            try:
                data = yield stream.recv(_READ, soon)
            except TimeoutError:
                return True  # The next step asks the deadline, if it was that.
            if not data:
                return False
            if self._hear(data) or self._answer is not None:
                return False
            if lease.got_continue:
                return True


def report_interim(lease: H1LeaseBase, exchange: ExchangeCore, head: Head) -> None:
    """A 1xx (RFC 9110, section 15.2)."""
    lease.interim += 1
    if lease.interim > MAX_INTERIM:
        raise Malformed(f"it sent more than {MAX_INTERIM} 1xx responses")
    lease.got_continue = lease.got_continue or head.status == 100
    if exchange.events is not None:
        exchange.events.informational(lease.connection_id, head.status)


class _Reading:
    """Errors that the user's content raises while it is read are no errors of the connection, not even an OSError."""

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, AdieuError):
            raise ContentError(
                f"the content of {self._request.method} {show_url(self._request.url)} could not be read: {error!r}"
            ) from error
