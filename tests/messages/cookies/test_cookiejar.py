"""Jars of `http.cookiejar`, which requests uses, as `cookies=`."""

from __future__ import annotations

import http.cookiejar
import urllib.request
from email.message import Message
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests.cookies

import adieu

if TYPE_CHECKING:
    from support.stage import Stage


class _Answer:
    """A response as `CookieJar.extract_cookies` takes it."""

    def __init__(self, *set_cookie: str) -> None:
        self.fields = Message()
        for value in set_cookie:
            self.fields["Set-Cookie"] = value

    def info(self) -> Message:
        return self.fields


def jar_from(url: str, *set_cookie: str) -> http.cookiejar.CookieJar:
    """A jar that has seen an answer from this URL."""
    jar = http.cookiejar.CookieJar()
    jar.extract_cookies(cast("Any", _Answer(*set_cookie)), urllib.request.Request(url))
    return jar


def test_each_fact_of_a_cookie_is_kept() -> None:
    jar = jar_from(
        "https://www.example.org/items/1",
        "own=1",
        "wide=2; Domain=example.org; Path=/; Secure; HttpOnly",
        "late=3; Max-Age=1000",
    )
    cookies = {cookie.name: cookie for cookie in adieu.Cookies(jar)}
    own, wide, late = cookies["own"], cookies["wide"], cookies["late"]
    assert own == adieu.Cookie("own", "1", "www.example.org", "/items")
    assert wide[:5] == ("wide", "2", "example.org", "/", None)
    assert (wide.secure, wide.http_only, wide.host_only) == (True, True, False)
    assert late.expires is not None


def test_a_host_without_a_dot_is_itself() -> None:
    """`http.cookiejar` calls it localhost.local."""
    (cookie,) = adieu.Cookies(jar_from("http://localhost/", "a=1"))
    assert cookie.domain == "localhost"


def test_a_cookie_without_a_domain_is_refused() -> None:
    jar = requests.cookies.RequestsCookieJar()
    jar.set("session", "31d4")
    for use in (adieu.Cookies, lambda given: adieu.Client(cookies=given)):
        with pytest.raises(
            adieu.InvalidRequest, match=r"'session' of the jar has no domain"
        ) as got:
            use(jar)
        assert "31d4" not in str(got.value)


@pytest.mark.parametrize("kind", [http.cookiejar.CookieJar, requests.cookies.RequestsCookieJar])
def test_a_jar_is_sent_by_clients_and_calls(stage: Stage, kind: Any) -> None:
    jar = kind()
    for cookie in jar_from("http://127.0.0.1/", "a=1", "b=2; Path=/nowhere"):
        jar.set_cookie(cookie)

    def sent(client: Any, **options: Any) -> str | None:
        headers = stage.get(client, "/echo", **options).json()["headers"]
        found = {name.lower(): value for name, value in headers}.get("cookie")
        return cast("str | None", found)

    with stage.block(stage.client(cookies=jar)) as client:
        assert sent(client) == "a=1"
    with stage.block(stage.client()) as client:
        assert sent(client, cookies=jar) == "a=1"
        assert sent(client) is None
        client.cookies = jar
        assert sent(client) == "a=1"
