"""The routes of the `FaultServer` that keep the rules: all that a correct server may send.

Every route answers HEAD with its head alone. If the client sent ``Connection: close``, so does the route, and closes.
Numbers are bounded: sizes by 100 MB, times by 60 s, counts as documented; any other value is answered with 400 and a
sentence. Bodies are `payload(n)`. What each route does is said where it is registered, and in docs/testing.md.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from adieu.testing.request import Refused, Request
from adieu.testing.routing import (
    PIECE,
    extra_headers,
    payload,
    pieces,
    route,
    send_payload,
    start_payload,
)

if TYPE_CHECKING:
    from adieu.testing.peer import Ending, Peer

__all__ = ["coded", "early_hints", "echo", "ok"]


@route(
    "/ok?header=",
    does=(
        "200, JSON: `request` (counts the server's requests, as `x-request-number` does), "
        "`connection` and `nth` (counts the connection's requests); `header=Name:value`, "
        "repeated, adds fields"
    ),
)
def ok(peer: Peer, request: Request) -> Ending:
    """Answer with the counts of this request."""
    facts = {"request": request.number, "connection": request.connection, "nth": request.nth}
    headers = [("content-type", "application/json"), ("x-request-number", str(request.number))]
    peer.reply(200, json.dumps(facts).encode(), [*headers, *extra_headers(request)])
    return "keep"


@route("/bytes?n=1000", "/head?n=1000", does="200 with `Content-Length: n`")
def _sized(peer: Peer, request: Request) -> Ending:
    n = request.count("n", 1000)
    start_payload(peer, n)
    send_payload(peer, n)
    return "keep"


@route(
    "/chunked?n=1000&size=100&trailers=0",
    does="200, chunks of `size` bytes; with `trailers=1` trailer fields",
)
def _chunked(peer: Peer, request: Request) -> Ending:
    n, size = request.count("n", 1000), request.count("size", 100, PIECE)
    with_trailers = request.count("trailers", 0, 1)
    headers = [("transfer-encoding", "chunked")]
    if with_trailers:
        headers.append(("trailer", "x-checksum"))
    peer.start(200, headers)
    for piece in pieces(n, size=max(size, 1)):
        peer.body(b"%x\r\n%b\r\n" % (len(piece), piece))
    trailers = (
        b"x-checksum: %d\r\nx-second: 2\r\n" % zlib.crc32(payload(n)) if with_trailers else b""
    )
    peer.body(b"0\r\n" + trailers + b"\r\n")
    return "keep"


@route(
    "/until-close?n=1000&abrupt=0",
    does="200 without a length, ended by closing; `abrupt=1`: without close_notify",
)
def _until_close(peer: Peer, request: Request) -> Ending:
    n, abrupt = request.count("n", 1000), request.count("abrupt", 0, 1)
    peer.start(200, [("connection", "close")])
    send_payload(peer, n)
    return "drop" if abrupt else "close"


@route("/empty", does="200, `Content-Length: 0`")
def _empty(peer: Peer, request: Request) -> Ending:
    peer.reply(200)
    return "keep"


@route("/status/NNN?body=0&header=", does="that status, with a body of that many bytes")
def _status(peer: Peer, request: Request) -> Ending:
    code = request.path.rpartition("/")[2]
    if len(code) != 3 or not "200" <= code <= "999" or not code.isdecimal():
        raise Refused(f"{code!r} is not a final status")
    body = payload(request.count("body", 0, 1_000_000))
    if code in {"204", "304"}:
        peer.start(int(code), extra_headers(request))
    else:
        peer.reply(int(code), body, extra_headers(request))
    return "keep"


@route("/no-content", does="204")
def _no_content(peer: Peer, request: Request) -> Ending:
    peer.start("204 No Content")
    return "keep"


@route("/not-modified", does="304 with the `Content-Length: 1000` of the body that is not sent")
def _not_modified(peer: Peer, request: Request) -> Ending:
    peer.start("304 Not Modified", [("content-length", "1000"), ("etag", '"1"')])
    return "keep"


@route("/echo", does="200, JSON: `method`, `target`, `headers`, `body` (Latin-1), `length`")
def echo(peer: Peer, request: Request) -> Ending:
    """Answer with the request itself."""
    facts = {
        "method": request.method,
        "target": request.target,
        "headers": request.headers,
        "body": request.body.decode("latin-1"),
        "length": request.body_length,
    }
    peer.reply(200, json.dumps(facts).encode(), [("content-type", "application/json")])
    return "keep"


@route(
    "/redirect?n=1&to=/ok&status=302&body=0",
    does=(
        "`n` redirects (50 at most), each with a body of so many bytes, then `to`; "
        "`&stall=SECONDS` waits in the middle of each body"
    ),
)
def _redirect(peer: Peer, request: Request) -> Ending:
    left, to = request.count("n", 1, 50), request.text("to", "/ok")
    code, size = request.count("status", 302, 399), request.count("body", 0)
    stall = request.seconds("stall", 0)
    if left > 1:
        query = f"n={left - 1}&to={quote(to, safe='')}&status={code}&body={size}&stall={stall}"
        to = f"/redirect?{query}"
    start_payload(peer, size, code, ("location", to))
    send_payload(peer, size // 2)
    if stall:
        peer.pause(stall)
    send_payload(peer, size, size // 2)
    return "keep"


def coded(n: int, wbits: int) -> bytes:
    """The payload in a coding of zlib's."""
    coder = zlib.compressobj(wbits=wbits)
    return b"".join(map(coder.compress, pieces(n))) + coder.flush()


@route("/gzip?n=1000", does="200, the payload coded")
def _gzip(peer: Peer, request: Request) -> Ending:
    peer.reply(200, coded(request.count("n", 1000), 31), [("content-encoding", "gzip")])
    return "keep"


@route(
    "/deflate?n=1000&raw=0",
    does="200, the payload coded; `raw=1`: deflate without the zlib wrapper",
)
def _deflate(peer: Peer, request: Request) -> Ending:
    wbits = -15 if request.count("raw", 0, 1) else 15
    peer.reply(200, coded(request.count("n", 1000), wbits), [("content-encoding", "deflate")])
    return "keep"


@route("/continue", does="100 before it reads the body, asked or not, then 200", early=True)
def _continue(peer: Peer, request: Request) -> Ending:
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    peer.read_body(request, send_continue=False)
    return echo(peer, request)


@route("/early-hints?n=1", does="`n` times 103 (10,000 at most), then 200")
def early_hints(peer: Peer, request: Request) -> Ending:
    """Send 103 the given number of times, then 200."""
    for nth in range(request.count("n", 1, 10_000)):
        peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: </%d.css>; rel=preload\r\n\r\n" % nth)
    return ok(peer, request)


@route(
    "/upgrade",
    does="101 if asked to upgrade (else 426), then every byte comes back in upper case",
)
def _upgrade(peer: Peer, request: Request) -> Ending:
    protocol = request.header("upgrade")
    if protocol is None:
        peer.reply("426 Upgrade Required", b"", [("upgrade", "shout"), ("connection", "upgrade")])
        return "keep"
    peer.start("101 Switching Protocols", [("upgrade", protocol), ("connection", "upgrade")])
    while data := peer.read_raw():
        peer.send(data.upper())
    return "close"


@route("/http10?n=1000", does="an HTTP/1.0 reply with a length, then closes")
def _http10(peer: Peer, request: Request) -> Ending:
    n = request.count("n", 1000)
    peer.send(peer.head(200, [("content-length", str(n))], version="1.0"))
    send_payload(peer, n)
    return "close"


@route(
    "/keep-alive?timeout=5&max=100",
    does="200 with this Keep-Alive hint, and keeps to its `timeout`",
)
def _keep_alive(peer: Peer, request: Request) -> Ending:
    peer.idle = request.seconds("timeout", 5)
    most = request.count("max", 100)
    peer.reply(200, b"kept", [("keep-alive", f"timeout={peer.idle:g}, max={most}")])
    return "keep"


@route("/connection-close", does="200 with `Connection: close`, then closes")
def _connection_close(peer: Peer, request: Request) -> Ending:
    peer.reply(200, b"the last one", [("connection", "close")])
    return "close"


@route("/big-head?n=8000", does="200 with a field of `n` bytes (16 MiB at most)")
def _big_head(peer: Peer, request: Request) -> Ending:
    peer.reply(200, b"big", [("x-big", "x" * request.count("n", 8000, 16 << 20))])
    return "keep"


@route("/many-headers?n=100", does="200 with `n` fields (100,000 at most)")
def _many_headers(peer: Peer, request: Request) -> Ending:
    fields = [(f"x-{nth}", str(nth)) for nth in range(request.count("n", 100, 100_000))]
    peer.reply(200, b"many", fields)
    return "keep"
