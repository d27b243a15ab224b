"""One test for each way in which a credential could reach another origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle

SECRET = "hunter2"
NAMES = ("authorization", "cookie", "proxy-authorization", "x-key")


def key(request: adieu.Request) -> None:
    request.headers["x-key"] = SECRET


class AnswersChallenge(adieu.Auth):
    """A flow that sends its secret only in answer to a challenge."""

    def flow(self, request: adieu.Request) -> Any:
        response = yield request
        if response.status_code == 401:
            request.headers["x-key"] = SECRET
            yield request


AUTHS: dict[str, Callable[[Path], Any]] = {
    "basic": lambda _: ("user", SECRET),
    "bearer": lambda _: adieu.BearerAuth(SECRET),
    "token function": lambda _: adieu.BearerAuth(lambda: SECRET),
    "digest": lambda _: adieu.DigestAuth("user", SECRET),
    "netrc": adieu.NetrcAuth,
    "function": lambda _: key,
    "flow": lambda _: AnswersChallenge(),
}


@pytest.fixture(params=AUTHS)
def auth(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Every kind of `auth=`, each with a secret in it."""
    file = tmp_path / "netrc"
    # The other host has an entry too, which a redirect must not use.
    file.write_text(
        f"machine 127.0.0.1 login user password {SECRET}\nmachine localhost login user password {SECRET}\n"
    )
    return AUTHS[request.param](file)


def require_credentials(server: FaultServer, then: bytes | None = None) -> None:
    """Let `/from` answer a request with credentials by a redirect to `then` (None: 200), any other by a 401."""

    def check(peer: Peer, request: Received) -> Ending:
        if credentials(request):
            location = [] if then is None else [("location", then.decode())]
            peer.reply(200 if then is None else 307, b"in", location)
        else:
            peer.reply(401, b"no", [("www-authenticate", 'Digest realm="r", nonce="n", qop=auth')])
        return "keep"

    server.on("/from", check)


def challenge_everyone(server: FaultServer) -> None:
    """Let `/from` answer every request with a challenge of every scheme."""

    def ask(peer: Peer, request: Received) -> Ending:
        challenges = 'Basic realm="r", Digest realm="r", nonce="n", qop=auth, Bearer, Negotiate'
        peer.reply(401, b"no", [("www-authenticate", challenges)])
        return "keep"

    server.on("/from", ask)


def credentials(request: Received) -> dict[str, str]:
    found = {name: request.header(name) for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}


def received_by(server: FaultServer) -> list[dict[str, str]]:
    """The credentials of every request that a server received."""
    return [credentials(request) for request in server.requests]


@pytest.mark.parametrize("given", ["client", "call", "base_url"])
def test_a_redirect_to_another_port(
    stage: Stage, other_server: FaultServer, auth: Any, given: str
) -> None:
    require_credentials(stage.server, f"{other_server.url}/from".encode())
    challenge_everyone(other_server)
    url = f"{stage.server.url}/from"
    options = {} if given == "call" else {"auth": auth}
    client = (
        stage.client(**options)
        if given == "base_url"
        else stage.runner.client(adapter=stage.adapter, **options)
    )
    with stage.block(client):
        response = stage.get(client, url, **({"auth": auth} if given == "call" else {}))
        assert response.status_code == 401
        assert received_by(stage.server)[-1] != {}
        assert received_by(other_server) == [{}]
    assert stage.nothing_open()


def test_a_redirect_to_another_host(stage: Stage, auth: Any) -> None:
    require_credentials(stage.server, f"http://localhost:{stage.server.port}/echo".encode())
    with stage.block(stage.client(auth=auth)) as client:
        response = stage.get(client, "/from")
        sent = {name.lower() for name, _ in response.json()["headers"]}
        assert not sent & set(NAMES)


def test_a_redirect_to_another_scheme(stage: Stage, auth: Any) -> None:
    seen: list[adieu.Request] = []

    @adieu.adapter
    def secure(request: adieu.Request) -> adieu.Response:
        seen.append(request)
        return adieu.Response(200)

    class AsyncSecure:
        async def send(self, request: adieu.Request, exchange: Any) -> adieu.AsyncResponse:
            seen.append(request)
            return adieu.AsyncResponse(200)

        async def close(self) -> None:
            pass

    require_credentials(stage.server, f"https://127.0.0.1:{stage.server.port}/".encode())
    with stage.block(stage.client(auth=auth)) as client:
        is_async = stage.runner.kind is adieu.AsyncClient
        client.mount(
            "https://127.0.0.1:*", AsyncSecure() if is_async else secure, from_network=True
        )
        stage.get(client, "/from")
    assert len(seen) == 1
    assert not any(name in seen[0].headers for name in NAMES)


def test_a_redirect_back_sends_credentials_to_their_own_origin_alone(
    stage: Stage, other_server: FaultServer, auth: Any
) -> None:
    require_credentials(stage.server, f"{other_server.url}/from".encode())
    location = f"Location: {stage.server.url}/home"
    other_server.reply(
        "/from", f"HTTP/1.1 302 Found\r\n{location}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    stage.server.on("/home", _check_return)
    with stage.block(stage.client(auth=auth)) as client:
        assert stage.get(client, "/from").status_code == 200
    assert received_by(other_server) == [{}]
    # As in browsers and curl: the origin knows them already.
    assert received_by(stage.server)[-1] != {}


def _check_return(peer: Peer, request: Received) -> Ending:
    peer.reply(200 if credentials(request) else 401)
    return "keep"


def test_a_whole_url_of_another_origin(stage: Stage, other_server: FaultServer, auth: Any) -> None:
    challenge_everyone(other_server)
    with stage.block(stage.client(auth=auth)) as client:
        assert stage.get(client, f"{other_server.url}/from").status_code == 401
        # Another host of the same server is another origin too.
        assert stage.get(client, f"http://localhost:{stage.server.port}/ok").status_code == 200
    assert received_by(other_server) == [{}]
    assert received_by(stage.server) == [{}]


def test_a_mount_for_all_ports(stage: Stage, other_server: FaultServer, auth: Any) -> None:
    require_credentials(stage.server, f"{other_server.url}/from".encode())
    challenge_everyone(other_server)
    with stage.block(stage.client(auth=auth)) as client:
        client.mount("http://127.0.0.1:*", "native", cleanup=adieu.CloseOnExit())
        assert stage.get(client, "/from").status_code == 401
    assert received_by(other_server) == [{}]


@pytest.mark.parametrize("url", ["//{}/from", "http:\\\\{}/from", "http://{}/from"])
def test_a_location_that_hides_its_host(
    stage: Stage, other_server: FaultServer, auth: Any, url: str
) -> None:
    require_credentials(stage.server, url.format(f"127.0.0.1:{other_server.port}").encode())
    challenge_everyone(other_server)
    with stage.block(stage.client(auth=auth)) as client:
        stage.get(client, "/from")
    assert received_by(other_server) == [{}]


def test_userinfo_that_a_redirect_leaves_behind(stage: Stage, other_server: FaultServer) -> None:
    require_credentials(stage.server, f"{other_server.url}/from".encode())
    challenge_everyone(other_server)
    with stage.block(stage.client()) as client:
        stage.get(client, f"http://user:{SECRET}@127.0.0.1:{stage.server.port}/from")
    assert received_by(stage.server)[-1] != {}
    assert received_by(other_server) == [{}]


def test_userinfo_that_a_server_writes_into_a_location(
    stage: Stage, other_server: FaultServer
) -> None:
    """A server must not log the client in as another user, nor send a password to a third server."""
    location = f"http://user:{SECRET}@127.0.0.1:{other_server.port}/from"
    stage.server.reply(
        "/from", f"HTTP/1.1 302 F\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    challenge_everyone(other_server)
    with stage.block(stage.client()) as client:
        response = stage.get(client, "/from")
        assert SECRET not in f"{response.url!r}{response.request!r}"
    assert received_by(other_server) == [{}]


def test_an_auth_object_for_two_servers_keeps_their_challenges_apart(
    stage: Stage, other_server: FaultServer
) -> None:
    """The challenge of one server must not be answered to the other, which could forward the answer."""
    auth = adieu.DigestAuth("user", SECRET)
    require_credentials(stage.server)
    require_credentials(other_server)
    for server in (stage.server, other_server):
        with stage.block(
            stage.runner.client(base_url=server.url, adapter=stage.adapter, auth=auth)
        ) as client:
            assert stage.get(client, "/from").status_code == 200
    assert [bool(found) for found in received_by(other_server)] == [False, True]


def test_sending_a_request_does_not_change_its_headers(stage: Stage, auth: Any) -> None:
    """The same request, sent again to another origin, must not take the field along."""
    require_credentials(stage.server)
    with stage.block(stage.client()) as client:
        request = client.build_request("GET", "/from")
        assert stage.run(client.send(request, auth=auth)).status_code == 200
        assert not any(name in request.headers for name in NAMES)
        assert stage.run(client.send(request)).status_code == 401


def test_a_call_without_auth_after_one_with(stage: Stage, auth: Any) -> None:
    require_credentials(stage.server)
    with stage.block(stage.client()) as client:
        assert stage.get(client, "/from", auth=auth).status_code == 200
        assert stage.get(client, "/from").status_code == 401
    assert received_by(stage.server)[-1] == {}


def test_no_error_shows_a_credential(stage: Stage, auth: Any) -> None:
    texts = []
    with stage.block(stage.client(auth=auth, timeout=30)) as client:
        for path in ("/reset", "/garbage", "/from"):
            try:
                require_credentials(stage.server, b"http://[/")
                stage.get(client, path).raise_for_status()
            except adieu.AdieuError as error:
                texts.append(f"{error} {error!r} {vars(error)}")
    assert texts
    assert not [text for text in texts if SECRET in text]


def test_cookies_are_sent_to_their_own_host_alone(stage: Stage, other_server: FaultServer) -> None:
    url = f"http://localhost:{stage.server.port}"
    location = f"Location: {url}/echo"
    stage.server.reply(
        "/from",
        f"HTTP/1.1 302 F\r\nSet-Cookie: a={SECRET}\r\n{location}\r\nContent-Length: 0\r\n\r\n".encode(),
    )
    with stage.block(stage.client(cookies={"b": SECRET})) as client:
        response = stage.get(client, "/from", cookies={"c": SECRET})
        assert response.url.host == "localhost"
        assert SECRET not in response.text
        assert credentials(stage.server.requests[0]) == {"cookie": f"b={SECRET}; c={SECRET}"}
        assert credentials(stage.server.requests[1]) == {}
        stage.get(client, "/ok")
        assert credentials(stage.server.requests[2]) == {"cookie": f"b={SECRET}; a={SECRET}"}


@pytest.mark.parametrize("name", ["Authorization", "Cookie"])
@pytest.mark.parametrize("where", ["client", "call"])
def test_fields_that_the_user_set(
    stage: Stage, other_server: FaultServer, name: str, where: str
) -> None:
    require_credentials(stage.server, f"{other_server.url}/echo".encode())
    headers = {name: SECRET}
    with stage.block(stage.client(headers=headers if where == "client" else None)) as client:
        response = stage.get(client, "/from", headers=headers if where == "call" else None)
        assert response.url.port == other_server.port
        assert SECRET not in response.text


def test_the_challenge_of_a_proxy_is_not_answered_with_a_servers_password(
    stage: Stage, auth: Any
) -> None:
    stage.server.reply(
        "/from",
        b'HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm="r", nonce="n"\r\nContent-Length: 0\r\n\r\n',
    )
    with stage.block(stage.client(auth=auth)) as client:
        assert stage.get(client, "/from").status_code == 407
    assert "proxy-authorization" not in received_by(stage.server)[0]
