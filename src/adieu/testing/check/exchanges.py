"""Scenarios of the exchange: whose bytes it gives, how long it waits, and what it says (invariants 7 to 13, and 0)."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import adieu
from adieu.testing.check.table import scenario
from adieu.testing.check.trial import PATIENCE, SilentPolicy, read_whole
from adieu.testing.faults_net import BlackHole, refused_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.trial import Trial
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request as Asked

__all__: list[str] = []

_SECRET = "Swordfish0"  # noqa: S105 - looked for in texts
_SHORT = PATIENCE.replace(read=0.1, write=0.1)


@scenario(
    7,
    does="lets the server send more than it announced, at once and a little later, and sends the next request",
    look="a connection with bytes that nobody asked for is not used again: reusable, and is_stale of the pool",
    needs=("network",),
)
def surplus_bytes_answer_no_request(t: Trial) -> Steps[None]:
    client = t.client()
    for url in ("/surplus?extra=100", "/second-response"):
        response = yield client.get(url)
        yield response.read()
        yield from t.own_answer(client, f"GET {url}")
    for extra in (b"surplus", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"):
        late = _Late(extra)
        t.server.on("/late", late.serve)
        response = yield client.get("/late")
        yield response.read()
        late.wanted.set()
        yield from t.eventually(late.sent.is_set, "the server did not send")
        yield from t.own_answer(client, f"{extra[:12]!r} came unasked")


class _Late:
    """A route that sends more bytes after its reply, when it is told to: they are there before the next request."""

    def __init__(self, extra: bytes) -> None:
        self._extra = extra
        self.wanted = threading.Event()
        self.sent = threading.Event()

    def serve(self, peer: Peer, request: Asked) -> Ending:
        peer.reply(200, b"complete")
        if self.wanted.wait(PATIENCE.read):
            peer.send(self._extra)
        self.sent.set()
        return "keep"


@scenario(
    7,
    does="gets answers whose end two readers could see in different places",
    look="a response with Transfer-Encoding and Content-Length, or two lengths, is an error (RFC 9112, section 6.3)",
    needs=("network",),
)
def ambiguous_framing_is_refused(t: Trial) -> Steps[None]:
    client = t.client()
    for kind in ("coding-and-length", "lengths-differ"):
        yield from t.failing(adieu.ProtocolError, client.get, f"/garbage?kind={kind}")


@scenario(
    7,
    does="leaves bodies unread or partly read, and sends the next request",
    look="a connection is released only if its body was read to its end",
)
def what_was_left_answers_no_request(t: Trial) -> Steps[None]:
    client = t.client(cleanup=SilentPolicy())
    for method, url in (
        ("GET", "/bytes?n=3000000"),
        ("GET", "/chunked?n=300000"),
        ("HEAD", "/bytes?n=9"),
    ):
        for read in (False, True):
            response = yield client.stream(method, url)
            if read:
                yield t.next_piece(response.iter_raw())
            yield response.close()
            yield from t.own_answer(client, f"{method} {url} was left")


@scenario(
    7,
    does="opens several streams and then reads them, and sends requests from several threads or tasks at once",
    look="the state of an exchange is its lease's, not the adapter's",
)
def calls_at_once_get_their_own_answers(t: Trial) -> Steps[None]:
    client = t.client(cleanup=SilentPolicy())
    opened = []
    for n in range(3):
        response = yield client.stream("GET", f"/bytes?n={200_000 + n}")
        opened.append(response)
    for n, response in enumerate(opened):
        received = len((yield response.read()))
        t.expect(received == 200_000 + n, f"a stream of {200_000 + n} bytes gave {received}")
    sizes = range(1000, 1012)
    calls = [t.start(partial(client.get, f"/bytes?n={n}", cleanup=adieu.Prefetch())) for n in sizes]
    for n, call in zip(sizes, calls, strict=True):
        response = yield call.outcome()
        is_answer = isinstance(response, (adieu.Response, adieu.AsyncResponse))
        t.expect(is_answer, f"a call gave {response!r:.200}")
        received = len(response.content)
        t.expect(received == n, f"a call for {n} bytes got {received}")


@scenario(
    8,
    does="lets the server close a kept connection just as a POST is sent on it",
    look="only what is safe is sent again: may_replay(request, lease)",
    needs=("network",),
)
def a_post_is_not_sent_twice(t: Trial) -> Steps[None]:
    client = t.client()
    yield from t.own_answer(client, "nothing")
    served = t.server.served
    try:
        response = yield client.post("/race?how=close", content=b"x")
        yield response.read()
    except adieu.TransportError as error:
        t.kept.append(error)
    posts = [each for each in t.server.requests[served:] if each.method == "POST"]
    t.expect(len(posts) == 1, f"one POST was sent {len(posts)} times")


@scenario(
    8,
    does="lets the server close a fresh connection instead of answering a GET",
    look="a request is sent again on a reused connection only, and once",
    needs=("network",),
)
def a_fresh_request_is_not_sent_twice(t: Trial) -> Steps[None]:
    client = t.client()
    error = yield from t.failing(adieu.TransportError, client.get, "/close")
    t.expect(t.server.served == 1, f"a GET on a fresh connection was sent {t.server.served} times")
    t.expect(error.request_sent != "no", "its error says that nothing of the request was sent")


@scenario(
    9,
    does="lets the server stop: before the head, in the body, and as it takes the content",
    look="deadline.remaining('read') or ('write') before each wait, and an error of deadline.exceeded",
    needs=("network",),
)
def a_peer_that_stops_is_a_timeout(t: Trial) -> Steps[None]:
    client = t.client(timeout=_SHORT)
    error: Any = yield from t.failing(adieu.ReadTimeout, client.get, "/stall-head?seconds=1")
    t.expect(error.limit == 0.1, f"the timeout tells the limit {error.limit!r}, not 0.1")
    yield from t.failing(adieu.ReadTimeout, read_whole, client, "/stall-body?seconds=1&sent=10")
    content = b"x" * 20_000_000
    yield from t.failing(adieu.WriteTimeout, client.post, "/stall-read?seconds=1", content=content)
    yield from t.no_socket("the timeouts")


@scenario(
    9,
    does="connects to a peer that accepts nothing",
    look="connecting has a limit: deadline.remaining('connect')",
    needs=("network", "full backlogs"),
)
def a_connect_that_stops_is_a_timeout(t: Trial) -> Steps[None]:
    with BlackHole(full=True) as silent:
        client = t.client(timeout=PATIENCE.replace(connect=0.1))
        error = yield from t.failing(adieu.ConnectTimeout, client.get, silent.url)
    t.expect(
        error.request_sent == "no", f"request_sent is {error.request_sent!r} without a connection"
    )


@scenario(
    9,
    does="connects by TLS to a peer that says nothing",
    look="the handshake has a limit, too: deadline.remaining('connect')",
    needs=("https", "network"),
)
def a_handshake_that_stops_is_a_timeout(t: Trial) -> Steps[None]:
    with BlackHole() as silent:
        client = t.client(timeout=PATIENCE.replace(connect=0.1, read=0.3))
        url = silent.url.replace("http:", "https:")
        yield from t.failing(adieu.ConnectTimeout, client.get, url)


@scenario(
    9,
    does="reads a body that comes byte by byte, with a total limit",
    look="every wait asks the deadline anew: deadline.remaining raises DeadlineExceeded",
    needs=("network",),
)
def the_total_limit_covers_the_body(t: Trial) -> Steps[None]:
    client = t.client(timeout=PATIENCE.replace(total=0.3), cleanup=SilentPolicy())
    yield from t.failing(adieu.DeadlineExceeded, read_whole, client, "/drip?n=50&seconds=1")
    yield from t.no_socket("the call took too long")


@scenario(
    10,
    does="forks with an idle connection, and sends a request in the child and then in the parent",
    look="after_fork() forgets the connections of the parent, and ends none of them",
    needs=("fork", "sync", "network"),
)
def a_forked_child_has_its_own_connections(t: Trial) -> Steps[None]:
    client = t.client()
    yield client.get("/ok")
    before = (yield client.get("/ok")).json()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Of forking a process that has threads.
        child = os.fork()
    if not child:
        signal.alarm(10)
        try:
            own = client.get("/ok").json()["connection"] != before["connection"]
            os._exit(0 if own else 3)
        finally:
            os._exit(4)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    t.expect(status != 3, "the child sent its request over the connection of its parent")
    t.expect(status == 0, f"the request of the child failed (status {status})")
    after = (yield client.get("/ok")).json()
    if before["nth"] == 2:  # It keeps connections.
        kept = after["connection"] == before["connection"]
        t.expect(kept, "after the fork, the connection of the parent was dead")


class _Content:
    """An iterator given as content, which notes its end."""

    def __init__(self, pieces: int) -> None:
        self.closings = 0
        self._left = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return b"x" * 1000

    def close(self) -> None:
        self.closings += 1


@scenario(
    11,
    does="gives iterators as content: one that is read, one that the server refuses, one that meets a reset",
    look="the client ends content when send() has returned; keep_content(end) is for those that read on",
)
def content_is_read_and_closed(t: Trial) -> Steps[None]:
    client = t.client()
    urls = [("/echo", 5)]
    if t.has_network:
        urls += [("/early?status=413&linger=0", 20_000), ("/reset", 5)]
    for url, pieces in urls:
        content = _Content(pieces)
        try:
            response = yield client.post(url, content=content)
            answer = yield response.read()
            read = b'"length": 5000' in answer
            t.expect(
                url != "/echo" or read,
                f"the server did not get the whole content: {answer[-60:]!r}",
            )
        except adieu.TransportError as error:
            t.expect(url != "/echo", f"content in pieces failed: {error}")
        t.expect(content.closings, f"the content of POST {url} was not closed")


@scenario(
    12,
    does="reads on after a body was cut off, and after a read timed out",
    look="after an error, read() raises one again, and never b''",
    needs=("network",),
)
def a_failed_read_does_not_end_cleanly_later(t: Trial) -> Steps[None]:
    for url in (
        "/truncated?n=1000&sent=500",
        "/truncated-chunked",
        "/stall-body?sent=10&seconds=1",
    ):
        leases: list[Either] = []

        def noting(
            send: Either, request: Either, exchange: Either, leases: list[Either] = leases
        ) -> Steps[Either]:
            response = yield send(request, exchange)
            leases.append((exchange.lease, exchange.deadline))
            return response

        # Long enough for a head on a busy machine.
        timeout = PATIENCE.replace(read=0.5) if "stall" in url else PATIENCE
        client = t.client(t.middleware(noting), cleanup=SilentPolicy(), timeout=timeout)
        response = yield client.stream("GET", url)
        yield from t.failing(adieu.TransportError, response.read)
        lease, deadline = leases[0]
        yield from t.failing(adieu.AdieuError, lease.read, deadline)


@scenario(
    13,
    does="fails calls whose URL has a secret parameter, and reads all texts: errors, reprs, events",
    look="texts quote a URL by adieu.texts.show_url",
)
def no_text_shows_a_secret(t: Trial) -> Steps[None]:
    client = t.client(timeout=_SHORT)
    texts = [repr(client), repr(t.adapter())]
    with refused_port() as port:
        urls = ["/fails?"]
        if t.has_network:
            nowhere = f"http://127.0.0.1:{port}/?"
            urls = ["/reset?", "/close?", "/stall-head?seconds=1&", "/truncated?", nowhere]
        for url in urls:
            error: Either = yield from t.failing(
                adieu.TransportError, read_whole, client, f"{url}token={_SECRET}"
            )
            while error is not None:
                texts += str(error), repr(error.args)
                error = error.__cause__
    texts += [str(line) for line in t.ledger.lines]
    shown = [text for text in texts if _SECRET in text]
    t.expect(not shown, f"a text shows the secret: {shown[:1]}")


@scenario(
    0,
    does="fails calls at different points, and looks at the facts of the errors",
    look="lease.sent and lease.started are kept up to date, and map_error attaches them",
    needs=("network",),
)
def errors_tell_how_far_the_call_came(t: Trial) -> Steps[None]:
    client = t.client(timeout=_SHORT, cleanup=SilentPolicy())
    with refused_port() as port:
        error: Any = yield from t.failing(
            adieu.ConnectError, client.get, f"http://127.0.0.1:{port}/"
        )
    t.expect(
        error.request_sent == "no",
        f"after a refused connection, request_sent is {error.request_sent!r}",
    )
    error = yield from t.failing(adieu.TransportError, client.get, "/stall-head?seconds=1")
    sent = error.request_sent, error.response_started
    t.expect(
        sent == ("wholly", False),
        f"without an answer, request_sent and response_started are {sent}",
    )
    client = t.client(cleanup=SilentPolicy())
    response = yield client.stream("GET", "/truncated?n=1000&sent=500")
    error = yield from t.failing(adieu.BodyTruncated, response.read)
    t.expect(error.response_started, "in the middle of a body, response_started is False")
    t.expect(
        (error.received, error.expected) == (500, 1000),
        f"received {error.received} of {error.expected}",
    )


@scenario(
    0,
    does="lets a middleware read, wrap and replace responses, and send a request twice",
    look="the response comes from exchange.respond(), and a second send() may use the same exchange",
)
def a_middleware_gets_responses_that_it_can_use(t: Trial) -> Steps[None]:
    seen: list[bytes] = []

    def reading(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        response = yield send(request, exchange)
        seen.append((yield response.read()))
        return response

    def replacing(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        yield send(request, exchange)
        return exchange.respond(299, None, b"other")

    def twice(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        first = yield send(request, exchange)
        yield first.close()
        return (yield send(request, exchange))

    for steps, content in ((reading, None), (replacing, b"other"), (twice, None)):
        client = t.client(t.middleware(steps))
        response = yield client.get("/bytes?n=5000")
        got = yield response.read()
        t.expect(
            got == content if content else len(got) == 5000,
            f"a middleware that is {steps.__name__} gave {len(got)} bytes to the user",
        )
        yield from t.nothing_in_use(client, f"a middleware that is {steps.__name__}")
        yield client.close()
    t.expect([len(each) for each in seen] == [5000], "the middleware did not get the body")


@scenario(
    0,
    does="sends every method, fields, a query and content, and compares what the server got",
    look="fields_to_send and RequestWriter; request.url.target",
)
def requests_arrive_as_they_are(t: Trial) -> Steps[None]:
    client = t.client()
    for method, content in (
        ("GET", None),
        ("POST", b"abc"),
        ("PUT", b""),
        ("DELETE", None),
        ("PATCH", b"\xff"),
    ):
        response = yield client.request(
            method, "/echo?q=a%20b", content=content, headers={"X-Own": "1"}
        )
        yield response.read()
        told = response.json()
        got = told["method"], told["target"], told["body"].encode("latin-1")
        t.expect(
            got == (method, "/echo?q=a%20b", content or b""), f"of {method} the server got {got}"
        )
        names = [name.lower() for name, _ in told["headers"]]
        t.expect(
            names.count("x-own") == names.count("host") == 1, f"{method} had the fields {names}"
        )


@scenario(
    0,
    does="gets responses with every kind of status, and repeated fields",
    look="every field is kept, in order",
)
def responses_arrive_as_they_are(t: Trial) -> Steps[None]:
    client = t.client()
    for status in (200, 201, 404, 500, 599):
        response = yield client.get(f"/status/{status}?body=10&header=X-A:1&header=X-A:2")
        yield response.read()
        t.expect(response.status_code == status, f"a {status} came as {response.status_code}")
        fields = [value for name, value in response.headers.multi_items() if name.lower() == "x-a"]
        t.expect(fields == ["1", "2"], f"two fields came as {fields}")


@scenario(
    7,
    does="gets interim answers (103) before the final one",
    look="every 1xx but 101 is read past (RFC 9110, section 15.2), or the final answer is left for the next request",
    needs=("network",),
)
def interim_answers_are_read_past(t: Trial) -> Steps[None]:
    client = t.client()
    response = yield client.get("/early-hints?n=2")
    yield response.read()
    t.expect(response.status_code == 200, f"after 103, the status is {response.status_code}")
    yield from t.own_answer(client, "interim answers")
