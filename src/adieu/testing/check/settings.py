"""Scenarios of what an adapter declares: a setting that it does not honour is refused, never left out in silence."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import adieu
from adieu.testing.check.table import scenario
from adieu.testing.check.tls_server import tls_server
from adieu.testing.check.trial import PATIENCE, SilentPolicy
from adieu.testing.faults_net import refused_port

if TYPE_CHECKING:
    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.trial import Trial
    from adieu.testing.faults import FaultServer

__all__: list[str] = []


@scenario(
    0,
    does="sends a request through a proxy that does not exist",
    look="honours names 'route' only if the request goes to exchange.connection.route",
    needs=("network",),
)
def a_route_is_honoured_or_refused(t: Trial) -> Steps[None]:
    with refused_port() as port:
        client = t.client(proxy=f"http://127.0.0.1:{port}")
        wanted = adieu.TransportError if "route" in t.honours else adieu.InvalidRequest
        yield from t.failing(wanted, client.get, "/ok")
    t.expect(not t.server.accepted, "the request went past the proxy")


@scenario(
    0,
    does="pins the address of a server where none is",
    look="honours names 'connect' only if connections are made as exchange.connection.connect says",
    needs=("network",),
)
def an_address_is_honoured_or_refused(t: Trial) -> Steps[None]:
    with refused_port() as port:
        connect = adieu.Connect(addresses={f"127.0.0.1:{port}": f"127.0.0.1:{t.server.port}"})
        client = t.client(base_url=f"http://127.0.0.1:{port}", connect=connect)
        if "connect" in t.honours:
            yield from t.own_answer(client, "its address was pinned")
        else:
            yield from t.failing(adieu.InvalidRequest, client.get, "/ok")


@scenario(
    0,
    does="puts a guard around the adapter that refuses the server's address, and one that allows it",
    look="honours names 'guard' only if each address goes through dial.permitted before it is connected to",
    needs=("network",),
)
def a_guard_is_honoured_or_refused(t: Trial) -> Steps[None]:
    guarding: Either = adieu.AsyncGuard if t.awaits else adieu.Guard
    if "guard" not in t.honours:
        try:
            guarding(t.adapter())
        except adieu.InvalidRequest:
            return
        t.expect(False, "a guard was put around an adapter that does not honour 'guard'")
    client = t.client(guarding(t.adapter()))
    yield from t.failing(adieu.GuardError, client.get, "/ok")
    t.expect(not t.server.accepted, "the adapter connected to an address that its guard refuses")
    client = t.client(guarding(t.adapter(), allow="127.0.0.0/8"))
    yield from t.own_answer(client, "its address was allowed")


@scenario(
    0,
    does="connects by TLS to a server of an unknown authority, of one that is trusted, and of another name",
    look="honours names 'tls' only if handshakes are made as exchange.connection.tls says; else they are verified",
    needs=("https", "network"),
)
def tls_settings_are_honoured_or_refused(t: Trial) -> Steps[None]:
    with tls_server() as (server, certificate):
        client = t.client(base_url=server.url)
        yield from t.failing(adieu.TLSError, client.get, "/ok")
        t.expect(not server.served, "a request was sent to a server that nothing vouches for")
        client = t.client(base_url=server.url, tls=adieu.TLSConfig(verify=certificate))
        if "tls" in t.honours:
            response = yield client.get("/ok")
            yield response.read()
        else:
            yield from _refused(t, client, server)
        named = adieu.TLSConfig(verify=certificate, server_hostname="other.invalid")
        client = t.client(base_url=server.url, tls=named)
        served = server.served
        # InvalidRequest: it may honour some of these settings and refuse others.
        kinds = (adieu.TLSError, adieu.InvalidRequest)
        yield from t.failing(kinds, client.get, "/ok")
        t.expect(server.served == served, "the name in the certificate was not compared")


def _refused(t: Trial, client: Either, server: FaultServer) -> Steps[None]:
    accepted = server.accepted
    yield from t.failing(adieu.InvalidRequest, client.get, "/ok")
    t.expect(server.accepted == accepted, "an adapter that does not honour 'tls' connected")


@scenario(
    0,
    does="gets trailers after a body, and sends some",
    look="lease.trailers are those received; request.content.trailers are sent, or the request is refused",
    needs=("network",),
)
def trailers_are_carried_or_refused(t: Trial) -> Steps[None]:
    client = t.client()
    response = yield client.get("/chunked?n=1000&trailers=1")
    content = yield response.read()
    t.expect(len(content) == 1000, f"a body of 1000 bytes with trailers gave {len(content)}")
    t.expect("x-checksum" not in response.headers, "a trailer was merged into the header fields")
    yield from t.own_answer(client, "trailers were received")
    served = t.server.served
    try:
        response = yield client.post("/echo", content=b"abc", trailers={"x-own": "1"})
        yield response.read()
    except adieu.InvalidRequest:
        t.expect(t.server.served == served, "a request was sent before its trailers were refused")
    else:
        got = t.server.requests[-1].trailers
        t.expect(got == [("x-own", "1")], f"of one trailer the server got {got}")


@scenario(
    9,
    does="fills a pool of one connection, sends a request with a limit, and one that gets the place",
    look="Timeout.pool limits the wait for a place: PoolWait.take",
    needs=("limits", "network"),
)
def a_full_pool_is_a_timeout(t: Trial) -> Steps[None]:
    timeout = PATIENCE.replace(pool=0.1)
    client = t.client(t.adapter(limits=adieu.Limits(1)), cleanup=SilentPolicy(), timeout=timeout)
    first = yield client.stream("GET", "/bytes?n=3000000")
    error: Either = yield from t.failing(adieu.PoolTimeout, client.get, "/ok")
    t.expect(error.request_sent == "no", f"request_sent is {error.request_sent!r} in a full pool")
    t.expect(t.sockets() == 1, f"{t.sockets()} sockets were open, where 1 is the limit")
    waiting = t.start(lambda: client.get("/ok", timeout=PATIENCE))
    yield t.pause(0.01)
    yield first.close()
    response = yield waiting.outcome()
    answered = isinstance(response, (adieu.Response, adieu.AsyncResponse))
    t.expect(answered, f"a request that waited for the place got {response!r:.200}")
    yield response.read()
    yield from t.nothing_in_use(client, "the pool had been full")


@scenario(
    0,
    does="pickles the adapter while it has a connection, and sends a request by the copy, if there is one",
    look="__getstate__ leaves out connections and locks; an adapter that cannot be pickled says so by an error",
)
def a_pickled_copy_works_on_its_own(t: Trial) -> Steps[None]:
    adapter = t.adapter()
    client = t.client(adapter)
    yield from t.own_answer(client, "nothing")
    try:
        pickled = pickle.dumps(adapter)
    except (TypeError, AttributeError, pickle.PicklingError, adieu.AdieuError):
        return  # It does not claim that it can.
    copied = pickle.loads(pickled)  # noqa: S301 - the pickle that was just made
    other = t.client(copied)
    yield client.close()
    accepted = t.server.accepted
    yield from t.own_answer(other, "it was pickled")
    t.expect(
        not accepted or t.server.accepted == accepted + 1, "the copy used an inherited connection"
    )
