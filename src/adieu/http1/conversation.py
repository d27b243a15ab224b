"""One round trip on one connection: the request out, the final head in.

Theory of operation. A `Conversation` has what one exchange on one connection needs: the lease with its connection, the
request, the exchange. A small request goes out in one write; a longer one is an `Upload`. Errors of the wire become
errors of adieu's here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.http1.early_answer import answer_after
from adieu.http1.error_mapping import map_error
from adieu.http1.head import Head, Malformed
from adieu.http1.request_writer import FieldBlock, block_to_send, field_block, fields_to_send
from adieu.http1.upload import Upload, report_interim
from adieu.messages.request import tunnel_target
from adieu.net.proxies.proxy import ProxiedOrigin
from adieu.transport.pool_key import target_of

if TYPE_CHECKING:
    from adieu.errors import Phase
    from adieu.http1.connection import H1LeaseBase
    from adieu.http1.tunnel import Tunnels
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request
    from adieu.transport.exchange import ExchangeCore

__all__ = ["Conversation"]

_READ = 64 * 1024
_ONE_WRITE = 64 * 1024


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
        if exchange.connection.route is not None or request.method == "CONNECT":
            target, block = self._addressed()
        else:
            target, block = request.url.target, block_to_send(request, exchange)
        out = codec.request(request.method, target, block)
        phase: Phase = "write"
        try:
            lease.sent = "partly"
            body = content.body
            if body is not None and len(body) <= _ONE_WRITE and not (body and codec.expects()):
                if body or not codec.sent_all():
                    out += codec.data(body) + codec.end() if body else codec.end()
                try:
                    yield stream.send(out, deadline.remaining("write"))
                    lease.sent = "wholly"
                except OSError as error:
                    codec.feed((yield from answer_after(error, stream)))
                    lease.started = True
                head = codec.head()
            else:
                head = yield from Upload(lease, request, exchange).steps(out)
            phase = "head"
            while True:
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
                    report_interim(lease, exchange, head)
                head = codec.head()
        except (Malformed, OSError, EOFError) as error:
            raise map_error(error, phase, lease, deadline) from error
        lease.take(head)
        return head

    def _addressed(self) -> tuple[str, FieldBlock]:
        """Target and fields of a request to a proxy: to forward it, or, by the user's own CONNECT, to open a tunnel."""
        request = self._request
        block = block_to_send(request, self._exchange)
        via = target_of(self._lease.key)
        proxy = via.proxy if isinstance(via, ProxiedOrigin) and via.forwards else None
        if request.method == "CONNECT":
            if proxy is not None:
                raise InvalidRequest(
                    f"no proxy forwards a CONNECT to another one ({proxy}): pass proxy=None"
                )
            return tunnel_target(request.headers, request.content), block
        if proxy is not None:
            fields = fields_to_send(request, self._exchange)
            target, fields = self._tunnels.forwarded(proxy, request.method, request.url, fields)
            return target, field_block(fields)
        return request.url.target, block
