"""How texts quote what is not adieu's own: masked, bounded, escaped, in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.url.split import shown
from adieu.texts import is_secret, mask_named, mask_pairs, show, show_field, show_url
from support.growth import assert_linear

pytestmark = pytest.mark.lifecycle

# Names of credentials in use, from the documentation of the services that define them.
_CREDENTIALS = """
Authorization Proxy-Authorization Cookie Set-Cookie X-Api-Key apikey Api-Key X-Auth-Token X-Auth-Key
X-Access-Token Private-Token Job-Token X-Vault-Token X-Shopify-Access-Token X-Figma-Token X-Plex-Token
X-Amz-Security-Token X-Amz-Credential X-Amz-Signature Ocp-Apim-Subscription-Key X-Functions-Key
X-Ms-Encryption-Key DD-API-KEY DD-APPLICATION-KEY Session-Id X-Session-Token X-JWT X-Goog-IAP-JWT-Assertion
OK-ACCESS-PASSPHRASE CB-ACCESS-SIGN CB-ACCESS-PASSPHRASE KC-API-SIGN API-Sign X-MBX-APIKEY X-BAPI-SIGN
X-Parse-REST-API-Key X-Algolia-API-Key X-SID X-GitHub-OTP CF-Access-Client-Secret X-Hub-Signature-256
Stripe-Signature X-Amz-Server-Side-Encryption-Customer-Key X-CSRF-Token X-XSRF-TOKEN X-Consumer-Secret
SAMLResponse sig key code auth jwt appid access_token refresh_token id_token client_secret code_verifier
accessKeyId AWSAccessKeyId api%5Fkey user[password] sessionid PHPSESSID pwd passwd hmac device_code ticket
"""
CREDENTIALS = _CREDENTIALS.split()

_HARMLESS = """
Accept Content-Type Content-Length ETag Location Idempotency-Key Sec-WebSocket-Key WWW-Authenticate
Proxy-Authenticate X-Request-Id User-Agent Host Origin Referer Retry-After Link author authors keyword page
limit country_code status design assignee
"""
HARMLESS = _HARMLESS.split()


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_name_of_a_credential_is_known(name: str) -> None:
    assert is_secret(name)
    assert is_secret(name.lower())


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_name_hides_nothing(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://a.example/x?y=1&z", "https://a.example/x?y=1&z"),
        ("https://me:pw@a.example/x", "https://***@a.example/x"),
        ("https://token@a.example/", "https://***@a.example/"),
        ("https://a:b@c@a.example/", "https://***@a.example/"),
        ("https://a.example/@me", "https://a.example/@me"),
        ("https://a.example/?q=a@b", "https://a.example/?q=a@b"),
        ("https://a.example/?token=a=b&x=1", "https://a.example/?token=***&x=1"),
        ("https://a.example/?x=1&API_KEY=abc", "https://a.example/?x=1&API_KEY=***"),
        ("https://a.example/?password=a?b;c", "https://a.example/?password=***"),
        ("https://a.example/a;jsessionid=1f/b", "https://a.example/a;jsessionid=***"),
        ("https://a.example/x#access_token=abc", "https://a.example/x"),
        # A name that says nothing, and a value that does.
        ("https://a.example/?q=AbCdEfGhIjKlMnOpQr12&p=2", "https://a.example/?q=***&p=2"),
        ("https://token.example:8443/x", "https://token.example:8443/x"),
    ],
)
def test_secrets_of_a_url_are_masked_and_the_rest_is_shown(url: str, text: str) -> None:
    assert show_url(url) == text
    assert show_url(text) == text


@given(
    before=st.text("ab=&?%", max_size=20),
    name=st.sampled_from(["token", "Api-Key", "PASSWORD", "client_secret", "sig-signature"]),
    after=st.text("ab&=", max_size=20),
)
def test_a_secret_is_masked_at_any_position(before: str, name: str, after: str) -> None:
    url = f"https://u:s3cr3t@h/?{before}&{name}=s3cr3t&{after}"
    assert "s3cr3t" not in show_url(f"{url}#s3cr3t")
    assert "s3cr3t" not in show(url, 1000)
    assert "s3cr3t" not in shown(url)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain text", "plain text"),
        ("a\x1b[2J\r\nb\u202ec", "a\\x1b[2J\\r\\nb\\u202ec"),
        (b"\xff\x00", "\xff\\x00"),
        ("HTTP/1.1 200\r\nSet-Cookie: a=b; Path=/\r\nX: y", "HTTP/1.1 200\\r\\nSet-Cookie: ***\\r\\nX: y"),
        ("Authorization: Basic bTpw", "Authorization: ***"),
        ("access_token=abc&scope=repo", "access_token=***&scope=repo"),
        ("see https://me:pw@h/x", "see https://***@h/x"),
        ("it says gho_16C7e42F292c6912E7710c838347Ae178B4a", "it says ***"),
    ],
)  # fmt: skip
def test_a_text_from_outside_is_masked_and_escaped(text: str | bytes, quoted: str) -> None:
    assert show(text) == quoted


def test_a_text_from_outside_has_a_bounded_length() -> None:
    assert show("a" * 199) == "a" * 199
    assert show("a" * 100_000) == "a" * 197 + "..."
    assert show("a b" * 100, 10) == "a ba ba..."
    assert len(show_url("http://h/" + "a" * 60_000)) == 1000
    assert len(shown("http://h/" + "a" * 60_000)) == 102


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"token": "a \\" b", "x": 1}', '{"token": "***", "x": 1}'),
        ('{"pin": 1234, "x": 1}', '{"pin": ***, "x": 1}'),
        ('{"credentials": {"a": 1, "b": 2}}', '{"credentials": ***'),
        ('{"page": 2}', '{"page": 2}'),
    ],
)
def test_members_of_json_are_masked_by_their_names(text: str, masked: str) -> None:
    assert mask_named(text) == masked


def test_a_field_is_masked_by_its_name_and_by_the_url_in_its_value() -> None:
    assert show_field("X-Api-Key", "abc") == "***"
    assert show_field("Location", "https://me@h/?code=abc&x=1") == "https://***@h/?code=***&x=1"
    assert show_field("Accept", "text/html;q=0.9") == "text/html;q=0.9"


@pytest.mark.parametrize(
    "piece", ["?a=", "&", "=", "@", "http://", "token=x&", "#", "a", "1a", "token:", '"', "%41", "://", "-"]
)  # fmt: skip
def test_masking_takes_linear_time(piece: str) -> None:
    assert_linear(lambda size: mask_pairs("https://h/?" + piece * size), 5_000)
    assert_linear(lambda size: mask_named(piece * size), 5_000)
    assert_linear(lambda size: show(piece * size, size), 5_000)
