"""The examples run, each against a real server on the loopback address, and leave nothing open.

That of SOAP is in tests/bridges, because it needs zeep.
"""

from __future__ import annotations

import importlib.util
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import FaultServer, MockAdapter, established
from support.documents import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from adieu.testing.faults import Ending, Peer
    from adieu.testing.request import Request


def example(name: str) -> Any:
    """The module of an example, as its file is."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reply(content: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + content


def send_json(peer: Peer, value: object, status: int = 200, *fields: tuple[str, str]) -> Ending:
    content = json.dumps(value).encode()
    head = [("content-type", "application/json"), ("content-length", str(len(content))), *fields]
    peer.start(status, head)
    peer.body(content)
    return "keep"


def test_the_crawler_visits_what_it_may_and_each_page_once(fault_server: FaultServer) -> None:
    def page(*links: str) -> bytes:
        body = "".join(f'<a href="{link}">link</a>' for link in links)
        return reply(body.encode(), "Content-Type: text/html; charset=utf-8")

    server = fault_server
    server.reply("/robots.txt", reply(b"User-agent: *\nDisallow: /private\n"))
    server.reply("/", page("/a", "/b#part", "/private", "http://other.example/", "mailto:me"))
    server.reply("/a", page("/", "/c", "b"))
    server.reply("/b", page("/c?page=2"))
    server.reply("/c", page("/a", "/missing", "http://["))
    crawled = dict(example("crawler").crawl(f"{server.url}/", pause=0))
    paths = {url.removeprefix(server.url): result for url, result in crawled.items()}
    assert paths == {"/": 200, "/a": 200, "/b": 200, "/c": 200, "/c?page=2": 200, "/missing": 404}
    asked = [request.target for request in server.requests if request.path != "/robots.txt"]
    assert sorted(asked) == sorted(paths)
    assert established(to_ports={server.port}) == 0


def test_the_crawler_asks_for_nothing_when_robots_txt_cannot_be_read(
    fault_server: FaultServer,
) -> None:
    fault_server.reply("/robots.txt", reply(b"", status="503 Busy"))
    fault_server.reply("/", reply(b'<a href="/a">a</a>', "Content-Type: text/html"))
    module = example("crawler")
    with adieu.Client(retry=0) as client:
        rules = module._robots(client, adieu.URL(f"{fault_server.url}/"))
    assert not rules.can_fetch(module.AGENT, f"{fault_server.url}/a")


@contextmanager
def shop_server() -> Iterator[FaultServer]:
    """A shop whose tokens are used up after three requests, and whose pages have two items."""
    tokens: dict[str, int] = {}

    def token(peer: Peer, request: Request) -> Ending:
        if request.body != b"key=secret":
            return send_json(peer, {}, 403)
        tokens[f"t{len(tokens)}"] = 3
        return send_json(peer, {"token": f"t{len(tokens) - 1}"})

    def items(peer: Peer, request: Request) -> Ending:
        given = (request.header("authorization") or "").removeprefix("Bearer ")
        if not tokens.get(given):
            return send_json(peer, {}, 401)
        tokens[given] -= 1
        if request.method == "POST":
            return send_json(peer, json.loads(request.body), 201)
        if request.path != "/items":
            return send_json(peer, {}, 404)
        page = request.count("page", 1)
        more = [("link", f'</items?page={page + 1}>; rel="next"')] if page < 4 else []
        return send_json(peer, [{"n": 2 * page - 1}, {"n": 2 * page}], 200, *more)

    with FaultServer() as server:
        server.on("/token", token)
        for path in ("/items", "/items/1", "/items/3"):
            server.on(path, items)
        yield server


def test_the_sdk_refreshes_its_token_and_reads_every_page() -> None:
    sdk = example("shop_sdk")
    with shop_server() as server:
        with sdk.Shop(server.url, key="secret") as shop:
            assert [item["n"] for item in shop.items()] == [1, 2, 3, 4, 5, 6, 7, 8]
            assert shop.add("vase") == {"name": "vase"}
            with pytest.raises(sdk.NotFound) as caught:
                shop.item(3)
            assert isinstance(caught.value.__cause__, adieu.StatusError)
        assert established(to_ports={server.port}) == 0
        assert sum(request.path == "/token" for request in server.requests) == 2
        with sdk.Shop(server.url, key="wrong") as shop, pytest.raises(sdk.ShopError, match="403"):
            shop.item(1)
    with sdk.Shop(server.url) as shop, pytest.raises(sdk.ShopError, match="cannot be reached"):
        shop.item(1)


def test_the_sdk_is_tested_with_a_mock() -> None:
    mock = MockAdapter({"GET https://shop.example.org/items/7": adieu.Response(200, json={"n": 7})})
    with adieu.Client("https://shop.example.org", adapter=mock) as client:
        with example("shop_sdk").Shop("", client=client) as shop:
            assert shop.item(7) == {"n": 7}
        assert not client.is_closed


def test_the_listener_goes_on_where_it_stopped(fault_server: FaultServer, tmp_path: Path) -> None:
    def feed(peer: Peer, request: Request) -> Ending:
        begin = int(request.header("last-event-id") or 0) + 1
        peer.start(200, [("content-type", "text/event-stream"), ("content-length", "68")])
        text = "".join(f"id: {n}\ndata: event {n}\nretry: 1\n\n" for n in (begin, begin + 1))
        peer.body(text.ljust(68, "\n").encode())
        return "keep"

    fault_server.on("/feed", feed)
    listen = example("sse_listener").listen
    got: list[str] = []
    for until in (3, 4):

        def handle(event: adieu.ServerSentEvent, until: int = until) -> bool:
            got.append(event.data)
            return len(got) < until

        listen(f"{fault_server.url}/feed", handle, tmp_path / "last")
    assert got == ["event 1", "event 2", "event 3", "event 4"]
    assert established(to_ports={fault_server.port}) == 0


def test_the_client_of_the_daemon_reads_and_stops_in_the_middle(tmp_path: Path) -> None:
    def events(peer: Peer, request: Request) -> Ending:
        peer.start(200, [("content-length", "1000000")])
        for n in range(5000):  # until the client hangs up
            peer.body(json.dumps({"n": n}).encode() + b"\n")
            peer.pause(0.01)
        return "close"

    path = str(tmp_path / "daemon.sock")
    with FaultServer(unix=path) as server:
        server.reply("/version", reply(b'{"version": "1"}', "Content-Type: application/json"))
        server.on("/events", events)
        with example("daemon").Daemon(path) as daemon:
            assert daemon.version() == {"version": "1"}
            happened = daemon.events()
            assert [next(happened)["n"] for _ in range(3)] == [0, 1, 2]
            happened.close()
        server.wait_until(lambda: server.open == 0)


def test_the_file_adapter_serves_what_is_below_its_folder(tmp_path: Path) -> None:
    inside = tmp_path / "data"
    inside.mkdir()
    (inside / "a note.txt").write_text("adieu")
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    with adieu.Client() as client:
        client.mount("file://", example("file_adapter").files_below(inside))
        response = client.get((inside / "a note.txt").as_uri())
        assert (response.text, response.headers["content-type"]) == ("adieu", "text/plain")
        head = client.head((inside / "a note.txt").as_uri())
        assert (head.content, head.headers["content-length"]) == (b"", "5")
        assert client.put((inside / "new").as_uri(), content=b"x").status_code == 405
        for url in (
            (tmp_path / "secret").as_uri(),
            f"{inside.as_uri()}/../secret",
            f"{inside.as_uri()}/%2e%2e/secret",
            f"{inside.as_uri()}/link",
            inside.as_uri(),
            f"file://other.example{inside.as_uri().removeprefix('file://')}/a%20note.txt",
        ):
            assert client.get(url).status_code == 404
        with client.stream("GET", (inside / "a note.txt").as_uri()):
            pass  # left unread: the file is closed, or there would be a ResourceWarning


def test_the_proxy_answers_from_what_it_keeps_if_nothing_changed(fault_server: FaultServer) -> None:
    versions = ["1"]

    def page(peer: Peer, request: Request) -> Ending:
        tag = f'"{versions[0]}"'
        if request.header("if-none-match") == tag:
            peer.start(304, [("etag", tag)])
        else:
            peer.start(200, [("etag", tag), ("content-length", "9")])
            peer.body(f"version {versions[0]}".encode())
        return "keep"

    fault_server.on("/page", page)
    with example("caching_proxy").CachingProxy() as proxy:
        serving = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        address = f"http://127.0.0.1:{proxy.server_port}"
        try:
            with adieu.Client(fault_server.url, proxy=address) as client:
                assert [client.get("/page").text for _ in range(3)] == ["version 1"] * 3
                versions[0] = "2"
                assert client.get("/page").text == "version 2"
                assert client.post("/echo", content=b"hello").json()["body"] == "hello"
                assert client.get("/redirect", follow_redirects=False).status_code == 302
                refused = client.get("http://127.0.0.1:1/")
                assert refused.status_code == 502
        finally:
            proxy.shutdown()
            serving.join()
    asked = [request for request in fault_server.requests if request.path == "/page"]
    assert [request.header("if-none-match") for request in asked] == [None, '"1"', '"1"', '"1"']
    assert established(to_ports={fault_server.port}) == 0


def test_the_page_of_examples_has_them_all() -> None:
    page = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
    names = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert len(names) >= 7
    assert [name for name in names if f"../examples/{name}" not in page] == []
