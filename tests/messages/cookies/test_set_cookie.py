"""The Set-Cookie field (RFC 6265bis, section 5.6), parsed as in browsers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.cookies.set_cookie import SetCookie, parse_set_cookie
from support.growth import assert_linear


def parsed(field: str) -> SetCookie:
    found = parse_set_cookie(field)
    assert found is not None, f"{field!r} was ignored"
    return found


@pytest.mark.parametrize(
    ("field", "pair"),
    [
        # The examples of RFC 6265bis, section 3.1.
        ("SID=31d4d96e407aad42", ("SID", "31d4d96e407aad42")),
        ("SID=31d4d96e407aad42; Path=/; Domain=site.example", ("SID", "31d4d96e407aad42")),
        ("lang=en-US; Path=/; Domain=site.example", ("lang", "en-US")),
        ("lang=; Expires=Sun, 06 Nov 1994 08:49:37 GMT", ("lang", "")),
        # Space around and inside.
        ("  a  =  b  ", ("a", "b")),
        ("\ta\t=\tb\t; path=/", ("a", "b")),
        ("a b=c d", ("a b", "c d")),
        ("a=b\tc", ("a", "b\tc")),
        # The first = separates name and value, the first ; ends them.
        ("a=b=c", ("a", "b=c")),
        ("a==b", ("a", "=b")),
        ("a=b;c=d", ("a", "b")),
        ("a=;b", ("a", "")),
        ("a=b,c=d", ("a", "b,c=d")),
        # Quotes have no meaning.
        ('a="b; c"', ("a", '"b')),
        ('a="b c"', ("a", '"b c"')),
        # The name or the value may be empty.
        ("=b", ("", "b")),
        ("b", ("", "b")),
        ("=a=b", ("", "a=b")),
        ("a=", ("a", "")),
        # Bytes that are not ASCII are unchanged.
        ("a=\xc3\xbc", ("a", "\xc3\xbc")),
        ("$Version=1; a=b", ("$Version", "1")),
    ],
)
def test_the_first_equals_sign_separates_name_and_value(field: str, pair: tuple[str, str]) -> None:
    assert parsed(field)[:2] == pair


@pytest.mark.parametrize("field", ["", ";", "=", " = ", "; Path=/", "=; Path=/", "\t"])
def test_without_a_name_and_a_value_there_is_no_cookie(field: str) -> None:
    assert parse_set_cookie(field) is None


@pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
def test_control_characters_anywhere_refuse_the_whole_cookie(code: int) -> None:
    for field in ("a{}b=c", "a=b{}c", "a=b; path=/{}", "a=b; x{}"):
        assert parse_set_cookie(field.format(chr(code))) is None


def test_characters_beyond_latin_1_refuse_the_cookie() -> None:
    assert parse_set_cookie("a=\u20ac") is None
    assert parse_set_cookie("a=\ud800") is None


def test_a_tab_within_a_name_refuses_the_cookie() -> None:
    assert parse_set_cookie("a\tb=c") is None


def test_name_and_value_have_4096_bytes_together() -> None:
    assert parsed("n" * 2000 + "=" + "v" * 2096)
    assert parsed("a=" + "v" * 4095 + "; path=/")
    assert parse_set_cookie("n" * 2001 + "=" + "v" * 2096) is None
    assert parse_set_cookie("v" * 4097) is None


def test_an_attribute_of_more_than_1024_bytes_is_ignored_alone() -> None:
    assert parsed("a=b; path=/" + "x" * 1023).path == "/" + "x" * 1023
    assert parsed("a=b; path=/" + "x" * 1024).path is None
    assert parsed("a=b; path=/x; path=/" + "x" * 1024).path == "/x"


@pytest.mark.parametrize(
    ("attributes", "facts"),
    [
        ("Secure", {"secure": True}),
        ("SECURE=no", {"secure": True}),
        ("secure ; HttpOnly", {"secure": True, "http_only": True}),
        ("httponly=false", {"http_only": True}),
        ("Secured", {"secure": False}),
        ("Max-Age=60", {"max_age": 60}),
        ("max-age = 60 ", {"max_age": 60}),
        ("Max-Age=0", {"max_age": 0}),
        ("Max-Age=-1", {"max_age": -1}),
        ("Max-Age=-99999", {"max_age": -1}),
        ("Max-Age=", {"max_age": None}),
        ("Max-Age=-", {"max_age": None}),
        ("Max-Age=1.5", {"max_age": None}),
        ("Max-Age=+1", {"max_age": None}),
        ("Max-Age=1e3", {"max_age": None}),
        ("Max-Age=\xb2", {"max_age": None}),
        ("Max-Age=60; Max-Age=x", {"max_age": 60}),
        ("Max-Age=60; Max-Age=70", {"max_age": 70}),
        ("Expires=Wed, 09 Jun 2021 10:18:14 GMT", {"expires": 1623233894.0}),
        ("Expires=soon", {"expires": None}),
        ("Expires=09 Jun 2021 10:18:14; Expires=soon", {"expires": 1623233894.0}),
        ("Domain=Example.ORG", {"domain": "example.org"}),
        ("Domain=.example.org", {"domain": "example.org"}),
        ("Domain=..example.org", {"domain": ".example.org"}),
        ("Domain=", {"domain": None}),
        ("Domain=.", {"domain": None}),
        ("Domain=a.example; Domain=b.example", {"domain": "b.example"}),
        ("Domain=a.example; Domain=", {"domain": None}),
        ("Path=/a", {"path": "/a"}),
        ("Path=a", {"path": None}),
        ("Path=", {"path": None}),
        ("Path", {"path": None}),
        ("Path=/a; Path=/b", {"path": "/b"}),
        ("Path=/a; Path=b", {"path": None}),
        ('Path="/a"', {"path": None}),
        ("Path=/a b", {"path": "/a b"}),
        ("Path=/a\tb", {"path": None}),
        ("SameSite=Lax", {"same_site": "Lax"}),
        ("samesite=STRICT", {"same_site": "Strict"}),
        ("SameSite=None", {"same_site": "None"}),
        ("SameSite=Odd", {"same_site": None}),
        ("SameSite=Lax; SameSite=Odd", {"same_site": None}),
        (";;; Secure;;", {"secure": True}),
        ("=/a; Unknown=1; Version=1; Comment=x", {}),
    ],
)
def test_attributes_are_found_in_any_case_and_the_last_one_counts(
    attributes: str, facts: dict[str, Any]
) -> None:
    found = parsed("a=b; " + attributes)._asdict()
    nothing = SetCookie("a", "b", None, None, None, None, False, False, None)._asdict()
    assert found == {**nothing, **facts}


def test_a_number_of_a_thousand_digits_is_a_long_time() -> None:
    age = parsed("a=b; max-age=" + "9" * 1024).max_age
    assert age is not None
    assert 400 * 86400 < age < 1e11
    assert parse_set_cookie("a=b; max-age=" + "9" * 100_000) == parse_set_cookie("a=b")


@given(st.text(alphabet=st.sampled_from("ab=; \t,./\"'$-09\x00\x7f\xe4Path"), max_size=80))
def test_no_text_breaks_the_parser(field: str) -> None:
    found = parse_set_cookie(field)
    if found is not None:
        assert len(found.name) + len(found.value) <= 4096
        assert ";" not in found.name + found.value
        assert "=" not in found.name
        # A parsed cookie, written again, is parsed to the same.
        assert parse_set_cookie(f"{found.name}={found.value}") == SetCookie(
            found.name, found.value, None, None, None, None, False, False, None
        )


@given(st.text())
def test_text_of_any_kind_is_a_cookie_or_none(field: str) -> None:
    parse_set_cookie(field)
    parse_set_cookie(f"a=b; {field}")
    parse_set_cookie(f"a=b; domain={field}; path={field}; expires={field}; max-age={field}")


@pytest.mark.parametrize("piece", ["; ", ";a=b", "; Expires=1 Jan 2030 00:00:00", "=", " ", "a"])
def test_a_huge_field_is_read_in_linear_time(piece: str) -> None:
    assert_linear(lambda size: parse_set_cookie("a=b; " + piece * size), 5_000)
    assert_linear(lambda size: parse_set_cookie(piece * size), 5_000)
