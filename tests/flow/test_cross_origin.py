"""The other ways in which a secret could reach another origin or a text: certificates, fields, proxies, errors."""

from __future__ import annotations

import pickle
import re
import ssl
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.places import PLACES, Place, placed
from support.proxies import FaultProxy
from support.stage import caught

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from adieu.testing.faults import Ending, Peer
    from adieu.testing.request import Request as Received
    from servers import Authority
    from support.watch import Watch

SECRET = "hunter2"


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


@pytest.fixture
def new_server() -> Iterator[Callable[..., FaultServer]]:
    """Starts further servers."""
    with ExitStack() as stack:

        def start(**options: Any) -> FaultServer:
            server = stack.enter_context(FaultServer(**options))
            KNOWN_PORTS.add(server.port)
            return server

        yield start


def redirecting(to: str) -> Callable[[Peer, Received], Ending]:
    def redirect(peer: Peer, request: Received) -> Ending:
        peer.reply(307, b"", [("location", to)])
        return "keep"

    return redirect


# Client certificates


class CertificateServers:
    """Two TLS servers that request a client certificate, and record for each request whether they got one."""

    def __init__(self, authority: Authority, start: Callable[..., FaultServer]) -> None:
        self.trust = str(authority.path)
        self.cert = (str(authority.chain), str(authority.key))
        self.shown: dict[str, list[bool]] = {"own": [], "other": []}
        context = authority.server_context()
        context.load_verify_locations(cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        self.own, self.other_server = (start(tls=context) for _ in range(2))
        for name, server in (("own", self.own), ("other", self.other_server)):
            server.on("/who", self._recording(name, None))
        self.own.on("/away", self._recording("own", f"{self.other_server.url}/back"))
        self.own.on("/out", self._recording("own", f"{self.other_server.url}/who"))
        self.other_server.on("/back", self._recording("other", f"{self.own.url}/who"))

    def _recording(self, name: str, to: str | None) -> Callable[[Peer, Received], Ending]:
        def record(peer: Peer, request: Received) -> Ending:
            self.shown[name].append(peer.sock.getpeercert(True) is not None)  # type: ignore[attr-defined]
            peer.reply(200 if to is None else 307, b"", [] if to is None else [("location", to)])
            return "keep"

        return record


@pytest.fixture
def servers(authority: Authority, new_server: Callable[..., FaultServer]) -> CertificateServers:
    return CertificateServers(authority, new_server)


@pytest.mark.parametrize("bound", [True, False], ids=["base_url", "call"])
def test_no_redirect_sends_a_certificate_to_another_origin(
    place: Place, servers: CertificateServers, bound: bool
) -> None:
    base = servers.own.url if bound else None
    client = place.client(base_url=base, verify=servers.trust, cert=servers.cert)
    with place.block(client):
        for _ in range(2):
            place.get(client, f"{servers.own.url}/away")
    # A redirect back sends it again, and a connection with the certificate is used for no request without it.
    assert servers.shown == {"own": [True] * 4, "other": [False] * 2}


def test_a_whole_url_of_another_origin_gets_no_certificate(
    place: Place, servers: CertificateServers
) -> None:
    client = place.client(base_url=servers.own.url, verify=servers.trust, cert=servers.cert)
    with place.block(client):
        place.get(client, f"{servers.other_server.url}/who")
        place.get(client, "/who")
    assert servers.shown == {"own": [True], "other": [False]}


def test_the_certificate_of_a_mount_is_sent_below_it_alone(
    place: Place, servers: CertificateServers
) -> None:
    config = adieu.TLSConfig(servers.trust, cert=servers.cert)
    with place.block(place.client(verify=servers.trust)) as client:
        client.mount(f"{servers.own.url}/", place.adapter, tls=config)
        place.get(client, f"{servers.own.url}/away")
    assert servers.shown == {"own": [True, True], "other": [False]}


def test_a_request_of_an_auth_flow_to_another_origin_sends_no_certificate(
    place: Place, servers: CertificateServers
) -> None:
    class Elsewhere(adieu.Auth):
        def flow(self, request: adieu.Request) -> Any:
            yield adieu.Request("GET", f"{servers.other_server.url}/who")
            yield request

    client = place.client(base_url=None, verify=servers.trust, cert=servers.cert)
    with place.block(client):
        place.get(client, f"{servers.own.url}/who", auth=Elsewhere())
    assert servers.shown == {"own": [True], "other": [False]}


def test_a_one_shot_sends_its_certificate_to_the_origin_it_calls(
    place: Place, servers: CertificateServers
) -> None:
    options = {"verify": servers.trust, "cert": servers.cert, "adapter": place.adapter}
    place.run(place.runner.one_shot("GET", f"{servers.own.url}/out", **options))
    assert servers.shown == {"own": [True], "other": [False]}


def test_the_error_without_a_certificate_says_where_to_set_it(
    place: Place,
    servers: CertificateServers,
    authority: Authority,
    new_server: Callable[..., FaultServer],
) -> None:
    context = authority.server_context()
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    strict = new_server(tls=context)
    servers.own.on("/strict", redirecting(f"{strict.url}/ok"))
    client = place.client(base_url=None, verify=servers.trust, cert=servers.cert)
    with place.block(client):
        error = caught(adieu.TransportError, place.get, client, f"{servers.own.url}/strict")
    assert "wants" in str(error)
    if "wants a client certificate" in str(error):
        assert "to a mount, for a redirect's target or beside base_url" in str(error)


# Fields


FIELDS = ["X-Api-Key", "Private-Token", "DD-APPLICATION-KEY", "X-Trace", "Session-Id", "Odd"]


@pytest.mark.parametrize("where", ["client", "call"])
def test_fields_that_may_be_meant_for_an_origin_stay_within_it(
    place: Place, new_server: Callable[..., FaultServer], where: str
) -> None:
    other_server = new_server()
    headers = {**dict.fromkeys(FIELDS, SECRET), "Accept": "a/b", "Idempotency-Key": "k"}
    place.server.on("/from", redirecting(f"{other_server.url}/echo"))
    place.server.on("/within", redirecting("/echo"))
    with place.block(place.client(headers=headers if where == "client" else None)) as client:
        own = headers if where == "call" else None
        within = place.get(client, "/within", "POST", content=b"x", headers=own)
        assert within.text.count(SECRET) == len(FIELDS)
        elsewhere = place.get(client, "/from", "POST", content=b"x", headers=own)
        assert elsewhere.url.port == other_server.port
        assert SECRET not in elsewhere.text
        assert {"accept", "idempotency-key"} <= {
            name.lower() for name, _ in elsewhere.json()["headers"]
        }


def test_cookies_are_sent_to_every_port_and_a_cookie_field_is_not(
    place: Place, new_server: Callable[..., FaultServer]
) -> None:
    other = new_server()
    place.server.on("/from", redirecting(f"{other.url}/echo"))
    with place.block(place.client()) as client:
        place.get(client, "/from", cookies={"a": "1"})
        place.get(client, "/from", headers={"Cookie": f"a={SECRET}"})
    assert [one.header("cookie") for one in other.requests] == ["a=1", None]


def test_parameters_of_a_client_and_a_referer_are_not_sent_along_a_redirect(
    place: Place, new_server: Callable[..., FaultServer]
) -> None:
    other_server = new_server()
    place.server.on("/from", redirecting(f"{other_server.url}/echo"))
    with place.block(place.client(params={"api_key": SECRET})) as client:
        elsewhere = place.get(client, "/from#frag=" + SECRET)
        assert SECRET not in elsewhere.text
    (request,) = other_server.requests
    assert request.target == "/echo"
    assert request.header("referer") is None


def test_the_default_entry_of_a_netrc_is_not_for_the_target_of_a_redirect(
    place: Place, new_server: Callable[..., FaultServer], tmp_path: Path
) -> None:
    other_server = new_server()
    file = tmp_path / "netrc"
    file.write_text(f"default login user password {SECRET}\n")
    place.server.on("/from", redirecting(f"{other_server.url}/echo"))
    with place.block(place.client(auth=adieu.NetrcAuth(file))) as client:
        place.get(client, "/from")
    assert place.server.requests[0].header("authorization") is not None
    assert other_server.requests[0].header("authorization") is None


def test_a_request_of_an_auth_flow_to_another_server_has_no_secrets(
    place: Place, new_server: Callable[..., FaultServer]
) -> None:
    # On another host, because cookies are sent to every port of a host.
    other_server = new_server()

    class Elsewhere(adieu.Auth):
        def flow(self, request: adieu.Request) -> Any:
            request.headers["Authorization"] = SECRET
            yield adieu.Request("GET", f"http://localhost:{other_server.port}/ok")
            yield request

    options = {"headers": {"X-Api-Key": SECRET}, "cookies": {"a": SECRET}}
    with place.block(place.client(**options)) as client:
        assert place.get(client, "/ok", auth=Elsewhere(), cookies={"b": SECRET}).status_code == 200
    (request,) = other_server.requests
    assert SECRET not in str(request.headers)
    assert str(place.server.requests[0].headers).count(SECRET) == 4


def test_a_retry_has_the_same_origin_and_credentials(place: Place) -> None:
    statuses = [503, 200]

    def flaky(peer: Peer, request: Received) -> Ending:
        peer.reply(statuses.pop(0), b"", [("location", "http://localhost/"), ("retry-after", "0")])
        return "keep"

    place.server.on("/flaky", flaky)
    with place.block(place.client(retry=1, auth=("user", SECRET))) as client:
        assert place.get(client, "/flaky").status_code == 200
    first, second = place.server.requests
    assert first.header("authorization") == second.header("authorization") is not None


@given(
    st.lists(
        st.sampled_from(["/", "\\", "//", "@", ":", "evil.net", "http:", "?", "#", ".", "..", " ", "\t", "%2f"])
        | st.text(max_size=3)
    ).map("".join)
)  # fmt: skip
def test_only_a_whole_url_leads_away_from_the_base_url(path: str) -> None:
    """The path often comes from other people's data, so no path may change the origin."""
    with adieu.Client(f"https://user:{SECRET}@home.example/v1/") as client:
        try:
            url = client.build_request("GET", path).url
        except adieu.InvalidURL:
            return
        assert url.origin == adieu.URL("https://home.example/").origin or re.match(
            r"\s*https?:(//|\\\\|/\\|\\/)", path
        )


# Proxies


@pytest.mark.parametrize(
    "digest", [False, pytest.param(True, marks=pytest.mark.needs("digest for proxies"))]
)
def test_an_origin_that_answers_407_does_not_get_the_proxys_credentials(
    place: Place, authority: Authority, new_server: Callable[..., FaultServer], digest: bool
) -> None:
    origin = new_server(tls=authority.server_context())
    challenge = b'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth", Basic realm="r"\r\n'
    answer = b"HTTP/1.1 407 Me Too\r\n" + challenge + b"Content-Length: 0\r\n\r\n"
    origin.reply("/from", answer)
    place.server.reply("/from", answer)
    with FaultProxy() as proxy:
        setting = adieu.Proxy(proxy.url, auth=("me", SECRET), digest=digest)
        with place.block(place.client(verify=str(authority.path), proxy=setting)) as client:
            assert place.get(client, f"{origin.url}/from").status_code == 407
            assert place.get(client, "/from", proxy=None).status_code == 407
    for server in (origin, place.server):
        assert [one.header("proxy-authorization") for one in server.requests] == [None]


def test_each_proxy_gets_its_own_password_and_a_direct_request_none(place: Place) -> None:
    with FaultProxy() as one, FaultProxy() as other:
        proxies = {
            "http://one.example": adieu.Proxy(one.url, auth=("me", SECRET)),
            "http://other.example": adieu.Proxy(other.url, headers={"X-Tenant": "blue"}),
        }
        with place.block(place.client(proxy=proxies)) as client:
            for url in ("http://one.example/", "http://other.example/", "/ok"):
                assert place.get(client, url).status_code == 200
        assert one.requests[0].header("proxy-authorization") is not None
        assert one.requests[0].header("x-tenant") is None
        assert other.requests[0].header("proxy-authorization") is None
        assert other.requests[0].header("x-tenant") == "blue"
    assert not {"proxy-authorization", "x-tenant"} & {
        name.lower() for name, _ in place.server.requests[0].headers
    }


def test_the_answer_to_connect_sets_no_cookie(
    place: Place, authority: Authority, new_server: Callable[..., FaultServer]
) -> None:
    """A proxy must not set its own session on a site that it cannot read."""
    origin = new_server(tls=authority.server_context())
    answer = b"HTTP/1.1 200 Yes\r\nSet-Cookie: session=mine; Path=/\r\n\r\n"
    with (
        FaultProxy(answer=answer) as proxy,
        place.block(place.client(verify=str(authority.path), proxy=proxy.url)) as client,
    ):
        assert place.get(client, f"{origin.url}/ok").status_code == 200
        assert place.get(client, f"{origin.url}/ok").status_code == 200
        assert not list(client.cookies)
    assert [one.header("cookie") for one in origin.requests] == [None, None]


def test_the_proxy_of_a_tunnel_does_not_get_the_origins_credentials(
    place: Place, authority: Authority, new_server: Callable[..., FaultServer]
) -> None:
    origin = new_server(tls=authority.server_context())
    headers = {"Authorization": SECRET, "Cookie": SECRET, "X-Api-Key": SECRET}
    with (
        FaultProxy() as proxy,
        place.block(
            place.client(verify=str(authority.path), proxy=proxy.url, headers=headers)
        ) as client,
    ):
        assert place.get(client, f"{origin.url}/ok").status_code == 200
    assert SECRET not in str([one.headers for one in proxy.requests])
    assert str([one.headers for one in origin.requests]).count(SECRET) == 3


# Texts


class Recorder(adieu.Events):
    """Every event as a line of text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "lines":
            return object.__getattribute__(self, name)
        return lambda *facts, **more: self.lines.append(f"{name} {facts} {more}")


def test_no_text_of_a_call_shows_a_secret(
    place: Place, new_server: Callable[..., FaultServer], tmp_path: Path
) -> None:
    """Texts of clients, requests, responses, their history, errors, events, reports, warnings and curl commands."""
    other_server = new_server()
    recorder = Recorder()
    texts: list[str] = []
    url = f"http://user:{SECRET}@127.0.0.1:{place.server.port}"
    place.server.on("/away", redirecting(f"http://u:{SECRET}@127.0.0.1:{other_server.port}/echo"))
    place.server.on("/odd", redirecting(f"http://u:{SECRET}@[/"))
    place.server.on("/loop", redirecting(f"http://u:{SECRET}@127.0.0.1:{place.server.port}/loop"))
    place.server.reply(
        "/set",
        b"HTTP/1.1 401 No\r\nSet-Cookie: a=%b\r\nContent-Length: 0\r\n\r\n" % SECRET.encode(),
    )
    options: dict[str, Any] = {
        "headers": {"X-Api-Key": SECRET, "Cookie": f"c={SECRET}"},
        "proxy": {"http://p.example": f"http://me:{SECRET}@127.0.0.1:{place.server.port}"},
        "events": recorder,
        "timeout": adieu.Timeout(total=5),
    }
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with place.block(place.client(**options)) as client:
            for target in ("/away", "/set", "/odd", "/loop", "/reset", "/garbage", "//x"):
                try:
                    response = place.get(client, url + target)
                    texts += [repr(response), repr(response.request), repr(response.history)]
                    texts += [repr(response.request.headers), response.request.as_curl()]
                    texts += [repr(response.headers), str(response.url), repr(response.url)]
                    response.raise_for_status()
                except adieu.AdieuError as error:
                    again = pickle.loads(pickle.dumps(error))
                    texts += [f"{each} {each!r} {vars(each)}" for each in (error, again)]
                    texts += [repr(error.__cause__), repr(error.__context__)]
            texts += [repr(client), repr(client.connections()), repr(client.cookies)]
            texts += [client.mounts.explain(f"{url}/ok"), repr(options["proxy"].keys())]
            stream = place.runner.block(client.stream("GET", f"{url}/bytes?n=300000"))
            with stream:
                report = place.run(client.close())
                texts.append(f"{report} {report!r}")
    texts += recorder.lines
    texts += [str(each.message) for each in warned]
    assert len(recorder.lines) > 20
    assert [text for text in texts if SECRET in text] == []
