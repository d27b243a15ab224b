from __future__ import annotations

import gzip
import http.client
import shutil
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import servers
from adieu.testing.faults_net import refused_port
from adieu.testing.socket_table import established
from servers import Authority, CherootTen, Nginx
from support import raw
from support.stage import in_time

if TYPE_CHECKING:
    from servers import TLSServer
    from support.watch import Watch


def _get(
    client: http.client.HTTPConnection, path: str, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    client.request("GET", path, headers=headers)
    answer = client.getresponse()
    return answer, answer.read()


def test_nginx_serves_files_on_a_connection_that_is_kept(nginx: Nginx, census: Watch) -> None:
    client = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)
    assert _get(client, "/small.txt")[1] == servers.SMALL
    sock = client.sock
    assert _get(client, "/megabyte.bin")[1] == servers.ONE_MEGABYTE
    assert client.sock is sock
    assert census.count() == 1
    client.close()


def test_nginx_compresses_text_when_it_is_asked_to(nginx: Nginx) -> None:
    client = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)
    answer, body = _get(client, "/text.txt", **{"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == servers.TEXT
    assert _get(client, "/text.txt")[1] == servers.TEXT
    client.close()


def test_nginx_redirects_closes_and_counts(nginx: Nginx) -> None:
    client = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)
    answer, _ = _get(client, "/redirect")
    assert (answer.status, answer.headers["location"]) == (302, f"{nginx.url}/small.txt")
    assert _get(client, "/counts")[1].startswith(b"Active connections: ")
    assert _get(client, "/close")[0].headers["connection"] == "close"
    client.close()


def test_nginx_speaks_tls_with_a_certificate_of_our_authority(
    nginx: Nginx, authority: Authority
) -> None:
    for context in (authority.client_context(), ssl.create_default_context(cafile=nginx.ca_path)):
        client = http.client.HTTPSConnection(
            "127.0.0.1", nginx.https_port, timeout=30, context=context
        )
        assert _get(client, "/megabyte.bin")[1] == servers.ONE_MEGABYTE
        client.close()
    stranger = http.client.HTTPSConnection("127.0.0.1", nginx.https_port, timeout=30)
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.connect()
    stranger.close()


def test_a_missing_nginx_fails_with_the_package_to_install(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(AssertionError, match=r"nginx-light.*\.ci/install"):
        Nginx(authority)


def test_an_nginx_that_does_not_start_says_why(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No other process can listen there meanwhile, which would be taken for nginx.
    with refused_port() as one, refused_port() as other:
        monkeypatch.setattr(servers, "_NGINX_CONF", "nonsense;")
        monkeypatch.setattr(servers, "free_ports", lambda _: (one, other))
        with pytest.raises(RuntimeError, match='unknown directive "nonsense"'):
            Nginx(authority)


def test_a_certificate_for_another_host_is_not_accepted(authority: Authority) -> None:
    tls = servers.TLSServer(authority, "elsewhere.example.org")
    refused = pytest.raises(ssl.SSLCertVerificationError, match="127")
    with tls.server, raw.connect(tls.server) as sock, refused:
        tls.client_context.wrap_socket(sock, server_hostname="127.0.0.1")


def test_the_tls_server_gives_its_authority_as_bytes_and_as_a_file(tls_server: TLSServer) -> None:
    assert Path(tls_server.ca_path).read_bytes() == tls_server.ca_pem
    assert tls_server.ca_pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert tls_server.port in servers.KNOWN_PORTS


@pytest.mark.lifecycle
def test_cheroot_has_ten_threads_and_keeps_connections(cheroot_ten: CherootTen) -> None:
    assert cheroot_ten.threads == 10
    client = http.client.HTTPConnection("127.0.0.1", cheroot_ten.port, timeout=30)
    assert _get(client, "/small")[1] == b"hello"
    sock = client.sock
    assert _get(client, "/large")[1] == b"x" * 100_000
    assert client.sock is sock
    assert _get(client, "/nowhere")[0].status == 404
    assert _get(client, "/counts")[1] == b"4"
    assert cheroot_ten.requests == 4
    client.close()
    assert cheroot_ten.threads == 10


@pytest.mark.lifecycle
def test_cheroot_ends_at_once_with_connections_open() -> None:
    server = CherootTen()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(raw.request("/small"))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200")
        assert established(to_ports={server.port}) == 1
        with in_time():
            server.close()
