from __future__ import annotations

import socket
import ssl
import sys
from typing import get_args

import pytest

from adieu.testing.faults_net import BlackHole, TLSFault, TLSFaults, refused_port
from support import raw

pytestmark = pytest.mark.lifecycle


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_refused_port_refuses_connections_and_cannot_be_bound(host: str) -> None:
    with refused_port(host) as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=30)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as rival, pytest.raises(OSError, match="in use"):
            rival.bind((host, port))


def test_a_black_hole_accepts_everything_and_sends_nothing() -> None:
    with BlackHole() as hole:
        with socket.create_connection(("127.0.0.1", hole.port), timeout=30) as sock:
            sock.sendall(raw.request("/"))
            sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        assert hole.url == f"http://127.0.0.1:{hole.port}"
    hole.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", hole.port), timeout=30)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels refuse where Linux drops")
def test_connecting_to_a_full_black_hole_does_not_end() -> None:
    with BlackHole(full=True) as hole, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", hole.port), timeout=0.2)


def _handshake(port: int, timeout: float = 5) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        context.wrap_socket(sock).close()


@pytest.mark.parametrize(
    ("kind", "errors", "said"),
    [
        ("stall", TimeoutError, "timed out"),
        ("close", (ssl.SSLError, ConnectionError), "EOF|reset"),
        ("reset", ConnectionResetError, "reset"),
        ("plain", ssl.SSLError, "(?i)wrong.version.number|http"),
        ("alert", ssl.SSLError, "(?i)handshake.failure"),
        ("half", (ssl.SSLError, ConnectionError), "EOF|reset"),
    ],
)
def test_a_handshake_fails_in_each_way(
    kind: TLSFault, errors: type[Exception] | tuple[type[Exception], ...], said: str
) -> None:
    with TLSFaults(kind) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        with pytest.raises(errors, match=said):
            _handshake(server.port, 0.1 if kind == "stall" else 5)
        server.wait_until(lambda: server.accepted == 1 and server.open == 0)


def test_every_way_to_fail_is_tested_and_another_is_refused() -> None:
    (tested,) = test_a_handshake_fails_in_each_way.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in tested.args[1]} == set(get_args(TLSFault))
    with pytest.raises(ValueError, match="kind='nothing' is none of stall, close"):
        TLSFaults("nothing")  # type: ignore[arg-type]
