"""Scenarios of whole calls: every policy and way to read, calls of several hops, errors wherever they can come."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import adieu
from adieu.testing.check.sockets import FailingCall
from adieu.testing.check.table import scenario
from adieu.testing.check.trial import Interrupt, SilentPolicy, read_whole

if TYPE_CHECKING:
    from adieu.events import Event
    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.trial import Trial

__all__: list[str] = []

_POLICIES = (
    adieu.Prefetch(),
    adieu.PrefetchUpTo(1000),
    SilentPolicy(),
    SilentPolicy(drain=0),
    adieu.CloseOnExit(),
    adieu.NoKeepAlive(SilentPolicy()),
)
_CHALLENGE = quote('WWW-Authenticate:Digest realm="a", nonce="b", qop="auth"')
# More than an exchange has. A bound, because each one that fails is tried with the next call.
_MOST_CALLS = 40
_TURNS = 16


@scenario(
    1,
    does="reads bodies wholly, partly and not at all, under every policy",
    look="read() and finish(): a policy asks for the rest of a body, or for the end of its connection",
)
def every_policy_ends_every_body(t: Trial) -> Steps[None]:
    for policy in _POLICIES:
        client = t.client(cleanup=policy)
        for method, url, length in (
            ("GET", "/bytes?n=5000", 5000),
            ("GET", "/chunked?n=200000", 200_000),
            ("GET", "/until-close?n=5000", 5000),
            ("HEAD", "/bytes?n=5000", 0),
        ):
            for way in ("wholly", "partly", "not at all"):
                after = f"{method} {url} was read {way} under {policy!r}"
                response = yield client.stream(method, url)
                if way == "wholly":
                    received = len((yield response.read()))
                    t.expect(received == length, f"{after}, and gave {received} bytes")
                elif way == "partly":
                    yield t.next_piece(response.iter_raw())
                yield response.close()
                yield from t.nothing_in_use(client, after)
        yield from t.own_answer(client, f"all bodies were ended under {policy!r}")
        yield client.close()


@scenario(
    1,
    does="follows redirects, repeats content, and answers a challenge, each with a body that nobody reads",
    look="each hop is an exchange of its own: its lease ends before the next send()",
)
def a_call_of_several_hops_frees_each_connection(t: Trial) -> Steps[None]:
    client = t.client()
    response = yield client.get("/redirect?n=3&body=2000&to=/bytes%3Fn=70")
    received = len((yield response.read()))
    t.expect(received == 70, f"at the end of three redirects the body had {received} bytes")
    yield from t.nothing_in_use(client, "three redirects")
    response = yield client.post("/redirect?status=307&body=2000&to=/echo", content=b"again")
    yield response.read()
    body = response.json()["body"]
    t.expect(body == "again", f"after a 307, the server got the content {body!r}")
    served = t.server.served
    response = yield client.get(
        f"/status/401?body=2000&header={_CHALLENGE}", auth=adieu.DigestAuth("user", "word")
    )
    yield response.read()
    asked = t.server.requests[served:]
    answers = [request.header("authorization") is not None for request in asked]
    t.expect(answers == [False, True], f"a challenge was answered in these requests: {answers}")
    yield from t.nothing_in_use(client, "a challenge")


@scenario(
    3,
    does="raises errors and interrupts in a middleware, before and after it has sent, and where a stream is read",
    look="the exchange owns the lease from its birth to its end; nothing else refers to it",
)
def an_error_anywhere_leaves_nothing(t: Trial) -> Steps[None]:
    def before(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        raise error
        yield  # A generator, as all steps are.

    def after(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        yield send(request, exchange)
        raise error

    def within(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        response = yield send(request, exchange)
        yield t.next_piece(response.iter_raw())
        raise error

    for error in (LookupError("of a user"), Interrupt("of a user")):
        for steps in (before, after, within):
            client = t.client(t.middleware(steps), cleanup=SilentPolicy())
            yield from t.failing(BaseException, client.stream, "GET", "/bytes?n=3000000")
            yield from t.no_socket(f"{type(error).__name__} {steps.__name__} a middleware's send")
        client = t.client(cleanup=SilentPolicy())
        response = yield client.stream("GET", "/bytes?n=3000000")
        yield t.next_piece(response.iter_bytes())
        leave = response.__aexit__ if t.awaits else response.__exit__
        yield leave(type(error), error, None)
        t.kept.append(response)
        yield from t.no_socket(f"{type(error).__name__} in the block of a stream")


class _Raising(adieu.Events):
    """A listener that always fails."""

    def on_event(self, event: Event) -> None:
        raise LookupError("of a listener")


@scenario(
    2,
    does="listens with a function that raises",
    look="listeners are told by exchange.events and exchange.tell, which report what they raise",
)
def a_listener_that_raises_harms_nothing(t: Trial) -> Steps[None]:
    client = t.client(events=_Raising())
    with t.without_reports():
        for _ in range(2):
            response = yield client.get("/bytes?n=5000")
            received = len((yield response.read()))
            t.expect(received == 5000, f"a listener raised, and the body had {received} bytes")
            yield from t.nothing_in_use(client, "a listener raised")
        yield client.close()


@scenario(
    3,
    does="lets each call of a socket fail, one exchange after the other, with an OSError and with an interrupt",
    look="a socket has an owner before its first call; what fails is a TransportError, and the lease ends",
    needs=("network",),
)
def a_socket_call_that_fails_leaves_nothing(t: Trial) -> Steps[None]:
    # An interrupt comes to the thread that calls; in an event loop it would end the loop.
    faults = (ConnectionResetError,) if t.awaits else (ConnectionResetError, Interrupt)
    for fault in faults:
        for nth in range(1, _MOST_CALLS):
            client = t.client()
            with FailingCall(t.server.port, nth, fault) as failing:
                try:
                    response = yield client.post("/echo", content=b"abc")
                    yield response.read()
                except (adieu.TransportError, Interrupt) as error:
                    t.kept.append(error)
            if not failing.struck:
                yield client.close()
                break
            after = f"{failing.struck} (call {nth} of a socket) failed with {fault.__name__}"
            yield from t.nothing_in_use(client, after)
            yield from t.own_answer(client, after)
            yield client.close()
            yield from t.no_socket(f"{after} and the client was closed")


@scenario(
    3,
    does="cancels a task after each of its first turns of the event loop",
    look="a cancelled await is not caught, or the lease is ended before it is raised again",
    needs=("async",),
)
def a_cancellation_at_any_turn_leaves_nothing(t: Trial) -> Steps[None]:
    client = t.client()
    calls = (
        partial(read_whole, client, "/bytes?n=100000"),
        partial(client.post, "/echo", content=b"x" * 100_000),
    )
    for call in calls:
        for turns in range(_TURNS):
            task = t.start(call)
            for _ in range(turns):
                yield t.pause(0)
            task.cancel()
            yield task.outcome()
            yield from t.nothing_in_use(client, f"a task was cancelled after {turns} turns")
        yield from t.own_answer(client, "tasks were cancelled")
