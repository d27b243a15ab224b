"""Challenges: what servers send, read as RFC 9110 means it, and never an error."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.fields.challenge import Challenge, parse_challenges, parse_parameters, quoted
from adieu.messages.headers import Headers


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
    ],
)
def test_what_servers_send_is_read(field: str, challenges: list[Challenge]) -> None:
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
        ("Basic realm=My Site, Digest nonce=x", ["basic"]),
        ('Basic realm="a\x01b"', ["basic"]),
        ('Basic realm="a\u0100"', ["basic"]),
        ("Basic; Digest", []),
        ("NTLM abc, realm=x", ["ntlm"]),
    ],
)
def test_what_the_grammar_does_not_know_ends_the_reading(field: str, schemes: list[str]) -> None:
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
def test_what_is_quoted_is_read_back(text: str) -> None:
    assert parse_parameters(f"realm={quoted(text)}") == {"realm": text}


PIECES = st.lists(
    st.sampled_from(
        ["Basic", "Digest", "realm", "nonce", "=", "==", '"', "\\", ",", " ", "\t", "a", "é", "\x01", "/"]
    )
)  # fmt: skip


@given(PIECES.map("".join) | st.text())
def test_nothing_raises_and_everything_may_be_sent_back(field: str) -> None:
    for challenge in [
        *parse_challenges([field, field]),
        Challenge("", None, parse_parameters(field)),
    ]:
        assert re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]*", challenge.scheme)
        for name, value in challenge.parameters.items():
            assert Headers({"x": f"{name}={quoted(value)}"})
    assert len(parse_challenges([field])) <= len(field)


@pytest.mark.parametrize(
    "piece", ['a="', "a= ", "a ", "a=", '"\\', "a\t=", 'a="\\"', "a=b,", "a,", " ", "Basic a=b, "]
)
def test_the_time_is_linear(piece: str) -> None:
    fastest = [9.0, 9.0]
    for nth, times in enumerate((2_000, 20_000)):
        text = f"Digest {piece * times}"
        for _ in range(3):
            begun = time.perf_counter()
            parse_challenges([text])
            parse_parameters(text)
            fastest[nth] = min(fastest[nth], time.perf_counter() - begun)
    # Quadratic would be a hundred times as long, and more than this on any machine.
    assert fastest[1] < max(fastest[0] * 40, 0.5)
