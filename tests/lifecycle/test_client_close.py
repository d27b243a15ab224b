"""Closing a client at work: every connection closes at once, and every call in progress raises a clear error.

The error is never EBADF, which would mean that a thread waited on a closed descriptor, which might belong to another
file by then. A body that ends early never looks complete.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import adieu
from adieu.testing import BlackHole, TLSFaults, payload
from support.stage import caught, drop, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.faults import Ending, Peer
    from adieu.testing.faults import Request as Asked
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle

MODES = ("sync", "async", "async-trio")


class _Aside:
    """A call in a thread of its own, and its outcome."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self.result: object = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:
            self.error = error

    def over(self) -> BaseException | None:
        """Wait for its end."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "still at it, 30 s after the client was closed"
        return self.error


def _slow_close(peer: Peer, request: Asked) -> Ending:
    peer.start(200, [("connection", "close")])
    peer.body(b"x" * 5000)
    peer.pause(30)
    return "close"


def _slow_length(peer: Peer, request: Asked) -> Ending:
    peer.start(200, [("content-length", "100000")])
    peer.body(b"x" * 5000)
    peer.pause(30)
    return "close"


def _slow_chunks(peer: Peer, request: Asked) -> Ending:
    peer.start(200, [("transfer-encoding", "chunked")])
    peer.body(b"5\r\nhello\r\n")
    peer.pause(30)
    return "close"


SLOW = {"length": _slow_length, "chunked": _slow_chunks, "until-close": _slow_close}


@pytest.mark.parametrize("framing", SLOW)
@pytest.mark.parametrize("how", ["prefetched", "streamed", "iterated"])
def test_reading_a_body_raises_that_the_client_was_closed(
    stage: Stage, framing: str, how: str
) -> None:
    stage.server.on("/slow", SLOW[framing])
    client = stage.client()

    def read() -> object:
        if how == "prefetched":
            return stage.read(stage.get(client, "/slow", cleanup=adieu.Prefetch()))
        response = stage.run(client.stream("GET", "/slow"))
        if how == "streamed":
            return stage.read(response)
        return list(stage.runner.each(response.iter_bytes()))

    reader = _Aside(read)
    eventually(lambda: stage.server.served == 1 and stage.in_use(client))
    time.sleep(0.01)  # Now the thread is in the endless read.
    stage.run(client.close())
    assert stage.nothing_open()
    assert isinstance(reader.over(), adieu.ClientClosed), (reader.error, reader.result)


def test_waiting_for_a_head_raises_that_the_client_was_closed(stage: Stage) -> None:
    client = stage.client()
    caller = _Aside(lambda: stage.get(client, "/stall-head?seconds=30"))
    eventually(lambda: stage.server.served == 1)
    stage.run(client.close())
    assert stage.nothing_open()
    assert isinstance(caller.over(), adieu.ClientClosed), caller.error


@pytest.mark.parametrize("content", ["bytes", "pieces"])
def test_sending_raises_that_the_client_was_closed(bare: Stage, content: str) -> None:
    client = bare.client()
    body: Any = b"x" * 30_000_000 if content == "bytes" else [b"x" * 1_000_000] * 30
    caller = _Aside(lambda: bare.get(client, "/stall-read?seconds=30", "POST", content=body))
    eventually(lambda: bare.server.served == 1)
    time.sleep(0.05)  # Until the buffers of the system are full.
    bare.run(client.close())
    assert bare.nothing_open()
    assert isinstance(caller.over(), adieu.ClientClosed), caller.error


def test_connecting_raises_that_the_client_was_closed(bare: Stage) -> None:
    with BlackHole(full=True) as hole:
        bare.watch.also(hole.port)
        client = bare.client(timeout=adieu.Timeout(connect=30))
        filled = bare.sockets()  # The sockets that fill the backlog.
        caller = _Aside(lambda: bare.get(client, hole.url))
        eventually(lambda: bare.sockets() == filled + 1)
        bare.run(client.close())
        assert isinstance(caller.over(), adieu.ClientClosed), caller.error
        assert bare.sockets() == filled


def test_a_tls_handshake_raises_that_the_client_was_closed(bare: Stage) -> None:
    with TLSFaults("stall") as server:
        bare.watch.also(server.port)
        client = bare.client(timeout=adieu.Timeout(connect=30))
        caller = _Aside(lambda: bare.get(client, server.url))
        eventually(lambda: server.open == 1)
        time.sleep(0.05)  # Now the thread is in the handshake.
        bare.run(client.close())
        assert isinstance(caller.over(), adieu.ClientClosed), caller.error
        assert bare.nothing_open()


def test_resolving_a_name_raises_that_the_client_was_closed(bare: Stage) -> None:
    asked, over = threading.Event(), threading.Event()

    def stalled(*_: object) -> list[Any]:
        asked.set()
        over.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", bare.server.port))]

    client = bare.client()
    with mock.patch.object(socket, "getaddrinfo", stalled):
        caller = _Aside(lambda: bare.get(client, f"http://slow.invalid:{bare.server.port}/ok"))
        assert asked.wait(30)
        bare.run(client.close())
        # A resolver cannot be interrupted: the call may wait for it, but does not use its result.
        over.set()
        assert isinstance(caller.over(), adieu.ClientClosed), caller.error
    assert bare.nothing_open()


def test_waiting_for_a_connection_raises_that_the_client_was_closed(bare: Stage) -> None:
    client = bare.one(cleanup=adieu.ReleaseOnRead(), timeout=adieu.Timeout(pool=30))
    held = bare.run(client.stream("GET", "/bytes?n=900000"))
    callers = [_Aside(lambda: bare.get(client, "/ok")) for _ in range(3)]
    time.sleep(0.1)  # Now the thread is in the queue.
    bare.run(client.close())
    for caller in callers:
        assert isinstance(caller.over(), adieu.ClientClosed), caller.error
    assert bare.nothing_open()
    caught(adieu.ClientClosed, bare.read, held)


def test_a_drain_does_not_delay_the_close(bare: Stage) -> None:
    bare.server.on("/slow", _slow_chunks)
    client = bare.client(cleanup=adieu.ReleaseOnRead(within=30))
    response = bare.run(client.stream("GET", "/slow"))
    closer = _Aside(lambda: bare.run(response.close()))
    time.sleep(0.05)  # Now the thread is in the drain.
    bare.run(client.close())
    assert bare.nothing_open()
    assert closer.over() is None


def test_many_threads_may_close_at_once_while_many_are_at_work(stage: Stage) -> None:
    paths = ["/ok", "/bytes?n=500000", "/stall-head?seconds=30", "/redirect?n=5"]
    for _ in range(3):
        client = stage.client()

        def work(client: Any = client) -> object:
            for number in range(1000):
                response = stage.get(client, paths[number % 4], timeout=adieu.Timeout(read=30))
                stage.run(response.close())
            return None

        workers = [_Aside(work) for _ in range(4)]
        eventually(lambda: stage.server.served >= 8)
        closers = [_Aside(lambda client=client: stage.run(client.close())) for _ in range(3)]  # type: ignore[misc]
        for closer in closers:
            assert closer.over() is None
        for worker in workers:
            assert isinstance(worker.over(), adieu.ClientClosed), worker.error
        assert stage.nothing_open()


def test_a_body_that_was_cut_off_raises_at_every_read(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        untouched = stage.run(client.stream("GET", "/bytes?n=900000"))
        begun = stage.run(client.stream("GET", "/bytes?n=900000"))
        pieces = stage.runner.each(begun.iter_bytes())
        assert next(pieces)
        whole = stage.run(client.stream("GET", "/bytes?n=9000"))
        assert stage.read(whole) == payload(9000)
        closed = stage.run(client.stream("GET", "/bytes?n=900000"))
        stage.run(closed.close())
    for _ in range(2):
        caught(adieu.ClientClosed, stage.read, untouched)
        stage.run(untouched.close())
    caught(adieu.ClientClosed, next, pieces)
    assert stage.read(whole) == payload(9000)
    caught(adieu.BodyClosed, stage.read, closed)


def test_a_closed_client_refuses_every_use(stage: Stage) -> None:
    client = stage.client()
    request = client.build_request("GET", "/ok")
    stage.get(client, "/ok", cleanup=adieu.Prefetch())
    stage.run(client.close())
    assert client.is_closed
    caught(adieu.ClientClosed, stage.get, client, "/ok")
    caught(adieu.ClientClosed, lambda: stage.run(client.send(request)))
    caught(adieu.ClientClosed, lambda: stage.run(client.stream("GET", "/ok")))

    def enter() -> None:
        with stage.block(client):
            pass

    caught(adieu.ClientClosed, enter)
    assert stage.server.served == 1


def test_the_report_names_each_connection_in_use(stage: Stage) -> None:
    client = stage.client()
    held = [stage.run(client.stream("GET", "/bytes?n=900000")) for _ in range(2)]
    idle = stage.get(client, "/ok", cleanup=adieu.Prefetch())
    kept = len(client.connections()) - 2
    report = stage.run(client.close())
    assert not report.clean
    assert (report.idle, report.in_use) == (kept, 2)
    assert len(report.holders) == 2
    assert all("GET http://127.0.0.1" in line for line in report.holders)
    assert stage.run(client.close()).clean
    assert stage.nothing_open()
    assert held
    assert idle


# Policies that let a body finish


class _Finishing(adieu.ReleaseOnRead):
    """Bodies that are open when the client closes may be read to their end."""

    def on_client_close(self, view: adieu.View) -> Any:
        return adieu.STREAM


@pytest.mark.parametrize("then", ["read", "closed", "dropped", "read aside"])
def test_a_body_may_outlive_its_client_and_closes_its_connection_itself(
    bare: Stage, then: str
) -> None:
    client = bare.client(cleanup=_Finishing())
    response = bare.run(client.stream("GET", "/bytes?n=900000"))
    other = bare.run(client.stream("GET", "/bytes?n=900000", cleanup=adieu.ReleaseOnRead()))
    bare.get(client, "/ok")
    reader = _Aside(lambda: bare.read(response)) if then == "read aside" else None
    bare.run(client.close())
    if reader is not None:
        assert reader.over() is None
        assert reader.result == payload(900_000)
    else:
        assert bare.sockets() == 1
        if then == "read":
            assert bare.read(response) == payload(900_000)
        elif then == "closed":
            bare.run(response.close())
        else:
            held = [response]
            del response
            with pytest.warns(ResourceWarning, match="dropped unread"):
                _detach(held)
    assert bare.nothing_open()
    caught(adieu.ClientClosed, bare.read, other)
    caught(adieu.ClientClosed, bare.get, client, "/ok")


def _detach(held: list[Any]) -> None:
    held.clear()
    drop()


def test_a_client_may_be_closed_by_its_own_hook(bare: Stage) -> None:
    clients: list[Any] = []

    def close(subject: object) -> None:
        bare.runner.now(clients.pop().close())

    for kind in ("request", "response"):
        client = bare.client(event_hooks={kind: [close]})
        clients.append(client)
        caught(adieu.ClientClosed, bare.get, client, "/bytes?n=900000")
        assert bare.nothing_open()


class _Closing(adieu.Events):
    """Closes the client at a certain event."""

    def __init__(self, stage: Stage, at: str) -> None:
        self.clients: list[Any] = []
        self._now = stage.runner.now
        setattr(self, at, self._close)

    def _close(self, *facts: object) -> None:
        while self.clients:
            self._now(self.clients.pop().close())


@pytest.mark.parametrize("at", ["leased", "connect_started", "connected"])
def test_a_client_may_be_closed_at_any_moment_of_a_call(bare: Stage, at: str) -> None:
    """Above all after the lease has its connection and before that is open: a socket could then have no owner."""
    events: Any = _Closing(bare, at)
    client = bare.client(events=events)
    events.clients.append(client)
    caught(adieu.ClientClosed, bare.get, client, "/ok")
    assert bare.nothing_open()
    assert client.connections() == []


def test_a_client_may_be_closed_when_a_kept_connection_is_used_again(bare: Stage) -> None:
    events: Any = _Closing(bare, "leased")
    client = bare.client(events=events)
    bare.get(client, "/ok")
    events.clients.append(client)
    caught(adieu.ClientClosed, bare.get, client, "/ok")
    assert bare.nothing_open()


def test_an_answer_that_arrived_before_the_close_is_whole_or_an_error(bare: Stage) -> None:
    events: Any = _Closing(bare, "informational")
    reply = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    for sent in (0, 50, 100):
        bare.server.reply("/early", reply + b"x" * sent)
        client = bare.client(events=events)
        events.clients.append(client)
        try:
            answer = bare.get(client, "/early")
        except adieu.ClientClosed:
            assert sent < 100
        else:
            assert bare.read(answer) == b"x" * 100
        assert bare.nothing_open()
