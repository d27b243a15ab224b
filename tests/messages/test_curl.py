"""`request.as_curl()`: a safe line for a shell that sends the same request."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.request import Request

if TYPE_CHECKING:
    from adieu.testing import FaultServer

OWN = {"user-agent": "x", "accept": "y"}


def curl(method: str, url: str = "http://a/", **options: Any) -> list[str]:
    options["headers"] = {**OWN, **options.get("headers", {})}
    words = shlex.split(Request(method, url, **options).as_curl())
    assert words[:1] == ["curl"]
    for header in ("user-agent: x", "accept: y"):
        at = words.index(header)
        del words[at - 1 : at + 1]
    return words[1:]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (curl("GET"), ["http://a/"]),
        (curl("HEAD"), ["--head", "http://a/"]),
        (curl("DELETE"), ["--request", "DELETE", "http://a/"]),
        (
            curl("POST"),
            ["--request", "POST", "--header", "Content-Type:", "--data-raw", "", "http://a/"],
        ),
        (curl("GET", "http://[::1]/{a}?b=[c]"), ["--globoff", "http://[::1]/%7Ba%7D?b=%5Bc%5D"]),
        (curl("GET", headers={"accept-encoding": "gzip"}), ["--compressed", "http://a/"]),
        (
            curl("GET", headers={"accept-encoding": "identity"}),
            ["--header", "accept-encoding: identity", "http://a/"],
        ),
        (curl("GET", headers={"x": ""}), ["--header", "x;", "http://a/"]),
        (
            curl("PUT", content="@it's\n"),
            shlex.split(
                "--request PUT --header 'Content-Type: text/plain; charset=utf-8' "
                '--data-raw "@it\'s\n" http://a/'
            ),
        ),
        (
            curl("PUT", content=b"x"),
            ["--request", "PUT", "--header", "Content-Type:", "--data-raw", "x", "http://a/"],
        ),
        (
            curl("PUT", content=b"\xff"),
            ["--request", "PUT", "--header", "Content-Type:", "--data-binary", "@-", "http://a/"],
        ),
        (
            curl("PUT", content=[b"a"]),
            shlex.split(
                "--request PUT --header 'Transfer-Encoding: chunked' --header Content-Type: "
                "--data-binary @- http://a/"
            ),
        ),
    ],
)
def test_a_request_becomes_these_words(request_: list[str], words: list[str]) -> None:
    assert request_ == words


def test_fields_that_curl_would_add_are_removed() -> None:
    assert (
        Request("GET", "http://a/").as_curl()
        == "curl --header User-Agent: --header Accept: http://a/"
    )


def test_secrets_are_masked_unless_they_are_asked_for() -> None:
    request = Request(
        "POST",
        "http://a/?api_key=K1&page=2&access_token=K2#x",
        headers={"Authorization": "Bearer K3", "Cookie": "s=K4", "X-Api-Key": "K5", "X-Not": "n"},
        data={"password": "K6", "user": "u"},
    )
    masked, shown = request.as_curl(), request.as_curl(show_secrets=True)
    for nth in range(1, 7):
        assert f"K{nth}" not in masked
        assert f"K{nth}" in shown
    for text in ("page=2", "user=u", "X-Not: n", "api_key=***", "Authorization: ***"):
        assert text in masked
    assert "secret" not in shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)), st.text())
def test_every_value_stays_one_word(value: str, text: str) -> None:
    if "\0" in text or not text.isprintable():
        text = ascii(text)
    words = shlex.split(Request("POST", "http://a/", headers={"x": value}, content=text).as_curl())
    assert (f"x: {value}" if value else "x;") in words
    assert (text in words) or not text


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_sends_the_same_request(fault_server: FaultServer) -> None:
    for options in (
        {"json": {"a": ["$HOME", "`id`", "it's", "ü"]}},
        {"data": {"a": "b c", "d": "@e"}},
        {"content": b"x\ny\n"},
        {},
    ):
        request = Request("PUT", fault_server.url + "/echo?q='$(id)'", headers={"X-A": "'\"$x"},
                          **options)  # fmt: skip
        done = subprocess.run(
            ["sh", "-c", f"{request.as_curl(show_secrets=True)} --silent --noproxy '*'"],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        assert done.stdout
        came = fault_server.requests[-1]
        assert came.method == "PUT"
        assert came.target == request.url.target
        assert came.body == (request.content.body or b"")
        sent = {name.lower(): value for name, value in request.headers.multi_items()}
        got = {name.lower(): value for name, value in came.headers}
        got.pop("host")
        assert got == sent
