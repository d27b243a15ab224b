"""Proxies: every kind with every adapter, and every way in which one fails."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import BlackHole, FaultServer, TLSFaults, refused_port
from adieu_native import NativeAdapter
from servers import KNOWN_PORTS, FullHole
from support.proxies import FAULTS, FaultProxy, SocksServer, digest_challenges
from support.runner import RUNNERS
from support.stage import ADAPTERS, Stage, caught, growing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Authority, TLSServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

_PLACES = [
    (mode, adapter)
    for mode in RUNNERS
    for adapter in ADAPTERS
    if mode == "sync" or adapter == "native" or (mode, adapter) == ("async", "close")
]
ME = f"Basic {b64encode(b'me:s3cret').decode()}"


class Surroundings(Stage):
    """A stage with an origin over TLS, and proxies in front of it."""

    secure: TLSServer
    stack: contextlib.ExitStack
    proxies: list[FaultProxy | SocksServer]

    def proxy(self, *args: Any, **options: Any) -> FaultProxy:
        self.proxies.append(made := self.stack.enter_context(FaultProxy(*args, **options)))
        return made

    def socks(self, **options: Any) -> SocksServer:
        self.proxies.append(made := self.stack.enter_context(SocksServer(**options)))
        return made

    def nothing_open(self) -> bool:
        # The proxies are in this process too: their connections to the origin do not belong to the client.
        for proxy in self.proxies:
            proxy.wait_until(lambda proxy=proxy: not proxy.open)  # type: ignore[misc]
        return super().nothing_open()

    def client(self, **options: Any) -> Any:
        options.setdefault("verify", str(self.secure.ca_path))
        return super().client(**options)

    @property
    def keeps(self) -> bool:
        """Connections are kept for the next call."""
        return self.adapter != "close"


@pytest.fixture(params=_PLACES, ids="-".join)
def stage(
    request: pytest.FixtureRequest,
    fault_server: FaultServer,
    tls_server: TLSServer,
    census: Watch,
) -> Iterator[Surroundings]:
    """Every mode with each of its adapters; at the end no socket may be open."""
    mode, adapter = request.param
    runner = RUNNERS[mode]()
    stage = Surroundings(runner, adapter, None, fault_server, census)
    stage.secure, stage.proxies = tls_server, []
    with contextlib.ExitStack() as stage.stack:
        yield stage
    runner.close()


def through(
    stage: Surroundings, proxy: Any, url: str, connect: float = 30, **options: Any
) -> BaseException:
    """The error of a call through this proxy; afterwards the client's one place is free and nothing is open."""
    with stage.block(stage.one(proxy=proxy, **options)) as client:
        timeout = adieu.Timeout(connect=connect)
        error = caught(adieu.AdieuError, stage.get, client, url, timeout=timeout)
        assert stage.get(client, "/ok", proxy=None).status_code == 200
    stage.nothing_open()
    return error


# Tunnels


def test_https_goes_through_a_tunnel_that_is_kept(stage: Surroundings) -> None:
    proxy = stage.proxy()
    with stage.block(stage.client(proxy=proxy.url)) as client:
        for _ in range(2):
            assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
    asked = [(one.method, one.target, one.header("host")) for one in proxy.requests]
    authority = f"127.0.0.1:{stage.secure.port}"
    assert asked == [("CONNECT", authority, authority)] * (1 if stage.keeps else 2)
    assert [one.target for one in stage.secure.server.requests] == ["/ok", "/ok"]


def test_credentials_and_fields_for_the_proxy_go_to_the_proxy_only(stage: Surroundings) -> None:
    proxy = stage.proxy(auth=ME)
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"), headers={"X-Tenant": "blue"})
    with stage.block(stage.client(proxy=setting)) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
        assert stage.get(client, "http://example.org/x?y").content == b"http://example.org/x?y"
    tunnel, forwarded = proxy.requests
    for request in (tunnel, forwarded):
        assert request.header("proxy-authorization") == ME
        assert request.header("x-tenant") == "blue"
    (inside,) = stage.secure.server.requests
    names = {name.lower() for name, _ in inside.headers}
    assert not {"proxy-authorization", "x-tenant"} & names
    # And the proxy does not get the fields for the origin.
    assert tunnel.header("user-agent") is None


def test_credentials_may_be_in_the_url(stage: Surroundings) -> None:
    proxy = stage.proxy(auth=f"Basic {b64encode(b'a@b:p:/').decode()}")
    url = proxy.url.replace("//", "//a%40b:p%3A%2F@")
    with stage.block(stage.client(proxy=url)) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
        assert "a%40b" not in repr(client.connections())
        assert "p%3A" not in repr(client.connections())


def test_http_is_forwarded_with_its_whole_url(stage: Surroundings) -> None:
    proxy = stage.proxy()
    with stage.block(stage.client(proxy=proxy.url)) as client:
        for _ in range(2):
            url = "http://user:pw@example.org:8080/a/b?c=d#e"
            assert stage.get(client, url).content == b"http://example.org:8080/a/b?c=d"
    assert proxy.accepted == (1 if stage.keeps else 2)
    assert [one.header("host") for one in proxy.requests] == ["example.org:8080"] * 2


def test_an_upload_is_forwarded_and_tunnelled(stage: Surroundings) -> None:
    proxy = stage.proxy()
    content = bytes(range(256)) * 2000
    with stage.block(stage.client(proxy=proxy.url)) as client:
        answer = stage.get(client, f"{stage.secure.url}/echo", "POST", content=content)
        assert b'"length": %d' % len(content) in stage.read(answer)
        assert stage.get(client, "http://example.org/", "POST", content=content).status_code == 200
    assert proxy.requests[-1].body == content


@pytest.mark.parametrize("answer", [
    b"HTTP/1.0 200 Connection established\r\n\r\n",
    b"HTTP/1.1 299 Whatever\r\nContent-Length: 12\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n",
    # RFC 9110, section 9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding header fields".
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\nX-A: a\r\n folded\r\n\n",
], ids=[
    "1.0", "length", "chunked", "after 100", "both", "chunked in 1.0", "identity", "chunked twice",
    "empty length", "negative length", "two lengths", "bare LF and a fold",
])  # fmt: skip
def test_the_answer_that_opens_a_tunnel_has_no_content_even_if_it_announces_one(
    stage: Surroundings, answer: bytes
) -> None:
    proxy = stage.proxy(answer=answer)
    with stage.block(stage.client(proxy=proxy.url)) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200


def test_an_https_proxy_gets_tls_and_its_tunnels_are_tls_in_tls(
    stage: Surroundings, authority: Authority
) -> None:
    proxy = stage.proxy(tls=authority.server_context(), auth=ME)
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"))
    with stage.block(stage.client(proxy=setting)) as client:
        for _ in range(2):
            answer = stage.get(client, f"{stage.secure.url}/bytes?n=300000")
            assert len(stage.read(answer)) == 300_000
        content = bytes(500_000)
        answer = stage.get(client, f"{stage.secure.url}/echo", "POST", content=[content])
        assert b'"length": %d' % len(content) in stage.read(answer)
        assert stage.get(client, "http://example.org/").content == b"http://example.org/"


@pytest.mark.certificates
def test_the_checks_of_tls_hold_inside_a_tunnel(stage: Surroundings, authority: Authority) -> None:
    wrong = stage.stack.enter_context(FaultServer(tls=authority.server_context("other.example")))
    KNOWN_PORTS.add(wrong.port)
    proxy = stage.proxy()
    error = through(stage, proxy.url, wrong.url)
    assert isinstance(error, adieu.TLSError)
    assert not isinstance(error, adieu.ProxyError)
    assert "TLS with 127.0.0.1 failed: its certificate is not for this address" in str(error)
    error = through(stage, proxy.url, stage.secure.url, verify=True)
    assert isinstance(error, adieu.TLSError)
    assert "from a CA not trusted here" in str(error) or "a root that is not trusted" in str(error)
    assert not stage.secure.server.requests
    assert not wrong.requests


def test_a_client_certificate_is_sent_to_the_origin_and_not_to_the_proxy(
    stage: Surroundings, authority: Authority
) -> None:
    seen: dict[str, list[Any]] = {"proxy": [], "origin": []}

    def asking(who: str) -> ssl.SSLContext:
        context = authority.server_context()
        context.load_verify_locations(cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    origin = stage.stack.enter_context(FaultServer(tls=asking("origin")))
    KNOWN_PORTS.add(origin.port)
    origin.on("/who", lambda peer, request: _tell(peer, seen["origin"]))
    proxy = stage.proxy(tls=asking("proxy"))
    proxy.noticed = seen["proxy"]
    cert = (str(authority.chain), str(authority.key))
    with stage.block(stage.client(proxy=proxy.url, cert=cert, base_url=None)) as client:
        assert stage.get(client, f"{origin.url}/who").status_code == 200
        assert stage.get(client, "http://example.org/").status_code == 200
    assert seen["origin"] != [None]
    assert seen["proxy"] == [None] * len(seen["proxy"]) != []


def _tell(peer: Any, seen: list[Any]) -> Any:
    seen.append(peer.sock.getpeercert(True))
    peer.reply(200)
    return "keep"


@pytest.mark.certificates
def test_sni_names_the_origin_inside_and_the_proxy_outside(
    stage: Surroundings, authority: Authority
) -> None:
    names: list[tuple[str, str | None]] = []

    def noting(who: str, *certificate: str) -> ssl.SSLContext:
        context = authority.server_context(*certificate)
        context.sni_callback = lambda sock, name, context: names.append((who, name))
        return context

    origin = stage.stack.enter_context(FaultServer(tls=noting("origin", "inside.example")))
    KNOWN_PORTS.add(origin.port)
    proxy = stage.proxy(tls=noting("proxy"))
    with stage.block(stage.client(proxy=f"https://localhost:{proxy.port}")) as client:
        url = f"https://inside.example:{origin.port}/ok"
        assert stage.get(client, url).status_code == 200
    assert names == [("proxy", "localhost"), ("origin", "inside.example")]


# Refusals


_SAYS = {
    "refuses": 'it answered 403 Forbidden; its words begin with "not by this way"',
    "garbage": "it does not speak HTTP/1: its first bytes are b'SSH-2.0-OpenSSH",
    "closes": "it closed the connection without an answer",
    "resets": "",
    "half a head": "it closed the connection without an answer",
    "surplus": 'sent 17 bytes more than its answer to CONNECT: "HTTP/1.1 200 OK',
    "surplus in chunks": 'sent 15 bytes more than its answer to CONNECT: "5',
    "endless 1xx": "it sent more than 32 1xx responses",
    "redirects": "it answered 302 Found",
    "drips": 'it answered 502 Bad Gateway; its words begin with "x',
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tunnel_that_fails_leaves_nothing_and_its_error_quotes_the_proxy(
    stage: Surroundings, fault: str
) -> None:
    proxy = stage.proxy(fault)
    url = proxy.url.replace("//", "//me:s3cret@")
    error: Any = None
    for seconds in growing(0.1):
        error = through(stage, url, f"{stage.secure.url}/ok", seconds if fault == "hangs" else 30)
        if proxy.requests:
            break
    assert isinstance(error, adieu.ConnectError)
    assert error.request_sent == "no"
    assert error.retry_safe
    assert "s3cret" not in repr(error) + str(error)
    assert not stage.secure.server.accepted
    if fault == "hangs":
        assert isinstance(error, adieu.ConnectTimeout)
        assert not isinstance(error, adieu.ProxyError)
        assert f"on the way through the proxy {proxy.url}" in str(error)
        return
    assert isinstance(error, adieu.ProxyError)
    assert error.phase == "proxy"
    assert proxy.url in str(error)
    assert _SAYS[fault] in str(error)


def test_the_error_of_a_refusal_has_the_answer_as_facts(stage: Surroundings) -> None:
    error = through(stage, stage.proxy("refuses").url, stage.secure.url)
    assert isinstance(error, adieu.ProxyError)
    assert (error.status, error.reason, error.answer) == (403, "Forbidden", b"not by this way")
    error = through(stage, stage.proxy("drips").url, stage.secure.url)
    assert isinstance(error, adieu.ProxyError)
    assert 0 < len(error.answer) < 100


def test_the_error_of_a_407_names_the_missing_credentials(stage: Surroundings) -> None:
    proxy = stage.proxy(auth=ME)
    error = through(stage, proxy.url, stage.secure.url)
    assert "it answered 407 Scripted; it wants credentials, and takes basic" in str(error)
    assert "adieu.Proxy(url, auth=(user, password))" in str(error)
    wrong = adieu.Proxy(proxy.url, auth=("me", "wr0ng"))
    error = through(stage, wrong, stage.secure.url)
    assert isinstance(error, adieu.ProxyError)
    assert error.status == 407
    assert "it refused the credentials, and takes basic" in str(error)
    assert "wr0ng" not in str(error)


def test_a_407_to_a_forwarded_request_is_the_response(stage: Surroundings) -> None:
    proxy = stage.proxy(auth=ME)
    with stage.block(stage.client(proxy=proxy.url)) as client:
        assert stage.get(client, "http://example.org/").status_code == 407


@pytest.mark.needs("digest for proxies")
def test_digest_answers_the_proxys_challenge_and_never_sends_the_password(
    stage: Surroundings,
) -> None:
    proxy = stage.proxy(auth=digest_challenges("me"))
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"), digest=True)
    with stage.block(stage.one(proxy=setting)) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
        for _ in range(2):
            answer = stage.get(client, "http://example.org/a?b", "POST", content=b"x" * 100)
            assert answer.content == b"http://example.org/a?b"
    said = [one.header("proxy-authorization") for one in proxy.requests]
    # Only the first request gets a challenge.
    assert said[0] is None
    assert all(text and text.startswith("Digest ") for text in said[1:])
    assert len(said) == 4
    assert f'uri="127.0.0.1:{stage.secure.port}"' in str(said[1])
    assert 'uri="http://example.org/a?b"' in str(said[2])
    assert "nc=00000003" in str(said[3])
    assert "s3cret" not in str(said)


_REFUSALS = {
    "short": (b"who are you?", []),
    "long": (b"x" * 200_000, []),
    "closes": (b"who are you?", [("connection", "close")]),
    "closes without a word": (b"who are you?", [("x-y", "z")]),
}


@pytest.mark.needs("digest for proxies")
@pytest.mark.parametrize("tunnel", [True, False])
@pytest.mark.parametrize("refusal", _REFUSALS)
def test_a_proxys_challenge_costs_a_new_connection_only_if_it_has_to(
    stage: Surroundings, refusal: str, tunnel: bool
) -> None:
    proxy = stage.proxy(auth=digest_challenges("me"), refusal=_REFUSALS[refusal])
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"), digest=True)
    url = f"{stage.secure.url}/ok" if tunnel else "http://example.org/a"
    with stage.block(stage.one(proxy=setting)) as client:
        assert stage.get(client, url).status_code == 200
    first, second = proxy.requests
    kept = refusal == "short" and (tunnel or stage.keeps)
    assert (first.connection == second.connection) is kept
    assert proxy.accepted == (1 if kept else 2)


@pytest.mark.needs("digest for proxies")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("tunnel", [True, False])
def test_a_proxy_that_hangs_up_after_its_challenge_fails_no_request(
    stage: Surroundings, tunnel: bool, method: str
) -> None:
    """A GET is sent again; a POST must not be, so it goes over a connection that was never used."""
    proxy = stage.proxy(auth=digest_challenges("me"), hangs_up=True)
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"), digest=True)
    url = f"{stage.secure.url}/echo" if tunnel else "http://example.org/a"
    with stage.block(stage.one(proxy=setting)) as client:
        content = b"x" * 100 if method == "POST" else None
        assert stage.get(client, url, method, content=content).status_code == 200
    assert len(proxy.requests) == 2


@pytest.mark.needs("digest for proxies")
def test_content_that_a_proxys_challenge_has_used_up_is_an_error_that_says_so(
    stage: Surroundings,
) -> None:
    proxy = stage.proxy(auth=digest_challenges("me"))
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"), digest=True)
    with stage.block(stage.one(proxy=setting)) as client:
        with pytest.raises(
            adieu.ContentError,
            match=r"the proxy http://127.* asks for credentials before it forwards POST http://example.org/",
        ) as refused:
            stage.get(client, "http://example.org/", "POST", content=iter([b"once"]))
        assert "it was an iterator that has been used up: pass bytes" in str(refused.value)
        assert stage.in_use(client) == []
        # The challenge is known now.
        answer = stage.get(client, "http://example.org/", "POST", content=iter([b"once"]))
        assert answer.status_code == 200
    assert [request.body for request in proxy.requests] == [b"once"] * 2


@pytest.mark.needs("digest for proxies")
def test_digest_credentials_that_are_refused_end_it(stage: Surroundings) -> None:
    proxy = stage.proxy(auth=digest_challenges("somebody else"))
    setting = adieu.Proxy(proxy.url, auth=("me", "s3cret"), digest=True)
    error = through(stage, setting, stage.secure.url)
    assert isinstance(error, adieu.ProxyError)
    assert error.status == 407
    assert len(proxy.requests) == 2
    with stage.block(stage.one(proxy=setting)) as client:
        answer = stage.get(client, "http://example.org/", "POST", content=[b"once"])
        assert answer.status_code == 407


def test_the_error_distinguishes_an_unreachable_proxy_from_an_unreachable_origin(
    stage: Surroundings,
) -> None:
    with refused_port() as port:
        KNOWN_PORTS.add(port)
        for url in (stage.secure.url, "http://example.org/"):
            error = through(stage, f"http://127.0.0.1:{port}", url)
            assert isinstance(error, adieu.ProxyError)
            assert error.phase == "connect"
            assert f"the proxy http://127.0.0.1:{port} cannot be reached: " in str(error)
            assert "Connection refused" in str(error)
        error = through(stage, stage.proxy().url, f"https://127.0.0.1:{port}/")
        assert isinstance(error, adieu.ProxyError)
        assert error.status == 502


def test_a_proxy_whose_name_does_not_exist_is_an_error(
    stage: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with stage.block(stage.one(proxy="http://proxy.invalid:3128")) as client:
        error = caught(adieu.ProxyError, stage.get, client, stage.secure.url)
    assert getattr(error, "phase", None) == "dns"
    assert "the host name 'proxy.invalid' could not be resolved" in str(error)


@pytest.mark.parametrize("kind", ["close", "reset", "plain", "alert", "half", "stall"])
def test_an_https_proxy_whose_handshake_fails_is_an_error(stage: Surroundings, kind: Any) -> None:
    with TLSFaults(kind) as broken:
        KNOWN_PORTS.add(broken.port)
        connect = 0.1 if kind == "stall" else 30
        error = through(stage, broken.url, stage.secure.url, connect)
    if kind == "stall":
        assert isinstance(error, adieu.ConnectTimeout)
    else:
        assert isinstance(error, adieu.ProxyError)
        assert f"the proxy {broken.url} cannot be reached: " in str(error)


@pytest.mark.certificates
def test_an_https_proxy_is_checked_as_servers_are(
    stage: Surroundings, authority: Authority
) -> None:
    proxy = stage.proxy(tls=authority.server_context("proxy.example"))
    error = through(stage, proxy.url, stage.secure.url)
    assert isinstance(error, adieu.ProxyError)
    assert error.phase == "tls"
    assert "its certificate is not for this address, but for proxy.example (" in str(error)
    assert not proxy.requests


def test_connecting_to_a_proxy_is_bounded(stage: Surroundings) -> None:
    with FullHole() as hole, stage.block(stage.one(proxy=hole.url)) as client:
        timeout = adieu.Timeout(connect=0.05)
        caught(adieu.ConnectTimeout, stage.get, client, stage.secure.url, timeout=timeout)
        total = adieu.Timeout(total=0.05)
        caught(adieu.DeadlineExceeded, stage.get, client, stage.secure.url, timeout=total)


@pytest.mark.parametrize("stage", _PLACES[: len(ADAPTERS)], ids="-".join, indirect=True)
def test_closing_the_client_ends_a_tunnel_that_is_being_made(stage: Surroundings) -> None:
    proxy = stage.proxy("hangs")
    client = stage.client(proxy=proxy.url)
    errors: list[BaseException] = []

    def call() -> None:
        errors.append(caught(adieu.AdieuError, client.get, stage.secure.url))

    thread = threading.Thread(target=call)
    thread.start()
    proxy.wait_until(lambda: proxy.requests)
    client.close()
    thread.join(30)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [adieu.ClientClosed]
    stage.nothing_open()


# Sharing of connections


def test_only_equal_routes_share_connections(stage: Surroundings) -> None:
    proxy, other = stage.proxy(), stage.proxy()
    routes = [
        None,
        proxy.url,
        adieu.Proxy(proxy.url),
        other.url,
        adieu.Proxy(proxy.url, auth=("a", "b")),
        adieu.Proxy(proxy.url, auth=("a", "c")),
        adieu.Proxy(proxy.url, headers={"X-Tenant": "blue"}),
    ]
    with stage.block(stage.client(proxy=None)) as client:
        for _ in range(2):
            for route in routes:
                answer = stage.get(client, f"{stage.secure.url}/ok", proxy=route)
                assert answer.status_code == 200
        lines = [line.origin for line in client.connections()]
    if not stage.keeps:
        return
    assert stage.secure.server.accepted == len(routes) - 1
    assert (proxy.accepted, other.accepted) == (4, 1)
    assert lines[0] == stage.secure.url
    assert lines[1] == f"{stage.secure.url} via {proxy.url}"


def test_a_request_without_the_proxy_has_no_proxy_authorization(
    stage: Surroundings,
) -> None:
    proxy = stage.proxy()
    headers = {"Proxy-Authorization": ME}
    with stage.block(stage.one(proxy=proxy.url)) as client:
        for route in (proxy.url, None):
            error = caught(
                adieu.InvalidRequest,
                stage.get,
                client,
                f"{stage.secure.url}/ok",
                headers=headers,
                proxy=route,
            )
            assert "what only a proxy may know" in str(error)
        assert stage.get(client, "http://example.org/", headers=headers).status_code == 200
    assert proxy.requests[-1].header("proxy-authorization") == ME
    assert not stage.secure.server.requests


def test_each_hop_of_a_redirect_takes_its_own_route(stage: Surroundings) -> None:
    plain, tunnels = stage.proxy(), stage.proxy()
    stage.server.on("/in", lambda peer, request: _redirect(peer, f"{stage.secure.url}/ok"))
    stage.server.on("/out", lambda peer, request: _redirect(peer, "http://example.org/end"))
    proxies = {"https://127.0.0.1:*": tunnels.url, "http://example.org": plain.url}
    with stage.block(stage.client(proxy=proxies)) as client:
        answer = stage.get(client, "/in")
        assert (answer.status_code, str(answer.url)) == (200, f"{stage.secure.url}/ok")
        assert stage.get(client, "/out").content == b"http://example.org/end"
    assert [one.method for one in tunnels.requests] == ["CONNECT"]
    assert [one.target for one in plain.requests] == ["http://example.org/end"]


def _redirect(peer: Any, to: str) -> Any:
    peer.reply(302, b"", [("location", to)])
    return "keep"


# SOCKS


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4"])
def test_socks_carries_every_request(stage: Surroundings, scheme: str) -> None:
    proxy = stage.socks()
    with stage.block(stage.client(proxy=f"{scheme}://127.0.0.1:{proxy.port}")) as client:
        for url in (stage.server.url, stage.secure.url):
            for _ in range(2):
                answer = stage.get(client, f"{url.replace('127.0.0.1', 'localhost')}/bytes?n=99999")
                assert len(stage.read(answer)) == 99_999
    assert [one.target for one in stage.server.requests] == ["/bytes?n=99999"] * 2
    version = {"socks5h": "5", "socks5": "5", "socks4a": "4a", "socks4": "4"}[scheme]
    for asked in proxy.asked:
        assert asked[0] == version
        # The proxy gets the name, or its address.
        assert (asked[1] == "localhost") == (scheme in {"socks5h", "socks4a"})
        assert asked[2] in {stage.server.port, stage.secure.port}
    assert proxy.accepted == (2 if stage.keeps else 4)


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4a", "socks4"])
def test_socks_gets_addresses_as_addresses(stage: Surroundings, scheme: str) -> None:
    proxy = stage.socks()
    with stage.block(stage.client(proxy=f"{scheme}://127.0.0.1:{proxy.port}")) as client:
        assert stage.get(client, f"{stage.server.url}/ok").status_code == 200
        if scheme.startswith("socks5"):
            url = f"http://[::1]:{stage.server.port}/ok"
            assert stage.get(client, url).status_code == 200
    version = "5" if scheme.startswith("socks5") else "4"
    assert proxy.asked[0] == (version, "127.0.0.1", stage.server.port, proxy.asked[0][3])
    assert proxy.asked[1:] in ([], [("5", "::1", stage.server.port, None)])


def test_socks_authenticates(stage: Surroundings) -> None:
    proxy = stage.socks(auth=("mé", "s3cret"))
    url = f"socks5h://127.0.0.1:{proxy.port}"
    with stage.block(stage.client(proxy=adieu.Proxy(url, auth=("mé", "s3cret")))) as client:
        assert stage.get(client, "/ok").status_code == 200
    error = through(stage, url, f"{stage.server.url}/ok")
    assert "it wants authentication: pass adieu.Proxy(url, auth=(user, password))" in str(error)
    error = through(stage, adieu.Proxy(url, auth=("mé", "wr0ng")), f"{stage.server.url}/ok")
    assert "it refused the user name and password" in str(error)
    assert "wr0ng" not in str(error)


_SCRIPTS = {
    "not SOCKS": ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "it does not speak SOCKS5: its first bytes are b'HT'"),
    "no method": ((b"\x05\xff",), "it wants authentication"),
    "a method nobody offered": ((b"\x05\x02",), "it wants authentication"),
    "short": ((b"\x05",), "it closed the connection in the middle of the handshake"),
    "refused": ((b"\x05\0", b"\x05\x05\0\x01"), "the connection was refused"),
    "not allowed": ((b"\x05\0", b"\x05\x02\0\x01\0\0\0\0\0\0"), "its rules do not allow this connection"),
    "unknown": ((b"\x05\0", b"\x05\x63\0\x01"), "it answers 99, which RFC 1928 does not know"),
    "odd address": ((b"\x05\0", b"\x05\0\0\x07\0\0"), "an address of no known kind"),
    "half an address": ((b"\x05\0", b"\x05\0\0\x03\x09abc"), "it closed the connection in the middle"),
    "other version": ((b"\x05\0", b"\x04\0\0\x01"), "something that is not SOCKS5"),
}  # fmt: skip


@pytest.mark.parametrize("script", _SCRIPTS)
def test_a_socks_server_that_fails_leaves_nothing_and_is_an_error(
    stage: Surroundings, script: str
) -> None:
    said, text = _SCRIPTS[script]
    proxy = stage.socks(script=said)
    error = through(stage, f"socks5h://127.0.0.1:{proxy.port}", f"{stage.server.url}/ok")
    assert isinstance(error, adieu.ProxyError)
    assert error.phase == "proxy"
    assert f"the proxy socks5h://127.0.0.1:{proxy.port} made no connection to" in str(error)
    assert text in str(error)


def test_a_socks4_server_that_refuses_is_an_error(stage: Surroundings) -> None:
    proxy = stage.socks(script=(b"\0\x5b\0\0\0\0\0\0",))
    error = through(stage, f"socks4a://me@127.0.0.1:{proxy.port}", f"{stage.server.url}/ok")
    assert "rejected or failed" in str(error)
    error = through(stage, f"socks4a://127.0.0.1:{proxy.port}", "http://[::1]:80/")
    assert "SOCKS4 knows no IPv6 addresses" in str(error)
    error = through(stage, f"socks4://127.0.0.1:{proxy.port}", "http://[::1]:80/")
    assert "has no IPv4 address" in str(error)


def test_a_silent_socks_server_is_bounded(stage: Surroundings) -> None:
    with BlackHole() as hole:
        KNOWN_PORTS.add(hole.port)
        url = f"socks5h://127.0.0.1:{hole.port}"
        error = through(stage, url, f"{stage.server.url}/ok", 0.1)
        assert isinstance(error, adieu.ConnectTimeout)


# The environment


def test_the_environment_is_used_and_every_explicit_setting_wins_over_it(
    stage: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, explicit = stage.proxy(), stage.proxy()
    monkeypatch.setenv("http_proxy", named.url.removeprefix("http://"))
    monkeypatch.setenv("HTTPS_PROXY", named.url)
    monkeypatch.setenv("no_proxy", f"skipped.example,127.0.0.1:{stage.server.port}")
    with stage.block(stage.client()) as client:
        assert stage.get(client, "http://example.org/").content == b"http://example.org/"
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
        assert len(named.requests) == 2
        # Exempted, so the origin itself answers.
        assert stage.get(client, "/ok").content != f"{stage.server.url}/ok".encode()
        assert (
            stage.get(client, "/ok", proxy=explicit.url).content
            == f"{stage.server.url}/ok".encode()
        )
        assert stage.get(client, f"{stage.secure.url}/ok", proxy=None).status_code == 200
        # Read once: later changes do not count.
        monkeypatch.setenv("http_proxy", explicit.url)
        assert stage.get(client, "http://example.org/").status_code == 200
    assert len(named.requests) == 3
    with stage.block(stage.client(proxy=None)) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
    with stage.block(stage.client(proxy={"https://": explicit.url})) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
        assert stage.get(client, "/ok").status_code == 200
    assert len(named.requests) == 3
    assert len(explicit.requests) == 2


def test_the_error_of_an_invalid_variable_has_no_password(
    stage: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:s3cret@proxy:99999")
    with stage.block(stage.client()) as client:
        error = caught(adieu.InvalidRequest, stage.get, client, "/ok")
    assert "the environment variable http_proxy is not a proxy" in str(error)
    assert "s3cret" not in str(error)


# Wires


@pytest.mark.parametrize("stage", [("sync", "native")], ids="-".join, indirect=True)
def test_a_wire_of_the_user_connects_to_the_proxy_too(stage: Surroundings) -> None:
    opened: list[str] = []

    class Counting(adieu.TCPWire):
        def open(self, origin: Any, scope: Any) -> Any:
            opened.append(str(origin))
            return _Piecemeal(super().open(origin, scope))

    proxy, socks = stage.proxy(), stage.socks()
    adapter = NativeAdapter(Counting())
    with stage.client(adapter=adapter, proxy=proxy.url) as client:
        assert len(client.get(f"{stage.secure.url}/bytes?n=50000").content) == 50_000
        assert client.get("http://example.org/").status_code == 200
        url = f"socks5h://127.0.0.1:{socks.port}"
        assert client.get(f"{stage.secure.url}/ok", proxy=url).status_code == 200
    assert opened == [f"tcp://127.0.0.1:{port}" for port in (proxy.port, proxy.port, socks.port)]


@pytest.mark.parametrize("stage", [("async", "native")], ids="-".join, indirect=True)
def test_a_sync_adapter_in_threads_takes_the_same_routes(stage: Surroundings) -> None:
    adapter = adieu.to_async(NativeAdapter())
    proxy = stage.proxy()
    with stage.block(stage.client(adapter=adapter, proxy=proxy.url)) as client:
        assert stage.get(client, f"{stage.secure.url}/ok").status_code == 200
        assert stage.get(client, "http://example.org/").content == b"http://example.org/"
    assert [one.method for one in proxy.requests] == ["CONNECT", "GET"]


class _Piecemeal(adieu.ByteStream):
    """A stream without a socket that delivers at most seven bytes at a time."""

    def __init__(self, inner: adieu.ByteStream) -> None:
        self.inner = inner

    def recv(self, max_bytes: int, limit: adieu.TimeLimit) -> bytes:
        return self.inner.recv(min(max_bytes, 7), limit)

    def send(self, data: bytes, limit: adieu.TimeLimit) -> None:
        self.inner.send(data, limit)

    def readable(self) -> bool:
        return self.inner.readable()

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("stage", [("sync", "native")], ids="-".join, indirect=True)
def test_a_unix_socket_is_behind_no_proxy(
    stage: Surroundings, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    proxy = stage.proxy()
    with FaultServer(unix="app.sock") as server:
        adapter = NativeAdapter(adieu.UnixWire("app.sock"))
        with adieu.Client("http://app", adapter=adapter, proxy=proxy.url) as client:
            assert client.get("/ok").status_code == 200
        assert [one.target for one in server.requests] == ["/ok"]
    assert not proxy.requests
