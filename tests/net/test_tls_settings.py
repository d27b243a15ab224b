"""TLS settings over real connections: every adapter honours each, and each error says what to do."""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import pickle
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu.net.tls import config as tls
from adieu.net.tls.config import InsecureRequestWarning, TLSConfig
from adieu.testing import BlackHole
from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.places import PLACES, Place, placed
from support.proxies import FaultProxy
from support.stage import caught, in_time
from support.threads import BackgroundCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import TLSServer
    from support.watch import Watch

UTC = datetime.timezone.utc


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = str(tmp_path / "ca.pem")
    ca.cert_pem.write_to_path(path)
    return path


@pytest.fixture(autouse=True)
def no_contexts() -> Iterator[None]:
    tls._contexts.clear()
    yield
    tls._contexts.clear()


def context_of(cert: trustme.LeafCert, **settings: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[FaultServer]:
    with FaultServer(tls=context) as server:
        KNOWN_PORTS.add(server.port)
        yield server


def fingerprint(cert: trustme.LeafCert) -> str:
    der = ssl.PEM_cert_to_DER_cert(cert.cert_chain_pems[0].bytes().decode())
    return hashlib.sha256(der).hexdigest()


def self_signed(ca: trustme.CA) -> tuple[ssl.SSLContext, str]:
    """A server with a certificate of an unknown authority, and its fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(ca.private_key_pem.bytes() + ca.cert_pem.bytes()).tempfile() as path:
        context.load_cert_chain(path)
    der = ssl.PEM_cert_to_DER_cert(ca.cert_pem.bytes().decode())
    return context, hashlib.sha256(der).hexdigest()


def refusal(**settings: Any) -> str:
    with pytest.raises(adieu.InvalidRequest) as caught:
        TLSConfig(**settings)
    return str(caught.value)


def failure(place: Place, url: str, **settings: Any) -> str:
    """The error of a call whose TLS fails; afterwards nothing is open and the client's one place is free."""
    with place.block(place.one(**settings)) as client:
        error: Any = caught(adieu.TLSError, place.get, client, url)
        assert client.connections() == []
        place.next_works(client)
    assert (error.phase, error.method, error.url) == ("tls", "GET", url)
    text = str(error)
    assert text.startswith("TLS with ")
    assert "verify=False" not in text
    return text


def works(place: Place, server: FaultServer, **settings: Any) -> None:
    with place.block(place.client(base_url=server.url, **settings)) as client:
        assert place.get(client, "/ok").status_code == 200


# Trust


def test_the_system_s_authorities_can_be_trusted(
    place: Place, ca: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(context_of(ca.issue_cert("127.0.0.1"))) as server:
        assert "from a CA not trusted here" in failure(
            place, f"{server.url}/ok", tls=TLSConfig(trust="system")
        )
        tls._contexts.clear()
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        works(place, server, tls=TLSConfig(trust="system"))
        # The variable holds for the default authorities, too.
        works(place, server)
    with serving(context_of(ca.issue_cert("other.example"))) as server:
        text = failure(place, f"{server.url}/ok", tls=TLSConfig(trust="system"))
        assert "its certificate is not for this address" in text


@pytest.mark.parametrize("adapter", ["urllib3", "native"])
def test_a_silent_server_keeps_no_other_waiting(
    adapter: str, ca: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch, census: Watch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    config = TLSConfig(trust="system")
    config.context_for()
    with (
        BlackHole() as hole,
        serving(context_of(ca.issue_cert("127.0.0.1"))) as server,
        adieu.Client(adapter=adapter, tls=config) as client,
    ):
        url = f"https://127.0.0.1:{hole.port}"
        waiting = BackgroundCall(lambda: client.get(url, timeout=60))
        waiting.wait_until_in("_agree")
        with in_time():
            assert client.get(f"{server.url}/ok").status_code == 200
        client.close()
        assert isinstance(waiting.finished(), adieu.ClientClosed)


def test_an_invalid_trust_is_refused(ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(trust="windows") == "trust= is 'certifi' or 'system', not 'windows'"
    for verify in (ca_file, False):
        assert "verify= and trust='system' both choose the trusted CAs" in refusal(
            trust="system", verify=verify
        )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        adieu.MissingExtra, match=r"needs truststore: pip install 'adieu\[system-trust\]'"
    ):
        TLSConfig(trust="system")


# Versions and ciphers


def test_a_minimum_version_is_enforced(place: Place, ca: trustme.CA, ca_file: str) -> None:
    cert = ca.issue_cert("127.0.0.1")
    config = TLSConfig(ca_file, minimum_version="1.3")
    with serving(context_of(cert, maximum_version=ssl.TLSVersion.TLSv1_2)) as server:
        works(place, server, verify=ca_file)
        text = failure(place, f"{server.url}/ok", tls=config)
        assert "have no TLS version in common" in text
    with serving(context_of(cert)) as server:
        works(place, server, tls=config)


def test_insecure_versions_are_refused() -> None:
    assert TLSConfig(minimum_version=ssl.TLSVersion.TLSv1_3).minimum_version == "1.3"
    for version in (
        "1.1",
        "TLSv1.3",
        1.3,
        ssl.TLSVersion.TLSv1_1,
        ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ):
        assert refusal(minimum_version=version).startswith(
            "minimum_version= is '1.2' or '1.3', not"
        )


def test_ciphers_can_be_chosen(place: Place, ca: trustme.CA, ca_file: str) -> None:
    context = context_of(ca.issue_cert("127.0.0.1"), maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE+CHACHA20")
    with serving(context) as server:
        works(place, server, tls=TLSConfig(ca_file, ciphers="ECDHE+CHACHA20:ECDHE+AESGCM"))
        text = failure(place, f"{server.url}/ok", tls=TLSConfig(ca_file, ciphers="ECDHE+AESGCM"))
        assert "found nothing in common to agree on" in text


def test_ciphers_without_protection_are_refused() -> None:
    assert refusal(ciphers="NONSENSE") == "ciphers='NONSENSE' selects no cipher known here"
    assert refusal(ciphers="") == "ciphers='' selects no cipher known here"
    assert refusal(ciphers=["AES"]).startswith("ciphers= is a text in OpenSSL's syntax")
    for ciphers in (
        "ALL:aNULL:@SECLEVEL=0",
        "ALL:eNULL:@SECLEVEL=0",
        "ALL:COMPLEMENTOFALL:@SECLEVEL=0",
    ):
        text = refusal(ciphers=ciphers)
        assert "which does not authenticate the server or does not encrypt" in text
        assert "':!aNULL:!eNULL'" in text


# Names


def test_another_name_can_be_sent_and_checked(place: Place, ca: trustme.CA, ca_file: str) -> None:
    context = context_of(ca.issue_cert("inner.example"))
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, context: asked.append(name)
    with serving(context) as server:
        config = TLSConfig(ca_file, server_hostname="Inner.Example.")
        with place.block(place.client(tls=config)) as client:
            response = place.get(client, f"{server.url}/echo")
            fields = {name.lower(): value for name, value in response.json()["headers"]}
            assert fields["host"] == f"127.0.0.1:{server.port}"
        assert asked == ["inner.example"]
        text = failure(
            place, f"{server.url}/ok", tls=TLSConfig(ca_file, server_hostname="outer.example")
        )
        assert "its certificate is for other names" in text
        assert "not valid for 'outer.example'" in text


@pytest.mark.parametrize(
    "name", ["", "a b", "https://a.example", "a.example:443", "a.example/x", 5, "u@a.example"]
)
def test_an_invalid_name_is_refused(name: Any) -> None:
    text = refusal(server_hostname=name)
    assert text.startswith("server_hostname= is a host name, not")
    if "." in str(name):
        assert text.endswith(": leave out what is not the host: scheme, user, port, path")


def test_a_name_may_be_an_address_or_international() -> None:
    assert TLSConfig(server_hostname="::1").server_hostname == "::1"
    assert TLSConfig(server_hostname="[::1]").server_hostname == "::1"
    assert TLSConfig(server_hostname="10.0.0.1").server_hostname == "10.0.0.1"
    assert TLSConfig(server_hostname="bücher.example").server_hostname == "xn--bcher-kva.example"


# Fingerprints


def test_a_pin_is_checked_in_addition_to_the_chain(
    place: Place, ca: trustme.CA, ca_file: str
) -> None:
    cert = ca.issue_cert("127.0.0.1")
    pin = fingerprint(cert)
    with serving(context_of(cert)) as server:
        colons = ":".join(re.findall("..", pin.upper()))
        for given_pin in (pin, colons, ["00" * 32, pin]):
            works(place, server, tls=TLSConfig(ca_file, fingerprints=given_pin))
        served = server.served
        wrong = "ab" * 32
        text = failure(place, f"{server.url}/ok", tls=TLSConfig(ca_file, fingerprints=wrong))
        assert "its certificate is none of those that are pinned" in text
        assert f"(it has {colons}, expected is {':'.join(['AB'] * 32)})" in text
        assert "Ask the server's owner, by another way than this one" in text
        # The right pin does not replace the check of the chain.
        text = failure(place, f"{server.url}/ok", tls=TLSConfig(fingerprints=pin))
        assert "from a CA not trusted here" in text
        assert server.served == served
    with serving(context_of(ca.issue_cert("other.example"))) as server:
        assert "not for this address" in failure(place, f"{server.url}/ok", tls=TLSConfig(ca_file))


def test_a_pin_is_enough_if_the_chain_is_not_checked(place: Place, ca: trustme.CA) -> None:
    context, pin = self_signed(ca)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Such a connection causes no warning.
        config = TLSConfig(verify=False, fingerprints=pin)
        other = TLSConfig(verify=False, fingerprints="00" * 32)
    with serving(context) as server:
        assert "its certificate is self-signed" in failure(place, f"{server.url}/ok")
        works(place, server, tls=config)
        assert "none of those that are pinned" in failure(place, f"{server.url}/ok", tls=other)
        assert server.served == 1


def test_a_pin_may_go_with_a_context(place: Place, ca: trustme.CA) -> None:
    context, pin = self_signed(ca)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own.check_hostname = False
    own.verify_mode = ssl.CERT_NONE
    with serving(context) as server:
        works(place, server, tls=TLSConfig(context=own, fingerprints=pin))
        config = TLSConfig(context=own, fingerprints="00" * 32)
        assert "none of those that are pinned" in failure(place, f"{server.url}/ok", tls=config)


@pytest.mark.parametrize(
    ("pin", "text"),
    [
        ("ab" * 20, "is a SHA-1 fingerprint, which can be forged"),
        ("ab" * 16, "is an MD5 fingerprint, which can be forged"),
        ("ab" * 31, "is 62 digits"),
        ("xy" * 32, "a fingerprint is 64 hexadecimal digits, with or without colons"),
        ("", "a fingerprint is 64 hexadecimal digits"),
        (5, "fingerprints= are texts"),
        ([5], "a fingerprint is 64 hexadecimal digits"),
        (b"ab" * 32, "fingerprints= are texts"),
        ("sha256/AAAA=", "openssl x509 -noout -fingerprint -sha256"),
    ],
)
def test_an_invalid_pin_is_refused(pin: Any, text: str) -> None:
    assert text in refusal(fingerprints=pin)


@given(st.one_of(st.text(max_size=100), st.text("0123456789abcdefABCDEF:", max_size=100)))
def test_every_text_is_a_pin_or_refused(text: str) -> None:
    try:
        config = TLSConfig(fingerprints=text)
    except adieu.InvalidRequest:
        return
    assert all(re.fullmatch("[0-9a-f]{64}", pin) for pin in config.fingerprints)


# Keys for debugging


def test_keys_are_written_on_request(
    place: Place, ca: trustme.CA, ca_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(ssl.SSLContext, "keylog_filename"):
        assert "this Python's ssl cannot log keys" in refusal(keylog=tmp_path / "keys")
        return
    variable, own = tmp_path / "variable", tmp_path / "own"
    monkeypatch.setenv("SSLKEYLOGFILE", str(variable))
    with serving(context_of(ca.issue_cert("127.0.0.1"))) as server:
        works(place, server, verify=ca_file)
        works(place, server, verify=ca.cert_pem.bytes())
        assert not variable.exists()
        works(place, server, tls=TLSConfig(ca_file, keylog=own))
        assert not variable.exists()
        assert "TRAFFIC_SECRET" in own.read_text() or "CLIENT_RANDOM" in own.read_text()
        works(place, server, tls=TLSConfig(ca_file, keylog=True))
        assert variable.read_text()
    monkeypatch.delenv("SSLKEYLOGFILE")
    assert TLSConfig(keylog=True) == TLSConfig(keylog=False) == TLSConfig()
    assert refusal(keylog=tmp_path / "no" / "keys").endswith("No such file or directory")
    assert refusal(keylog=5).startswith("keylog= is True or a path, not int")


# Failures, on every adapter


def test_an_expired_certificate(place: Place, ca: trustme.CA, ca_file: str) -> None:
    cert = ca.issue_cert(
        "127.0.0.1",
        not_before=datetime.datetime(2019, 1, 1, tzinfo=UTC),
        not_after=datetime.datetime(2020, 1, 1, tzinfo=UTC),
    )
    with serving(context_of(cert)) as server:
        text = failure(place, f"{server.url}/ok", verify=ca_file)
        assert "TLS with 127.0.0.1 failed: its certificate has expired" in text
        assert "Check this machine's clock first" in text


def test_a_certificate_for_another_host(place: Place, ca: trustme.CA, ca_file: str) -> None:
    with serving(context_of(ca.issue_cert("api.example.org"))) as server:
        text = failure(place, f"https://localhost:{server.port}/ok", verify=ca_file)
        assert (
            "TLS with localhost failed: its certificate is for other names: api.example.org ("
            in text
        )
        assert "use a host name that the certificate has" in text


def test_an_underscore_is_nothing_that_a_wildcard_stands_for(
    place: Place, ca: trustme.CA, ca_file: str
) -> None:
    with serving(context_of(ca.issue_cert("*.example.com"))) as server:
        connect = adieu.Connect(addresses={"a_b.example.com": "127.0.0.1"})
        url = f"https://a_b.example.com:{server.port}/ok"
        text = failure(place, url, verify=ca_file, connect=connect)
        assert "stands for letters, digits and hyphens, and not for '_' in 'a_b'" in text


def test_an_unknown_authority(place: Place, ca: trustme.CA) -> None:
    with serving(context_of(ca.issue_cert("127.0.0.1"))) as server:
        text = failure(place, f"{server.url}/ok")
        assert "its certificate is from a CA not trusted here, or an intermediate" in text
        assert "pass verify='/path/to/ca.pem'" in text


def test_a_version_that_is_too_old(place: Place, ca: trustme.CA, ca_file: str) -> None:
    context = context_of(ca.issue_cert("127.0.0.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    with serving(context) as server:
        text = failure(place, f"{server.url}/ok", verify=ca_file)
        assert "the server and this client have no TLS version in common" in text


def test_plain_http_on_a_port_for_https(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        port = listener.getsockname()[1]
        KNOWN_PORTS.add(port)

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(30)
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                sock.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        text = failure(place, f"https://127.0.0.1:{port}/ok")
        thread.join(30)
    assert "the server on that port does not speak TLS, but plain HTTP, probably" in text
    assert "the URL is http://" in text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_client_certificate(
    place: Place, ca: trustme.CA, ca_file: str, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = context_of(
        ca.issue_cert("127.0.0.1"),
        verify_mode=ssl.CERT_REQUIRED,
        minimum_version=version,
        maximum_version=version,
    )
    ca.configure_trust(context)
    own = tmp_path / "me.pem"
    ca.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(str(own))
    with serving(context) as server:
        text = failure(place, f"{server.url}/ok", verify=ca_file)
        assert "client certificate" in text
        assert "cert=" in text
        works(place, server, verify=ca_file, cert=str(own))


@contextmanager
def asking_later(context: ssl.SSLContext) -> Iterator[tuple[str, list[bytes | None]]]:
    """A server of one connection that asks for a certificate after the request, and the certificates that it got."""
    got: list[bytes | None] = []
    listener = socket.create_server(("127.0.0.1", 0))
    KNOWN_PORTS.add(listener.getsockname()[1])

    def answer() -> None:
        with listener, listener.accept()[0] as sock:
            sock.settimeout(30)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_side=True)

            def until(step: Any) -> Any:
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        if not (data := sock.recv(65536)):
                            raise EOFError from None
                        incoming.write(data)

            def certified() -> bytes:
                # There is nothing to read: OpenSSL takes the certificate, and waits for more.
                try:
                    tls.read(1)
                except ssl.SSLWantReadError:
                    if (shown := tls.getpeercert(binary_form=True)) is None:
                        raise
                    return shown
                raise AssertionError("more than one request")

            try:
                until(tls.do_handshake)
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += until(lambda: tls.read(65536))
                tls.verify_client_post_handshake()
                tls.do_handshake()
                got.append(until(certified))
                tls.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            except (ssl.SSLError, EOFError) as error:
                got.append(repr(error).encode())
            sock.sendall(outgoing.read())
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/private", got
    finally:
        thread.join(30)
        assert not thread.is_alive()


def test_a_server_may_ask_for_a_certificate_when_it_has_seen_the_request(
    place: Place, ca: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    """Post-handshake authentication, RFC 8446, section 4.6.2: what Apache does for a part of a site."""
    context = context_of(
        ca.issue_cert("127.0.0.1"),
        minimum_version=ssl.TLSVersion.TLSv1_3,
        verify_mode=ssl.CERT_REQUIRED,
        post_handshake_auth=True,
    )
    ca.configure_trust(context)
    cert = ca.issue_cert("me@example.org")
    own = tmp_path / "me.pem"
    cert.private_key_and_cert_chain_pem.write_to_path(str(own))
    with (
        asking_later(context) as (url, got),
        place.block(place.client(base_url=url, verify=ca_file, cert=str(own))) as client,
    ):
        assert place.get(client, url).status_code == 204
    assert got == [ssl.PEM_cert_to_DER_cert(cert.cert_chain_pems[0].bytes().decode())]
    with asking_later(context) as (url, got):
        assert "the server wants a client certificate" in failure(place, url, verify=ca_file)
    assert b"PEER_DID_NOT_RETURN_A_CERTIFICATE" in (got[0] or b"")


def test_a_key_with_a_password(place: Place, ca: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    context = context_of(ca.issue_cert("127.0.0.1"), verify_mode=ssl.CERT_REQUIRED)
    ca.configure_trust(context)
    cert = ca.issue_cert("me@example.org")
    pem, encrypted = tmp_path / "me.pem", tmp_path / "me.key"
    cert.cert_chain_pems[0].write_to_path(str(pem))
    key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    with serving(context) as server:
        works(place, server, verify=ca_file, cert=(pem, encrypted, "hunter2"))


def test_a_server_that_negotiates_http_2_only(
    place: Place, ca: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to play the server")
    pem = tmp_path / "server.pem"
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with subprocess.Popen(
        [
            openssl,
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-cert",
            str(pem),
            "-alpn",
            "h2",
            "-quiet",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            KNOWN_PORTS.add(port)
            _reachable(port)
            text = failure(place, f"https://127.0.0.1:{port}/", verify=ca_file)
        finally:
            process.kill()
    assert "the server does not speak HTTP/1.1 over TLS" in text


def _reachable(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 30).close()
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_server_that_negotiates_no_protocol_and_speaks_http_2(
    place: Place, ca: trustme.CA, ca_file: str
) -> None:
    context = context_of(ca.issue_cert("127.0.0.1"))
    context.set_alpn_protocols(["h2"])
    with serving(context) as server:
        # SETTINGS, and GOAWAY with HTTP_1_1_REQUIRED or the like.
        server.reply("/", b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1")
        with place.block(place.client(verify=ca_file)) as client:
            error = caught(adieu.ProtocolError, place.get, client, f"{server.url}/")
            assert "does not answer in HTTP/1.1: it does not speak HTTP/1: it speaks HTTP/2" in str(
                error
            )


# Behind a proxy


def test_all_of_it_holds_in_a_tunnel(place: Place, ca: trustme.CA, ca_file: str) -> None:
    cert = ca.issue_cert("inner.example")
    config = TLSConfig(
        ca_file,
        server_hostname="inner.example",
        fingerprints=fingerprint(cert),
        minimum_version="1.3",
    )
    wrong = config.replace(fingerprints="00" * 32)
    outer = context_of(ca.issue_cert("127.0.0.1"))
    with (
        serving(context_of(cert)) as server,
        FaultProxy() as plain,
        FaultProxy(tls=outer) as secure,
    ):
        for proxy in (plain, secure):
            works(place, server, tls=config, proxy=proxy.url)
            with place.block(place.one(tls=wrong, proxy=proxy.url)) as client:
                error = caught(adieu.TLSError, place.get, client, f"{server.url}/ok")
                assert "none of those that are pinned" in str(error)
                assert client.connections() == []
        assert server.served == 2


# The places for settings


def test_a_mount_may_have_settings_of_its_own(
    place: Place, ca: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    context = context_of(ca.issue_cert("127.0.0.1"), verify_mode=ssl.CERT_OPTIONAL)
    ca.configure_trust(context)
    own = tmp_path / "me.pem"
    ca.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(str(own))
    shown: list[bool] = []

    def tell(peer: Any, request: object) -> Any:
        shown.append(peer.sock.getpeercert(True) is not None)
        peer.reply(200, b"ok")
        return "keep"

    with serving(context) as server:
        server.on("/mine", tell)
        server.on("/theirs", tell)
        adapter = place.made()
        client = place.client(adapter=adapter, verify=ca_file)
        client.mount(f"{server.url}/mine", adapter, tls=TLSConfig(ca_file, cert=own))
        with place.block(client):
            for path in ("/mine", "/theirs", "/mine", "/theirs"):
                place.get(client, f"{server.url}{path}")
    # A connection with a client certificate is only for requests with that certificate: one origin, two identities.
    assert shown == [True, False, True, False]


@pytest.mark.parametrize("kind", [adieu.Client, adieu.AsyncClient])
def test_settings_that_contradict_each_other_are_refused(kind: Any, ca_file: str) -> None:
    for other in ({"verify": ca_file}, {"cert": ca_file}):
        with pytest.raises(adieu.InvalidRequest, match="tls= has all TLS settings"):
            kind(tls=TLSConfig(), **other)
    with pytest.raises(adieu.InvalidRequest, match=r"tls= is an adieu\.TLSConfig, not bool"):
        kind(tls=True)
    with pytest.raises(adieu.InvalidRequest, match=r"tls= is an adieu\.TLSConfig, not str"):
        kind().mount("https://a.example/", "native", tls=ca_file)


def test_with_a_context_only_name_and_pins_can_be_set() -> None:
    context = ssl.create_default_context()
    settings: list[dict[str, Any]] = [
        {"trust": "system"},
        {"minimum_version": "1.3"},
        {"ciphers": "ECDHE+AESGCM"},
        {"keylog": "keys"},
    ]
    for setting in settings:
        assert "context= replaces all settings but" in refusal(context=context, **setting)
    TLSConfig(context=context, server_hostname="a.example", fingerprints="00" * 32)


def test_settings_are_a_value_that_pickles(ca_file: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "verify": ca_file,
        "minimum_version": "1.3",
        "ciphers": "ECDHE+AESGCM",
        "server_hostname": "a.example",
        "fingerprints": ["AB" * 32, "00" * 32],
    }
    if hasattr(ssl.SSLContext, "keylog_filename"):
        settings["keylog"] = tmp_path / "keys"
    config = TLSConfig(**settings)
    assert config == TLSConfig(**settings) == config.replace()
    assert hash(config) == hash(TLSConfig(**settings))
    assert config != config.replace(fingerprints=())
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.context_for() is TLSConfig(**settings).context_for()
    # Checks of each connection need no context of their own.
    assert (
        config.context_for() is config.replace(fingerprints=(), server_hostname=None).context_for()
    )
    text = repr(config)
    assert "minimum_version='1.3'" in text
    assert "fingerprints=('0000" in text


def test_settings_for_the_server_do_not_apply_to_a_proxy(ca_file: str) -> None:
    config = TLSConfig(
        ca_file,
        cert=None,
        minimum_version="1.3",
        server_hostname="a.example",
        fingerprints="00" * 32,
    )
    assert config.for_proxy() == TLSConfig(ca_file, minimum_version="1.3")
    assert TLSConfig(context=ssl.create_default_context()).for_proxy() == TLSConfig()
    # A pin of the server does not make the proxy trusted.
    assert TLSConfig(verify=False, fingerprints="00" * 32).for_proxy() == TLSConfig()
    with pytest.warns(InsecureRequestWarning):
        careless = TLSConfig(verify=False)
    assert careless.for_proxy() == careless


def test_a_context_that_checks_no_names_is_used_unchanged(
    place: Place, ca: trustme.CA, ca_file: str
) -> None:
    own = ssl.create_default_context(cafile=ca_file)
    own.check_hostname = False
    with serving(context_of(ca.issue_cert("other.example"))) as server:
        works(place, server, verify=own)
    assert not own.check_hostname
    assert own.verify_mode == ssl.CERT_REQUIRED


def test_no_adapter_changes_a_context(place: Place, tls_server: TLSServer) -> None:
    config = TLSConfig(str(tls_server.ca_path))
    with place.block(place.client(tls=config)) as client:
        place.get(client, f"{tls_server.url}/ok")
    context = config.context_for()
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
