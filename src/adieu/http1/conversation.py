"""One round trip on one connection: the request out, the final head in.

Theory of operation. A small request goes out in one write; a longer one is an `Upload`. Errors of the wire become
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
    from adieu.http1.codec import Codec
    from adieu.http1.connection import H1LeaseBase
    from adieu.http1.tunnel import Tunnels
    from adieu.lifecycle.reporting import ExchangeReport
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request
    from adieu.transport.exchange import ExchangeCore

__all__ = ["round_trip"]

_READ = 64 * 1024
_ONE_WRITE = 64 * 1024


def round_trip(
    lease: H1LeaseBase, request: Request, exchange: ExchangeCore, tunnels: Tunnels
) -> Steps[Head]:
    """Send the request on the connection of the lease, and receive the final head."""
    connection, deadline = lease.connection, exchange.deadline
    events = exchange.events
    assert connection is not None
    codec, stream = connection.codec, connection.stream
    assert stream is not None
    content = request.content
    if exchange.connection.route is not None or request.method == "CONNECT":
        target, block = _addressed(lease, request, exchange, tunnels)
    else:
        target, block = request.url.target, block_to_send(request, exchange)
    out = codec.request(request.method, target, block)
    phase: Phase = "write"
    try:
        lease.sent = "partly"
        head: Head | None = None
        body = content.body
        if body is not None and len(body) <= _ONE_WRITE and not (body and codec.expects()):
            if body or not codec.sent_all:
                out += codec.data(body) + codec.end() if body else codec.end()
            try:
                yield stream.send(out, deadline)
                lease.sent = "wholly"
                if events is not None:
                    _report_sent(events, lease, out)
            except OSError as error:
                codec.feed((yield from answer_after(error, stream)))
                lease.started = events is None or _reported_start(events, lease)
                head = codec.head()
        else:
            head = yield from Upload(lease, request, exchange).steps(out)
        phase = "head"
        while True:
            if head is None:
                data = yield stream.recv(_READ, deadline)
                if not data:
                    raise _too_early(codec)
                lease.started = events is None or _reported_start(events, lease)
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


def _too_early(codec: Codec) -> Malformed | EOFError:
    """The error for a peer that has closed before the end of its head."""
    return (
        Malformed("it closed the connection in the middle of a head")
        if codec.started()
        else EOFError()
    )


def _reported_start(events: ExchangeReport, lease: H1LeaseBase) -> bool:
    """True, that bytes of the answer have come; listeners are told of the first."""
    if not lease.started:
        events.first_byte(lease.connection_id)
    return True


def _report_sent(events: ExchangeReport, lease: H1LeaseBase, out: bytes) -> None:
    """The head ends with the first empty line; what comes after it is the body, as it was framed."""
    head = out.index(b"\r\n\r\n") + 4
    events.request_sent(lease.connection_id, head, len(out) - head)


def _addressed(
    lease: H1LeaseBase, request: Request, exchange: ExchangeCore, tunnels: Tunnels
) -> tuple[str, FieldBlock]:
    """Target and fields of a request to a proxy: to forward it, or, by the user's own CONNECT, to open a tunnel."""
    block = block_to_send(request, exchange)
    via = target_of(lease.key)
    proxy = via.proxy if isinstance(via, ProxiedOrigin) and via.forwards else None
    if request.method == "CONNECT":
        if proxy is not None:
            raise InvalidRequest(
                f"no proxy forwards a CONNECT to another one ({proxy}): pass proxy=None"
            )
        return tunnel_target(request.headers, request.content), block
    if proxy is not None:
        fields = fields_to_send(request, exchange)
        target, fields = tunnels.forwarded(proxy, request.method, request.url, fields)
        return target, field_block(fields)
    return request.url.target, block
