from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from support import raw

if TYPE_CHECKING:
    from servers import TLSServer

pytestmark = pytest.mark.lifecycle


def _connect(tls_server: TLSServer, path: str, *fields: str) -> ssl.SSLSocket:
    sock = tls_server.client_context.wrap_socket(
        raw.connect(tls_server.server),
        server_hostname="localhost",
        suppress_ragged_eofs=False,
    )
    sock.sendall(raw.request(path, *fields))
    return sock


def test_requests_are_served(tls_server: TLSServer) -> None:
    client = http.client.HTTPSConnection(
        "127.0.0.1", tls_server.port, timeout=30, context=tls_server.client_context
    )
    for _ in range(2):
        client.request("POST", "/echo", b"x" * 200_000)
        assert json.loads(client.getresponse().read())["length"] == 200_000
    client.close()
    assert tls_server.url == f"https://127.0.0.1:{tls_server.port}"
    assert tls_server.server.accepted == 1


def test_close_sends_a_close_notify_and_drop_does_not(tls_server: TLSServer) -> None:
    with _connect(tls_server, "/until-close") as polite:
        assert raw.read_to_end(polite).endswith(b"\xf6\xf7\xf8\xf9\xfa" + bytes(range(247)))
    abrupt = _connect(tls_server, "/until-close?abrupt=1")
    with abrupt, pytest.raises(ssl.SSLEOFError):
        raw.read_to_end(abrupt)


def test_a_client_that_closes_in_the_handshake_leaves_nothing_open(
    tls_server: TLSServer,
) -> None:
    server = tls_server.server
    with raw.connect(server) as sock:
        sock.sendall(b"\x16\x03\x01")
        server.wait_until(lambda: server.open == 1)
    with raw.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.wait_until(lambda: server.accepted == 2)
    server.wait_until(lambda: server.open == 0)
    assert server.served == 0


def test_a_reset_sends_no_close_notify(tls_server: TLSServer) -> None:
    # Which of the errors OpenSSL raises depends on whether it was writing or reading when the RST came.
    ends = (ConnectionResetError, ssl.SSLEOFError)
    with _connect(tls_server, "/reset") as sock, pytest.raises(ends):
        sock.recv(1)


def test_an_early_answer_is_not_lost_with_the_unread_body(tls_server: TLSServer) -> None:
    with _connect(tls_server, "/early", "Content-Length: 100000") as sock:
        sock.sendall(b"x" * 100_000)
        assert raw.read_to_end(sock).startswith(b"HTTP/1.1 413")


def test_closing_ends_a_handshake_that_stalls(tls_server: TLSServer) -> None:
    with raw.connect(tls_server.server) as sock:
        tls_server.server.wait_until(lambda: tls_server.server.open == 1)
        tls_server.server.close()
        assert raw.read_to_end(sock) == b""
