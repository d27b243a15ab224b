"""`Recorder`: what one run records, the next one replays, without a server; over every adapter, sync and async."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest

import adieu
from adieu.testing import (
    AsyncRecorder,
    FaultServer,
    MockAdapter,
    Recorder,
    RecordingMismatch,
    payload,
)
from adieu.transport.registry import find_adapter
from support.everywhere import stage
from support.stage import caught

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from support.runner import Runner
    from support.stage import Stage

__all__ = ["stage"]

pytestmark = pytest.mark.lifecycle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tapes" / "shop.jsonl"


def recorder(runner: Runner, inner: Any, path: Path, **options: Any) -> Any:
    kind = Recorder if runner.kind is adieu.Client else AsyncRecorder
    return kind(inner, path, **options)


def inner(stage: Stage) -> Any:
    group = "adieu.adapters" if stage.runner.kind is adieu.Client else "adieu.async_adapters"
    return find_adapter(stage.adapter, group)()


def lines(path: Path) -> list[dict[str, Any]]:
    header, *rest = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert header == {"adieu": "recording", "version": 1}
    return rest


def both(stage: Stage, path: Path, script: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The results of a script when it is recorded, and when it is replayed without the server."""
    results = []
    served = []
    for _ in range(2):
        adapter = recorder(stage.runner, inner(stage), path)
        with stage.block(stage.client(adapter=adapter)) as client:
            results.append(script(client))
        served.append(stage.server.served)
    assert served[0] == served[1] > 0
    stage.nothing_open()
    return results[0], results[1]


def seen(stage: Stage, response: Any) -> dict[str, Any]:
    content = stage.read(response)
    return {
        "status": response.status_code,
        "reason": response.reason,
        "headers": response.headers.multi_items(),
        "content": content,
        "history": len(response.history),
        "url": str(response.url),
    }


@pytest.mark.parametrize(
    ("method", "url", "options"),
    [
        ("GET", "/ok", {}),
        ("GET", "/bytes?n=300000", {}),
        ("GET", "/chunked?n=1000", {}),
        ("GET", "/gzip?n=1000", {}),
        ("GET", "/empty", {}),
        ("GET", "/no-content", {}),
        ("GET", "/not-modified", {}),
        ("HEAD", "/bytes?n=1000", {}),
        ("GET", "/status/404?body=10", {}),
        ("GET", "/redirect?n=2", {}),
        ("GET", "/http10?n=10", {}),
        ("POST", "/echo", {"json": {"a": "ä"}}),
        ("PUT", "/echo", {"content": b"\x00\xff"}),
    ],
)
def test_a_response_is_replayed_as_it_was(
    method: str, url: str, options: Any, stage: Stage, path: Path
) -> None:
    first, second = both(
        stage, path, lambda client: seen(stage, stage.get(client, url, method, **options))
    )
    assert second == first


@pytest.mark.parametrize("url", ["/reset", "/close", "/truncated", "/reset-body", "/stall-head"])
def test_an_error_is_replayed_with_its_class_and_its_facts(
    url: str, stage: Stage, path: Path
) -> None:
    def failing(client: Any) -> dict[str, Any]:
        timeout = adieu.Timeout(read=0.1) if "stall" in url else None
        error: Any = caught(adieu.TransportError, stage.get, client, url, timeout=timeout)
        known = {name: value for name, value in vars(error).items() if name != "elapsed"}
        return {**known, "class": type(error), "text": str(error), "phase": error.phase}

    first, second = both(stage, path, failing)
    assert second == first
    assert ("error" in lines(path)[0], "response" in lines(path)[0]) == (
        True,
        url in {"/truncated", "/reset-body"},
    )


def test_a_stream_is_replayed_in_its_pieces_up_to_where_it_broke(stage: Stage, path: Path) -> None:
    def stream(client: Any) -> tuple[list[bytes], str]:
        pieces: list[bytes] = []
        with stage.block(client.stream("GET", "/truncated?n=100000&sent=80000")) as response:
            each = iter(stage.runner.each(response.iter_bytes()))
            error = caught(adieu.BodyTruncated, lambda: pieces.extend(each))
        return pieces, str(error)

    first, second = both(stage, path, stream)
    assert second == first
    assert b"".join(first[0]) == payload(80000)
    assert lines(path)[0]["error"]["received"] == 80000


def test_a_stream_that_was_left_early_is_replayed_so_far_and_no_further(
    stage: Stage, path: Path
) -> None:
    def part(client: Any) -> bytes:
        with stage.block(client.stream("GET", "/bytes?n=9000000")) as response:
            piece: bytes = next(iter(stage.runner.each(response.iter_bytes())))
        return piece

    first, second = both(stage, path, part)
    assert second == first
    assert lines(path)[0]["response"]["left"] is True
    adapter = recorder(stage.runner, inner(stage), path, mode="none")
    with stage.block(stage.client(adapter=adapter)) as client:
        error = caught(RecordingMismatch, stage.get, client, "/bytes?n=9000000")
    assert f"its reader left it after {len(first)} bytes" in str(error)


def test_the_content_of_a_request_may_be_a_stream(stage: Stage, path: Path) -> None:
    def sync_pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    async def async_pieces() -> AsyncIterator[bytes]:
        for piece in sync_pieces():
            yield piece

    is_sync = stage.runner.kind is adieu.Client

    def post(client: Any) -> Any:
        content: Any = sync_pieces() if is_sync else async_pieces()
        return stage.get(client, "/echo", "POST", content=content).json()["body"]

    assert both(stage, path, post) == ("one two", "one two")
    assert lines(path)[0]["request"]["body"] == "one two"


# The modes, and what differs; over a mock


SHOP = "https://shop.example"


def shop(counter: list[str]) -> MockAdapter:
    """Answers with the number of the request."""

    def answer(request: adieu.Request) -> adieu.Response:
        counter.append(str(request.url))
        return adieu.Response(200, json={"number": len(counter)})

    mock = MockAdapter()
    mock.on("*", SHOP, answer)
    return mock


def run(runner: Runner, path: Path, mode: Any, *urls: str, **options: Any) -> tuple[list[int], int]:
    """The numbers that come for these URLs, and how many requests were sent."""
    sent: list[str] = []
    adapter = recorder(runner, shop(sent), path, mode=mode, **options)
    with runner.block(runner.client(adapter=adapter)) as client:
        numbers = [runner.run(client.get(SHOP + url)).json()["number"] for url in urls]
    return numbers, len(sent)


def test_once_records_a_file_that_is_not_there_and_replays_one_that_is(
    runner: Runner, path: Path
) -> None:
    assert run(runner, path, "once", "/a", "/b", "/a") == ([1, 2, 3], 3)
    written = path.read_text(encoding="utf-8")
    assert run(runner, path, "once", "/b", "/a", "/a") == ([2, 1, 3], 0)
    with pytest.raises(RecordingMismatch):
        run(runner, path, "once", "/c")
    assert path.read_text(encoding="utf-8") == written


def test_none_never_sends(runner: Runner, path: Path) -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"no recording .*shop.jsonl.*mode='none'"):
        run(runner, path, "none", "/a")
    assert run(runner, path, "once", "/a") == ([1], 1)
    assert run(runner, path, "none", "/a") == ([1], 0)
    with pytest.raises(RecordingMismatch):
        run(runner, path, "none", "/b")


def test_new_replays_what_is_there_and_records_what_is_not(runner: Runner, path: Path) -> None:
    assert run(runner, path, "new", "/a") == ([1], 1)
    assert run(runner, path, "new", "/a", "/b") == ([1, 1], 1)
    assert run(runner, path, "none", "/b", "/a") == ([1, 1], 0)


def test_all_records_everything_anew(runner: Runner, path: Path) -> None:
    assert run(runner, path, "once", "/a", "/b") == ([1, 2], 2)
    assert run(runner, path, "all", "/b") == ([1], 1)
    assert [line["request"]["url"] for line in lines(path)] == [f"{SHOP}/b"]


def test_nothing_is_written_where_nothing_was_asked(runner: Runner, path: Path) -> None:
    run(runner, path, "all")
    assert not path.exists()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            lambda client: client.get(f"{SHOP}/items", params={"page": 3}),
            "is in line 2; it differs:\n  query: recorded ?page=2, asked ?page=3\n",
        ),
        (
            lambda client: client.get(f"{SHOP}/orders"),
            'is in line 3; it differs:\n  method: recorded POST, asked GET\n  body: recorded {"a":1}, asked none\n',
        ),
        (
            lambda client: client.post(f"{SHOP}/orders", json={"a": 2}),
            'is in line 3; it differs:\n  body: recorded {"a":1}, asked {"a":2}\n',
        ),
        (
            lambda client: client.post(f"{SHOP}/order", json={"a": 1}),
            f"is in line 3; it differs:\n  url: recorded {SHOP}/orders, asked {SHOP}/order\n",
        ),
    ],
)
def test_a_mismatch_says_what_differs_from_the_nearest_exchange(
    asked: Any, told: str, runner: Runner, path: Path
) -> None:
    def script(client: Any, *calls: Any) -> None:
        for call in calls:
            runner.run(call(client))

    calls = [
        lambda client: client.get(f"{SHOP}/items", params={"page": 2}),
        lambda client: client.post(f"{SHOP}/orders", json={"a": 1}),
    ]
    with runner.block(runner.client(adapter=recorder(runner, shop([]), path))) as client:
        script(client, *calls)
    with (
        runner.block(runner.client(adapter=recorder(runner, shop([]), path))) as client,
        pytest.raises(RecordingMismatch) as found,
    ):
        script(client, *calls, asked)
    text = str(found.value)
    assert (
        text.partition("The nearest exchange ")[2]
        == f"{told}To record it: mode='new', or delete the file."
    )
    assert f"is not in the recording {path} (mode='once')" in text
    assert isinstance(found.value, AssertionError)


def test_the_same_request_once_more_is_said_to_be_that(runner: Runner, path: Path) -> None:
    run(runner, path, "once", "/a", "/a")
    with pytest.raises(RecordingMismatch, match="it was recorded 2 times, and replayed 2 times"):
        run(runner, path, "once", "/a", "/a", "/a")


def test_requests_are_compared_by_the_parts_that_match_names(runner: Runner, path: Path) -> None:
    def post(adapter: Any, **options: Any) -> int:
        with runner.block(runner.client(adapter=adapter)) as client:
            response = runner.run(client.post(f"{SHOP}/", **options))
        number: int = response.json()["number"]
        return number

    files = {"files": {"file": b"content"}}
    post(recorder(runner, shop([]), path), json={"a": 1, "b": 2})
    post(recorder(runner, shop([]), path, mode="new"), **files)
    # JSON's order and a form's random boundary are no difference.
    assert post(recorder(runner, shop([]), path), json={"b": 2, "a": 1}) == 1
    assert post(recorder(runner, shop([]), path), **files) == 1
    assert post(recorder(runner, shop([]), path, match=["url"]), json="other") == 1
    with pytest.raises(RecordingMismatch, match=r"header x-a: recorded \['none'\], asked \['1'\]"):
        post(recorder(runner, shop([]), path, match=["headers"]), headers={"X-A": "1"})
    with pytest.raises(
        adieu.InvalidRequest, match="match= names some of method, url, headers, body"
    ):
        recorder(runner, shop([]), path, match=["path"])


@pytest.mark.parametrize("mode", ["new_episodes", "", None])
def test_a_mode_that_does_not_exist_is_refused(mode: Any, runner: Runner, path: Path) -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"none of once, none, new, all .*new_episodes"):
        recorder(runner, shop([]), path, mode=mode)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{}", "line 1, .*does not begin with"),
        ('{"adieu": "recording", "version": 1}\n{"request": 1}', "line 2, is no exchange"),
        ('{"adieu": "recording", "version": 1}\nnonsense', "line 2, .*JSONDecodeError"),
    ],
)
def test_a_file_that_is_not_understood_is_named_with_its_line(
    text: str, match: str, path: Path, runner: Runner
) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(adieu.InvalidRequest, match=rf"shop\.jsonl, {match}"):
        recorder(runner, shop([]), path)


# Secrets


def secret_shop(request: adieu.Request) -> adieu.Response:
    if request.url.path == "/login":
        headers = {
            "set-cookie": "sid=S1; Path=/; HttpOnly",
            "location": "/home?token=S2&page=1",
            "x-api-key": "S3",
        }
        return adieu.Response(302, headers)
    body = {"user": {"name": "ann", "password": "S4", "keys": {"api_key": ["S5", 6]}}, "n": [1]}
    return adieu.Response(200, {"content-length": "107"}, json=body)


def test_no_secret_gets_into_the_file_and_what_is_replayed_has_the_same_form(
    runner: Runner, path: Path
) -> None:
    def login(inner: Any, **options: Any) -> Any:
        adapter = recorder(runner, inner, path, secrets=["pin", "X-Shop"], **options)
        with runner.block(runner.client(adapter=adapter)) as client:
            return runner.run(
                client.post(
                    f"{SHOP}/login",
                    params={"pin": "S6", "q": "vase"},
                    data={"user": "ann", "password": "S7"},
                    headers={"Authorization": "Bearer S8", "X-Shop": "S9", "X-Seen": "yes"},
                )
            )

    assert (
        login(secret_shop).json()["user"]["password"] == "S4"
    )  # The run itself has the real ones.
    replayed = login(secret_shop, mode="none")
    assert replayed.json() == {
        "user": {"name": "ann", "password": "***", "keys": {"api_key": ["***", 0]}},
        "n": [1],
    }
    assert int(replayed.headers["content-length"]) == len(replayed.content)
    text = path.read_text(encoding="utf-8")
    assert [f"S{n}" for n in range(1, 10) if f"S{n}" in text] == []
    for kept in ("sid=***; Path=/", "/home?token=***&page=1", "q=vase", "user=ann", '"yes"'):
        assert kept in text, kept
    second = lines(path)[1]["request"]
    assert ["Cookie", "sid=***"] in second["headers"]


BEARER, PASSWORD, COOKIE, API_KEY, LATE = (
    "b34r3r-tok+en/1",
    "corr&ct h\u00f6rse",
    "c00kie-value",
    "api-k3y-value",
    "t0ken-of-later",
)


def echoing(request: adieu.Request) -> adieu.Response:
    """Repeats what it got, in every place of an answer where it can stand."""
    secrets = BEARER, PASSWORD, COOKIE, API_KEY, LATE
    urls = [f"/u/{quote(each, safe='')}/x?seen={quote_plus(each)}" for each in secrets]
    headers = [("X-Echo", each) for each in secrets if each.isascii()]
    headers += [("Location", urls[0]), ("Link", f"<{urls[1]}>; rel=next"), ("Refresh", urls[2])]
    if request.url.path == "/json":
        body: Any = {"texts": list(secrets), "urls": urls, "none": "none of it"}
        return adieu.Response(200, headers, json={**body, "access_token": LATE})
    if request.url.path == "/html":
        text = "<p>none of it</p>" + "".join(f"<p>{html.escape(each)}</p>" for each in secrets)
        headers += [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(text))),
        ]
        return adieu.Response(200, headers, text)
    raise adieu.ReadError(f"{request.url} and {BEARER} broke")


def test_a_secret_is_masked_wherever_a_server_repeats_it(runner: Runner, path: Path) -> None:
    def script(inner: Any, **options: Any) -> list[Any]:
        adapter = recorder(runner, inner, path, match=("method", "url"), **options)
        answers = []
        with runner.block(
            runner.client(adapter=adapter, base_url=SHOP, cookies={"id": COOKIE})
        ) as client:
            for where in ("html", "json", "fails"):
                try:
                    call = client.post(
                        f"{SHOP}/{where}",
                        params={"api_key": API_KEY, "copy": BEARER},
                        files={"password": (None, PASSWORD), "note": (None, f"I am {COOKIE}")},
                        headers={"Authorization": f"Bearer {BEARER}", "X-Copy": API_KEY},
                        follow_redirects=False,
                    )
                    answers.append(runner.run(call))
                except adieu.ReadError as error:
                    answers.append(error)
        return answers

    recorded = script(echoing)
    assert recorded[1].json()["texts"][1] == PASSWORD  # The run itself has the real ones.
    text = path.read_text(encoding="utf-8")
    for secret in (BEARER, PASSWORD, COOKIE, API_KEY, LATE):
        for form in (secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret)):
            assert form not in text
    assert "none of it" in text
    page, answer, error = script(echoing, mode="none")
    assert answer.json()["texts"] == ["***"] * 5
    assert int(page.headers["content-length"]) == len(page.content)
    assert isinstance(error, adieu.ReadError)


def test_a_value_that_is_too_short_to_be_known_again_is_masked_by_its_name_alone(
    runner: Runner, path: Path
) -> None:
    adapter = recorder(runner, lambda request: adieu.Response(200, body="page 1 of 2"), path)
    with runner.block(runner.client(adapter=adapter)) as client:
        runner.run(client.get(SHOP, params={"token": "1", "page": "1"}))
    text = path.read_text(encoding="utf-8")
    assert "token=***&page=1" in text
    assert "page 1 of 2" in text


def test_scrub_false_keeps_everything(runner: Runner, path: Path) -> None:
    adapter = recorder(runner, secret_shop, path, scrub=False)
    with runner.block(runner.client(adapter=adapter)) as client:
        runner.run(client.post(f"{SHOP}/login", headers={"Authorization": "Bearer S8"}))
    text = path.read_text(encoding="utf-8")
    assert [n for n in (1, 2, 3, 4, 5, 8) if f"S{n}" not in text] == []


def test_text_is_text_in_the_file_and_what_is_none_is_base64(runner: Runner, path: Path) -> None:
    bodies = {
        "/text": "zwei\nZeilen ä".encode(),
        "/bytes": b"\x00\x01",
        "/latin": "ä".encode("latin-1"),
    }

    def answer(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, body=bodies[request.url.path])

    for _ in range(2):
        with runner.block(runner.client(adapter=recorder(runner, answer, path))) as client:
            for name, body in bodies.items():
                assert runner.run(client.get(SHOP + name)).content == body
    recorded = [line["response"]["body"] for line in lines(path)]
    assert recorded == ["zwei\nZeilen ä", {"base64": "AAE="}, {"base64": "5A=="}]
    assert "ä" in path.read_text(encoding="utf-8")


def test_an_error_that_is_no_network_s_is_not_recorded(runner: Runner, path: Path) -> None:
    adapter = recorder(runner, MockAdapter(), path)
    with runner.block(runner.client(adapter=adapter)) as client:
        caught(AssertionError, lambda: runner.run(client.get(SHOP)))
    assert not path.exists()


def test_a_recorder_serves_many_requests_at_once(fault_server: FaultServer, path: Path) -> None:
    urls = [f"{fault_server.url}/bytes?n={n}" for n in range(1, 30)]
    for mode in ("once", "none"):
        adapter = Recorder(None, path, mode=mode)
        with adieu.Client(adapter=adapter) as client, client.map(urls, limit=8) as outcomes:
            lengths = {len(outcome.result().content) for outcome in outcomes}
        assert lengths == set(range(1, 30))
    assert fault_server.served == 29
