"""One round trip on one connection: the request out, the final head in.

Theory of operation. A `Conversation` has what one exchange on one connection needs: the lease with its connection, the
request, the exchange. A small request goes out in one write. A long one is sent piece by piece, while the peer is
heard: a peer that answers early is not sent the rest (RFC 9112, section 9.5). Errors of the wire become errors of
adieu's here.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, ContentError, InvalidRequest
from adieu.http1.codec import Head, Malformed
from adieu.http1.error_mapping import is_alert, map_error
from adieu.http1.request_writer import fields_to_send
from adieu.lifecycle.events import notify
from adieu.messages.fields.trailers import sent_trailers
from adieu.messages.request import tunnel_target
from adieu.net.proxies.proxy import ProxiedOrigin
from adieu.transport.pool_key import target_of

if TYPE_CHECKING:
    from adieu.errors import Phase
    from adieu.http1.connection import H1LeaseBase
    from adieu.http1.tunnel import Tunnels
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request
    from adieu.net.stream import AnyStream
    from adieu.transport.exchange import ExchangeCore

__all__ = ["Conversation"]

_READ = 64 * 1024
_ONE_WRITE = 64 * 1024
# How long to look for something that is probably there (seconds).
_POLL_TIMEOUT = 0.001
_MAX_INFORMATIONAL = 32
# How long a peer that was asked whether it wants the content may keep silent (seconds): many do not know the question.
_CONTINUE_TIMEOUT = 1.0


class Conversation:
    """The round trip of one exchange."""

    __slots__ = ("_codec", "_deadline", "_exchange", "_lease", "_request", "_stream", "_tunnels")

    def __init__(
        self, lease: H1LeaseBase, request: Request, exchange: ExchangeCore, tunnels: Tunnels
    ) -> None:
        connection = lease.connection
        assert connection is not None
        assert connection.stream is not None
        self._lease = lease
        self._request = request
        self._exchange = exchange
        self._tunnels = tunnels
        self._codec = connection.codec
        self._stream = connection.stream
        self._deadline = exchange.deadline

    def steps(self) -> Steps[Head]:
        """Send the request and receive the final head."""
        lease, request, exchange = self._lease, self._request, self._exchange
        codec, stream, deadline = self._codec, self._stream, self._deadline
        content = request.content
        target, fields = request.url.target, fields_to_send(request, exchange)
        if exchange.connection.route is not None or request.method == "CONNECT":
            target, fields = self._addressed(fields)
        out = codec.request(request.method, target, fields)
        phase: Phase = "write"
        try:
            lease.sent = "partly"
            body = content.body
            if body is not None and len(body) <= _ONE_WRITE and not (body and codec.expects()):
                if body:
                    out += codec.data(body)
                yield stream.send(out + codec.end(), deadline.remaining("write"))
                lease.sent = "wholly"
            else:
                yield from self._upload(out)
            phase = "head"
            while True:
                head = codec.head()
                if head is None:
                    data = yield stream.recv(_READ, deadline.remaining("read"))
                    if not data:
                        if codec.started():
                            raise Malformed("it closed the connection in the middle of a head")
                        raise EOFError
                    lease.started = True
                    codec.feed(data)
                elif head.status >= 200 or head.status == 101:
                    break
                else:
                    self._interim(head)
        except (Malformed, OSError, EOFError) as error:
            if phase == "write" and lease.sent == "partly" and stream.tls is not None:
                said = yield from _pending_tls_alert(stream, error)
                raise map_error(said, phase, lease, deadline) from said
            raise map_error(error, phase, lease, deadline) from error
        lease.take(head)
        return head

    def _addressed(self, fields: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
        """Target and fields of a request to a proxy: to forward it, or, by the user's own CONNECT, to open a tunnel."""
        request = self._request
        via = target_of(self._lease.key)
        proxy = via.proxy if isinstance(via, ProxiedOrigin) and via.forwards else None
        if request.method == "CONNECT":
            if proxy is not None:
                raise InvalidRequest(
                    f"no proxy forwards a CONNECT to another one ({proxy}): pass proxy=None"
                )
            return tunnel_target(request.headers, request.content), fields
        if proxy is not None:
            return self._tunnels.forwarded(proxy, request.method, request.url, fields)
        return request.url.target, fields

    def _upload(self, head: bytes) -> Steps[None]:
        """Send a body of any length, and stop when the peer answers before it has all of it (RFC 9112, section 9.5)."""
        lease, request = self._lease, self._request
        codec, stream, deadline = self._codec, self._stream, self._deadline
        content: Any = request.content
        yield stream.send(head, deadline.remaining("write"))
        if codec.expects() and not (yield from self._await_continue()):
            return
        reading = _Reading(request)
        trailers: list[tuple[str, str]] = []
        with reading:
            chunks = content.async_chunks() if content.is_async else content.chunks()
        while True:
            with reading:
                chunk = (yield anext(chunks, None)) if content.is_async else next(chunks, None)
                if chunk is None and content.trailers is not None:
                    trailers = sent_trailers(content.trailers)
            if chunk == b"":
                continue  # An empty chunk would end a chunked body.
            rest = memoryview(codec.end(trailers) if chunk is None else codec.data(bytes(chunk)))
            while rest:
                try:
                    done = yield stream.send_or_recv(rest, deadline.remaining("write"))
                except (BrokenPipeError, ConnectionResetError):
                    return  # It has hung up; an answer that it sent before may still be read.
                if isinstance(done, int):
                    rest = rest[done:]
                    continue
                if not done:
                    return
                lease.started = True
                codec.feed(done)
                if self._final_head_begun():
                    return
            if chunk is None:
                break
        lease.sent = "wholly"

    def _await_continue(self) -> Steps[bool]:
        """Whether to send the content that the peer was asked about: not if it answers without it, or has hung up."""
        lease, codec, stream, deadline = self._lease, self._codec, self._stream, self._deadline
        lease.got_continue = False
        until = monotonic() + _CONTINUE_TIMEOUT
        while (left := until - monotonic()) > 0:
            limit = deadline.remaining("read")
            try:
                data = yield stream.recv(_READ, left if limit is None else min(left, limit))
            except TimeoutError:
                continue
            if not data:
                return False
            lease.started = True
            codec.feed(data)
            if self._final_head_begun():
                return False
            if lease.got_continue:
                return True
        return True

    def _final_head_begun(self) -> bool:
        """Whether a final head has begun to arrive; interim heads before it are reported, and dropped."""
        codec = self._codec
        while not codec.final_head_begun():
            head = codec.head()
            if head is None:
                return False
            self._interim(head)
        return True

    def _interim(self, head: Head) -> None:
        """A 1xx (RFC 9110, section 15.2)."""
        lease, exchange = self._lease, self._exchange
        lease.interim += 1
        if lease.interim > _MAX_INFORMATIONAL:
            raise Malformed(f"it sent more than {_MAX_INFORMATIONAL} 1xx responses")
        lease.got_continue = lease.got_continue or head.status == 100
        if exchange.events is not None:
            notify(exchange.events.informational, lease.connection_id, head.status)


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
                f"the content of {self._request.method} {self._request.url} could not be read: {error!r}"
            ) from error


def _pending_tls_alert(stream: AnyStream, error: Exception) -> Steps[Exception]:
    """The TLS alert that a peer sent before it hung up, if it did; else the error of the write.

    In TLS 1.3 a server judges the client's certificate after the client has done its part (RFC 8446, section 4.4.2), so
    its alert is found where the first answer is expected, and the request may be cut off before that.
    """
    try:
        yield stream.recv(_READ, _POLL_TIMEOUT)
    except OSError as said:
        if is_alert(said):
            return said
    return error
