"""A function where an adapter is expected: as `adapter=`, mounted, in a middleware; for both kinds of clients."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.runner import RUNNERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.runner import Runner

pytestmark = pytest.mark.lifecycle


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    runner = RUNNERS[request.param]()
    yield runner
    runner.close()


def plain(request: adieu.Request) -> adieu.Response:
    return adieu.Response(200, body=f"plain {request.method}")


@adieu.adapter
def decorated(request: adieu.Request) -> adieu.Response:
    return adieu.Response(200, body="decorated")


async def awaited(request: adieu.Request) -> adieu.AsyncResponse:
    return adieu.AsyncResponse(200, body="awaited")


async def awaited_response(request: adieu.Request) -> Any:
    return adieu.Response(200, body="awaited, too")


class Method:
    def of_two(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(200, body=f"hop {exchange.hop}")


@pytest.mark.parametrize(
    ("function", "text"),
    [(plain, "plain GET"), (decorated, "decorated"), (Method().of_two, "hop 0")],
)
@pytest.mark.parametrize("way", ["adapter=", "mount", "middleware"])
def test_a_plain_function_serves_both_kinds_of_clients(
    runner: Runner, function: Any, text: str, way: str
) -> None:
    inner = adieu.Middleware if runner.kind is adieu.Client else adieu.AsyncMiddleware
    given = inner(function) if way == "middleware" else function
    with runner.block(runner.client(adapter=given if way != "mount" else None)) as client:
        if way == "mount":
            client.mount("mock://x/", given)
        response = runner.run(client.get("mock://x/"))
        assert response.text == text
        assert client.connections() == []


@pytest.mark.parametrize(
    ("function", "text"), [(awaited, "awaited"), (awaited_response, "awaited, too")]
)
@pytest.mark.parametrize("mode", [name for name in RUNNERS if name != "sync"])
def test_an_async_function_serves_an_async_client(mode: str, function: Any, text: str) -> None:
    runner = RUNNERS[mode]()
    with runner.block(runner.client(adapter=function)) as client:
        assert runner.run(client.get("mock://x/")).text == text
    runner.close()
    with pytest.raises(adieu.InvalidRequest, match="is an async function: it needs an AsyncClient"):
        adieu.Client(adapter=function)


@pytest.mark.parametrize("given", ["native", 5, object()])
def test_what_is_neither_adapter_nor_function_is_refused_with_both_named(given: Any) -> None:
    with pytest.raises(
        adieu.InvalidRequest, match=r"send\(request, exchange\).*is a function"
    ) as e:
        adieu.Middleware(given)
    assert ("names are for adapter=" in str(e.value)) is isinstance(given, str)


def test_the_body_of_a_response_is_read_and_closed_by_an_async_client_as_by_a_sync_one(
    runner: Runner,
) -> None:
    log: list[str] = []

    def pieces() -> Iterator[bytes]:
        try:
            yield b"one "
            yield b"two"
            log.append("end")
        finally:
            log.append("closed")

    file = io.BytesIO(b"from a file")
    bodies = iter([pieces(), pieces(), file])
    with runner.block(
        runner.client(adapter=lambda request: adieu.Response(200, body=next(bodies)))
    ) as client:
        assert runner.run(client.get("mock://x/")).content == b"one two"
        assert log == ["end", "closed"]
        with runner.block(client.stream("GET", "mock://x/")) as response:
            assert next(iter(runner.each(response.iter_bytes()))) == b"one "
        assert log == ["end", "closed", "closed"]
        assert runner.run(client.get("mock://x/")).content == b"from a file"
        assert file.closed


def test_a_response_in_memory_may_be_returned_twice_and_one_with_an_iterator_may_not(
    runner: Runner,
) -> None:
    kept = adieu.Response(200, {"x-kept": "1"}, b"kept")
    once = adieu.Response(200, body=iter([b"once"]))
    answers = iter([kept, kept, once, once])
    with runner.block(runner.client(adapter=lambda request: next(answers))) as client:
        for _ in range(2):
            response = runner.run(client.get("mock://x/"))
            response.headers["x-kept"] = "changed"
            assert response.content == b"kept"
        assert kept.headers["x-kept"] == "1"
        assert runner.run(client.get("mock://x/")).content == b"once"
        with pytest.raises(adieu.InvalidRequest, match="return a new response for each call"):
            runner.run(client.get("mock://x/"))


def test_an_error_of_a_function_or_of_its_body_is_wrapped(runner: Runner) -> None:
    def broken() -> Iterator[bytes]:
        yield b"begun"
        raise LookupError("half way")

    def failing(request: adieu.Request) -> adieu.Response:
        if request.url.path == "/body":
            return adieu.Response(200, body=broken())
        raise LookupError("no answer")

    with runner.block(runner.client(adapter=failing)) as client:
        with pytest.raises(adieu.TransportError, match=r"failing.*no answer"):
            runner.run(client.get("mock://x/"))
        with pytest.raises(adieu.ReadError, match="half way") as caught:
            runner.run(client.get("mock://x/body"))
        assert isinstance(caught.value.__cause__, LookupError)


def test_a_sync_client_refuses_an_async_response() -> None:
    def wrong(request: adieu.Request) -> Any:
        return adieu.AsyncResponse(200)

    with (
        adieu.Client(adapter=wrong) as client,
        pytest.raises(adieu.InvalidRequest, match="AsyncResponse, which a sync client cannot read"),
    ):
        client.get("mock://x/")


@pytest.mark.parametrize("adapter", [plain, decorated])
def test_a_client_with_a_function_is_pickled(runner: Runner, adapter: Any) -> None:
    client = runner.client(adapter=adapter)
    client.mount("mock://y/", adapter)
    arrived = pickle.loads(pickle.dumps(client))
    for url in ("mock://x/", "mock://y/"):
        assert runner.run(arrived.get(url)).text == runner.run(client.get(url)).text
    for each in (client, arrived):
        runner.run(each.close())


# json=


@pytest.mark.parametrize("kind", [adieu.Response, adieu.AsyncResponse])
def test_a_response_made_of_json_has_its_content_and_type(kind: Any) -> None:
    response = kind(201, json={"name": "Väse", "ids": [1, None]})
    assert response.status_code == 201
    assert response.content == '{"name":"Väse","ids":[1,null]}'.encode()
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"name": "Väse", "ids": [1, None]}


@pytest.mark.parametrize("kind", [adieu.Response, adieu.AsyncResponse])
def test_a_content_type_that_was_given_is_kept_and_given_headers_do_not_change(kind: Any) -> None:
    own = adieu.Headers({"x-a": "1"})
    assert kind(200, own, json=[]).headers.multi_items() == [
        ("x-a", "1"),
        ("Content-Type", "application/json"),
    ]
    assert own.multi_items() == [("x-a", "1")]
    problem = {"Content-Type": "application/problem+json"}
    assert kind(400, problem, json={}).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("value", [0, False, "", [], {}])
def test_every_value_but_none_is_a_content(value: Any) -> None:
    assert adieu.Response(200, json=value).json() == value
    assert adieu.Response(200, json=None).content == b""


def test_a_response_has_one_content_and_it_has_to_be_json() -> None:
    with pytest.raises(adieu.InvalidRequest, match="body= and json= were given"):
        adieu.Response(200, body=b"x", json=1)
    with pytest.raises(adieu.InvalidRequest, match=r"json\['when'\] is object"):
        adieu.Response(200, json={"when": object()})


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_iterator_of_a_message_without_content_is_closed_with_its_head(
    method: str, status: int
) -> None:
    ends = []

    def pieces() -> Any:
        try:
            yield b"not content"
        finally:
            ends.append(status)

    body = pieces()
    next(body)  # Only a generator that has begun notes its end.
    with adieu.Client(adapter=lambda request: adieu.Response(status, body=body)) as client:
        response = client.stream(method, "http://app.test/")
        assert ends == [status]
        assert response.read() == b""
