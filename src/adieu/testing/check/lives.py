"""Scenarios of the life of a connection: who owns it, how its lease ends, and what is left (invariants 1 to 6)."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING

import adieu
from adieu.testing.check.table import scenario
from adieu.testing.check.trial import Interrupt, LeftOut, SilentPolicy, read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.trial import Trial

__all__: list[str] = []

_BIG = "/bytes?n=3000000"


@scenario(
    1,
    does="reads bodies of every framing to their end, one after the other",
    look="read() returns b'' exactly at the end, and finish(reuse=True) gives the connection back or closes it",
)
def a_body_that_was_read_frees_its_connection(t: Trial) -> Steps[None]:
    client = t.client()
    for url in ("/bytes?n=70000", "/chunked?n=3000", "/until-close?n=500", "/gzip?n=1000"):
        response = yield client.get(url)
        content = yield response.read()
        wanted = int(url.partition("=")[2])
        t.expect(len(content) == wanted, f"GET {url} gave {len(content)} bytes, not {wanted}")
        yield from t.nothing_in_use(client, f"GET {url} was read")


@scenario(
    1,
    does="gets responses that have no body (HEAD, 204, 304, length 0) as streams, and reads nothing",
    look="framing is 'none' for them, so that the exchange ends with the head",
)
def a_head_without_a_body_frees_its_connection(t: Trial) -> Steps[None]:
    client = t.client(cleanup=SilentPolicy())
    asked = [
        ("HEAD", "/bytes?n=1000"),
        ("GET", "/no-content"),
        ("GET", "/not-modified"),
        ("GET", "/empty"),
    ]
    for method, url in asked:
        t.kept.append((yield client.stream(method, url)))
        yield from t.nothing_in_use(client, f"{method} {url}")


@scenario(
    1,
    does="reads bodies under policies that keep no connection",
    look="exchange.policy.keep_alive, and finish(reuse=False), which closes",
)
def a_policy_that_keeps_nothing_is_obeyed(t: Trial) -> Steps[None]:
    for policy in (adieu.NoKeepAlive(), adieu.CloseOnExit()):
        client = t.client(cleanup=policy)
        response = yield client.get("/bytes?n=1000")
        yield response.read()
        yield response.close()
        yield from t.no_socket(f"a body was read under {policy!r}")


@scenario(
    2,
    does="ends a lease that has ended again, while the connection carries the next exchange",
    look="finish() is idempotent: the second call does not touch a connection that another lease has by now",
)
def a_lease_that_ended_harms_no_other(t: Trial) -> Steps[LeftOut | None]:
    leases: list[Either] = []

    def noting(send: Either, request: Either, exchange: Either) -> Steps[Either]:
        response = yield send(request, exchange)
        leases.append(exchange.lease)
        return response

    client = t.client(t.middleware(noting), cleanup=SilentPolicy())
    first = yield client.get("/bytes?n=100000")
    yield first.read()
    if leases[0] is None:
        return LeftOut("it has no lease")
    second = yield client.stream("GET", _BIG)
    pieces = second.iter_bytes()
    received = len((yield t.next_piece(pieces)))
    for reuse in (True, False):
        leases[0].finish(reuse, "once more")
    while piece := (yield t.next_piece(pieces)):
        received += len(piece)
    t.expect(received == 3_000_000, f"the next body broke off after {received} bytes")
    return None


@scenario(
    2,
    does="ends a lease by another thread, while this one waits for the body",
    look="finish() closes the socket so that a read that waits wakes up (shut, not close), and waits for nothing",
    needs=("sync", "network"),
)
def a_lease_can_be_ended_while_it_is_read(t: Trial) -> Steps[None]:
    client = t.client(cleanup=SilentPolicy(), timeout=None)
    response = yield client.stream("GET", "/stall-body?n=1000&sent=10&seconds=30")
    waiting = t.start(response.read)
    yield t.pause(0.05)
    response.body.abort("ended by another thread")
    outcome = yield waiting.outcome()
    t.expect(isinstance(outcome, adieu.AdieuError), f"the read that waited gave {outcome!r:.100}")
    yield from t.no_socket("its lease was ended")


def _pieces(error: BaseException) -> Iterator[bytes]:
    yield b"begun"
    raise error


@scenario(
    3,
    does="sends content whose iterator raises an error, or an interrupt",
    look="exchange.own(lease) comes before the connection is opened, and nothing is caught in between",
)
def content_that_fails_leaves_nothing(t: Trial) -> Steps[None]:
    for error in (LookupError("of the content"), Interrupt("of the content")):
        client = t.client()
        yield from t.failing(BaseException, client.post, "/echo", content=_pieces(error))
        yield from t.no_socket(f"the content raised {type(error).__name__}")
        yield from t.own_answer(client, "content that failed")
        yield client.close()


@scenario(
    3,
    does="makes calls that break off in the head and in the body, and keeps every error",
    look="whatever send() or read() raises, the lease stays with the exchange, which ends it",
    needs=("network",),
)
def an_exchange_that_breaks_leaves_nothing(t: Trial) -> Steps[None]:
    client = t.client()
    for url in (
        "/reset",
        "/close",
        "/truncated",
        "/reset-body",
        "/garbage?kind=ssh-banner",
    ):
        yield from t.failing(adieu.TransportError, read_whole, client, url)
        yield from t.no_socket(f"GET {url} failed")


@scenario(
    3,
    does="cancels a task that waits for the head, and one that waits for the body",
    look="a cancelled await is not caught, or the lease is ended before it is raised again",
    needs=("async", "network"),
)
def a_cancelled_call_leaves_nothing(t: Trial) -> Steps[None]:
    client = t.client()
    for url in ("/stall-head?seconds=30", "/stall-body?seconds=30&sent=10"):
        served = t.server.served
        waiting = t.start(partial(read_whole, client, url))
        yield from t.eventually(partial(_has_served, t, served + 1), f"{url} was not sent")
        yield t.pause(0.05)
        waiting.cancel()
        yield waiting.outcome()
        yield from t.no_socket(f"GET {url} was cancelled")


@scenario(
    4,
    does="makes calls with the collector off, drops everything, and looks what only the collector finds",
    look="no object refers to what made it: an error's traceback, a lease and its response, a callback and its owner",
    needs=("references",),
)
def no_cycle_is_left(t: Trial) -> Steps[None]:
    client = t.client()
    yield client.get("/ok")
    t.collect()
    gc.disable()
    try:
        for url in ("/bytes?n=100000", "/chunked?n=1000"):
            yield from _read_and_dropped(client, url)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = sorted({type(thing).__name__ for thing in gc.garbage if _counts(thing)})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    t.expect(not found, f"only the collector could free: {', '.join(found)}")


def _read_and_dropped(client: Either, url: str) -> Steps[None]:
    response = yield client.get(url)
    yield response.read()


def _has_served(t: Trial, number: int) -> bool:
    return int(t.server.served) >= number


def _counts(thing: object) -> bool:
    from adieu.lifecycle.exchange import ExchangeBase
    from adieu.lifecycle.lease import LeaseBase
    from adieu.messages.response_head import ResponseHead

    return isinstance(thing, (ExchangeBase, LeaseBase, ResponseHead))


@scenario(
    5,
    does="drops responses that were not read, or not to their end",
    look="the lease is reached by the exchange alone: nothing else keeps it, or the body, alive",
)
def a_dropped_body_is_closed_and_reported(t: Trial) -> Steps[None]:
    client = t.client(cleanup=SilentPolicy())
    yield from _dropped(t, client, read=False)
    yield from _dropped(t, client, read=True)
    t.collect()
    yield from t.eventually(
        lambda: t.sockets() == 0, f"{t.server.counted} were open after responses were dropped"
    )
    reported = len(t.ledger.leaks)
    t.expect(reported == 2, f"{reported} of 2 dropped responses were reported (Events.leaked)")
    yield from t.own_answer(client, "responses were dropped")


def _dropped(t: Trial, client: Either, *, read: bool) -> Steps[None]:
    response = yield client.stream("GET", _BIG)
    if read:
        yield t.next_piece(response.iter_bytes())


@scenario(
    6,
    does="closes a client that has idle connections and open bodies, and reads on",
    look="close() ends the connections in use, too; a read after it raises ClientClosed",
)
def nothing_is_open_after_close(t: Trial) -> Steps[None]:
    client = t.client(cleanup=SilentPolicy())
    held = []
    for _ in range(2):
        held.append((yield client.stream("GET", _BIG)))  # noqa: PERF401 - a list has no yield in it
    yield t.next_piece(held[0].iter_bytes())
    yield from t.own_answer(client, "two streams were opened")
    yield client.close()
    yield from t.no_socket("close()")
    for response in held:
        yield from t.failing(adieu.AdieuError, _next_raw, t, response)


def _next_raw(t: Trial, response: Either) -> Either:
    return t.next_piece(response.iter_raw()) if not response.streamed else response.read()


@scenario(
    6,
    does="closes a client while another thread or task waits for a head",
    look="close() wakes what waits for a socket, and that raises ClientClosed",
    needs=("network",),
)
def close_ends_a_call_that_waits(t: Trial) -> Steps[None]:
    client = t.client(timeout=None)
    waiting = t.start(lambda: client.get("/stall-head?seconds=30"))
    yield from t.eventually(lambda: t.server.served == 1, "the request was not sent")
    yield client.close()
    outcome = yield waiting.outcome()
    t.expect(isinstance(outcome, adieu.ClientClosed), f"the call that waited gave {outcome!r:.200}")
    yield from t.no_socket("close()")


@scenario(
    6,
    does="gives an adapter that is closed to another client; closes it again, and one that was never used",
    look="close() is idempotent, and a later send() raises ClientClosed",
)
def a_closed_adapter_is_refused(t: Trial) -> Steps[None]:
    adapter = t.adapter()
    client = t.client(adapter)
    yield from t.own_answer(client, "nothing")
    yield client.close()
    yield adapter.close()
    served = t.server.served
    yield from t.failing(adieu.ClientClosed, t.client(adapter).get, "/ok")
    t.expect(t.server.served == served, "a closed adapter sent a request")
    unused = t.adapter()
    yield unused.close()
    yield unused.close()
