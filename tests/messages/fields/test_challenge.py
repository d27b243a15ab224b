"""Challenges of servers, parsed as in RFC 9110; no text raises."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.fields.challenge import Challenge, parse_challenges, parse_parameters, quoted
from adieu.messages.headers import Headers
from support.growth import assert_linear


def basic(**parameters: str) -> Challenge:
    return Challenge("basic", None, parameters)


@pytest.mark.parametrize(
    ("field", "challenges"),
    [
        ("Basic", [basic()]),
        ('Basic realm="a"', [basic(realm="a")]),
        ("BASIC REALM=a", [basic(realm="a")]),
        ('Basic realm = "a" , charset=\t"UTF-8"', [basic(realm="a", charset="UTF-8")]),
        ('Basic\trealm="a"', [basic(realm="a")]),
        (r'Basic realm="\"a\\b\", c"', [basic(realm='"a\\b", c')]),
        ('Basic realm=""', [basic(realm="")]),
        ('Basic realm="é"', [basic(realm="é")]),
        ('Basic realm="a", realm="b"', [basic(realm="a")]),
        (", ,Basic ,, realm=a,", [basic(realm="a")]),
        ("Negotiate", [Challenge("negotiate", None, {})]),
        ("NTLM TlRMTVNTUAACAAAA==", [Challenge("ntlm", "TlRMTVNTUAACAAAA==", {})]),
        ("Negotiate a-._~+/=", [Challenge("negotiate", "a-._~+/=", {})]),
        (
            "Negotiate, NTLM abc=, Basic realm=x",
            [
                Challenge("negotiate", None, {}),
                Challenge("ntlm", "abc=", {}),
                basic(realm="x"),
            ],
        ),
        # RFC 9110, section 11.6.1
        (
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [
                basic(realm="simple"),
                Challenge(
                    "newauth", None, {"realm": "apps", "type": "1", "title": 'Login to "apps"'}
                ),
            ],
        ),
        (
            'Digest realm="a, Basic realm=b", qop="auth,auth-int", stale=FALSE, Bearer error="x"',
            [
                Challenge(
                    "digest",
                    None,
                    {"realm": "a, Basic realm=b", "qop": "auth,auth-int", "stale": "FALSE"},
                ),
                Challenge("bearer", None, {"error": "x"}),
            ],
        ),
        # Without quotes, as devices write them.
        (
            "Digest realm=My  Camera (1), nonce=dGltZQ==:a/b+c=, opaque=, qop=auth , Basic realm=a:b",
            [
                Challenge(
                    "digest",
                    None,
                    {"realm": "My  Camera (1)", "nonce": "dGltZQ==:a/b+c="},
                ),
            ],
        ),
        (
            "Digest realm=My  Camera (1), nonce=dGltZQ==:a/b+c=, qop=auth , Basic realm=a:b c",
            [
                Challenge(
                    "digest",
                    None,
                    {"realm": "My  Camera (1)", "nonce": "dGltZQ==:a/b+c=", "qop": "auth"},
                ),
                basic(realm="a:b c"),
            ],
        ),
        (
            "Digest qop=auth,AUTH-INT, nonce=x, Auth, Negotiate",
            [
                Challenge("digest", None, {"qop": "auth, AUTH-INT", "nonce": "x"}),
                Challenge("auth", None, {}),
                Challenge("negotiate", None, {}),
            ],
        ),
    ],
)
def test_challenges_of_servers_are_parsed(field: str, challenges: list[Challenge]) -> None:
    assert parse_challenges([field]) == challenges


@pytest.mark.parametrize(
    ("field", "schemes"),
    [
        ("", []),
        (",", []),
        ('"', []),
        ("=", []),
        ('realm="a"', []),
        ('Basic realm="a', ["basic"]),
        ('Basic realm="a\\"', ["basic"]),
        ('Basic realm="a"b, Digest nonce=x', ["basic"]),
        ("Basic realm=My Site=x, Digest nonce=x", ["basic"]),
        ("Basic realm=c Digest realm=d", ["basic"]),
        ('Basic realm=a"b', ["basic"]),
        ("Basic realm=a\x85\x01b", ["basic"]),
        ('Basic realm="a\x01b"', ["basic"]),
        ('Basic realm="a\u0100"', ["basic"]),
        ("Basic; Digest", []),
        ("NTLM abc, realm=x", ["ntlm"]),
    ],
)
def test_parsing_ends_at_text_outside_the_grammar(field: str, schemes: list[str]) -> None:
    found = parse_challenges([field])
    assert [challenge.scheme for challenge in found] == schemes
    assert not any(challenge.parameters for challenge in found)


def test_every_field_of_the_name_counts_in_order() -> None:
    found = parse_challenges(["Negotiate", "", "Digest a=b, Basic", "Bearer"])
    assert [challenge.scheme for challenge in found] == ["negotiate", "digest", "basic", "bearer"]


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ('nextnonce="47364c23432d2e131a57fe", qop=auth', {"nextnonce": "47364c23432d2e131a57fe", "qop": "auth"}),
        (" , NC = 00000001 ,", {"nc": "00000001"}),
        ("Digest nextnonce=a", {}),
        ('a=b, c="', {"a": "b"}),
        ("", {}),
    ],
)  # fmt: skip
def test_authentication_info_is_a_list_of_parameters(
    field: str, parameters: dict[str, str]
) -> None:
    assert parse_parameters(field) == parameters


@given(st.text(st.characters(max_codepoint=0xFF, exclude_categories=["Cc"])))
def test_quoted_text_is_parsed_back(text: str) -> None:
    assert parse_parameters(f"realm={quoted(text)}") == {"realm": text}


PIECES = st.lists(
    st.sampled_from(
        ["Basic", "Digest", "realm", "nonce", "=", "==", '"', "\\", ",", " ", "\t", "a", "é", "\x01", "/"]
    )
)  # fmt: skip


@given(PIECES.map("".join) | st.text())
def test_nothing_raises_and_every_value_may_be_sent(field: str) -> None:
    for challenge in [
        *parse_challenges([field, field]),
        Challenge("", None, parse_parameters(field)),
    ]:
        assert re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]*", challenge.scheme)
        for name, value in challenge.parameters.items():
            assert Headers({"x": f"{name}={quoted(value)}"})
    assert len(parse_challenges([field])) <= len(field)


@pytest.mark.parametrize(
    "piece",
    [
        "auth,",
        "a=b c ",
        "a b=",
        "a=b \t",
        'a="',
        "a= ",
        "a ",
        "a=",
        '"\\',
        "a\t=",
        'a="\\"',
        "a=b,",
        "a,",
        " ",
        "Basic a=b, ",
    ],
)
def test_the_time_is_linear(piece: str) -> None:
    assert_linear(lambda size: parse_challenges([f"Digest {piece * size}"]), 2_000)
    assert_linear(lambda size: parse_parameters(piece * size), 2_000)
