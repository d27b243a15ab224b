"""The options that say how a request is sent: each changes what reaches the server, or is refused with a sentence."""

from __future__ import annotations

import socket
import ssl
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adieu.testing import FaultServer
    from servers import TLSServer


@pytest.fixture(autouse=True)
def _nothing_stays_open(fault_server: FaultServer) -> Iterator[None]:
    yield
    fault_server.wait_until(lambda: fault_server.open == 0)


def test_a_host_is_reached_at_a_given_address(adieu_: Any, fault_server: FaultServer) -> None:
    pinned = f"api.example.org:{fault_server.port}:127.0.0.1"
    ran = adieu_(f"http://api.example.org:{fault_server.port}/echo", "--resolve", pinned, "-4")
    assert (ran.status, ran.error) == (0, "")
    assert dict(ran.json["headers"])["Host"] == f"api.example.org:{fault_server.port}"
    # The address is one of IPv4, so IPv6 alone cannot reach it.
    assert (
        adieu_(f"http://api.example.org:{fault_server.port}/echo", "--resolve", pinned, "-6").status
        == 6
    )


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
@pytest.mark.parametrize("adapter", ["native", "h11"])
def test_a_unix_socket_takes_the_place_of_the_host(
    adieu_: Any, tmp_path: Path, adapter: str
) -> None:
    path = str(tmp_path / "daemon.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            peer = listener.accept()[0]
            with peer:
                assert b"Host: docker\r\n" in peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                peer.recv(1)

        server = threading.Thread(target=serve)
        server.start()
        ran = adieu_("http://docker/info", "--unix-socket", path, "--adapter", adapter)
        server.join()
    assert (ran.status, ran.out) == (0, "ok")


def test_tls_is_spoken_as_asked(adieu_: Any, tls_server: TLSServer) -> None:
    port, trusted = tls_server.port, ("--cacert", str(tls_server.ca_path))
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    fingerprint = sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    url = f"{tls_server.url}/ok"
    assert adieu_(url, *trusted, "--fingerprint", fingerprint).status == 0
    assert adieu_(url, "-k", "--fingerprint", fingerprint).status == 0
    assert adieu_(url, *trusted, "--fingerprint", "0" * 64).status == 6
    assert adieu_(url, *trusted, "--tls-min", "1.3").status == 0
    named = (f"https://api.example.org:{port}/ok", "--resolve", f"api.example.org:{port}:127.0.0.1")
    assert adieu_(*named, *trusted).status == 6
    assert adieu_(*named, *trusted, "--server-name", "localhost").status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resolve", "example.org=1.2.3.4"], "--resolve takes HOST:PORT:ADDRESS"),
        (["--resolve", "example.org:443:"], "--resolve takes HOST:PORT:ADDRESS"),
        (["--unix-socket", "/s", "--adapter", "urllib3"], "is for --adapter native or h11"),
        (["-k", "--cacert", "ca.pem"], "choose one"),
        (["-4", "-6"], "not allowed with argument -4"),
        (["--tls-min", "1.1"], "invalid choice: '1.1'"),
        (["--fingerprint", "zz"], "fingerprint"),
    ],
)
def test_what_contradicts_itself_is_wrong_usage(
    adieu_: Any, fault_server: FaultServer, options: list[str], said: str
) -> None:
    ran = adieu_(f"{fault_server.url}/ok", *options)
    assert ran.status == 2
    assert said in ran.error
    assert fault_server.requests == []


def test_an_address_of_ipv6_can_be_given(adieu_: Any) -> None:
    """Nothing listens there, so it is the connection that fails, not the command line."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        pinned = ("--resolve", f"example.org:{port}:[::1]", "--resolve", f"[::1]:{port}:127.0.0.1")
        assert adieu_(f"http://example.org:{port}/", *pinned).status == 6
        assert adieu_(f"http://[::1]:{port}/", *pinned).status == 6
