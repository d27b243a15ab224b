"""Data without an outstanding request is no response (RFC 9112, section 9.2): new connections are looked at first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.http1 import early_answer
from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.stage import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, Peer
    from servers import Authority
    from support.stage import Stage

EARLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"


class Eager(FaultServer):
    """A server that says something, or hangs up, as soon as there is a connection."""

    def __init__(self, tls: Any) -> None:
        self.says: bytes | None = EARLY
        self.said = threading.Event()
        super().__init__(tls=tls)
        KNOWN_PORTS.add(self.port)

    def _exchange(self, peer: Peer) -> Ending:
        if not peer.served and self.says is not None:
            if self.says:
                peer.send(self.says)
            peer.linger(0)
            self.said.set()
            return "close"
        return super()._exchange(peer)


@pytest.fixture(params=["tcp", "tls"])
def eager(
    request: pytest.FixtureRequest, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Eager]:
    """Such a server, at whose words the client looks when they are there."""
    look = early_answer.refuse_unasked

    def look_later(stream: Any) -> Any:
        if server.says is not None:
            assert server.said.wait(30)
            eventually(stream.readable)
        return look(stream)

    for place in ("adieu.http1.engine", "adieu_urllib3.opening"):
        monkeypatch.setattr(f"{place}.refuse_unasked", look_later)
    with Eager(authority.server_context() if request.param == "tls" else None) as server:
        yield server


@pytest.mark.parametrize("says", [EARLY, b"\0", b"HTTP/1.1 408 Request Timeout\r\n"])
def test_words_before_the_first_request_are_no_response(
    stage: Stage, eager: Eager, authority: Authority, says: bytes
) -> None:
    eager.says = says
    with stage.block(stage.one(verify=str(authority.path))) as client:
        with pytest.raises(adieu.ProtocolError, match="spoke before it was sent a request") as got:
            stage.get(client, f"{eager.url}/ok", "POST", content=b"x")
        assert got.value.request_sent == "no"
        eager.says = None
        assert stage.get(client, f"{eager.url}/ok").status_code == 200
    assert [one.method for one in eager.requests] == ["GET"]


def test_a_peer_that_has_closed_before_the_first_request_is_not_sent_it(
    stage: Stage, eager: Eager, authority: Authority
) -> None:
    eager.says = b""
    with stage.block(stage.one(verify=str(authority.path))) as client:
        with pytest.raises(adieu.PeerClosed) as got:
            stage.get(client, f"{eager.url}/ok", "POST", content=b"x")
        assert got.value.request_sent == "no"
        eager.says = None
        assert stage.get(client, f"{eager.url}/ok").status_code == 200


def test_the_records_of_tls_itself_are_no_words(stage: Stage, authority: Authority) -> None:
    context = authority.server_context()
    context.num_tickets = 20
    with FaultServer(tls=context) as server:
        KNOWN_PORTS.add(server.port)
        with stage.block(stage.one(verify=str(authority.path))) as client:
            for _ in range(5):
                with stage.block(stage.one(verify=str(authority.path))) as other:
                    assert stage.get(other, f"{server.url}/ok").status_code == 200
            assert stage.get(client, f"{server.url}/ok").status_code == 200
