"""A new connection resumes the TLS session of an earlier one: to the same origin, with equal settings, and no other."""

from __future__ import annotations

import gc
import os
import pickle
import ssl
import threading
import warnings
import weakref
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.messages.url import Origin
from adieu.net.tls import config as tls
from adieu.net.tls import handshake as _handshake
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.sessions import Sessions
from adieu.testing import FaultServer
from servers import KNOWN_PORTS
from support.everywhere import stage
from support.proxies import FaultProxy

__all__ = ["stage"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Authority
    from support.stage import Stage

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(autouse=True)
def no_contexts() -> Iterator[None]:
    """No context of another test, and so no session."""
    tls._contexts.clear()
    yield
    tls._contexts.clear()


class Servers:
    """Servers that answer with whether their side of the handshake was a resumed one."""

    def __init__(self, authority: Authority, version: str) -> None:
        self.stack = ExitStack()
        self.authority = authority
        self.version = version

    def start(self, context: ssl.SSLContext | None = None, *names: str) -> FaultServer:
        if context is None:
            context = self.context(*names)
        server = self.stack.enter_context(FaultServer(tls=context))
        server.on("/resumed", _resumed)
        KNOWN_PORTS.add(server.port)
        return server

    def context(self, *names: str) -> ssl.SSLContext:
        context = self.authority.server_context(*names)
        context.minimum_version = context.maximum_version = VERSIONS[self.version]
        return context


def _resumed(peer: Any, request: Any) -> Any:
    peer.reply(200, f"{peer.sock.version()} {peer.sock.session_reused}".encode())
    return "keep"


@pytest.fixture(params=list(VERSIONS))
def servers(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Servers]:
    found = Servers(authority, request.param)
    with found.stack:
        yield found


def asked(stage: Stage, server: FaultServer, *, host: str = "localhost", **options: Any) -> bool:
    """Whether a one-shot, which opens a connection of its own, resumed a session at the server."""
    url = f"https://{host}:{server.port}/resumed"
    response = stage.run(
        stage.runner.one_shot("GET", url, adapter=stage.adapter, timeout=30, **options)
    )
    assert response.status_code == 200
    version, resumed = response.text.split()
    assert version in ("TLSv1.2", "TLSv1.3")
    return bool(resumed == "True")


def test_the_next_connection_of_equal_settings_resumes_the_session(
    stage: Stage, servers: Servers
) -> None:
    server = servers.start()
    ca = str(servers.authority.path)
    found = [asked(stage, server, tls=TLSConfig(ca)) for _ in range(4)]
    assert found == [False, True, True, True]
    assert stage.nothing_open()


def test_clients_of_equal_settings_share_their_sessions(stage: Stage, servers: Servers) -> None:
    server = servers.start()
    found = []
    for _ in range(2):
        options: dict[str, Any] = {"verify": str(servers.authority.path), "base_url": None}
        with stage.block(stage.client(cleanup=adieu.NoKeepAlive(), **options)) as client:
            found += [stage.get(client, f"{server.url}/resumed").text.split()[1] for _ in range(2)]
    assert found == ["False", "True", "True", "True"]


def test_a_kept_connection_is_no_new_one(stage: Stage, servers: Servers) -> None:
    """What is kept after the first answer is not looked for at each further one."""
    server = servers.start()
    config = TLSConfig(str(servers.authority.path))
    with stage.block(stage.client(tls=config, base_url=None)) as client:
        for _ in range(3):
            assert stage.get(client, f"{server.url}/ok").status_code == 200
    kept = len(Sessions.of(config.context_for()))
    assert kept == (1 if stage.adapter != "close" else kept)


DIFFERENT: dict[str, Callable[[str, Any], tuple[TLSConfig, TLSConfig]]] = {
    "authorities": lambda ca, cert: (TLSConfig(ca), TLSConfig(Path(ca).read_bytes())),
    "client certificates": lambda ca, cert: (TLSConfig(ca, cert), TLSConfig(ca)),
    "server names": lambda ca, cert: (TLSConfig(ca), TLSConfig(ca, server_hostname="127.0.0.1")),
    "versions": lambda ca, cert: (TLSConfig(ca), TLSConfig(ca, ciphers="ECDHE+AESGCM")),
    "switched off": lambda ca, cert: (TLSConfig(ca), TLSConfig(ca, resume_sessions=False)),
    "contexts": lambda ca, cert: (
        TLSConfig(context=ssl.create_default_context(cafile=ca)),
        TLSConfig(context=ssl.create_default_context(cafile=ca)),
    ),
}


@pytest.mark.parametrize("which", list(DIFFERENT))
def test_no_session_is_resumed_across(which: str, servers: Servers, stage: Stage) -> None:
    authority = servers.authority
    first, second = DIFFERENT[which](
        str(authority.path), (str(authority.chain), str(authority.key))
    )
    context = servers.context()
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = servers.start(context)
    assert [asked(stage, server, tls=config) for config in (first, second)] == [False, False]
    assert asked(stage, server, tls=second) is second.resume_sessions
    assert asked(stage, server, tls=first)


def test_no_session_goes_to_another_origin(stage: Stage, servers: Servers) -> None:
    """The two share the key of their tickets, so each could resume the other's."""
    context = servers.context()
    one, other = servers.start(context), servers.start(context)
    config = TLSConfig(str(servers.authority.path))
    assert not asked(stage, one, tls=config)
    assert not asked(stage, other, tls=config)
    assert not asked(stage, one, tls=config, host="127.0.0.1")
    assert asked(stage, one, tls=config)


def test_no_session_goes_another_way(stage: Stage, servers: Servers) -> None:
    """A server could tell that the connection through the proxy is of the same client as the direct one."""
    server = servers.start()
    proxy = servers.stack.enter_context(FaultProxy())
    config = TLSConfig(str(servers.authority.path))
    with stage.block(
        stage.client(tls=config, base_url=None, cleanup=adieu.NoKeepAlive())
    ) as client:
        ways: list[Any] = [None, proxy.url, proxy.url, None]
        found = [
            stage.get(client, f"{server.url}/resumed", proxy=way).text.split()[1] for way in ways
        ]
    assert found == ["False", "False", "True", "True"]


def test_tls_inside_tls_resumes_both(stage: Stage, servers: Servers) -> None:
    server = servers.start()
    reused: list[bool | None] = []

    class Noting(FaultProxy):
        def _exchange(self, peer: Any) -> Any:
            reused.append(peer.sock.session_reused)
            return super()._exchange(peer)

    proxy = servers.stack.enter_context(Noting(tls=servers.context()))
    config = TLSConfig(str(servers.authority.path))
    way = f"https://localhost:{proxy.port}"
    with stage.block(
        stage.client(tls=config, base_url=None, proxy=way, cleanup=adieu.NoKeepAlive())
    ) as client:
        url = f"https://localhost:{server.port}/resumed"
        found = [stage.get(client, url).text.split()[1] for _ in range(2)]
    assert found == ["False", "True"]
    assert reused == [False, True]


@pytest.mark.certificates
def test_a_session_that_began_without_a_check_is_not_resumed_under_one(
    stage: Stage, servers: Servers
) -> None:
    server = servers.start(None, "other.example")
    context = servers.authority.client_context()
    context.check_hostname = False
    config = TLSConfig(context=context)
    assert not asked(stage, server, tls=config)
    assert asked(stage, server, tls=config)
    context.check_hostname = True
    with pytest.raises(adieu.TLSError, match=r"for other names: other\.example "):
        asked(stage, server, tls=config)


def test_a_resumed_connection_has_its_fingerprint_checked(
    stage: Stage, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers.start()
    checked: list[bool | None] = []

    def check(sock: Any, pins: tuple[str, ...], real: Any = _handshake._check_pins) -> None:
        checked.append(sock.session_reused)
        real(sock, pins if len(checked) < 3 else ("00" * 32,))

    monkeypatch.setattr(_handshake, "_check_pins", check)
    pem = ssl.PEM_cert_to_DER_cert(_first(servers.authority.chain.read_text()))
    config = TLSConfig(str(servers.authority.path), fingerprints=sha256(pem).hexdigest())
    assert [asked(stage, server, tls=config) for _ in range(2)] == [False, True]
    with pytest.raises(adieu.TLSError, match="none of those that are pinned"):
        asked(stage, server, tls=config)
    assert checked == [False, True, True]


def _first(pem: str) -> str:
    end = "-----END CERTIFICATE-----"
    return pem[: pem.index(end) + len(end)]


def test_a_session_ends_an_hour_after_the_certificate_was_checked(
    stage: Stage, servers: Servers
) -> None:
    """However often it was renewed meanwhile."""
    server = servers.start()
    config = TLSConfig(str(servers.authority.path))
    now = 0.0
    Sessions.of(config.context_for())._clock = lambda: now
    found = []
    for minute in (0, 50, 59, 61, 70):
        now = minute * 60.0
        found.append(asked(stage, server, tls=config))
    assert found == [False, True, True, False, True]


def test_a_peer_that_fails_to_resume_is_not_asked_to_again(
    stage: Stage, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers.start()
    config = TLSConfig(str(servers.authority.path))
    assert not asked(stage, server, tls=config)
    (queue,) = Sessions.of(config.context_for())._kept.values()
    queue.append(queue[0])  # As two connections at once leave two sessions.
    with monkeypatch.context() as patch:
        patch.setattr(server, "_tls", _HangsUp())
        with pytest.raises(adieu.TransportError):
            asked(stage, server, tls=config)
    assert not asked(stage, server, tls=config)


class _HangsUp:
    """In the place of a server's context: it ends the connection in the handshake."""

    def wrap_socket(self, sock: Any, **options: Any) -> Any:
        raise ConnectionError


def test_threads_never_get_the_same_session(servers: Servers) -> None:
    """Each of eight connects six times; what one leaves is what it takes, unless another has taken it."""
    server = servers.start()
    config = TLSConfig(str(servers.authority.path))
    answers: list[str] = []
    url = f"https://localhost:{server.port}/resumed"

    def work() -> None:
        for _ in range(6):
            answers.append(adieu.get(url, tls=config, timeout=30).text.split()[1])  # noqa: PERF401

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 48
    assert 1 <= answers.count("False") <= 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_uses_no_session_of_its_parent(servers: Servers) -> None:
    server = servers.start()
    config = TLSConfig(str(servers.authority.path))
    url = f"https://localhost:{server.port}/resumed"

    def resumed() -> bytes:
        word: bytes = adieu.get(url, tls=config, timeout=30).content.split()[1]
        return word

    assert resumed() == b"False"
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # The servers have threads.
        child = os.fork()
    if not child:
        try:
            os.write(writing, resumed() + b" " + resumed())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said == b"False True"
    assert resumed() == b"True"


def test_the_setting_is_pickled_and_the_sessions_are_not(servers: Servers) -> None:
    server = servers.start()
    url = f"https://localhost:{server.port}/resumed"
    for resume in (True, False):
        config = TLSConfig(str(servers.authority.path), resume_sessions=resume)
        assert b"SSLSession" not in pickle.dumps(config)
        with pickle.loads(pickle.dumps(adieu.Client(tls=config))) as client:
            assert client.get(url).status_code == 200
        again = pickle.loads(pickle.dumps(config))
        assert again == config
        assert adieu.get(url, tls=again).text.split()[1] == str(resume)


def test_sessions_end_with_their_context(servers: Servers) -> None:
    server = servers.start()
    context = servers.authority.client_context()
    config = TLSConfig(context=context)
    assert adieu.get(f"https://localhost:{server.port}/ok", tls=config).status_code == 200
    assert len(Sessions.of(context)) == 1
    gone = weakref.ref(context)
    del context, config
    gc.collect()
    assert gone() is None


def test_another_kind_of_context_is_left_alone(servers: Servers) -> None:
    """As truststore's, by which the operating system checks each connection."""

    class Another(ssl.SSLContext):
        pass

    server = servers.start()
    context = Another(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(servers.authority.path)
    config = TLSConfig(context=context)
    url = f"https://localhost:{server.port}/resumed"
    assert [adieu.get(url, tls=config).text.split()[1] for _ in range(2)] == ["False"] * 2


@pytest.mark.parametrize("value", [None, 1, "no"])
def test_the_setting_is_true_or_false(value: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="resume_sessions= is True or False, not"):
        TLSConfig(resume_sessions=value)
    assert "resume_sessions=False" in repr(TLSConfig(resume_sessions=False))
    assert repr(TLSConfig()) == "TLSConfig(verify=True)"


def _held(sessions: Sessions, key: object) -> list[object]:
    found: list[object] = []
    while (kept := sessions.take(key)) is not None:
        found.append(kept.session)
    return found


def test_few_sessions_are_kept_of_a_peer_and_of_few_peers() -> None:
    sessions = Sessions()
    made: Any = [object() for _ in range(20)]
    for session in made:
        sessions.keep("peer", session, None)
    assert len(sessions) == 8
    assert _held(sessions, "peer") == made[:-9:-1]
    peers = [Origin("https", f"host{number}", 443) for number in range(1000)]
    for peer in peers:
        sessions.keep(peer, made[0], None)
        sessions.keep(peers[0], made[1], None)
    assert len(sessions._kept) == 64
    assert _held(sessions, peers[1]) == []
    assert len(_held(sessions, peers[0])) == 8
    assert _held(sessions, peers[-1]) == [made[0]]
