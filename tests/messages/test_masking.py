"""Masking: no secret of a URL gets into a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.masking import masked_url
from support.growth import assert_linear

pytestmark = pytest.mark.lifecycle


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/x?y=1&z", "https://a.example/x?y=1&z"),
        ("https://me:pw@a.example/x", "https://[secret]@a.example/x"),
        ("https://token@a.example/", "https://[secret]@a.example/"),
        ("https://a:b@c@a.example/", "https://[secret]@a.example/"),
        ("https://a.example/@me", "https://a.example/@me"),
        ("https://a.example/?q=a@b", "https://a.example/?q=a@b"),
        ("https://a.example/?token=a=b&x=1", "https://a.example/?token=[secret]&x=1"),
        ("https://a.example/?x=1&API_KEY=abc", "https://a.example/?x=1&API_KEY=[secret]"),
        ("https://a.example/?password=a?b", "https://a.example/?password=[secret]"),
        ("https://a.example/x#access_token=abc", "https://a.example/x"),
    ],
)
def test_secrets_are_masked_and_the_rest_is_shown(url: str, shown: str) -> None:
    assert masked_url(url) == shown


@given(
    before=st.text("ab=&?%", max_size=20),
    name=st.sampled_from(["token", "Api-Key", "PASSWORD", "client_secret", "sig-signature"]),
    after=st.text("ab&=", max_size=20),
)
def test_a_secret_is_masked_at_any_position(before: str, name: str, after: str) -> None:
    assert "s3cr3t" not in masked_url(f"https://u:s3cr3t@h/?{before}&{name}=s3cr3t&{after}#s3cr3t")


@pytest.mark.parametrize("piece", ["?a=", "&", "=", "@", "http://", "token=x&", "#"])
def test_masking_takes_linear_time(piece: str) -> None:
    assert_linear(lambda size: masked_url("https://h/?" + piece * size), 5_000)
    assert_linear(lambda size: masked_url(piece * size), 5_000)
