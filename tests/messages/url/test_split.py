from __future__ import annotations

import pytest

from adieu.errors import InvalidRequest, InvalidURL
from adieu.messages.url import URL


def refusal(text: object) -> str:
    with pytest.raises(InvalidURL) as caught:
        URL(text)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "username", "password"),
    [
        ("https://api.example.org@evil.net/", "evil.net", "api.example.org", None),
        ("https://api.example.org:443@evil.net/", "evil.net", "api.example.org", "443"),
        ("https://a@b@evil.net/", "evil.net", "a@b", None),
        ("https://a:b@c:d@evil.net/", "evil.net", "a", "b@c:d"),
        ("https://a\\@b/", "a", None, None),
        ("https://good.net\\.evil.net/", "good.net", None, None),
        ("https://good.net#@evil.net/", "good.net", None, None),
        ("https://good.net?@evil.net/", "good.net", None, None),
        ("https://good.net/@evil.net/", "good.net", None, None),
        ("https://u%40x:p%2Fq%25@h/", "h", "u@x", "p/q%"),
        ("https://ü:ñ@h/", "h", "ü", "ñ"),
        ("https://%C3%BC@h/", "h", "ü", None),
        ("https://token@h/", "h", "token", None),
        ("https://user:@h/", "h", "user", ""),
        ("https://:token@h/", "h", "", "token"),
        ("https://@h/", "h", None, None),
        ("https://:@h/", "h", None, None),
    ],
)
def test_the_last_at_of_the_authority_ends_the_userinfo(
    text: str, host: str, username: str | None, password: str | None
) -> None:
    u = URL(text)
    assert (u.host, u.username, u.password) == (host, username, password)


def test_no_text_of_a_url_shows_user_name_and_password() -> None:
    u = URL("https://joe:hunter2@example.org/p?q#f")
    assert str(u) == f"{u}" == "https://example.org/p?q#f"
    assert repr(u) == "URL('https://joe:***@example.org/p?q#f')"
    assert repr(URL("https://ghp_123@example.org/")) == "URL('https://***@example.org/')"
    assert repr(URL("https://:tok@example.org/")) == "URL('https://:***@example.org/')"
    assert repr(URL("https://j%0A%20é:x@h/")) == "URL('https://j%0A%20%C3%A9:***@h/')"
    assert repr(URL("https://example.org/")) == "URL('https://example.org/')"
    u = URL("https://joe:sec@example.org/p?page=2&api_key=31d4#access_token=31d5")
    assert repr(u) == "URL('https://joe:***@example.org/p?page=2&api_key=***#access_token=***')"
    assert "hunter2" not in str(u.origin) + u.authority + u.target


@pytest.mark.parametrize(
    "text",
    [
        "https://joe:hunter2@ex ample.org/",
        "https://joe:hunter2@example.org:99999/",
        "https://joe:hunter2/x@example.org/",
        "https://joe:hun:ter2/x@example.org/",
        "https://[joe:hunter2/x@example.org/",
        "https://joe:hunter2#x@example.org/",
        "https://joe:hunter2\\x@example.org/",
        "https://joe:hunter2%ff@example.org/",
        "https://joe:hunter2@/",
        "https://joe:hunter2@exa\nmple.org/",
        "https:joe:hunter2@example.org/",
        "joe:hunter2@example.org/",
        "//joe:hunter2@example.org/",
        "joe@hunter2:hunter2@example.org",
        "mock:joe:hunter2@example.org/",
        "joe:hunter2/x@example.org/",
        "joe:hunter2?x@example.org/",
        "joe:\\\\hunter2@example.org/",
        "joe:hunter2#@example.org/",
        "mock://joe:hunter2@/x",
        "https://joe:hunter2@example.org/" + "x" * 70_000,
    ],
)
def test_no_refusal_shows_a_password_either(text: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        URL(text)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in repr(error)
        error = error.__context__


def test_a_slash_in_a_password_is_explained() -> None:
    assert "percent-encode it, or pass it as auth=" in refusal("https://joe:hunter/2@example.org/")


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("example.org/x", "https://example.org/x"),
        ("example.org", "https://example.org"),
        ("//example.org/x", "https://example.org/x"),
        ("localhost:8000/x", "https://localhost:8000/x"),
        ("localhost:8000", "https://localhost:8000"),
        ("example.org:8000?x", "https://example.org:8000?x"),
        ("example.org:x", "https://example.org:x"),
        ("127.0.0.1:80", "https://127.0.0.1:80"),
        ("user:pw@example.org/x", "https://***@example.org/x"),
        ("fe80::1", "https://[fe80::1]"),
        ("::1/x", "https://[::1]/x"),
        ("2001:db8::1?x", "https://[2001:db8::1]?x"),
        ("//fe80::1/", "https://[fe80::1]/"),
    ],
)
def test_a_missing_scheme_is_suggested(text: str, suggestion: str) -> None:
    assert refusal(text).endswith(f"has no scheme: did you mean {suggestion!r}?")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the URL is empty"),
        (" \t\r\n", "the URL is empty"),
        ("/items", "is relative"),
        ("?q", "is relative"),
        ("#f", "is relative"),
        ("1http://h/", "does not begin with a scheme"),
        ("ht_tp://h/", "does not begin with a scheme"),
        ("://h/", "does not begin with a scheme"),
        ("http:h/x", 'needs two slashes after "http:"'),
        ("http:/h/x", 'needs two slashes after "http:"'),
        ("HTTPS:h", 'needs two slashes after "https:"'),
        ("https://", "has no host"),
        ("https:///h/", "has no host"),
        ("https://?q", "has no host"),
        ("https://:80/", "has no host"),
        ("https://user@/", "has no host"),
        ("mock://:80/", "but no host"),
        ("mock://user@/", "but no host"),
        ("https://%ff@h/", "not UTF-8"),
        ("https://h/\x00", "U+0000 at position 10"),
        ("https://h/a\tb", "U+0009 at position 11"),
        ("https://h/a\r\nHost: evil", "U+000D at position 11"),
        ("https://h\n.evil.net/", "U+000A at position 9"),
        ("ht\ntp://h/", "U+000A at position 2"),
        ("https://h/\x7f", "U+007F at position 10"),
        ("https://h/?q=\ud800", "U+D800 at position 13"),
        ("https://h/" + "x" * 65536, "has 65546 characters; 65536 are allowed"),
        ("https://h/" + "ü" * 20000, "65536 are allowed"),
        (b"https://h/", "a URL is a str or an adieu.URL, not bytes"),
        (None, "a URL is a str or an adieu.URL, not NoneType"),
        (["https://h/"], "a URL is a str or an adieu.URL, not list"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: object, reason: str) -> None:
    assert reason in refusal(text)


def test_space_around_a_url_is_dropped() -> None:
    assert str(URL(" \t\v\fhttps://h/a \r\n")) == "https://h/a"


def test_refusals_are_invalid_requests_and_value_errors() -> None:
    assert issubclass(InvalidURL, (InvalidRequest, ValueError))


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "normal"),
    [
        ("mock://", "", None, "/", "mock:///"),
        ("mock://api", "api", None, "/", "mock://api/"),
        ("MOCK://API/X", "api", None, "/X", "mock://api/X"),
        ("mock://api:80/x?q#f", "api", 80, "/x", "mock://api:80/x?q#f"),
        ("mock://127.1/", "127.1", None, "/", "mock://127.1/"),
        ("mock://ü/", "%C3%BC", None, "/", "mock://%C3%BC/"),
        ("mock://h/a\\b", "h", None, "/a%5Cb", "mock://h/a%5Cb"),
        ("http+unix://%2FUsers%2Fme%2Fx.sock/v1", "%2FUsers%2Fme%2Fx.sock", None, "/v1",
         "http+unix://%2FUsers%2Fme%2Fx.sock/v1"),
        ("file:///etc/hosts", "", None, "/etc/hosts", "file:///etc/hosts"),
        ("file:/etc/hosts", "", None, "/etc/hosts", "file:///etc/hosts"),
        ("file:////server/x", "", None, "//server/x", "file:////server/x"),
        ("data:text/plain,a b", "", None, "text/plain,a%20b", "data:text/plain,a%20b"),
    ],
)  # fmt: skip
def test_another_scheme_is_parsed_by_the_generic_grammar(
    text: str, host: str, port: int | None, path: str, normal: str
) -> None:
    u = URL(text)
    assert (u.host, u.port, u.path, str(u)) == (host, port, path, normal)


@pytest.mark.parametrize("host", ["a b", "a<b", "a^b", "a|b", "a\\b"])
def test_the_host_of_another_scheme_has_rules_too(host: str) -> None:
    assert "which no host has" in refusal(f"mock://{host}/")
