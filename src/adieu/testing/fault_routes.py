"""The routes of the `FaultServer` that break the rules of HTTP, or fail at the worst moment.

Their limits are those of `adieu.testing.routes`. What each route does is said where it is registered, and in
docs/testing.md.
"""

from __future__ import annotations

import random
import socket
import zlib
from typing import TYPE_CHECKING

from adieu.testing.corpus import BY_NAME
from adieu.testing.request import Refused, Request
from adieu.testing.routes import early_hints, ok
from adieu.testing.routing import ROUTES, payload, route, send_payload, start_payload

if TYPE_CHECKING:
    from adieu.testing.peer import Ending, Peer

__all__ = ["ROUTES"]


@route(
    "/broken-gzip?n=300000",
    does="gzip of `n` random bytes that turns invalid after the first half",
)
def _broken_gzip(peer: Peer, request: Request) -> Ending:
    n = request.count("n", 300_000, 10_000_000)
    noise = random.Random(520).randbytes(n)  # noqa: S311 - the same bytes each time, and no secret
    coder = zlib.compressobj(wbits=31)
    # After a full flush the next block begins at a byte boundary, and block type 3 does not exist (RFC 1951, section
    # 3.2.3).
    valid = coder.compress(noise[: n // 2]) + coder.flush(zlib.Z_FULL_FLUSH)
    peer.reply(200, valid + b"\x07" + noise[n // 2 :], [("content-encoding", "gzip")])
    return "keep"


@route("/truncated?n=1000&sent=500", does="promises `n` bytes, sends fewer, closes")
def _truncated(peer: Peer, request: Request) -> Ending:
    start_payload(peer, request.count("n", 1000))
    send_payload(peer, request.count("sent", 500))
    return "close"


_TRUNCATIONS = {
    "size": b"5\r\nhello\r\n1",
    "data": b"5\r\nhello\r\n6\r\nwor",
    "end": b"5\r\nhello\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nx-checksum: 1",
}


@route(
    "/truncated-chunked?where=data",
    does="closes inside a chunk; `where=size`, `end` (before the last chunk) or `trailer`: there",
)
def _truncated_chunked(peer: Peer, request: Request) -> Ending:
    where = request.text("where", "data")
    if where not in _TRUNCATIONS:
        raise Refused(f"where={where!r} is none of {', '.join(_TRUNCATIONS)}")
    peer.start(200, [("transfer-encoding", "chunked")])
    peer.body(_TRUNCATIONS[where])
    return "close"


@route(
    "/surplus?extra=4",
    does="a complete reply and `extra` bytes more in one write (1 MB at most)",
)
def _surplus(peer: Peer, request: Request) -> Ending:
    peer.send(peer.packed(200, b"complete") + payload(request.count("extra", 4, 1_000_000)))
    return "keep"


@route("/second-response", does="a complete reply and a second one without a request, in one write")
def _second_response(peer: Peer, request: Request) -> Ending:
    peer.send(peer.packed(200, b"complete") + peer.packed(200, b"stray"))
    return "keep"


@route("/late-surplus?extra=4&ms=30", does="a complete reply, and `extra` bytes after `ms`")
def _late_surplus(peer: Peer, request: Request) -> Ending:
    extra = payload(request.count("extra", 4, 1_000_000))
    peer.reply(200, b"complete")
    peer.pause(request.count("ms", 30, 60_000) / 1000)
    peer.send(extra)
    return "keep"


@route("/idle-408?ms=20", does="a complete reply, and an unsolicited 408 after `ms`, then closes")
def _idle_408(peer: Peer, request: Request) -> Ending:
    peer.reply(200, b"complete")
    peer.pause(request.count("ms", 20, 60_000) / 1000)
    peer.send(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    return "close"


def _one_by_one(peer: Peer, request: Request, data: bytes) -> None:
    pause = request.seconds("seconds", 5) / max(len(data), 1)
    for at in range(len(data)):
        peer.send(data[at : at + 1])
        peer.pause(pause)


@route("/drip?n=100&seconds=5", does="`n` bytes (10,000 at most) one by one over that time")
def _drip(peer: Peer, request: Request) -> Ending:
    n = request.count("n", 100, 10_000)
    start_payload(peer, n)
    if request.method != "HEAD":
        _one_by_one(peer, request, payload(n))
    return "keep"


@route("/drip-head?n=100&seconds=5", does="the same with a field of the head")
def _drip_head(peer: Peer, request: Request) -> Ending:
    peer.send(b"HTTP/1.1 200 OK\r\nx-drip: ")
    _one_by_one(peer, request, b"x" * request.count("n", 100, 10_000))
    peer.send(b"\r\ncontent-length: 0\r\n\r\n")
    return "keep"


@route("/stall-head?seconds=5", does="waits before it answers")
def _stall_head(peer: Peer, request: Request) -> Ending:
    peer.pause(request.seconds("seconds", 5))
    return ok(peer, request)


@route("/stall-body?n=1000&sent=500&seconds=5", does="waits in the middle of the body")
def _stall_body(peer: Peer, request: Request) -> Ending:
    n = request.count("n", 1000)
    sent = request.count("sent", 500, n)
    start_payload(peer, n)
    send_payload(peer, sent)
    peer.pause(request.seconds("seconds", 5))
    send_payload(peer, n, sent)
    return "keep"


@route(
    "/stall-read?seconds=5",
    does="never reads the body of the request; waits, then resets",
    early=True,
)
def _stall_read(peer: Peer, request: Request) -> Ending:
    # A small window: the client's writes block after kilobytes rather than after megabytes.
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.wait(request.seconds("seconds", 5))
    return "reset"


@route(
    "/slow-read?piece=4096&seconds=0.01",
    does="reads the body a piece at a time with a pause before each",
    early=True,
)
def _slow_read(peer: Peer, request: Request) -> Ending:
    pause, piece = request.seconds("seconds", 0.01), request.count("piece", 4096, 1 << 16)
    peer.read_body(request, before_read=lambda: peer.wait(pause), piece=max(piece, 1))
    return ok(peer, request)


@route("/reset", does="RST instead of a reply")
def _reset(peer: Peer, request: Request) -> Ending:
    return "reset"


@route("/reset-body?n=1000&sent=500", does="RST in the middle of the body")
def _reset_body(peer: Peer, request: Request) -> Ending:
    start_payload(peer, request.count("n", 1000))
    send_payload(peer, request.count("sent", 500))
    return "reset"


@route("/close", does="closes instead of answering")
def _close(peer: Peer, request: Request) -> Ending:
    return "close"


@route("/close-after", does="a keep-alive reply, then closes at once")
def _close_after(peer: Peer, request: Request) -> Ending:
    ok(peer, request)
    return "close"


@route("/hang-up-after?n=2", does="the same after the `n`-th request of a connection")
def _hang_up_after(peer: Peer, request: Request) -> Ending:
    last = request.nth >= request.count("n", 2)
    ok(peer, request)
    return "close" if last else "keep"


@route(
    "/race?how=close",
    does=(
        "on a reused connection closes (`how=reset`: RST) instead of answering, on a fresh one "
        "answers 200: so it looks to a client that sends while the server closes an idle "
        "connection"
    ),
)
def _race(peer: Peer, request: Request) -> Ending:
    how = request.text("how", "close")
    if how not in {"close", "reset"}:
        raise Refused(f"how={how!r} is neither close nor reset")
    if request.nth == 1:
        return ok(peer, request)
    return "reset" if how == "reset" else "close"


@route(
    "/early?status=413&keep=0&linger=1",
    does=(
        "answers before it reads the body, drops the body, and closes; `linger=0`: closes at "
        "once, so that unread bytes make an RST; `keep=1`: reads the body after the answer and "
        "keeps the connection"
    ),
    early=True,
)
def _early(peer: Peer, request: Request) -> Ending:
    keep, linger = request.count("keep", 0, 1), request.count("linger", 1, 1)
    headers = [] if keep else [("connection", "close")]
    peer.reply(request.count("status", 413, 999), b"early", headers)
    if keep:
        peer.read_body(request, send_continue=False)
        return "keep"
    if linger:
        peer.linger()
    return "drop"


@route("/expect-ignored", does="never sends 100; reads the body and answers", early=True)
def _expect_ignored(peer: Peer, request: Request) -> Ending:
    peer.read_body(request, send_continue=False)
    return ok(peer, request)


@route("/endless-1xx?n=10000", does="`n` times 103 (10,000 at most), then 200")
def _endless_1xx(peer: Peer, request: Request) -> Ending:
    request.query.setdefault("n", ["10000"])
    return early_hints(peer, request)


@route("/garbage?kind=", does="the reply of that name in `adieu.testing.corpus`")
def _garbage(peer: Peer, request: Request) -> Ending:
    kind = request.text("kind", "")
    if kind not in BY_NAME:
        raise Refused(f"kind={kind!r} is no name in adieu.testing.corpus")
    peer.send(BY_NAME[kind].raw)
    return "close" if BY_NAME[kind].closes else "keep"
