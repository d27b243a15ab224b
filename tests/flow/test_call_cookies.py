"""Cookies in a call: which are sent, which are stored, and which take precedence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from adieu.testing.faults import FaultServer
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle


def sent(stage: Stage) -> str | None:
    """The Cookie field of the last request."""
    return stage.server.requests[-1].header("cookie")


def setting(server: FaultServer, path: str, *cookies: str, status: str = "200 OK") -> None:
    """Let a path answer with these Set-Cookie fields (and, with a redirect status, a redirect to /ok)."""
    fields = "".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies)
    head = f"HTTP/1.1 {status}\r\n{fields}Location: /ok\r\nContent-Length: 0\r\n\r\n"
    server.reply(path, head.encode())


def test_cookies_of_a_response_are_sent_with_the_next_request(stage: Stage) -> None:
    setting(stage.server, "/in", "a=1; Path=/", "b=2; Path=/elsewhere", "gone=3; Max-Age=0")
    with stage.block(stage.client()) as client:
        stage.get(client, "/in")
        assert sent(stage) is None
        stage.get(client, "/ok")
        assert sent(stage) == "a=1"
        assert client.cookies["b"] == "2"
        assert "gone" not in client.cookies


def test_redirects_and_challenges_set_cookies_too(stage: Stage) -> None:
    setting(stage.server, "/in", "a=1; Path=/", status="302 Found")
    with stage.block(stage.client()) as client:
        stage.get(client, "/in")
        assert sent(stage) == "a=1"

    class Twice(adieu.Auth):
        def flow(self, request: adieu.Request) -> Any:
            yield request
            yield request

    setting(stage.server, "/in", "a=1; Path=/", status="401 No")
    with stage.block(stage.client(auth=Twice())) as client:
        stage.get(client, "/in")
        assert [request.header("cookie") for request in stage.server.requests[-2:]] == [None, "a=1"]


def test_hooks_find_the_cookies_of_the_response_in_the_jar(stage: Stage) -> None:
    setting(stage.server, "/in", "a=1")
    jar, found = adieu.Cookies(), []
    hooks = {"response": [lambda _: found.append(jar["a"])]}
    with stage.block(stage.client(event_hooks=hooks, cookies=jar)) as client:
        stage.get(client, "/in")
    assert found == ["1"]


def test_cookies_of_a_call_are_sent_along_redirects_and_not_stored(stage: Stage) -> None:
    with stage.block(stage.client(cookies={"a": "client", "b": "client"})) as client:
        stage.get(client, "/redirect", cookies={"b": "call", "c": "call"})
        for request in stage.server.requests:
            assert request.header("cookie") == "a=client; b=call; c=call"
        stage.get(client, "/ok")
        assert sent(stage) == "a=client; b=client"
        assert "c" not in client.cookies


def test_cookies_of_a_call_need_no_jar_and_make_none(stage: Stage) -> None:
    with stage.block(stage.client()) as client:
        stage.get(client, "/ok", cookies={"a": "1"})
        assert sent(stage) == "a=1"
        request = client.build_request("GET", "/ok")
        stage.run(client.send(request, cookies=adieu.Cookies({"b": "2"}, url=stage.server.url)))
        assert sent(stage) == "b=2"
        stage.run(client.send(request))
        assert sent(stage) is None
        assert client._settings.cookies.jar is None
    url = f"{stage.server.url}/redirect"
    stage.run(stage.runner.one_shot("GET", url, adapter=stage.adapter, cookies={"c": "3"}))
    assert [request.header("cookie") for request in stage.server.requests[-2:]] == ["c=3"] * 2


def test_a_cookie_field_that_the_user_set_is_sent_as_it_is(stage: Stage) -> None:
    with stage.block(stage.client(cookies={"a": "1"})) as client:
        stage.get(client, "/redirect", headers={"Cookie": "set=here"})
        assert [request.header("cookie") for request in stage.server.requests] == ["set=here"] * 2
        with pytest.raises(adieu.InvalidRequest, match="which of the two"):
            stage.get(client, "/ok", headers={"cookie": "set=here"}, cookies={"b": "2"})


def test_a_jar_may_be_shared_and_kept(stage: Stage) -> None:
    jar = adieu.Cookies()
    setting(stage.server, "/in", "a=1; Path=/")
    with stage.block(stage.client(cookies=jar)) as client:
        assert client.cookies is jar
        stage.get(client, "/in")
    with stage.block(stage.client(cookies=jar)) as client:
        stage.get(client, "/ok")
        assert sent(stage) == "a=1"


def test_a_client_can_store_no_cookies(stage: Stage) -> None:
    setting(stage.server, "/in", "a=1; Path=/")
    with stage.block(stage.client(cookies=False)) as client:
        stage.get(client, "/in")
        stage.get(client, "/ok", cookies={"b": "2"})
        assert sent(stage) == "b=2"
        stage.get(client, "/ok")
        assert sent(stage) is None
        with pytest.raises(adieu.InvalidRequest, match="cookies=False"):
            client.cookies  # noqa: B018


@pytest.mark.parametrize("cookies", [{"a": "x;y"}, {"a": 5}, ["a"], "a=1", 5, True])
def test_invalid_cookies_are_refused_before_anything_is_sent(stage: Stage, cookies: Any) -> None:
    with stage.block(stage.client()) as client:
        with pytest.raises(adieu.InvalidRequest):
            stage.get(client, "/ok", cookies=cookies)
        with pytest.raises(adieu.InvalidRequest):
            stage.client(cookies=cookies)
    assert stage.server.accepted == 0


def test_names_and_values_for_a_client_need_a_base_url(stage: Stage) -> None:
    with pytest.raises(adieu.InvalidRequest, match="has no host"):
        stage.runner.client(cookies={"a": "1"})


def test_a_call_cannot_disable_the_jar(stage: Stage) -> None:
    with (
        stage.block(stage.client()) as client,
        pytest.raises(adieu.InvalidRequest, match="Cookies, or several Cookie, not bool"),
    ):
        stage.get(client, "/ok", cookies=False)


@pytest.mark.parametrize("url", ["mock:inside", "file:///etc/motd"])
def test_a_url_without_a_host_has_no_cookies(url: str) -> None:
    @adieu.adapter
    def inside(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, {"set-cookie": "a=1"})

    with adieu.Client(adapter=inside) as client:
        for _ in range(2):
            response = client.get(url)
            assert "cookie" not in response.request.headers
