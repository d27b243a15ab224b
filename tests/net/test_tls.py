from __future__ import annotations

import datetime
import gc
import importlib.util
import os
import pathlib
import pickle
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import certifi
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util.ssl_ import create_urllib3_context

from adieu.errors import InvalidRequest
from adieu.net.tls import config as tls
from adieu.net.tls import context as _tls_context
from adieu.net.tls import host_names as _names
from adieu.net.tls.config import InsecureRequestWarning, TLSConfig
from adieu.net.tls.handshake import describe_tls_error, handshake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def no_contexts() -> Iterator[None]:
    tls._contexts.clear()
    yield
    tls._contexts.clear()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: pathlib.Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    cert.configure_cert(context)
    return context


def issued(ca: trustme.CA, *hosts: str, common_name: str = "-") -> trustme.LeafCert:
    """A certificate with these alternative names, all of them as DNS names; trustme refuses some of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(UTC)
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return trustme.LeafCert(private, certificate.public_bytes(serialization.Encoding.PEM), [])


def serve_tls(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as wrapped:
            # First, so that a refused client reads the reason before it writes to a closed connection.
            wrapped.sendall(b"hello")
            wrapped.recv(100)

    return serve


def serve_plainly(sock: socket.socket) -> None:
    sock.recv(1000)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def hang_up(sock: socket.socket) -> None:
    sock.recv(1000)


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A server of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def run() -> None:
            sock, _ = listener.accept()
            sock.settimeout(30)
            with sock:
                try:
                    serve(sock)
                except OSError:
                    pass  # The tests look at the error of the client.

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join(30)
            assert not thread.is_alive()


def talk(address: tuple[str, int], config: TLSConfig, host: str = "localhost") -> dict[str, Any]:
    """Exchange two messages over TLS; return the negotiated values."""
    with socket.create_connection(address, 10) as sock:
        wrapped = config.context_for().wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False
        )
        with wrapped:
            handshake(wrapped)
            assert wrapped.recv(100) == b"hello"
            wrapped.sendall(b"bye")
            return {
                "version": wrapped.version(),
                "alpn": wrapped.selected_alpn_protocol(),
                "peer": wrapped.getpeercert(),
                "ticket": wrapped.session is not None and wrapped.session.has_ticket,
            }


def complaint(
    serve: Callable[[socket.socket], None], config: TLSConfig, host: str = "localhost"
) -> str:
    """The error text of a handshake that fails."""
    with server(serve) as address, pytest.raises(OSError) as caught:  # noqa: PT011
        talk(address, config, host)
    text = describe_tls_error(caught.value, host)
    assert text.startswith(f"TLS with {host} failed: ")
    assert "verify=False" not in text
    return text


def refusal(**settings: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        TLSConfig(**settings).context_for()
    return str(caught.value)


# A value


def test_settings_are_a_value(ca_file: str) -> None:
    assert TLSConfig() == TLSConfig(verify=True)
    assert TLSConfig(verify=ca_file) == TLSConfig(ca_file)
    assert TLSConfig(verify=ca_file) != TLSConfig()
    assert len({TLSConfig(), TLSConfig(), TLSConfig(ca_file)}) == 2
    with pytest.raises(AttributeError, match="is a value"):
        TLSConfig().verify = False
    assert TLSConfig().replace(verify=ca_file) == TLSConfig(ca_file)


def test_paths_are_the_same_file_from_everywhere(
    ca_file: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = TLSConfig("ca.pem")
    assert config == TLSConfig(tmp_path / "ca.pem")
    monkeypatch.chdir("/")
    assert config.verify == os.path.abspath(ca_file)
    config.context_for()


def test_settings_can_be_pickled_and_so_sent_to_another_process(ca_file: str) -> None:
    for config in (TLSConfig(), TLSConfig(ca_file, cert=(ca_file, ca_file, "secret"))):
        assert pickle.loads(pickle.dumps(config)) == config
    with pytest.warns(InsecureRequestWarning):
        careless = TLSConfig(verify=False)
    assert pickle.loads(pickle.dumps(careless)) == careless  # Without a second warning.


def test_settings_with_a_context_cannot_be_pickled_and_the_error_says_why() -> None:
    config = TLSConfig(context=ssl.create_default_context())
    with pytest.raises(TypeError, match=r"an SSLContext of its own cannot be pickled; one with"):
        pickle.dumps(config)


def test_a_passphrase_is_never_shown(ca_file: str) -> None:
    text = repr(TLSConfig(cert=(ca_file, ca_file, "hunter2")))
    assert "hunter2" not in text
    assert text == f"TLSConfig(verify=True, cert=({ca_file!r}, {ca_file!r}, '***'))"
    assert repr(TLSConfig()) == "TLSConfig(verify=True)"
    assert repr(TLSConfig(b"-----BEGIN" * 500)) == "TLSConfig(verify=<PEM>)"


def test_a_context_of_the_user_is_used_unchanged() -> None:
    context = ssl.create_default_context()
    config = TLSConfig(context=context)
    assert config.context_for() is context
    assert config == TLSConfig(context=context)
    assert config != TLSConfig(context=ssl.create_default_context())
    assert "SSLContext" in repr(config)
    for settings in ({"verify": False}, {"cert": certifi.where()}):
        assert "set verify and cert on the context itself" in refusal(context=context, **settings)
    assert refusal(context=True) == "context= is bool, not an SSLContext"


# Wrong settings, refused as early as possible


def test_missing_files_are_refused_when_they_are_given(tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "no.pem")
    with pytest.raises(InvalidRequest) as caught:
        TLSConfig(verify=missing)
    assert str(caught.value) == f"verify={missing!r}: No such file or directory"
    for cert in (missing, (missing, None), (certifi.where(), missing)):
        with pytest.raises(InvalidRequest, match=r"cert='.*no.pem': No such file"):
            TLSConfig(cert=cert)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no such modes here")
def test_files_that_cannot_be_read_are_refused(ca_file: str) -> None:
    os.chmod(ca_file, 0)
    if os.geteuid() != 0:
        assert refusal(verify=ca_file) == f"verify={ca_file!r}: Permission denied"
    elif os.path.exists("/proc/self/mem"):
        # Its first page is unreadable even for root.
        assert refusal(verify="/proc/self/mem").endswith("[Errno 5] Input/output error")


@pytest.mark.parametrize("verify", [None, 0, 1, "", object(), ["ca.pem"]])
def test_an_invalid_verify_is_refused(verify: object) -> None:
    assert refusal(verify=verify).startswith("verify= is True, False, a path, or PEM as bytes, not")


def test_an_invalid_cert_is_refused(ca_file: str) -> None:
    assert refusal(cert=True).startswith("cert= is a path, (certificate, key) or")
    assert refusal(cert=()).endswith("not 0 parts")
    assert refusal(cert=(ca_file,) * 4).endswith("not 4 parts")
    assert refusal(cert=(None, ca_file)).startswith("cert= is a path")
    assert refusal(cert=(ca_file, ca_file, 1)) == "the password in cert= is text or bytes, not int"


def test_pem_as_text_is_distinguished_from_a_path(ca: trustme.CA) -> None:
    pem = ca.cert_pem.bytes().decode()
    assert "takes PEM as bytes" in refusal(verify=pem)
    assert "takes PEM as bytes" in refusal(cert=pem)


def test_files_without_certificates_are_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ca.der"
    path.write_bytes(b"\x30\x82\x01")
    assert refusal(verify=path).startswith(f"verify={str(path)!r} holds no CA certificates in PEM:")
    for junk in (b"", b"nothing", b"\xff"):
        assert "bytes that hold no CA certificates in PEM" in refusal(verify=junk)
    for junk in (
        b"-----BEGIN",
        b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----",
        b"-----BEGIN\xff",
    ):
        assert refusal(verify=junk).startswith("verify=<PEM> holds no CA certificates in PEM:")
    assert f"cert={str(path)!r} cannot be used:" in refusal(cert=path)


def test_a_directory_without_certificates_for_openssl_is_refused(
    ca_file: str, tmp_path: pathlib.Path
) -> None:
    assert "directory in which OpenSSL finds no CAs: run `openssl rehash`" in refusal(
        verify=tmp_path
    )


def test_a_key_of_another_certificate_is_refused(ca: trustme.CA, tmp_path: pathlib.Path) -> None:
    paths = []
    for name in ("one", "two"):
        cert = ca.issue_cert(f"{name}@example.org")
        paths.append((str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key")))
        cert.cert_chain_pems[0].write_to_path(paths[-1][0])
        cert.private_key_pem.write_to_path(paths[-1][1])
    text = refusal(cert=(paths[0][0], paths[1][1]))
    assert text.startswith(f"cert=({paths[0][0]!r}, {paths[1][1]!r}) cannot be used:")
    assert "it takes a certificate and its own key, in PEM" in text


@pytest.fixture
def encrypted(ca: trustme.CA, tmp_path: pathlib.Path) -> tuple[str, str]:
    cert = ca.issue_cert("me@example.org")
    cert.cert_chain_pems[0].write_to_path(str(tmp_path / "me.pem"))
    key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
    (tmp_path / "me.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    return str(tmp_path / "me.pem"), str(tmp_path / "me.key")


def test_a_key_is_decrypted_and_openssl_never_prompts_for_its_passphrase(
    encrypted: tuple[str, str],
) -> None:
    TLSConfig(cert=(*encrypted, "hunter2")).context_for()
    TLSConfig(cert=(*encrypted, b"hunter2")).context_for()
    assert "is encrypted: pass (certificate, key, password)" in refusal(cert=encrypted)
    text = refusal(cert=(*encrypted, "hunter3"))
    assert "cannot be used" in text
    assert "hunter" not in text


# Insecure


def test_missing_verification_causes_one_warning_where_it_is_set(ca: trustme.CA) -> None:
    with pytest.warns(InsecureRequestWarning) as warned:
        config = TLSConfig(verify=False)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    text = str(warned[0].message)
    assert (
        "anybody on the network path can read and change everything that is sent, credentials too"
        in text
    )
    assert "pass verify='/path/to/ca.pem'" in text
    with server(serve_tls(server_context(ca.issue_cert("other.example")))) as address:
        assert talk(address, config)["peer"] == {}
    context = config.context_for()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


# Contexts


def test_equal_settings_share_one_context(ca_file: str) -> None:
    assert TLSConfig().context_for() is TLSConfig().context_for()
    assert TLSConfig(ca_file).context_for() is TLSConfig(ca_file).context_for()
    assert TLSConfig(ca_file).context_for() is not TLSConfig().context_for()


def test_a_file_that_was_replaced_makes_a_new_context(ca_file: str) -> None:
    config = TLSConfig(ca_file)
    before = config.context_for()
    trustme.CA().cert_pem.write_to_path(ca_file)
    os.utime(ca_file, ns=(1, 1))
    assert config.context_for() is not before
    os.unlink(ca_file)
    with pytest.raises(InvalidRequest, match=r"ca.pem': No such file"):
        config.context_for()


def test_concurrent_threads_wait_for_one_context(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = _tls_context.build

    def slowly(*settings: Any) -> ssl.SSLContext:
        built.append(settings)
        time.sleep(0.02)
        return build(*settings)

    monkeypatch.setattr(tls, "_build", slowly)
    found: list[ssl.SSLContext] = []
    begin = threading.Barrier(8)

    def run() -> None:
        begin.wait(30)
        found.append(TLSConfig().context_for())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(built) == 1
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_contexts_are_kept_within_bounds(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_MAX_CONTEXTS", 3)
    pem = ca.cert_pem.bytes()
    configs = [TLSConfig(pem + b"\n" * n) for n in range(5)]
    contexts = [config.context_for() for config in configs]
    assert len(tls._contexts) == 3
    assert configs[4].context_for() is contexts[4]
    assert configs[0].context_for() is not contexts[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent() -> None:
    code = """if True:
        import os, threading, signal
        from adieu.net.tls import config as tls
        tls._lock.acquire()
        child = os.fork()
        if not child:
            signal.alarm(20)
            tls.TLSConfig().context_for()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=30)


def test_nothing_is_imported_before_a_context_is_needed() -> None:
    code = """if True:
        import sys
        import adieu.net.tls.config as tls
        config = tls.TLSConfig()
        assert not {"ssl", "certifi"} & set(sys.modules)
        config.context_for()
        assert {"ssl", "certifi"} <= set(sys.modules)
    """
    # SSL_CERT_FILE would be read in certifi's place.
    environ = {name: value for name, value in os.environ.items() if "SSL_CERT" not in name}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=environ)


def test_a_context_checks_all_that_python_checks() -> None:
    context = TLSConfig().context_for()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_flags == ssl.create_default_context().verify_flags
    assert context.cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize(
    "trust",
    [
        "certifi",
        pytest.param(
            "system",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("truststore") is None, reason="truststore is not installed"
            ),
        ),
    ],
)
def test_a_context_has_all_that_urllib3_sets(trust: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for tickets, which serve to resume sessions, and for key logs, which are asked for."""
    monkeypatch.setenv("SSLKEYLOGFILE", os.devnull)
    theirs, ours = create_urllib3_context(), TLSConfig(trust=trust).context_for()
    for name in (
        "check_hostname",
        "hostname_checks_common_name",
        "minimum_version",
        "maximum_version",
        "post_handshake_auth",
        "verify_flags",
        "verify_mode",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.options & theirs.options & ssl.OP_NO_COMPRESSION
    for resumes in (True, False):
        ours = TLSConfig(trust=trust, resume_sessions=resumes).context_for()
        missing = theirs.options & ~ours.options
        assert missing == (ssl.OP_NO_TICKET if resumes and trust == "certifi" else 0)
    assert theirs.keylog_filename == os.devnull
    assert TLSConfig().context_for().keylog_filename is None


# Real handshakes


def test_what_is_agreed_on(ca: trustme.CA, ca_file: str) -> None:
    with server(serve_tls(server_context(ca.issue_cert("localhost")))) as address:
        agreed = talk(address, TLSConfig(ca_file))
    assert agreed["alpn"] == "http/1.1"
    assert agreed["version"] in {"TLSv1.2", "TLSv1.3"}
    assert agreed["peer"]["subjectAltName"] == (("DNS", "localhost"),)


@pytest.mark.parametrize("resumes", [True, False])
def test_a_ticket_is_taken_only_to_resume(ca: trustme.CA, ca_file: str, resumes: bool) -> None:
    context = server_context(ca.issue_cert("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with server(serve_tls(context)) as address:
        assert talk(address, TLSConfig(ca_file, resume_sessions=resumes))["ticket"] is resumes


def test_trust_can_be_given_as_bytes(ca: trustme.CA) -> None:
    with server(serve_tls(server_context(ca.issue_cert("localhost")))) as address:
        assert talk(address, TLSConfig(ca.cert_pem.bytes()))["peer"]


def test_trust_can_be_a_directory(ca: trustme.CA, ca_file: str, tmp_path: pathlib.Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to hash the directory with")
    hashed = subprocess.run(
        [openssl, "x509", "-noout", "-subject_hash", "-in", ca_file],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    ).stdout.strip()
    folder = tmp_path / "cas"
    folder.mkdir()
    shutil.copy(ca_file, folder / f"{hashed}.0")
    with server(serve_tls(server_context(ca.issue_cert("localhost")))) as address:
        assert talk(address, TLSConfig(folder))["peer"]


def test_a_client_certificate_is_sent(ca: trustme.CA, ca_file: str, tmp_path: pathlib.Path) -> None:
    context = server_context(ca.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    path = tmp_path / "me.pem"
    ca.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(str(path))
    with server(serve_tls(context)) as address:
        assert talk(address, TLSConfig(ca_file, cert=path))["peer"]


# Explained failures


def test_an_unknown_ca_is_explained(ca: trustme.CA) -> None:
    text = complaint(serve_tls(server_context(ca.issue_cert("localhost"))), TLSConfig())
    assert "its certificate is from a CA not trusted here, or an intermediate" in text
    assert "pass verify='/path/to/ca.pem'" in text


def test_a_chain_to_an_unknown_root_is_explained(ca: trustme.CA) -> None:
    cert = ca.issue_cert("localhost")
    context = server_context(cert)
    pem = b"".join([blob.bytes() for blob in cert.cert_chain_pems]) + ca.cert_pem.bytes()
    with trustme.Blob(cert.private_key_pem.bytes() + pem).tempfile() as path:
        context.load_cert_chain(path)
    text = complaint(serve_tls(context), TLSConfig())
    assert "chain ends in a root that is not trusted here" in text


def test_a_self_signed_certificate_is_explained(ca: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(ca.private_key_pem.bytes() + ca.cert_pem.bytes()).tempfile() as path:
        context.load_cert_chain(path)
    text = complaint(serve_tls(context), TLSConfig())
    assert "its certificate is self-signed, so no authority vouches for it" in text


def test_an_expired_certificate_is_explained(ca: trustme.CA, ca_file: str) -> None:
    cert = ca.issue_cert(
        "localhost",
        not_before=datetime.datetime(2019, 1, 1, tzinfo=UTC),
        not_after=datetime.datetime(2020, 1, 1, tzinfo=UTC),
    )
    text = complaint(serve_tls(server_context(cert)), TLSConfig(ca_file))
    assert "its certificate has expired (certificate has expired)" in text
    assert "Check this machine's clock first" in text


def test_a_certificate_from_the_future_is_explained(ca: trustme.CA, ca_file: str) -> None:
    soon = datetime.datetime.now(UTC) + datetime.timedelta(days=2)
    cert = ca.issue_cert("localhost", not_before=soon, not_after=soon + datetime.timedelta(days=9))
    text = complaint(serve_tls(server_context(cert)), TLSConfig(ca_file))
    assert "its certificate is not valid yet" in text


can_see_names = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="PyPy shows no certificate that was refused"
)


def test_a_certificate_for_another_host_is_explained_with_its_names(
    ca: trustme.CA, ca_file: str
) -> None:
    cert = ca.issue_cert("a.example.org", "*.b.example.org", "10.0.0.1", "fe80::1")
    names = "a.example.org, *.b.example.org, 10.0.0.1, fe80::1"
    text = complaint(serve_tls(server_context(cert)), TLSConfig(ca_file), "api.example.org")
    assert "use a host name that the certificate has" in text
    if sys.implementation.name == "cpython":
        assert f" failed: its certificate is for other names: {names} (" in text
    text = complaint(serve_tls(server_context(cert)), TLSConfig(ca_file), "127.0.0.1")
    assert "its certificate is not for this address" in text
    assert "use a host name that the certificate has; where DNS does not know it, " in text
    if sys.implementation.name == "cpython":
        assert f"but for {names} (" in text
        assert "connect=adieu.Connect(addresses={'that name': '127.0.0.1'})" in text


@can_see_names
@pytest.mark.parametrize(
    ("host", "named", "fault", "remedy"),
    [
        (
            "a_b.example.com",
            "*.example.com",
            "stands for letters, digits and hyphens, and not for '_' in 'a_b'",
            "that the certificate has; else the server's owner has to issue a certificate with a_b.example.com itself",
        ),
        (
            "example.com",
            "*.example.com",
            "is for the hosts below example.com, and not for",
            "itself",
        ),
        ("a.b.example.com", "*.example.com", "one label, and not for 'a.b'", "a.b.example.com it"),
        ("example.com", "*.com", "'*.com' does not count, for its * stands for", "example.com it"),
        ("www.example.com", "w*.example.com", "the * is not the whole first label", "use a host"),
        ("127.0.0.1", "127.0.0.1", "this address as a DNS name", "127.0.0.1 as an IP address"),
        ("a.example", "*.b.example", "for other names: *.b.example (", "use a host name"),
        ("127.0.0.1", "*.b.example", "not for this address, but for *.b", "{'that name': '127.0."),
    ],
)
def test_a_name_that_almost_matches_is_explained(
    ca: trustme.CA, ca_file: str, host: str, named: str, fault: str, remedy: str
) -> None:
    """OpenSSL says of each that it is a mismatch, and a reader sees none."""
    context = server_context(issued(ca, named))
    text = complaint(serve_tls(context), TLSConfig(ca_file), host)
    assert fault in text.partition(" (")[0] + " ("
    assert remedy in text


def test_a_name_with_an_underscore_is_accepted_where_the_certificate_has_it(
    ca: trustme.CA, ca_file: str
) -> None:
    context = server_context(issued(ca, "a_b.example.com"))
    with server(serve_tls(context)) as address:
        assert talk(address, TLSConfig(ca_file), "a_b.example.com")["version"]


@can_see_names
def test_of_many_names_it_says_how_many_more_there_are(ca: trustme.CA, ca_file: str) -> None:
    context = server_context(ca.issue_cert(*(f"n{nth}.example.com" for nth in range(20))))
    text = complaint(serve_tls(context), TLSConfig(ca_file), "example.com")
    assert "names: n0.example.com, " in text
    assert "n7.example.com and 12 more (" in text


def test_a_name_that_was_set_is_the_one_to_correct(ca: trustme.CA, ca_file: str) -> None:
    context = server_context(ca.issue_cert("a.example.org"))
    config = TLSConfig(ca_file, server_hostname="b.example.org")
    with (
        server(serve_tls(context)) as address,
        socket.create_connection(address, 10) as sock,
        config.context_for().wrap_socket(
            sock, server_hostname=config.name_for("127.0.0.1"), do_handshake_on_connect=False
        ) as wrapped,
        pytest.raises(ssl.SSLCertVerificationError) as caught,
    ):
        handshake(wrapped, config)
    text = describe_tls_error(caught.value, "127.0.0.1")
    assert "is not valid for 'b.example.org'" in text
    assert "address" not in text
    assert text.endswith("set server_hostname= to a host name that the certificate has.")


def test_a_common_name_is_no_identity(ca: trustme.CA, ca_file: str) -> None:
    """RFC 9110, section 4.3.4: a client must not use it, not even of a certificate without other names."""
    context = server_context(issued(ca, common_name="localhost"))
    text = complaint(serve_tls(context), TLSConfig(ca_file), "localhost")
    assert text.startswith("TLS with localhost failed:")
    if sys.implementation.name == "cpython":
        assert "has no alternative names, and a common name does not count" in text
        assert "has to issue one with localhost as an alternative name" in text


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_may_name_the_authorities(
    ca: trustme.CA, ca_file: str, tmp_path: pathlib.Path, variable: str, monkeypatch: Any
) -> None:
    place = ca_file
    if variable == "SSL_CERT_DIR":
        place = str(tmp_path / "authorities")
        pathlib.Path(place).mkdir()
        pathlib.Path(place, "ca.pem").write_bytes(pathlib.Path(ca_file).read_bytes())
        subprocess.run(["openssl", "rehash", place], check=True)
    serve = serve_tls(server_context(ca.issue_cert("localhost")))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert "from a CA not trusted here" in complaint(serve, TLSConfig())
    monkeypatch.setenv(variable, place)
    with server(serve) as address:
        assert talk(address, TLSConfig())
    # What the program says wins.
    assert "from a CA not trusted here" in complaint(serve, TLSConfig(certifi.where()))
    monkeypatch.setenv(variable, str(tmp_path / "missing"))
    with pytest.raises(InvalidRequest, match=f"{variable}='.*missing': No such file"):
        TLSConfig().context_for()


def test_only_its_owner_may_read_a_key_log(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "keys"
    TLSConfig(keylog=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_plain_http_server_is_explained() -> None:
    text = complaint(serve_plainly, TLSConfig())
    assert "the server on that port does not speak TLS, but plain HTTP, probably" in text
    assert "Check the port" in text


def test_a_server_that_hangs_up_in_the_handshake_is_explained() -> None:
    text = complaint(hang_up, TLSConfig())
    assert "the server closed the connection in the handshake" in text


def test_an_old_protocol_version_is_explained(ca: trustme.CA, ca_file: str) -> None:
    old = server_context(ca.issue_cert("localhost"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    new = ssl.create_default_context(cafile=ca_file)
    new.minimum_version = ssl.TLSVersion.TLSv1_3
    text = complaint(serve_tls(old), TLSConfig(context=new))
    assert "have no TLS version in common; here it is 1.2 and later" in text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_client_certificate_is_explained(
    ca: trustme.CA, ca_file: str, version: ssl.TLSVersion
) -> None:
    context = server_context(ca.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = context.minimum_version = version
    ca.configure_trust(context)
    text = complaint(serve_tls(context), TLSConfig(ca_file))
    assert "client certificate" in text
    assert "cert=" in text


def test_a_client_certificate_that_is_refused_is_explained(
    ca: trustme.CA, ca_file: str, tmp_path: pathlib.Path
) -> None:
    context = server_context(ca.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    path = tmp_path / "me.pem"
    stranger = trustme.CA().issue_cert("me@example.org")
    stranger.private_key_and_cert_chain_pem.write_to_path(str(path))
    text = complaint(serve_tls(context), TLSConfig(ca_file, cert=path))
    assert "the server refused the client certificate" in text


def test_ciphers_without_overlap_are_explained(ca: trustme.CA, ca_file: str) -> None:
    context = server_context(ca.issue_cert("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+CHACHA20")
    own = ssl.create_default_context(cafile=ca_file)
    own.maximum_version = ssl.TLSVersion.TLSv1_2
    own.set_ciphers("ECDHE+AESGCM")
    text = complaint(serve_tls(context), TLSConfig(context=own))
    assert "found nothing in common to agree on" in text


def test_a_wrapped_error_is_found() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    caused = ValueError("something")
    caused.__cause__ = error
    for wrapped in (error, OSError("x", error), RuntimeError(RuntimeError(error)), caused):
        assert "does not speak TLS" in describe_tls_error(wrapped, "h")
    circle = ValueError("circle")
    circle.__context__ = circle
    assert describe_tls_error(circle, "h") == (
        "TLS with h failed: the handshake did not succeed (circle)."
    )
    assert "in the handshake (Connection reset" in describe_tls_error(
        ConnectionResetError(104, "Connection reset by peer"), "h"
    ).replace("[Errno 104] ", "")
    assert describe_tls_error(ValueError(), "h").endswith("(ValueError).")


def test_a_check_without_an_own_text_has_the_text_of_openssl() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = 92
    error.verify_message = "Missing Authority Key Identifier"
    assert describe_tls_error(error, "h") == (
        "TLS with h failed: its certificate did not pass a check "
        "(Missing Authority Key Identifier)."
    )


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_a_failed_handshake_leaves_no_cycle_behind(ca: trustme.CA, ca_file: str) -> None:
    context = TLSConfig(ca_file).context_for()

    def fail(address: tuple[str, int]) -> weakref.ref[ssl.SSLSocket]:
        with (
            socket.create_connection(address, 10) as sock,
            context.wrap_socket(
                sock, server_hostname="localhost", do_handshake_on_connect=False
            ) as wrapped,
        ):
            try:
                handshake(wrapped)
            except ssl.SSLCertVerificationError as error:
                describe_tls_error(error, "localhost")
            return weakref.ref(wrapped)

    gc.collect()
    gc.disable()
    try:
        with server(serve_tls(server_context(ca.issue_cert("other.example")))) as address:
            assert fail(address)() is None
    finally:
        gc.enable()


@given(st.binary(max_size=80))
def test_any_certificate_can_be_looked_at(noise: bytes) -> None:
    class Sock:
        def get_unverified_chain(self) -> list[bytes]:
            return [b"\x30\x06\x03\x55\x1d\x11" + noise]

    names = _names.names_of(Sock())
    for host in ("a.example", "127.0.0.1"):
        assert all(_names.mismatch(host, names, is_set=False))
    assert names is None or all(name.isprintable() for name in (*names.hosts, *names.addresses))
    assert _names.names_of(object()) is None
