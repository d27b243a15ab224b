"""`MockAdapter`: routes, answers in sequence, and a log, for sync and async clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import MockAdapter, UnexpectedRequest
from adieu.testing.route_pattern import RoutePattern
from support.stage import growing
from support.steering import sleep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.runner import Runner

pytestmark = pytest.mark.lifecycle

SHOP = "https://shop.example"


def test_one_line_mocks_one_endpoint(runner: Runner) -> None:
    mock = MockAdapter({f"GET {SHOP}/items": adieu.Response(200, json=["vase"])})
    with runner.block(runner.client(adapter=mock)) as client:
        for _ in range(2):
            assert runner.run(client.get(f"{SHOP}/items")).json() == ["vase"]
    with runner.block(runner.client(adapter=mock)) as another:
        assert runner.run(another.get(f"{SHOP}/items")).json() == ["vase"]
    assert len(mock.calls) == 3


def test_the_most_specific_route_answers_whatever_the_order(runner: Runner) -> None:
    mock = MockAdapter()
    mock.on("*", "https://*.example", body="any")
    mock.on("GET", f"{SHOP}/items/**", body="below items")
    mock.on("GET", f"{SHOP}/items/*", body="an item")
    mock.on("GET", f"{SHOP}/items/*.json", body="as JSON")
    mock.on("GET", f"{SHOP}/items/new", body="a new one")
    mock.on("GET", f"{SHOP}/items/", body="items")
    mock.on("GET", f"{SHOP}/items", params={"page": 2}, body="page 2")
    mock.on("GET", f"{SHOP}/items", where=lambda r: "x-a" in r.headers, body="with x-a")
    mock.on("POST", f"{SHOP}/items", body="posted")
    with runner.block(runner.client(adapter=mock)) as client:
        asked: list[tuple[str, str, dict[str, Any], str]] = [
            ("GET", "/items", {}, "items"),
            ("GET", "/items/", {}, "items"),
            ("GET", "/items/17", {}, "an item"),
            ("GET", "/items/a%2Fb", {}, "an item"),
            ("GET", "/items/17.json", {}, "as JSON"),
            ("GET", "/items/%6Eew", {}, "a new one"),
            ("GET", "/items/17/parts", {}, "below items"),
            ("GET", "/items?page=2", {}, "page 2"),
            ("GET", "/items?a=1&page=2&b", {}, "page 2"),
            ("GET", "/items", {"headers": {"X-A": "1"}}, "with x-a"),
            ("POST", "/items", {"json": 1}, "posted"),
            ("GET", "/items10", {}, "any"),
            ("DELETE", "/items", {}, "any"),
        ]
        for method, path, options, text in asked:
            response = runner.run(client.request(method, SHOP + path, **options))
            assert response.text == text, path
    assert mock.unused == []


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("https://shop.example", "/any/path", True),
        ("https://shop.example/", "/", True),
        ("https://shop.example/", "/items", False),
        ("https://shop.example/items", "/items/5", False),
        ("https://shop.example/items/*", "/items", False),
        ("https://shop.example/items/*", "/items/5/parts", False),
        ("https://shop.example/*/parts", "/items/parts", True),
        ("https://shop.example/**", "/", True),
        ("https://shop.example/items/**", "/items", True),
        ("https://shop.example/items/**", "/itemsets", False),
        ("*://*.example/a*c", "/abc", True),
        ("*://*.example/a*c", "/abcd", False),
    ],
)
def test_the_path_of_a_route_is_the_whole_path(pattern: str, path: str, matches: bool) -> None:
    why = RoutePattern(pattern).why_not(adieu.URL(f"https://shop.example{path}"))
    assert (why is None) is matches
    assert str(RoutePattern(pattern)) == pattern


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("https://shop.example/a/**/b", r"\*\* stands for what comes last"),
        ("https:///items", "a path needs a host"),
        ("https://shop.example/items?page=1", "is no mount pattern"),
        ("shop.example/items", "is no mount pattern"),
    ],
)
def test_a_pattern_that_is_not_understood_is_refused(pattern: str, match: str) -> None:
    with pytest.raises(adieu.MountError, match=match):
        MockAdapter().on("GET", pattern)


def test_answers_come_in_sequence_and_the_last_one_again(runner: Runner) -> None:
    def counted(request: adieu.Request, exchange: Any) -> adieu.Response:
        return adieu.Response(200, body=f"{request.url.path} {exchange.hop}")

    mock = MockAdapter()
    route = mock.on("GET", SHOP, adieu.Response(503), LookupError("no"), adieu.ReadTimeout, counted)
    with runner.block(runner.client(adapter=mock)) as client:
        assert runner.run(client.get(SHOP)).status_code == 503
        with pytest.raises(adieu.TransportError, match="LookupError: no"):
            runner.run(client.get(SHOP))
        with pytest.raises(adieu.ReadTimeout, match="the peer sent nothing for 30 s"):
            runner.run(client.get(SHOP))
        for _ in range(2):
            assert runner.run(client.get(f"{SHOP}/a")).text == "/a 0"
    ends = [(call.status, call.error) for call in route.calls]
    assert ends == [(503, ""), (0, "LookupError"), (0, "ReadTimeout"), (200, ""), (200, "")]


def test_retries_and_redirects_go_through_a_mock_as_through_a_network(runner: Runner) -> None:
    mock = MockAdapter(
        {
            f"GET {SHOP}/old": [adieu.Response(503), adieu.Response(302, {"location": "/new"})],
            f"GET {SHOP}/new": adieu.Response(200, {"set-cookie": "a=1"}, body=b"new"),
        }
    )
    with runner.block(runner.client(adapter=mock, retry=adieu.Retry(1, backoff=0))) as client:
        response = runner.run(client.get(f"{SHOP}/old"))
        assert response.content == b"new"
        assert client.cookies.get("a") == "1"
    assert [str(call.url) for call in mock.calls] == [f"{SHOP}/old", f"{SHOP}/old", f"{SHOP}/new"]


def test_an_async_function_answers_async_clients(runner: Runner) -> None:
    async def answer(request: adieu.Request) -> adieu.AsyncResponse:
        return adieu.AsyncResponse(200, body="awaited")

    mock = MockAdapter({f"GET {SHOP}": answer})
    with runner.block(runner.client(adapter=mock)) as client:
        if runner.kind is adieu.Client:
            with pytest.raises(adieu.InvalidRequest, match=r"answer.*needs an AsyncClient"):
                runner.run(client.get(SHOP))
        else:
            assert runner.run(client.get(SHOP)).text == "awaited"


def test_streams_come_in_their_pieces_and_are_new_for_each_call(runner: Runner) -> None:
    mock = MockAdapter()
    mock.on("GET", f"{SHOP}/list", body=[b"a", b"b", b"c"])
    mock.on("GET", f"{SHOP}/made", lambda request: adieu.Response(200, body=iter([b"x", b"y"])))
    with runner.block(runner.client(adapter=mock)) as client:
        for path, pieces in [("/list", [b"a", b"b", b"c"]), ("/made", [b"x", b"y"])] * 2:
            with runner.block(client.stream("GET", SHOP + path)) as response:
                assert list(runner.each(response.iter_bytes())) == pieces


def test_the_log_has_the_whole_request(runner: Runner) -> None:
    def sync_pieces() -> Iterator[bytes]:
        yield b'{"a":'
        yield b" 1}"

    async def async_pieces() -> AsyncIterator[bytes]:
        for piece in sync_pieces():
            yield piece

    seen: list[bytes | None] = []

    def answer(request: adieu.Request) -> adieu.Response:
        seen.append(request.content.body)
        return adieu.Response(201)

    mock = MockAdapter()
    route = mock.on("POST", f"{SHOP}/items", answer)
    with runner.block(runner.client(adapter=mock, headers={"X-Own": "1"})) as client:
        content: Any = sync_pieces() if runner.kind is adieu.Client else async_pieces()
        runner.run(client.post(f"{SHOP}/items", params={"page": [1, 2]}, content=content))
        runner.run(client.post(f"{SHOP}/items", json={"a": 1}))
    streamed, in_memory = route.calls
    assert streamed.json() == in_memory.json() == {"a": 1}
    assert streamed.content == b'{"a": 1}'
    assert seen == [b'{"a": 1}', b'{"a":1}']
    assert streamed.params == [("page", "1"), ("page", "2")]
    assert (streamed.method, streamed.headers["x-own"]) == ("POST", "1")
    assert streamed.route is route
    assert repr(streamed) == f"<POST {SHOP}/items?page=1&page=2: 201>"


def test_a_request_without_a_route_is_an_error_that_names_what_is_there(runner: Runner) -> None:
    mock = MockAdapter()
    mock.on("POST", f"{SHOP}/items", json=[])
    mock.on("GET", f"{SHOP}/items", params={"page": 1}, where=bool, json=[])
    mock.on("GET", f"{SHOP}/item/**", params={"a": "b"}, json=[])
    mock.on("GET", f"{SHOP}/item/6/parts", where=bool, json=[])
    mock.on("GET", "https://other.example:8443/items", json=[])
    with runner.block(runner.client(adapter=mock)) as client:
        with pytest.raises(UnexpectedRequest) as caught:
            runner.run(client.get(f"{SHOP}/item/5", params={"token": "secret"}))
        assert str(caught.value).splitlines() == [
            "nothing is mocked for GET https://shop.example/item/5?token=***. There is:",
            "  GET https://shop.example/item/6/parts (where): path /item/5 is not /item/6/parts",
            "  GET https://shop.example/items?page=1 (where): path /item/5 is not /items",
            "  POST https://shop.example/items: method GET is not POST",
            "  GET https://other.example:8443/items: host shop.example is not other.example",
            "  GET https://shop.example/item/**?a=b: the query has no ?a=b",
        ]
        with pytest.raises(UnexpectedRequest, match=r"the query has no \?page=1"):
            runner.run(client.get(f"{SHOP}/items?page=3"))
    assert [str(call.url) for call in mock.unexpected] == [
        f"{SHOP}/item/5?token=secret",
        f"{SHOP}/items?page=3",
    ]
    assert isinstance(caught.value, AssertionError)
    assert mock.unused == mock.routes
    with (
        runner.block(runner.client(adapter=MockAdapter())) as client,
        pytest.raises(UnexpectedRequest, match="there are no routes"),
    ):
        runner.run(client.get(SHOP))


def test_a_function_where_that_says_no_is_named() -> None:
    mock = MockAdapter()
    mock.on("GET", SHOP, where=lambda request: False)
    with adieu.Client(adapter=mock) as client, pytest.raises(UnexpectedRequest, match="says no"):
        client.get(SHOP)


def test_a_missing_route_is_not_asked_for_again_by_retries(runner: Runner) -> None:
    mock = MockAdapter()
    with (
        runner.block(runner.client(adapter=mock, retry=3)) as client,
        pytest.raises(UnexpectedRequest),
    ):
        runner.run(client.get(SHOP))
    assert len(mock.calls) == 1


def test_an_error_is_a_new_one_for_each_call_with_the_facts_of_its_request(runner: Runner) -> None:
    given = adieu.ProtocolError("odd", request_sent="wholly")
    mock = MockAdapter({f"GET {SHOP}": given})
    with runner.block(runner.client(adapter=mock)) as client:
        caught = []
        for path in ("/a", "/b"):
            with pytest.raises(adieu.ProtocolError, match="odd") as each:
                runner.run(client.get(SHOP + path))
            caught.append(each.value)
    assert [error.url for error in caught] == [f"{SHOP}/a", f"{SHOP}/b"]
    assert {error.request_sent for error in caught} == {"wholly"}
    assert given not in caught
    assert given.url is None


def test_the_total_time_ends_a_call_whose_content_is_silent(runner: Runner) -> None:
    """As on a network: see tests/http1/test_live_uploads.py."""
    if runner.kind is adieu.Client:
        pytest.skip("a sync iterator that waits is not interrupted")
    ended: list[str] = []

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await sleep(3600)
        finally:
            ended.append("content")

    mock = MockAdapter({f"POST {SHOP}/": adieu.Response(200)})
    with runner.block(runner.client(adapter=mock)) as client:
        for seconds in growing(0.1):
            timeout = adieu.Timeout(total=seconds)
            with pytest.raises(adieu.DeadlineExceeded, match=rf"{seconds:g} s in all"):
                runner.run(client.post(SHOP, content=silent(), timeout=timeout))
            if ended:
                break
        assert ended == ["content"]
        assert runner.run(client.post(SHOP, content=b"prompt")).status_code == 200


def test_a_mock_may_be_mounted_beside_a_network(runner: Runner, fault_server: Any) -> None:
    mock = MockAdapter({f"GET {SHOP}": adieu.Response(200, body="mocked")})
    with runner.block(runner.client(base_url=fault_server.url)) as client:
        client.mount(f"{SHOP}/", mock)
        assert runner.run(client.get("/ok")).json()["request"] == 1
        assert runner.run(client.get(SHOP)).text == "mocked"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pattern": "/items"}, "is no mount pattern"),
        ({"pattern": f"{SHOP}/?a=1"}, "without query"),
        ({"answers": (5,)}, "not with 5"),
        ({"answers": (adieu.Response(200),), "json": [1]}, "has its own status"),
        ({"json": [1], "body": b""}, "body= and json="),
        ({"json": object()}, "which JSON cannot express"),
        ({"body": iter([b"a"])}, "can be read once"),
        ({"status": 1000}, "from 100 to 999"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused_when_it_is_made(
    options: dict[str, Any], match: str
) -> None:
    pattern, answers = options.pop("pattern", SHOP), options.pop("answers", ())
    with pytest.raises(adieu.AdieuError, match=match):
        MockAdapter().on("GET", pattern, *answers, **options)


def test_two_routes_for_the_same_requests_are_refused_and_two_functions_are_not() -> None:
    mock = MockAdapter({f"GET {SHOP}/a": adieu.Response(200)})
    with pytest.raises(adieu.MountError, match=r"GET https://shop.example/a is mocked already"):
        mock.on("get", f"{SHOP}:443/a/", json=1)
    mock.on("POST", SHOP, where=lambda request: request.method == "GET", json=1)
    mock.on("POST", SHOP, where=lambda request: True, json=2)
    with adieu.Client(adapter=mock) as client:
        assert client.post(SHOP).json() == 2
