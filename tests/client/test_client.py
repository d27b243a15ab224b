"""The client: from the settings of a call to a request, and use by many threads."""

from __future__ import annotations

import gc
import gzip
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults_net import BlackHole
from support.clients import ADAPTERS, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.faults import Request as PeerRequest
    from support.stage import Stage

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@adieu.adapter
def mirror(request: adieu.Request) -> adieu.Response:
    """Answers with the request, without a socket."""
    facts = {
        "method": request.method,
        "url": str(request.url),
        "headers": request.headers.multi_items(),
        "body": b"".join(request.content.chunks()).decode("latin-1"),
    }
    return adieu.Response(200, {"content-type": "application/json"}, body=json.dumps(facts))


class Mirror(adieu.Middleware):
    """The same for one client; the function stays open for the next one."""

    def __init__(self) -> None:
        super().__init__(mirror)

    def close(self) -> None:
        pass


def asked(client: adieu.Client, method: str, url: str, **options: Any) -> dict[str, Any]:
    facts: dict[str, Any] = client.request(method, url, **options).json()
    return facts


def fields(facts: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in facts["headers"]}


# URLs


@pytest.mark.parametrize(
    ("base", "url", "whole"),
    [
        ("https://a.example", "", "https://a.example/"),
        ("https://a.example", "/", "https://a.example/"),
        ("https://a.example", "/items", "https://a.example/items"),
        ("https://a.example", "items", "https://a.example/items"),
        ("https://a.example/v1", "", "https://a.example/v1"),
        ("https://a.example/v1/", "", "https://a.example/v1/"),
        ("https://a.example/v1", "items", "https://a.example/v1/items"),
        ("https://a.example/v1", "/items", "https://a.example/v1/items"),
        ("https://a.example/v1/", "items", "https://a.example/v1/items"),
        ("https://a.example/v1/", "/items/", "https://a.example/v1/items/"),
        ("https://a.example/v1", "?page=2", "https://a.example/v1?page=2"),
        ("https://a.example/v1", "items?page=2#top", "https://a.example/v1/items?page=2#top"),
        ("https://a.example/v1", "../v2", "https://a.example/v2"),
        ("https://a.example/v1", "a:b", "https://a.example/v1/a:b"),
        ("https://a.example/v1", "a b/ü", "https://a.example/v1/a%20b/%C3%BC"),
        ("https://a.example:8443/v1", "x", "https://a.example:8443/v1/x"),
        ("http://[::1]:8080/v1", "x", "http://[::1]:8080/v1/x"),
        ("https://bücher.example", "x", "https://xn--bcher-kva.example/x"),
        # A URL within a path, a query or a fragment does not make the path a whole URL.
        ("https://a.example", "/web/http://b.example/", "https://a.example/web/http://b.example/"),
        ("https://a.example", "web/http://b.example/", "https://a.example/web/http://b.example/"),
        ("https://a.example", "/?to=http://b.example/", "https://a.example/?to=http://b.example/"),
        ("https://a.example", "/#http://b.example/", "https://a.example/#http://b.example/"),
        # Whole URLs stay as they are.
        ("https://a.example/v1", "https://b.example/x", "https://b.example/x"),
        ("https://a.example/v1", "HTTP://B.example", "http://b.example/"),
        ("https://a.example/v1", " https://b.example/x", "https://b.example/x"),
        ("https://a.example/v1", "mock://b/x", "mock://b/x"),
        # A path that looks like another host does not change the host.
        ("https://a.example", "\\\\b.example/x", "https://a.example///b.example/x"),
        ("https://a.example", ".b.example/x", "https://a.example/.b.example/x"),
        ("https://a.example", "@b.example/x", "https://a.example/@b.example/x"),
        ("https://a.example", ":80@b.example/x", "https://a.example/:80@b.example/x"),
    ],
)
def test_a_path_is_taken_below_the_base_url(base: str, url: str, whole: str) -> None:
    with adieu.Client(base_url=base, adapter=Mirror()) as client:
        assert asked(client, "GET", url)["url"] == whole


def test_a_url_object_is_whole_already() -> None:
    with adieu.Client(base_url="https://a.example/v1", adapter=Mirror()) as client:
        response = client.get(adieu.URL("https://b.example/x"))
        assert response.json()["url"] == "https://b.example/x"
        assert str(response.url) == "https://b.example/x"


@pytest.mark.parametrize(
    ("base", "text"),
    [
        ("localhost:8000", "did you mean 'https://localhost:8000'"),
        ("/v1", "relative"),
        ("", "empty"),
        ("https://a.example/?q=1", "no query and no fragment"),
        ("https://a.example/#f", "no query and no fragment"),
        ("https://", "host"),
    ],
)
def test_a_base_url_that_cannot_be_one_is_refused_when_the_client_is_made(
    base: str, text: str
) -> None:
    with pytest.raises(adieu.InvalidURL, match=text):
        adieu.Client(base_url=base, adapter=Mirror())


@pytest.mark.parametrize("url", ["/items", "items", "", "localhost:8000/x", "//b.example/x", 7])
def test_without_a_base_url_a_url_must_be_whole(url: Any) -> None:
    with adieu.Client(adapter=Mirror()) as client, pytest.raises(adieu.InvalidURL):
        client.get(url)


def test_a_url_without_a_scheme_is_refused_below_a_base_too() -> None:
    client = adieu.Client(base_url="https://a.example", adapter=Mirror())
    with client, pytest.raises(adieu.InvalidURL, match="no scheme"):
        client.get("//b.example/x")


# Parameters and header fields


def test_parameters_are_added_in_the_order_url_client_call() -> None:
    with adieu.Client(adapter=Mirror(), params={"key": "k", "lang": "en"}) as client:
        url = asked(client, "GET", "https://a.example/?q=1#f", params={"page": [1, 2]})["url"]
        assert url == "https://a.example/?q=1&key=k&lang=en&page=1&page=2#f"
        assert asked(client, "GET", "https://a.example/")["url"].endswith("/?key=k&lang=en")


@pytest.mark.parametrize(
    ("url", "own", "query"),
    [
        ("/", {"v": 2}, "k=a&k=b&x+y=1&v=2"),
        ("/", {"v": None, "k": "c"}, "x+y=1&k=c"),
        ("/", [("k", None)], "v=1&x+y=1"),
        ("/", (pair for pair in [("k", "c"), ("k", "d")]), "v=1&x+y=1&k=c&k=d"),
        ("/", {"k": []}, "v=1&x+y=1"),
        ("/", {"V": 2}, "v=1&k=a&k=b&x+y=1&V=2"),
        # A link to a next page, say.
        ("/?v=1&page=2", None, "v=1&page=2&k=a&k=b&x+y=1"),
        ("/?%76&x%20y=", {"page": 3}, "%76&x%20y=&k=a&k=b&page=3"),
        ("/?q=1", {"q": 2}, "q=1&v=1&k=a&k=b&x+y=1&q=2"),
    ],
)
def test_a_parameter_of_a_call_replaces_those_of_the_client_with_its_name(
    url: str, own: Any, query: str
) -> None:
    defaults: dict[str, Any] = {"v": 1, "k": ["a", "b"], "x y": 1}
    with adieu.Client("https://a.example", adapter=Mirror(), params=defaults) as client:
        assert asked(client, "GET", url, params=own)["url"] == f"https://a.example/?{query}"
        # The client's own are as before.
        left = asked(client, "GET", "/")["url"]
        assert left == "https://a.example/?v=1&k=a&k=b&x+y=1"


@pytest.mark.parametrize("params", [None, {}, [], {"gone": None}])
def test_no_parameters_leave_the_url_as_it_is(params: Any) -> None:
    with adieu.Client(adapter=Mirror(), params=params) as client:
        assert asked(client, "GET", "https://a.example/?", params=params)["url"] in {
            "https://a.example/?",
            "https://a.example/",
        }


@pytest.mark.parametrize("params", ["a=1", b"b=1", 7, [("a",)], {"a": object()}])
def test_parameters_that_are_no_fields_are_refused(params: Any) -> None:
    with adieu.Client(adapter=Mirror()) as client, pytest.raises(adieu.InvalidRequest):
        client.get("https://a.example/", params=params)


def test_every_request_has_a_user_agent_and_the_accepted_codings() -> None:
    with adieu.Client(adapter=Mirror()) as client:
        sent = fields(asked(client, "GET", "https://a.example/"))
        assert sent["user-agent"] == f"adieu/{adieu.__version__}"
        assert sent["accept"] == "*/*"
        assert "gzip" in sent["accept-encoding"]
        assert "content-length" not in sent


def test_the_nearest_header_field_wins_in_any_case() -> None:
    with adieu.Client(adapter=Mirror(), headers={"ACCEPT": "text/html", "X-A": "client"}) as client:
        sent = fields(asked(client, "GET", "https://a.example/", headers={"x-a": "call"}))
        assert sent["accept"] == "text/html"
        assert sent["x-a"] == "call"
        sent = fields(asked(client, "GET", "https://a.example/"))
        assert sent["x-a"] == "client"


def test_none_removes_a_default_field() -> None:
    headers = {"User-Agent": None, "x-a": "1"}
    with adieu.Client(adapter=Mirror(), headers=headers) as client:
        sent = fields(asked(client, "GET", "https://a.example/", headers={"X-A": None}))
        assert "user-agent" not in sent
        assert "x-a" not in sent
        assert fields(asked(client, "GET", "https://a.example/"))["x-a"] == "1"


def test_repeated_fields_replace_a_default_together() -> None:
    with adieu.Client(adapter=Mirror(), headers={"x-a": "0"}) as client:
        facts = asked(client, "GET", "https://a.example/", headers=[("x-a", "1"), ("X-A", "2")])
        assert [value for name, value in facts["headers"] if name.lower() == "x-a"] == ["1", "2"]


def test_changing_the_given_headers_later_does_not_change_the_client() -> None:
    given = adieu.Headers({"x-a": "1"})
    with adieu.Client(adapter=Mirror(), headers=given) as client:
        given["x-a"] = "2"
        request = client.build_request("GET", "https://a.example/")
        request.headers["x-a"] = "3"
        assert fields(asked(client, "GET", "https://a.example/"))["x-a"] == "1"


@pytest.mark.parametrize(
    "headers", [{"a b": "1"}, {"a": "1\r\nb: 2"}, {"a": "1\n"}, "a: 1", {"": "1"}]
)
def test_header_fields_that_could_be_read_as_two_are_refused(headers: Any) -> None:
    with adieu.Client(adapter=Mirror()) as client, pytest.raises(adieu.InvalidHeader):
        client.get("https://a.example/", headers=headers)


@pytest.mark.parametrize("place", ["call", "client", "hook"])
def test_a_range_is_asked_of_the_bytes_that_are_not_coded(stage: Stage, place: str) -> None:
    content = b"0123456789" * 100

    def ranges(peer: Peer, request: PeerRequest) -> Ending:
        # RFC 9110, section 14.1.2: a range counts the bytes of the representation that is chosen, coded or not.
        body, head = content, list[tuple[str, str]]()
        if "gzip" in (request.header("accept-encoding") or ""):
            body, head = gzip.compress(content), [("content-encoding", "gzip")]
        size = len(body)
        head.append(("content-range", f"bytes {size - 5}-{size - 1}/{size}"))
        peer.reply(206, body[-5:], head)
        return "keep"

    stage.server.on("/range", ranges)
    wanted = {"Range": "bytes=-5"}
    hooks = {"request": [lambda request: request.headers.update(wanted)]} if place == "hook" else {}
    client = stage.client(headers=wanted if place == "client" else None, event_hooks=hooks)
    with stage.block(client):
        own = wanted if place == "call" else {"x-own": "1"}
        answer = stage.get(client, "/range", headers=own)
        assert (answer.status_code, stage.read(answer)) == (206, content[-5:])
        if place == "client":
            assert stage.read(stage.get(client, "/range")) == content[-5:]


def test_an_accept_encoding_of_the_users_own_stays_beside_a_range() -> None:
    default = adieu.Client(adapter=Mirror()).headers["accept-encoding"]
    wanted = {"Range": "bytes=-5"}
    with adieu.Client("https://a.example", adapter=Mirror()) as client:
        for own in (default, "br"):
            sent = asked(client, "GET", "/", headers={**wanted, "Accept-Encoding": own})
            assert fields(sent)["accept-encoding"] == own
        sent = asked(client, "GET", "/", headers={**wanted, "Accept-Encoding": None})
        assert "accept-encoding" not in fields(sent)
        client.event_hooks = {"request": [lambda request: request.headers.update(wanted)]}
        sent = asked(client, "GET", "/", headers={"Accept-Encoding": "br"})
        assert fields(sent)["accept-encoding"] == "br"
        client.headers["accept-encoding"] = "br"
        assert fields(asked(client, "GET", "/", headers=wanted))["accept-encoding"] == "br"


def test_content_that_is_announced_as_chunked_has_no_length_by_default(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        answer = stage.get(client, "/echo", "POST", headers={"Transfer-Encoding": "chunked"})
        sent = {name.lower(): value for name, value in json.loads(stage.read(answer))["headers"]}
        assert sent["transfer-encoding"] == "chunked"
        assert "content-length" not in sent
        stage.next_works(client)


def test_defaults_arrive_over_every_adapter(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(
        base_url=fault_server.url, adapter=adapter, params={"k": "v"}, headers={"x-a": "1"}
    ) as client:
        echoed = client.post("/echo", params={"p": 1}, json={"n": 1}, headers={"X-B": "2"}).json()
    assert echoed["method"] == "POST"
    assert echoed["target"] == "/echo?k=v&p=1"
    assert echoed["body"] == '{"n":1}'
    sent = {name.lower(): value for name, value in echoed["headers"]}
    assert sent["host"] == f"127.0.0.1:{fault_server.port}"
    assert sent["x-a"] == "1"
    assert sent["x-b"] == "2"
    assert sent["content-type"] == "application/json"
    assert sent["content-length"] == "7"
    # No field is sent twice, over any adapter.
    assert len(sent) == len(echoed["headers"])


def test_fields_arrive_in_their_order_and_as_they_were_written(
    fault_server: FaultServer, adapter: str
) -> None:
    fields = [("x-B", "1"), ("X-a", "2"), ("x-B", "3"), ("ETag", "4")]
    with adieu.Client(fault_server.url, adapter=adapter) as client:
        client.get("/ok", headers=fields)
    (request,) = fault_server.requests
    mine = [field for field in request.headers if field in fields]
    assert mine == fields


# Methods and content


@pytest.mark.parametrize("method", ["get", "options", "post", "put", "patch", "delete", "query"])
def test_each_method_has_a_name(method: str) -> None:
    with adieu.Client(adapter=Mirror()) as client:
        response = getattr(client, method)("https://a.example/")
        assert response.json()["method"] == method.upper()


def test_head_has_a_name_too(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.head(f"{fault_server.url}/bytes?n=1000")
        assert response.headers["content-length"] == "1000"
        assert response.content == b""
        assert fault_server.requests[-1].method == "HEAD"


@pytest.mark.parametrize("method", ["", "GET /", "a b", "ü", "G" * 65, None, 7, "CONNECT"])
def test_an_invalid_method_is_refused(method: Any) -> None:
    with adieu.Client(adapter=Mirror()) as client, pytest.raises(adieu.InvalidRequest):
        client.request(method, "https://a.example/")


@pytest.mark.parametrize(
    ("options", "body", "media_type"),
    [
        ({"content": b"\x00\xff"}, "\x00\xff", None),
        ({"content": "text"}, "text", "text/plain; charset=utf-8"),
        ({"content": [b"a", b"b"]}, "ab", None),
        (
            {"data": {"a": "1 2", "b": ["x", "y"]}},
            "a=1+2&b=x&b=y",
            "application/x-www-form-urlencoded",
        ),
        ({"json": {"a": [1, None, True]}}, '{"a":[1,null,true]}', "application/json"),
        ({"json": []}, "[]", "application/json"),
        ({"json": 0}, "0", "application/json"),
        ({"json": False}, "false", "application/json"),
    ],
)
def test_content_data_and_json_become_a_body(
    options: dict[str, Any], body: str, media_type: str | None
) -> None:
    with adieu.Client(adapter=Mirror()) as client:
        facts = asked(client, "POST", "https://a.example/", **options)
        assert facts["body"] == body
        assert fields(facts).get("content-type") == media_type


def test_an_own_content_type_stays() -> None:
    with adieu.Client(adapter=Mirror()) as client:
        headers = {"content-type": "application/vnd.api+json"}
        facts = asked(client, "POST", "https://a.example/", json={}, headers=headers)
        assert [v for n, v in facts["headers"] if n.lower() == "content-type"] == [
            "application/vnd.api+json"
        ]


@pytest.mark.parametrize("nothing", [{}, {"json": None}, {"data": None, "content": None}])
def test_no_content_announces_none(nothing: dict[str, Any]) -> None:
    with adieu.Client(adapter=Mirror()) as client:
        sent = fields(asked(client, "GET", "https://a.example/", **nothing))
        assert not {"content-length", "transfer-encoding", "content-type"} & sent.keys()
        # RFC 9110, section 8.6: a method that usually has content announces its absence.
        sent = fields(asked(client, "POST", "https://a.example/", **nothing))
        assert sent["content-length"] == "0"


def test_a_request_has_one_content() -> None:
    with (
        adieu.Client(adapter=Mirror()) as client,
        pytest.raises(adieu.InvalidRequest, match="one content"),
    ):
        client.post("https://a.example/", json={}, data={"a": 1})


def test_a_wrong_content_length_is_refused() -> None:
    with (
        adieu.Client(adapter=Mirror()) as client,
        pytest.raises(adieu.InvalidRequest, match="Content-Length"),
    ):
        client.post("https://a.example/", content=b"abc", headers={"content-length": "2"})


def test_content_of_every_size_arrives_whole(fault_server: FaultServer, adapter: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    with adieu.Client(adapter=adapter, base_url=fault_server.url) as client:
        assert client.post("/echo", content=b"y" * 300_000).json()["length"] == 300_000
        echoed = client.post("/echo", content=pieces()).json()
        assert echoed["length"] == 1_000_000
        assert ["Transfer-Encoding", "chunked"] in echoed["headers"]
    assert sockets(fault_server) == 0


@pytest.mark.parametrize("option", ["stream", "allow_redirects", "connect", "proxies", "auth_"])
def test_an_unknown_option_is_refused_with_the_known_ones(option: str) -> None:
    with adieu.Client(adapter=Mirror()) as client:
        with pytest.raises(TypeError) as caught:
            client.get("https://a.example/", **{option: 1})  # type: ignore[arg-type]
        assert repr(option) in str(caught.value)
        for known in ("cleanup", "content", "follow_redirects", "headers", "json", "timeout"):
            assert known in str(caught.value)


def test_a_built_request_is_sent_as_it_was_built_any_number_of_times(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(base_url=fault_server.url, adapter=adapter, headers={"x-a": "1"}) as client:
        request = client.build_request("PUT", "/echo", json={"n": 1}, params={"p": 1})
        assert repr(request) == f"<Request PUT {fault_server.url}/echo?p=1>"
        for _ in range(3):
            echoed = client.send(request).json()
            assert echoed["target"] == "/echo?p=1"
            assert echoed["body"] == '{"n":1}'
        with client.send(request, stream=True) as response:
            assert b"".join(response.iter_bytes())
    assert sockets(fault_server) == 0


def test_the_response_knows_its_request(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/ok")
        assert response.request.method == "GET"
        assert str(response.url) == f"{fault_server.url}/ok"
        assert response.history == ()
        assert response.http_version == "HTTP/1.1"
        assert response.elapsed.total_seconds() > 0


# User name and password


@pytest.mark.parametrize(
    ("userinfo", "basic"),
    [
        ("user:password", "dXNlcjpwYXNzd29yZA=="),
        ("user", "dXNlcjo="),
        (":token", "OnRva2Vu"),
        ("%C3%BCser:p%40ss%3Aword", "w7xzZXI6cEBzczp3b3Jk"),
    ],
)
def test_userinfo_becomes_basic_and_leaves_the_url(
    fault_server: FaultServer, adapter: str, userinfo: str, basic: str
) -> None:
    url = f"http://{userinfo}@127.0.0.1:{fault_server.port}/echo"
    with adieu.Client(adapter=adapter) as client:
        response = client.get(url)
        sent = {name.lower(): value for name, value in response.json()["headers"]}
        assert sent["authorization"] == f"Basic {basic}"
        assert sent["host"] == f"127.0.0.1:{fault_server.port}"
        assert response.url == adieu.URL(f"{fault_server.url}/echo")
        assert response.url.username is None
        assert "@" not in repr(response.request)


def test_the_userinfo_of_a_base_url_is_used_only_below_it() -> None:
    with adieu.Client(base_url="https://user:password@a.example/v1", adapter=Mirror()) as client:
        for path in ("", "items", "?q=1"):
            facts = asked(client, "GET", path)
            assert fields(facts)["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
            assert "@" not in facts["url"]
        assert "authorization" not in fields(asked(client, "GET", "https://b.example/"))
        assert "password" not in repr(client)


def test_an_authorization_field_wins_over_userinfo() -> None:
    with adieu.Client(adapter=Mirror()) as client:
        headers = {"authorization": "Bearer t"}
        facts = asked(client, "GET", "https://user:password@a.example/", headers=headers)
        assert fields(facts)["authorization"] == "Bearer t"
        assert facts["url"] == "https://a.example/"


# Times


@pytest.mark.parametrize(
    "timeout", [60, 30.5, None, adieu.Timeout(read=60), adieu.Timeout(total=60)]
)
def test_every_form_of_a_timeout_is_taken_by_client_and_call(
    fault_server: FaultServer, adapter: str, timeout: Any
) -> None:
    with adieu.Client(adapter=adapter, timeout=timeout) as client:
        assert client.get(f"{fault_server.url}/ok").status_code == 200
        assert client.get(f"{fault_server.url}/ok", timeout=timeout).status_code == 200


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan"), (3, 5), [1]])
def test_an_invalid_timeout_is_refused_before_anything_is_sent(
    fault_server: FaultServer, timeout: Any
) -> None:
    with pytest.raises(adieu.InvalidRequest, match="timeout"):
        adieu.Client(adapter="native", timeout=timeout)
    with adieu.Client(adapter="native") as client, pytest.raises(adieu.InvalidRequest):
        client.get(f"{fault_server.url}/ok", timeout=timeout)
    assert fault_server.accepted == 0


@pytest.mark.parametrize(
    ("path", "timeout", "error", "limit"),
    [
        ("/stall-head", adieu.Timeout(read=0.1), adieu.ReadTimeout, 0.1),
        ("/stall-head", adieu.Timeout(total=0.1), adieu.DeadlineExceeded, 0.1),
        ("/stall-body", adieu.Timeout(read=0.1), adieu.ReadTimeout, 0.1),
        ("/drip?seconds=30", adieu.Timeout(total=0.2), adieu.DeadlineExceeded, 0.2),
        ("/drip-head?seconds=30", adieu.Timeout(total=0.2), adieu.DeadlineExceeded, 0.2),
        ("/redirect?n=3&to=/stall-head", adieu.Timeout(total=0.3), adieu.DeadlineExceeded, 0.3),
    ],
)
def test_the_timeout_of_a_call_is_kept_and_nothing_is_held_afterwards(
    fault_server: FaultServer,
    adapter: str,
    path: str,
    timeout: Any,
    error: type[adieu.RequestTimeout],
    limit: float,
) -> None:
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        with pytest.raises(error) as caught:
            client.get(fault_server.url + path, timeout=timeout)
        assert caught.value.limit == limit
        assert caught.value.elapsed is not None
        assert caught.value.elapsed >= 0.9 * limit
        assert sockets(fault_server) == 0
        assert client.get(f"{fault_server.url}/ok").status_code == 200
        assert caught.value.__traceback__ is not None


def test_a_call_without_a_timeout_of_its_own_has_the_clients(adapter: str) -> None:
    short, longer = adieu.Timeout(read=0.1), adieu.Timeout(read=0.2)
    with BlackHole() as hole, adieu.Client(adapter=adapter, timeout=short) as client:
        with pytest.raises(adieu.ReadTimeout, match=r"0\.1 s"):
            client.get(hole.url)
        with pytest.raises(adieu.ReadTimeout, match=r"0\.2 s"):
            client.get(hole.url, timeout=longer)


# Policies


_CLASSES = [adieu.Prefetch, adieu.CloseOnExit, adieu.CleanupPolicy]


@pytest.mark.parametrize("policy", [*_CLASSES, "close", True, object()])
def test_an_invalid_policy_is_refused_with_a_hint(policy: Any) -> None:
    hint = "parentheses" if policy in _CLASSES else "takes a CleanupPolicy"
    with pytest.raises(adieu.InvalidRequest, match=hint):
        adieu.Client(adapter=Mirror(), cleanup=policy)
    with adieu.Client(adapter=Mirror()) as client:
        with pytest.raises(adieu.InvalidRequest, match=hint):
            client.get("https://a.example/", cleanup=policy)
        with pytest.raises(adieu.InvalidRequest, match=hint):
            client.mount("mock://", Mirror(), cleanup=policy)


@pytest.mark.parametrize(
    "policy",
    [adieu.ReleaseOnRead(), adieu.CloseOnExit(), adieu.NoKeepAlive(), adieu.PrefetchUpTo(10)],
    ids=repr,
)
def test_a_call_may_have_a_policy_of_its_own(
    fault_server: FaultServer, adapter: str, policy: adieu.CleanupPolicy
) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.get(f"{fault_server.url}/bytes?n=300000", cleanup=policy)
        assert response.is_closed is isinstance(policy, adieu.NoKeepAlive)
        assert len(response.content) == 300_000
        keeps = policy.keep_alive and adapter != "close"
        assert sockets(fault_server) == int(keeps)
        assert (fault_server.requests[-1].header("connection") == "close") is not keeps
    assert sockets(fault_server) == 0


# Connections and repr


def test_connections_lists_the_state_of_each_connection(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(adapter=adapter, cleanup=adieu.ReleaseOnRead()) as client:
        assert client.connections() == []
        assert repr(client) == "<Client 0 connections>"
        response = client.get(f"{fault_server.url}/bytes?n=300000")
        (line,) = client.connections()
        assert line.origin == fault_server.url
        assert line.state == "leased"
        assert line.uses == 1
        assert line.lease is not None
        assert line.lease.method == "GET"
        assert line.lease.url == f"{fault_server.url}/bytes?n=300000"
        assert line.lease.opened_at is not None
        assert "test_client.py" in line.lease.opened_at
        assert "GET" in str(line)
        response.read()
        lines = client.connections()
        if adapter == "close":
            assert lines == []
        else:
            assert [line.state for line in lines] == ["idle"]
            assert "idle for" in str(lines[0])
            assert lines[0].lease is None
    assert client.connections() == []
    assert repr(client) == "<Client closed>"


def test_the_connections_of_every_mount_are_shown(fault_server: FaultServer) -> None:
    with adieu.Client(adapter="native") as client:
        client.mount(f"{fault_server.url}/bytes", "urllib3")
        client.mount("mock://", Mirror())
        client.get(f"{fault_server.url}/ok")
        client.get(f"{fault_server.url}/bytes")
        client.get("mock://x/")
        assert len(client.connections()) == 2
        assert sockets(fault_server) == 2
    assert sockets(fault_server) == 0


def test_a_client_is_printed_with_its_base() -> None:
    with adieu.Client(base_url="https://a.example/v1", adapter=Mirror()) as client:
        assert repr(client) == "<Client https://a.example/v1 0 connections>"


# Threads


@pytest.mark.parametrize("most", [None, 5], ids=["a connection each", "five connections"])
def test_each_of_twenty_threads_gets_its_own_answers(
    fault_server: FaultServer, adapter: str, most: int | None
) -> None:
    threads, each = 20, 50
    limits = adieu.Limits(connections=most)
    failures: list[BaseException] = []
    start = threading.Barrier(threads)

    with adieu.Client(
        adapter=adapter, base_url=fault_server.url, limits=limits, timeout=30
    ) as client:

        def work(number: int) -> None:
            try:
                start.wait(10)
                for nth in range(each):
                    mark = f"{number}-{nth}"
                    answer = client.get("/echo", params={"mark": mark}).json()
                    assert answer["target"] == f"/echo?mark={mark}"
            except BaseException as error:
                failures.append(error)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(50)
        assert not any(worker.is_alive() for worker in workers)
        assert failures == []
        assert fault_server.served == threads * each
        if adapter != "close":
            assert fault_server.accepted <= (most or threads)
        assert sockets(fault_server) <= (most or threads)
    assert sockets(fault_server) == 0


# References


def test_the_objects_of_a_call_need_no_collector(fault_server: FaultServer, adapter: str) -> None:
    gc.disable()
    try:
        with adieu.Client(adapter=adapter) as client:
            kept: list[object] = []
            for path in ("/ok", "/status/404", "/redirect?n=2", "/no-content", "/truncated"):
                try:
                    kept.append(client.get(fault_server.url + path))
                except adieu.TransportError as error:
                    kept.append(error)
            assert sockets(fault_server) <= 1
        assert len(kept) == 5
        assert sockets(fault_server) == 0
    finally:
        gc.enable()
