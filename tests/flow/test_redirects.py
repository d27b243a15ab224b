"""Redirects: the next request, the fields and content that it keeps, and the bodies of the redirects."""

from __future__ import annotations

import gc
import io
import pickle
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.flow.redirects import redirected
from adieu.net.async_wire import AsyncUnixWire
from adieu_asgi import AsyncASGIAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_wsgi import WSGIAdapter
from support.clients import ADAPTERS, EventLog, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received
    from support.stage import Stage

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def redirecting(server: FaultServer, location: str | bytes, status: int = 302) -> None:
    """Let the path /from redirect to exactly this Location."""
    raw = location.encode("latin-1") if isinstance(location, str) else location
    head = b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, raw)
    server.reply("/from", head)


def sent(response: adieu.Response) -> dict[str, str]:
    """The fields that arrived at /echo."""
    return {name.lower(): value for name, value in response.json()["headers"]}


# Methods and bodies


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "GET", "GET"),
        (301, "HEAD", "HEAD"),
        (301, "POST", "GET"),
        (301, "PUT", "PUT"),
        (301, "DELETE", "DELETE"),
        (301, "PATCH", "PATCH"),
        (301, "QUERY", "QUERY"),
        (302, "GET", "GET"),
        (302, "HEAD", "HEAD"),
        (302, "POST", "GET"),
        (302, "PUT", "PUT"),
        (302, "QUERY", "QUERY"),
        (303, "GET", "GET"),
        (303, "HEAD", "HEAD"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "DELETE", "GET"),
        (303, "QUERY", "GET"),
        (303, "PURGE", "GET"),
        (307, "GET", "GET"),
        (307, "POST", "POST"),
        (307, "PATCH", "PATCH"),
        (308, "HEAD", "HEAD"),
        (308, "POST", "POST"),
        (308, "DELETE", "DELETE"),
    ],
)
def test_the_status_decides_about_method_and_content(
    fault_server: FaultServer, adapter: str, status: int, method: str, becomes: str
) -> None:
    content = None if method in {"GET", "HEAD"} else b"content"
    headers = {} if content is None else {"Content-Type": "text/x", "Content-Language": "fr"}
    with adieu.Client(adapter=adapter) as client:
        url = f"{fault_server.url}/redirect?status={status}&to=/echo"
        response = client.request(method, url, content=content, headers=headers)
        assert response.status_code == 200
        assert [hop.status_code for hop in response.history] == [status]
        first, last = fault_server.requests
        assert (first.method, last.method) == (method, becomes)
        assert first.body == (content or b"")
        kept = becomes == method
        assert last.body == (content or b"" if kept else b"")
        described = {"content-type", "content-language", "content-length", "transfer-encoding"}
        names = {name.lower() for name, _ in last.headers} & described
        assert names == (described - {"transfer-encoding"} if content and kept else set())
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("status", [300, 304, 305, 306, 200, 201, 404])
def test_a_location_with_another_status_is_not_followed(
    fault_server: FaultServer, adapter: str, status: int
) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/status/{status}?header=Location:/ok")
        assert response.status_code == status
        assert not response.is_redirect
        assert response.history == ()
    assert fault_server.served == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_without_a_location_is_the_response(
    fault_server: FaultServer, adapter: str, status: int
) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/status/{status}?body=5")
        assert response.status_code == status
        assert not response.is_redirect
        assert len(response.content) == 5


def test_following_can_be_disabled_and_enabled(fault_server: FaultServer, adapter: str) -> None:
    url = f"{fault_server.url}/redirect?body=7"
    with adieu.Client(adapter=adapter, follow_redirects=False) as client:
        response = client.get(url)
        assert response.is_redirect
        assert response.status_code == 302
        assert len(response.content) == 7
        assert client.get(url, follow_redirects=True).status_code == 200
    with adieu.Client(adapter=adapter) as client:
        assert client.get(url, follow_redirects=False).status_code == 302
        with client.stream("GET", url, follow_redirects=False) as response:
            assert len(response.read()) == 7
        with client.stream("GET", url) as response:
            assert response.status_code == 200
            assert len(response.history) == 1
    assert sockets(fault_server) == 0


# Targets


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/echo", "/echo"),
        ("echo", "/echo"),
        ("./echo", "/echo"),
        ("../../echo", "/echo"),
        ("/x/../echo", "/echo"),
        ("?page=2", "/from?page=2"),
        ("/echo?", "/echo?"),
        ("/echo?q=a b", "/echo?q=a%20b"),
        ("/echo?q=%zz", "/echo?q=%25zz"),
        ("/echo?to=http://x/", "/echo?to=http://x/"),
        ("  /echo  ", "/echo"),
        ("//127.0.0.1:{port}/echo", "/echo"),
        ("http://127.0.0.1:{port}/echo", "/echo"),
        ("HTTP://127.0.0.1:{port}", "/"),
        ("http://127.1:{port}/echo", "/echo"),
        ("http:/echo", "/echo"),
        ("http:echo", "/echo"),
        ("http://user:password@127.0.0.1:{port}/echo", "/echo"),
        ("\\echo", "/echo"),
        # A Location is ASCII (RFC 9110), but servers send raw bytes, which browsers take for UTF-8.
        ("/echo/é".encode(), "/echo/%C3%A9"),
        ("/echo/%C3%A9", "/echo/%C3%A9"),
        (b"/echo/\xe9", "/echo/%E9"),
    ],
)
def test_a_location_is_read_as_browsers_read_it(
    fault_server: FaultServer, adapter: str, location: str | bytes, target: str
) -> None:
    if isinstance(location, str):
        location = location.format(port=fault_server.port)
    redirecting(fault_server, location)
    with adieu.Client(adapter=adapter, max_redirects=1) as client:
        if target.startswith("/from"):
            with pytest.raises(adieu.TooManyRedirects):
                client.get(f"{fault_server.url}/from?page=1")
        else:
            response = client.get(f"{fault_server.url}/from?page=1")
            assert len(response.history) == 1
            assert response.url.username is None
        assert fault_server.requests[1].target == target
        assert fault_server.requests[1].header("authorization") is None
    assert sockets(fault_server) == 0


@pytest.mark.parametrize(
    "location",
    ["http://", "http://a b/", "http://[::1/", "http://a:99999/", "https://*/", "a\x01b"],
)
def test_a_location_that_is_no_url_is_an_error_that_names_it(
    fault_server: FaultServer, adapter: str, location: str
) -> None:
    if "\x01" in location:
        fault_server.on("/from", lambda peer, _: _control(peer))
    else:
        redirecting(fault_server, location)
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with pytest.raises((adieu.RedirectError, adieu.ProtocolError)) as caught:
            client.get(f"{fault_server.url}/from")
        assert f"{fault_server.url}/from" in str(caught.value)
        if isinstance(caught.value, adieu.RedirectError):
            assert repr(location) in str(caught.value)
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    assert sockets(fault_server) == 0


def _control(peer: Peer) -> Ending:
    peer.send(b"HTTP/1.1 302 Found\r\nLocation: a\x01b\r\nContent-Length: 0\r\n\r\n")
    return "keep"


def test_the_first_of_two_locations_counts(fault_server: FaultServer, adapter: str) -> None:
    fault_server.reply(
        "/from",
        b"HTTP/1.1 302 Found\r\nLocation: /echo\r\nLocation: /never\r\nContent-Length: 0\r\n\r\n",
    )
    with adieu.Client(adapter=adapter) as client:
        assert client.get(f"{fault_server.url}/from").url.path == "/echo"


@pytest.mark.parametrize(
    ("asked", "location", "fragment"),
    [
        ("/from#top", "/ok", "top"),
        ("/from#top", "/ok#end", "end"),
        ("/from#top", "/ok#", ""),
        ("/from", "/ok#end", "end"),
        ("/from", "/ok", None),
    ],
)
def test_a_fragment_is_kept_unless_the_target_has_one(
    fault_server: FaultServer, adapter: str, asked: str, location: str, fragment: str | None
) -> None:
    redirecting(fault_server, location)
    with adieu.Client(adapter=adapter) as client:
        response = client.get(fault_server.url + asked)
        assert response.url.fragment == fragment
        assert fault_server.requests[-1].target == "/ok"


# Limits


def test_a_loop_ends_at_the_limit(fault_server: FaultServer, adapter: str) -> None:
    redirecting(fault_server, "/from")
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with pytest.raises(adieu.TooManyRedirects) as caught:
            client.get(f"{fault_server.url}/from")
        assert fault_server.served == 21
        assert "20" in str(caught.value)
        assert f"{fault_server.url}/from" in str(caught.value)
        assert client.get(f"{fault_server.url}/ok").status_code == 200
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("most", [0, 1, 5])
def test_as_many_redirects_are_followed_as_allowed_and_no_more(
    fault_server: FaultServer, adapter: str, most: int
) -> None:
    with adieu.Client(adapter=adapter, max_redirects=most) as client:
        if most:
            response = client.get(f"{fault_server.url}/redirect?n={most}&body=10")
            assert response.status_code == 200
            assert len(response.history) == most
        before = fault_server.served
        with pytest.raises(adieu.TooManyRedirects):
            client.get(f"{fault_server.url}/redirect?n={most + 1}&body=10")
        assert fault_server.served == before + most + 1
    assert sockets(fault_server) == 0


def test_a_chain_of_redirects_uses_one_connection(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        client.get(f"{fault_server.url}/redirect?n=10&body=100")
        assert fault_server.accepted == (11 if adapter == "close" else 1)
    assert sockets(fault_server) == 0


# Refused targets


def redirecting_adapter() -> adieu.Adapter:
    """An adapter that redirects to the URL in the query."""

    @adieu.adapter
    def redirect(request: adieu.Request) -> adieu.Response:
        return adieu.Response(302, {"location": (request.url.query or "").partition("=")[2]})

    return redirect


def test_from_https_to_http_is_refused(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        client.mount("https://private.example", redirecting_adapter())
        with pytest.raises(adieu.RedirectError) as caught:
            client.get(f"https://private.example/?to={fault_server.url}/ok")
        assert "from https to http" in str(caught.value)
        assert fault_server.url in str(caught.value)
    assert fault_server.accepted == 0


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("target", ["file:///etc/passwd", "mock://inside/", "ftp://x/", "data:,x"])
def test_a_redirect_from_http_to_another_scheme_is_refused(scheme: str, target: str) -> None:
    opened: list[str] = []

    @adieu.adapter
    def inside(request: adieu.Request) -> adieu.Response:
        opened.append(str(request.url))
        return adieu.Response(200)

    with adieu.Client(adapter=inside) as client:
        client.mount(f"{scheme}://private.example", redirecting_adapter())
        with pytest.raises(adieu.RedirectError, match=target.partition(":")[0]):
            client.get(f"{scheme}://private.example/?to={target}")
    assert opened == []


def test_a_redirect_from_another_scheme_to_http_is_followed(
    fault_server: FaultServer, adapter: str
) -> None:
    @adieu.adapter
    def mocked(request: adieu.Request) -> adieu.Response:
        return adieu.Response(302, {"location": f"{fault_server.url}/ok"})

    with adieu.Client(adapter=adapter) as client:
        client.mount("mock://", mocked)
        assert client.get("mock://host/").json()["request"] == 1


# Credentials

SECRETS = {
    "authorization": "Bearer secret",
    "cookie": "session=secret",
}


def test_credentials_stay_within_their_origin(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(
            f"{fault_server.url}/redirect?n=2&to=/echo", headers={**SECRETS, "x-a": "1"}
        )
        assert sent(response).items() >= {**SECRETS, "x-a": "1"}.items()


def test_credentials_are_not_sent_to_another_port(
    fault_server: FaultServer, other_server: FaultServer, adapter: str
) -> None:
    redirecting(fault_server, f"{other_server.url}/echo", 307)
    with adieu.Client(adapter=adapter, headers=SECRETS) as client:
        response = client.post(f"{fault_server.url}/from", content=b"x", headers={"accept": "a/b"})
        assert not SECRETS.keys() & sent(response).keys()
        assert sent(response)["accept"] == "a/b"
        assert response.json()["body"] == "x"
        assert "secret" not in response.text


def test_credentials_are_not_sent_to_another_host(fault_server: FaultServer, adapter: str) -> None:
    redirecting(fault_server, f"http://localhost:{fault_server.port}/echo")
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/from", headers=SECRETS)
        assert not SECRETS.keys() & sent(response).keys()
        assert sent(response)["host"] == f"localhost:{fault_server.port}"


def test_credentials_are_not_sent_to_another_scheme(
    fault_server: FaultServer, adapter: str
) -> None:
    seen: list[adieu.Headers] = []

    @adieu.adapter
    def secure(request: adieu.Request) -> adieu.Response:
        seen.append(request.headers)
        return adieu.Response(200)

    redirecting(fault_server, f"https://127.0.0.1:{fault_server.port}/")
    with adieu.Client(adapter=adapter) as client:
        client.mount("https://127.0.0.1:*", secure, from_network=True)
        client.get(f"{fault_server.url}/from", headers=SECRETS)
    assert not any(name in seen[0] for name in SECRETS)


def test_proxy_credentials_are_dropped_too() -> None:
    """No adapter of adieu sends them to an origin; others might."""
    request = adieu.Request("GET", "http://a.test/", headers={"Proxy-Authorization": "Basic s"})
    response = adieu.Response(302, {"location": "http://b.test/"})
    assert "proxy-authorization" not in redirected(request, response).headers


def test_dropped_credentials_are_not_sent_again_after_a_redirect_back(
    fault_server: FaultServer, other_server: FaultServer, adapter: str
) -> None:
    redirecting(fault_server, f"{other_server.url}/from")
    redirecting(other_server, f"{fault_server.url}/echo")
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/from", headers=SECRETS)
        assert not SECRETS.keys() & sent(response).keys()


@pytest.mark.parametrize("where", ["same", "other"])
def test_userinfo_is_a_credential(
    fault_server: FaultServer, other_server: FaultServer, adapter: str, where: str
) -> None:
    target = fault_server if where == "same" else other_server
    redirecting(fault_server, f"{target.url}/echo")
    with adieu.Client(adapter=adapter) as client:
        url = f"http://user:password@127.0.0.1:{fault_server.port}/from"
        response = client.get(url)
        assert ("authorization" in sent(response)) is (where == "same")


@pytest.mark.parametrize("place", ["call", "client"])
def test_a_host_field_that_the_user_set_stays_within_its_origin(
    stage: Stage, other_server: FaultServer, place: str
) -> None:
    # A virtual host that is asked by its address, and redirects to its login page.
    own = {"host": "virtual.example"}
    steps = {
        "/from": "/again",
        "/again": f"{stage.server.url}/away",
        "/away": f"{other_server.url}/back",
    }
    for path, location in steps.items():
        head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        stage.server.reply(path, head.encode())
    head = f"HTTP/1.1 302 Found\r\nLocation: {stage.server.url}/ok\r\nContent-Length: 0\r\n\r\n"
    other_server.reply("/back", head.encode())
    with stage.block(stage.client(headers=own if place == "client" else None)) as client:
        assert stage.get(client, "/from", headers=own if place == "call" else None).ok
    sent = [request.header("host") for request in stage.server.requests]
    port = stage.server.port
    # It does not come back: another origin has chosen where the last request goes.
    assert sent == ["virtual.example"] * 3 + [f"127.0.0.1:{port}"]
    assert other_server.requests[0].header("host") == f"127.0.0.1:{other_server.port}"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_all_fields_about_content_go_with_it(stage: Stage, status: int) -> None:
    described = {
        "Content-Type": "text/x",
        "Content-MD5": "Q2hlY2sgSW50ZWdyaXR5IQ==",
        "Content-Digest": "sha-256=:YWJj:",
        "Content-Disposition": "attachment",
        "Content-Range": "bytes 0-6/7",
        "Digest": "sha-256=YWJj",
        "Repr-Digest": "sha-256=:YWJj:",
        "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
        "Trailer": "X-End",
        "Expect": "100-continue",
    }
    with stage.block(stage.one(headers={"X-Kept": "1"})) as client:
        url = f"/redirect?status={status}&to=/echo"
        stage.run(client.post(url, content=b"content", headers=described))
        stage.next_works(client)
    first, last = stage.server.requests[:2]
    assert set(described) <= {name for name, _ in first.headers}
    names = {name.lower() for name, _ in last.headers}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "x-kept"} | (
        {"connection"} if stage.adapter == "close" else set()
    )


# From the network to what is not the network


class Inside:
    """Counts the requests that reach this process; as a function, and as an app."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def function(self, request: adieu.Request) -> adieu.Response:
        self.bodies.append(b"".join(request.content.chunks()))
        return adieu.Response(200, body=b"inside")

    async def async_function(self, request: adieu.Request) -> adieu.AsyncResponse:
        self.bodies.append(b"".join(request.content.chunks()))
        return adieu.AsyncResponse(200, body=b"inside")

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Length", "6")])
        return [b"inside"]

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    def mounted(self, kind: str, stage: Stage) -> Any:
        """An adapter that reaches this object, or, for a socket, nothing."""
        is_async = stage.runner.kind is adieu.AsyncClient
        if kind == "socket":
            wire = (AsyncUnixWire if is_async else adieu.UnixWire)("/no/such/socket")
            return (AsyncNativeAdapter if is_async else NativeAdapter)(wire)  # type: ignore[arg-type]
        if kind == "wrapped function":
            inner = self.mounted("function", stage)
            return (adieu.AsyncMiddleware if is_async else adieu.Middleware)(inner)
        if kind == "function" or stage.runner.is_trio:  # The ASGI adapter is for asyncio.
            return adieu.adapter(self.async_function if is_async else self.function)
        return AsyncASGIAdapter(self.asgi) if is_async else WSGIAdapter(self.wsgi)


_KINDS = ["socket", "function", "wrapped function", "app"]


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("status", [302, 307])
def test_a_server_of_the_network_cannot_redirect_into_this_machine_or_process(
    stage: Stage, kind: str, status: int
) -> None:
    inside = Inside()
    url = f"/redirect?status={status}&to=http://inside.example/admin"
    with stage.block(stage.one()) as client:
        client.mount("http://inside.example/", inside.mounted(kind, stage))
        with pytest.raises(adieu.RedirectError, match=r"must not choose .*from_network=True"):
            stage.get(client, url, "POST", content=b"secret")
        # Nor over a hop between two servers of the network.
        with pytest.raises(adieu.RedirectError, match="must not choose"):
            stage.get(client, "/redirect?to=/redirect?to=http://inside.example/")
        assert inside.bodies == []
        assert stage.in_use(client) == []
        if kind != "socket":
            assert stage.read(stage.get(client, "http://inside.example/")) == b"inside"
        stage.next_works(client)


@pytest.mark.parametrize("kind", _KINDS[1:])
def test_a_mount_may_allow_redirects_from_the_network(stage: Stage, kind: str) -> None:
    inside = Inside()
    url = "/redirect?status=307&to=http://inside.example/"
    with stage.block(stage.one()) as client:
        client.mount("http://inside.example/", inside.mounted(kind, stage), from_network=True)
        assert stage.read(stage.get(client, url, "POST", content=b"mine")) == b"inside"
        assert inside.bodies == [b"mine"]
        stage.next_works(client)


def test_what_is_not_on_the_network_may_redirect_anywhere(stage: Stage) -> None:
    is_async = stage.runner.kind is adieu.AsyncClient
    inside = Inside()
    location = [f"{stage.server.url}/ok", "http://inside.example/"]

    def answer(request: adieu.Request) -> Any:
        kind = adieu.AsyncResponse if is_async else adieu.Response
        return kind(302, {"location": location.pop(0)})

    async def async_answer(request: adieu.Request) -> Any:
        return answer(request)

    with stage.block(stage.one()) as client:
        client.mount("http://first.example/", adieu.adapter(async_answer if is_async else answer))
        client.mount("http://inside.example/", inside.mounted("function", stage))
        assert stage.get(client, "http://first.example/").url.path == "/ok"
        assert stage.read(stage.get(client, "http://first.example/")) == b"inside"


# Content that has to be sent again


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("kind", ["bytes", "list", "file", "form", "json"])
def test_content_that_can_be_read_again_is_sent_again_in_full(
    fault_server: FaultServer, adapter: str, kind: str, size: int
) -> None:
    data = b"x" * size
    file = io.BytesIO(b"skipped" + data)
    file.seek(7)
    options: dict[str, dict[str, Any]] = {
        "bytes": {"content": data},
        "list": {"content": [data[: size // 2], data[size // 2 :]]},
        "file": {"content": file},
        "form": {"data": {"a": data}},
        "json": {"json": data.decode()},
    }
    with adieu.Client(adapter=adapter) as client:
        url = f"{fault_server.url}/redirect?n=3&status=307&to=/echo"
        echoed = client.post(url, **options[kind]).json()
        assert echoed["length"] == size + {"form": 2, "json": 2}.get(kind, 0)
        assert {request.body_length for request in fault_server.requests} == {echoed["length"]}
    assert sockets(fault_server) == 0


def test_an_iterator_that_was_used_up_is_not_sent_in_part(
    fault_server: FaultServer, adapter: str
) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"once"

    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with pytest.raises(adieu.RedirectError, match=r"307.*bytes, a file or a list"):
            client.post(f"{fault_server.url}/redirect?status=307", content=pieces())
        assert fault_server.served == 1
        # A 303 drops the content, so it need not be read again.
        response = client.post(f"{fault_server.url}/redirect?status=303", content=pieces())
        assert response.status_code == 200
    assert sockets(fault_server) == 0


# The bodies of redirects

FIFTY_MB = 50_000_000


class LargeRedirect:
    """A redirect with a body of 50 MB. `sent` is how much of it the server has sent."""

    def __init__(self, server: FaultServer, framing: str) -> None:
        self.server = server
        self.framing = framing
        self.sent = 0
        self.ended = threading.Event()
        server.on("/from", self)

    def __call__(self, peer: Peer, request: Received) -> Ending:
        # Otherwise the kernel would buffer megabytes.
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        framing = {
            "length": [("content-length", str(FIFTY_MB))],
            "chunked": [("transfer-encoding", "chunked")],
            "close": [("connection", "close")],
        }[self.framing]
        piece = b"x" * 10_000
        if self.framing == "chunked":
            piece = b"2710\r\n" + piece + b"\r\n"
        try:
            peer.start(302, [("location", "/ok"), *framing])
            for _ in range(FIFTY_MB // 10_000):
                peer.send(piece)
                self.sent += len(piece)
        finally:
            self.ended.set()
        return "close"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize(
    "policy",
    [adieu.Prefetch(), adieu.ReleaseOnRead(), adieu.CloseOnExit(), adieu.PrefetchUpTo(10_000_000)],
    ids=repr,
)
def test_the_body_of_a_redirect_is_never_read_without_bound(
    fault_server: FaultServer, adapter: str, framing: str, policy: adieu.CleanupPolicy
) -> None:
    redirect = LargeRedirect(fault_server, framing)
    with adieu.Client(
        adapter=adapter, cleanup=policy, limits=adieu.Limits(connections=1)
    ) as client:
        with client.stream("GET", f"{fault_server.url}/from") as response:
            assert response.status_code == 200
            assert len(response.history) == 1
            assert response.json()["request"] == 2
        assert redirect.ended.wait(30)
        # The policy drains a part, and the sockets' buffers hold another part.
        assert redirect.sent < 10_000_000
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("pooled", ["urllib3", "native"])
@pytest.mark.parametrize("body", [0, 1, 1000, 60_000])
def test_a_small_body_of_a_redirect_is_drained_and_its_connection_kept(
    fault_server: FaultServer, pooled: str, body: int
) -> None:
    event_log = EventLog()
    with adieu.Client(adapter=pooled, events=event_log) as client:
        client.get(f"{fault_server.url}/redirect?n=5&body={body}")
        assert fault_server.accepted == 1
    event_log.check()


def test_a_redirect_whose_body_stalls_is_followed_in_time(
    fault_server: FaultServer, adapter: str
) -> None:
    # Longer than pytest's own timeout, as the stall is: if the client waits for the body, the test fails.
    limits = adieu.Limits(connections=1)
    with adieu.Client(adapter=adapter, limits=limits, timeout=90) as client:
        response = client.get(f"{fault_server.url}/redirect?body=1000&stall=60")
        assert response.status_code == 200
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("path", ["/redirect?n=3&to=/stall-head", "/redirect?n=2&to=/stall-body"])
def test_one_deadline_covers_every_hop(fault_server: FaultServer, adapter: str, path: str) -> None:
    with adieu.Client(adapter=adapter, timeout=adieu.Timeout(total=0.3)) as client:
        with pytest.raises(adieu.DeadlineExceeded) as caught:
            client.get(fault_server.url + path)
        assert caught.value.elapsed is not None
        assert caught.value.elapsed >= 0.27
    assert sockets(fault_server) == 0


# History


def test_the_history_has_the_facts_and_holds_no_connection(
    fault_server: FaultServer, adapter: str
) -> None:
    gc.disable()
    try:
        client = adieu.Client(adapter=adapter, cleanup=adieu.ReleaseOnRead())
        response = client.get(f"{fault_server.url}/redirect?n=3&body=300000&to=/bytes?n=300000")
        assert sockets(fault_server) == 1  # The one of the response, which is unread.
        assert len(response.history) == 3
        for index, hop in enumerate(response.history):
            assert hop.status_code == 302
            assert hop.is_redirect
            assert hop.is_closed
            assert hop.headers["content-length"] == "300000"
            assert hop.url.path == "/redirect"
            assert len(hop.history) == index
            with pytest.raises(adieu.BodyClosed):
                hop.read()
        assert response.history[0].url != response.history[1].url
        assert len(response.read()) == 300_000
        gone = weakref.ref(client)
        client.close()
        del client
        assert gone() is None or not hasattr(gc, "get_threshold")
        assert sockets(fault_server) == 0
    finally:
        gc.enable()


def test_the_dropped_body_of_a_hop_is_an_error_and_not_empty(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/redirect?body=1000")
        (hop,) = response.history
        with pytest.raises(adieu.BodyClosed):
            hop.read()


def test_a_response_with_a_history_is_pickled_without_its_connections(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/redirect?n=2&to=/bytes?n=5")
        copy = pickle.loads(pickle.dumps(response))
    assert copy.content == response.content
    assert [hop.status_code for hop in copy.history] == [302, 302]
    assert [str(hop.url) for hop in copy.history] == [str(hop.url) for hop in response.history]
