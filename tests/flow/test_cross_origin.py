"""The other ways in which a secret could reach a stranger: certificates, fields of any name, proxies, and texts."""

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
def known() -> Iterator[Callable[..., FaultServer]]:
    """Makes servers beside that of the stage."""
    with ExitStack() as stack:

        def made(**options: Any) -> FaultServer:
            server = stack.enter_context(FaultServer(**options))
            KNOWN_PORTS.add(server.port)
            return server

        yield made


def redirecting(to: str) -> Callable[[Peer, Received], Ending]:
    def redirect(peer: Peer, request: Received) -> Ending:
        peer.reply(307, b"", [("location", to)])
        return "keep"

    return redirect


# Client certificates


class Curious:
    """Servers over TLS that ask for a certificate, and note whether one was shown."""

    def __init__(self, authority: Authority, made: Callable[..., FaultServer]) -> None:
        self.trust = str(authority.path)
        self.cert = (str(authority.chain), str(authority.key))
        self.shown: dict[str, list[bool]] = {"home": [], "stranger": []}
        context = authority.server_context()
        context.load_verify_locations(cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        self.home, self.stranger = (made(tls=context) for _ in range(2))
        for name, server in (("home", self.home), ("stranger", self.stranger)):
            server.on("/who", self._noting(name, None))
        self.home.on("/away", self._noting("home", f"{self.stranger.url}/back"))
        self.home.on("/out", self._noting("home", f"{self.stranger.url}/who"))
        self.stranger.on("/back", self._noting("stranger", f"{self.home.url}/who"))

    def _noting(self, name: str, to: str | None) -> Callable[[Peer, Received], Ending]:
        def note(peer: Peer, request: Received) -> Ending:
            self.shown[name].append(peer.sock.getpeercert(True) is not None)  # type: ignore[attr-defined]
            peer.reply(200 if to is None else 307, b"", [] if to is None else [("location", to)])
            return "keep"

        return note


@pytest.fixture
def curious(authority: Authority, known: Callable[..., FaultServer]) -> Curious:
    return Curious(authority, known)


@pytest.mark.parametrize("bound", [True, False], ids=["base_url", "call"])
def test_no_redirect_shows_a_certificate_to_another_origin(
    place: Place, curious: Curious, bound: bool
) -> None:
    base = curious.home.url if bound else None
    client = place.client(base_url=base, verify=curious.trust, cert=curious.cert)
    with place.block(client):
        for _ in range(2):
            place.get(client, f"{curious.home.url}/away")
    # Home again, it is shown again; and no connection on which it was shown serves somebody to whom it is not.
    assert curious.shown == {"home": [True] * 4, "stranger": [False] * 2}


def test_a_whole_url_beside_the_base_url_is_shown_no_certificate(
    place: Place, curious: Curious
) -> None:
    client = place.client(base_url=curious.home.url, verify=curious.trust, cert=curious.cert)
    with place.block(client):
        place.get(client, f"{curious.stranger.url}/who")
        place.get(client, "/who")
    assert curious.shown == {"home": [True], "stranger": [False]}


def test_the_certificate_of_a_mount_stays_below_it(place: Place, curious: Curious) -> None:
    config = adieu.TLSConfig(curious.trust, cert=curious.cert)
    with place.block(place.client(verify=curious.trust)) as client:
        client.mount(f"{curious.home.url}/", place.adapter, tls=config)
        place.get(client, f"{curious.home.url}/away")
    assert curious.shown == {"home": [True, True], "stranger": [False]}


def test_a_request_of_an_auth_flow_elsewhere_shows_no_certificate(
    place: Place, curious: Curious
) -> None:
    class Elsewhere(adieu.Auth):
        def flow(self, request: adieu.Request) -> Any:
            yield adieu.Request("GET", f"{curious.stranger.url}/who")
            yield request

    client = place.client(base_url=None, verify=curious.trust, cert=curious.cert)
    with place.block(client):
        place.get(client, f"{curious.home.url}/who", auth=Elsewhere())
    assert curious.shown == {"home": [True], "stranger": [False]}


def test_a_one_shot_shows_its_certificate_to_whom_it_calls(place: Place, curious: Curious) -> None:
    options = {"verify": curious.trust, "cert": curious.cert, "adapter": place.adapter}
    place.run(place.runner.one_shot("GET", f"{curious.home.url}/out", **options))
    assert curious.shown == {"home": [True], "stranger": [False]}


def test_who_wants_a_certificate_that_is_another_origins_is_told_where_to_put_it(
    place: Place, curious: Curious, authority: Authority, known: Callable[..., FaultServer]
) -> None:
    context = authority.server_context()
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    strict = known(tls=context)
    curious.home.on("/strict", redirecting(f"{strict.url}/ok"))
    client = place.client(base_url=None, verify=curious.trust, cert=curious.cert)
    with place.block(client):
        error = caught(adieu.TransportError, place.get, client, f"{curious.home.url}/strict")
    assert "wants" in str(error)
    if "wants a client certificate" in str(error):
        assert "where a redirect leads, or beside base_url, to a mount" in str(error)


# Fields


FIELDS = ["X-Api-Key", "Private-Token", "X-Auth-User", "X-Amz-Security-Token", "Signature"]


@pytest.mark.parametrize("where", ["client", "call"])
def test_fields_that_hold_a_secret_by_their_name(
    place: Place, known: Callable[..., FaultServer], where: str
) -> None:
    stranger = known()
    headers = {**dict.fromkeys(FIELDS, SECRET), "X-Trace": "1", "Idempotency-Key": "k"}
    place.server.on("/from", redirecting(f"{stranger.url}/echo"))
    place.server.on("/within", redirecting("/echo"))
    with place.block(place.client(headers=headers if where == "client" else None)) as client:
        own = headers if where == "call" else None
        within = place.get(client, "/within", "POST", content=b"x", headers=own)
        assert within.text.count(SECRET) == len(FIELDS)
        abroad = place.get(client, "/from", "POST", content=b"x", headers=own)
        assert abroad.url.port == stranger.port
        assert SECRET not in abroad.text
        assert {"x-trace", "idempotency-key"} <= {
            name.lower() for name, _ in abroad.json()["headers"]
        }


def test_cookies_know_no_ports_and_a_field_that_is_set_by_hand_does(
    place: Place, known: Callable[..., FaultServer]
) -> None:
    other = known()
    place.server.on("/from", redirecting(f"{other.url}/echo"))
    with place.block(place.client()) as client:
        place.get(client, "/from", cookies={"a": "1"})
        place.get(client, "/from", headers={"Cookie": f"a={SECRET}"})
    assert [one.header("cookie") for one in other.requests] == ["a=1", None]


def test_parameters_of_a_client_and_a_referer_do_not_go_along(
    place: Place, known: Callable[..., FaultServer]
) -> None:
    stranger = known()
    place.server.on("/from", redirecting(f"{stranger.url}/echo"))
    with place.block(place.client(params={"api_key": SECRET})) as client:
        abroad = place.get(client, "/from#frag=" + SECRET)
        assert SECRET not in abroad.text
    (request,) = stranger.requests
    assert request.target == "/echo"
    assert request.header("referer") is None


def test_the_default_entry_of_a_netrc_is_not_for_where_a_redirect_leads(
    place: Place, known: Callable[..., FaultServer], tmp_path: Path
) -> None:
    stranger = known()
    file = tmp_path / "netrc"
    file.write_text(f"default login user password {SECRET}\n")
    place.server.on("/from", redirecting(f"{stranger.url}/echo"))
    with place.block(place.client(auth=adieu.NetrcAuth(file))) as client:
        place.get(client, "/from")
    assert place.server.requests[0].header("authorization") is not None
    assert stranger.requests[0].header("authorization") is None


def test_what_an_auth_flow_asks_of_another_server_takes_nothing_along(
    place: Place, known: Callable[..., FaultServer]
) -> None:
    # Another host too, for cookies know no ports.
    stranger = known()

    class Elsewhere(adieu.Auth):
        def flow(self, request: adieu.Request) -> Any:
            request.headers["Authorization"] = SECRET
            yield adieu.Request("GET", f"http://localhost:{stranger.port}/ok")
            yield request

    options = {"headers": {"X-Api-Key": SECRET}, "cookies": {"a": SECRET}}
    with place.block(place.client(**options)) as client:
        assert place.get(client, "/ok", auth=Elsewhere(), cookies={"b": SECRET}).status_code == 200
    (request,) = stranger.requests
    assert SECRET not in str(request.headers)
    assert str(place.server.requests[0].headers).count(SECRET) == 4


def test_the_next_retry_goes_to_the_same_origin_with_the_same_credentials(place: Place) -> None:
    moods = [503, 200]

    def moody(peer: Peer, request: Received) -> Ending:
        peer.reply(moods.pop(0), b"", [("location", "http://localhost/"), ("retry-after", "0")])
        return "keep"

    place.server.on("/moody", moody)
    with place.block(place.client(retry=1, auth=("user", SECRET))) as client:
        assert place.get(client, "/moody").status_code == 200
    first, second = place.server.requests
    assert first.header("authorization") == second.header("authorization") is not None


@given(
    st.lists(
        st.sampled_from(["/", "\\", "//", "@", ":", "evil.net", "http:", "?", "#", ".", "..", " ", "\t", "%2f"])
        | st.text(max_size=3)
    ).map("".join)
)  # fmt: skip
def test_no_path_leads_away_from_the_base_url(path: str) -> None:
    """What follows a base URL is often somebody else's choice: only a whole URL, with its scheme, is one."""
    with adieu.Client(f"https://user:{SECRET}@home.example/v1/") as client:
        try:
            url = client.build_request("GET", path).url
        except adieu.InvalidURL:
            return
        assert url.origin == adieu.URL("https://home.example/").origin or re.match(
            r"\s*https?:(//|\\\\|/\\|\\/)", path
        )


# Proxies


@pytest.mark.parametrize("digest", [False, True])
def test_an_origin_that_says_407_is_not_told_what_the_proxy_knows(
    place: Place, authority: Authority, known: Callable[..., FaultServer], digest: bool
) -> None:
    origin = known(tls=authority.server_context())
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


def test_each_proxy_is_told_its_own_password_and_a_direct_way_none(place: Place) -> None:
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


def test_what_answers_to_connect_sets_no_cookie_of_the_origins(
    place: Place, authority: Authority, known: Callable[..., FaultServer]
) -> None:
    """Else a proxy could put its own session into a site that it cannot read."""
    origin = known(tls=authority.server_context())
    answer = b"HTTP/1.1 200 Yes\r\nSet-Cookie: session=mine; Path=/\r\n\r\n"
    with (
        FaultProxy(answer=answer) as proxy,
        place.block(place.client(verify=str(authority.path), proxy=proxy.url)) as client,
    ):
        assert place.get(client, f"{origin.url}/ok").status_code == 200
        assert place.get(client, f"{origin.url}/ok").status_code == 200
        assert not list(client.cookies)
    assert [one.header("cookie") for one in origin.requests] == [None, None]


def test_the_origins_credentials_are_not_told_to_the_proxy_of_a_tunnel(
    place: Place, authority: Authority, known: Callable[..., FaultServer]
) -> None:
    origin = known(tls=authority.server_context())
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


class Diary(adieu.Events):
    """Every event, as a log would have it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "lines":
            return object.__getattribute__(self, name)
        return lambda *facts, **more: self.lines.append(f"{name} {facts} {more}")


def test_no_text_of_a_call_tells_a_secret(
    place: Place, known: Callable[..., FaultServer], tmp_path: Path
) -> None:
    """Of clients, requests, responses, their history, errors, events, reports, warnings, and curl commands."""
    stranger = known()
    diary = Diary()
    texts: list[str] = []
    url = f"http://user:{SECRET}@127.0.0.1:{place.server.port}"
    place.server.on("/away", redirecting(f"http://u:{SECRET}@127.0.0.1:{stranger.port}/echo"))
    place.server.on("/odd", redirecting(f"http://u:{SECRET}@[/"))
    place.server.on("/loop", redirecting(f"http://u:{SECRET}@127.0.0.1:{place.server.port}/loop"))
    place.server.reply(
        "/set",
        b"HTTP/1.1 401 No\r\nSet-Cookie: a=%b\r\nContent-Length: 0\r\n\r\n" % SECRET.encode(),
    )
    options: dict[str, Any] = {
        "headers": {"X-Api-Key": SECRET, "Cookie": f"c={SECRET}"},
        "proxy": {"http://p.example": f"http://me:{SECRET}@127.0.0.1:{place.server.port}"},
        "events": diary,
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
    texts += diary.lines
    texts += [str(each.message) for each in warned]
    assert len(diary.lines) > 20
    assert [text for text in texts if SECRET in text] == []
