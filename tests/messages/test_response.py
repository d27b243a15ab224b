"""What a response says of its content and its cookies, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from collections.abc import Callable

BOTH = pytest.mark.parametrize("kind", [adieu.Response, adieu.AsyncResponse])
GERMAN = '{"größe": 1}'


@BOTH
@pytest.mark.parametrize(
    ("coding", "content_type"),
    [
        ("utf-8", "application/json"),
        ("utf-16", "application/json"),
        ("utf-32-be", "application/json"),
        # RFC 8259, section 11: charset is no parameter of application/json.
        ("utf-8", "application/json; charset=latin-1"),
        # What is none of the three is taken for what it is declared to be, as requests does.
        ("latin-1", "application/json; charset=iso-8859-1"),
        ("cp437", "text/json; charset=cp437"),
    ],
)
def test_json_is_decoded_by_its_bytes_and_else_as_declared(
    kind: Callable[..., Any], coding: str, content_type: str
) -> None:
    response = kind(200, {"content-type": content_type}, GERMAN.encode(coding))
    assert response.json() == {"größe": 1}


@BOTH
def test_an_assigned_charset_counts_for_json_too(kind: Callable[..., Any]) -> None:
    response = kind(200, {"content-type": "application/json"}, GERMAN.encode("cp437"))
    with pytest.raises(adieu.DecodeError, match="is not JSON"):
        response.json()
    response.encoding = "cp437"
    assert response.json() == {"größe": 1}
    response.encoding = "ascii"
    with pytest.raises(adieu.DecodeError, match="is not JSON: 'ascii' codec"):
        response.json()


@BOTH
def test_a_response_is_true_whatever_its_status(kind: Callable[..., Any]) -> None:
    """As in httpx. In requests a 404 is false, so that `if error.response` misses the response of an error."""
    for status in (200, 404):
        assert kind(status)
        assert kind(status).ok == (status == 200)


@BOTH
def test_the_cookies_that_a_response_sets(kind: Callable[..., Any]) -> None:
    fields = [
        ("Set-Cookie", "a=1; Path=/"),
        ("Set-Cookie", "b=2; Secure; HttpOnly"),
        ("set-cookie", "a=3"),
        ("Set-Cookie", "gone=; Max-Age=0"),
        ("Set-Cookie", "\x01"),
    ]
    assert kind(200, fields[:4]).cookies == {"a": "3", "b": "2"}
    assert kind(200).cookies == {}
