"""The route of a request: proxies as values, patterns, and the environment."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu import URL, InvalidRequest, MountError, Proxy
from adieu.net.proxies.environment import Environment, NoProxy
from adieu.net.proxies.proxy import ProxiedOrigin
from adieu.transport.routes import Routes

# A proxy as a value


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://proxy", "http://proxy"),
        ("HTTP://Proxy:80/", "http://proxy"),
        ("https://proxy", "https://proxy"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("socks5://Proxy", "socks5://proxy:1080"),
        ("socks5h://[::1]:99", "socks5h://[::1]:99"),
        ("socks4a://bücher.example", "socks4a://xn--bcher-kva.example:1080"),
        ("socks4://0x7f.1", "socks4://127.0.0.1:1080"),
    ],
)
def test_a_proxy_has_an_address_and_a_protocol(given: str, shown: str) -> None:
    assert str(Proxy(given)) == shown
    assert Proxy(given) == Proxy(shown) == Proxy(URL(given))
    assert hash(Proxy(given)) == hash(Proxy(shown))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("proxy:3128", "begins with its scheme"),
        ("", "begins with its scheme"),
        ("ftp://proxy", "ftp:// is not a scheme of proxies, which are http, https, socks4"),
        ("http://proxy/path", "a host and a port, without a path"),
        ("http://proxy/?q", "a host and a port, without a path"),
        ("http://proxy:99999", "it must be 0 to 65535"),
        ("socks5://", "names no host"),
        ("socks5://a b", "which no host has"),
        ("socks5://1.2.3.4.5", "is not an IPv4 address"),
        ("socks4://me:secret@proxy", "SOCKS4 has no password"),
        ("http://me:s\x00@proxy", ""),
        ("http://me%0d%0aX:y@proxy", "no control characters"),
    ],
)
def test_an_invalid_proxy_is_refused_at_once(given: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        adieu.Client(proxy=given)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"auth": "me:secret"}, "auth= of a proxy is (user name, password)"),
        ({"auth": ("me", None)}, "auth= of a proxy is (user name, password)"),
        ({"auth": ("a:b", "c")}, "a user name with a colon"),
        ({"auth": ("\ud800", "c")}, "must be encodable in UTF-8"),
        ({"digest": True}, "digest=True needs auth="),
        ({"tls": adieu.TLSConfig()}, "tls= is for TLS to an https:// proxy"),
        ({"headers": {"Host": "a"}}, "the field host of a proxy is set by adieu"),
        ({"headers": {"a\n": "b"}}, "a"),
        (
            {"auth": ("a", "b"), "headers": {"proxy-authorization": "x"}},
            "auth= and a Proxy-Authorization field",
        ),
    ],
)
def test_invalid_settings_are_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Proxy("http://proxy", **options)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_settings_for_http_proxies_are_refused_for_socks() -> None:
    with pytest.raises(InvalidRequest, match="headers= are for HTTP proxies"):
        Proxy("socks5://proxy", headers={"x": "y"})
    with pytest.raises(InvalidRequest, match="digest=True needs"):
        Proxy("socks5://proxy", auth=("a", "b"), digest=True)
    with pytest.raises(InvalidRequest, match="1 to 255 bytes"):
        Proxy("socks5://proxy", auth=("a" * 256, "b"))
    with pytest.raises(InvalidRequest, match="in its URL and in auth="):
        Proxy("http://a:b@proxy", auth=("a", "b"))
    with pytest.raises(InvalidRequest, match="a proxy is a URL or an"):
        adieu.Client(proxy=8080)  # type: ignore[arg-type]


def test_no_text_shows_the_secrets_of_a_proxy() -> None:
    proxy = Proxy("http://me:s3cret@proxy", headers={"X-Key": "s3cret"})
    assert repr(proxy) == "Proxy('http://proxy', auth=('me', '***'), headers={'X-Key': ...})"
    assert str(proxy) == "http://proxy"
    assert str(ProxiedOrigin(proxy, URL("https://a").origin)) == "https://a via http://proxy"
    digest = Proxy("https://proxy", auth=("me", "s3cret"), digest=True, tls=adieu.TLSConfig())
    assert "s3cret" not in repr(digest)
    assert "digest=True" in repr(digest)


def test_a_proxy_can_be_copied_changed_and_pickled() -> None:
    proxy = Proxy("http://me:s3cret@proxy", headers={"X-Key": "k"})
    assert pickle.loads(pickle.dumps(proxy)) == copy.copy(proxy) == proxy
    assert proxy.replace(headers=None) == Proxy("http://me:s3cret@proxy")
    assert proxy != proxy.replace(auth=("me", "other"))
    assert proxy != proxy.replace(digest=True)


# Explicit routes


def route(routes: Routes, url: str) -> str | None:
    found = routes.select(URL(url))
    return None if found is None else str(found)


def test_one_proxy_serves_every_url_and_none_serves_no_url() -> None:
    assert route(Routes("http://proxy"), "https://example.org/") == "http://proxy"
    assert route(Routes(None), "https://example.org/") is None


def test_the_most_specific_pattern_chooses() -> None:
    routes = Routes(
        {
            "*://": "http://all",
            "https://": "http://tls",
            "https://*.example.org": Proxy("socks5h://below"),
            "https://example.org:8443": "http://port",
            "http://localhost:*": None,
        }
    )
    assert route(routes, "http://example.org/") == "http://all"
    assert route(routes, "https://example.org/") == "http://tls"
    assert route(routes, "https://a.b.example.org./x") == "socks5h://below:1080"
    assert route(routes, "https://example.org:8443/") == "http://port"
    assert route(routes, "http://localhost:1234/") is None
    assert route(routes, "https://localhost/") == "http://tls"
    assert route(Routes({"https://": "http://tls"}), "http://a/") is None


def test_patterns_with_extra_parts_and_duplicates_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="chosen by origin; leave the path out"):
        Routes({"https://example.org/v1/": None})
    with pytest.raises(InvalidRequest, match="another pattern says the same"):
        Routes({"https://example.org": None, "https://EXAMPLE.org:443/": None})
    with pytest.raises(MountError, match="is no mount pattern"):
        adieu.Client(proxy={"example.org": "http://proxy"})
    # As requests has it.
    with pytest.raises(InvalidRequest, match="did you mean 'https://'"):
        adieu.Client(proxy={"https": "http://proxy"})


def test_decisions_are_cached_and_the_cache_is_bounded() -> None:
    routes = Routes({"https://": "http://tls"})
    for number in range(3000):
        routes.select(URL(f"https://h{number}.example"))
    assert len(routes._known) <= 1024


# The environment


def env(url: str, **environ: str) -> str | None:
    found = Environment(environ).proxy_for(URL(url).origin)
    return None if found is None else str(found)


def test_each_scheme_has_its_variable_and_all_proxy_is_the_fallback() -> None:
    assert env("http://a", http_proxy="http://one", https_proxy="http://two") == "http://one"
    assert env("https://a", http_proxy="http://one", https_proxy="http://two") == "http://two"
    assert env("https://a", http_proxy="http://one") is None
    assert env("https://a", http_proxy="http://one", all_proxy="socks5h://x") == "socks5h://x:1080"
    assert env("http://a", http_proxy="http://one", ALL_PROXY="http://x") == "http://one"
    assert env("mock://a", ALL_PROXY="http://x") is None


def test_lower_case_wins_and_an_empty_value_means_no_proxy() -> None:
    assert env("http://a", http_proxy="http://low", HTTP_PROXY="http://high") == "http://low"
    assert env("http://a", HTTP_PROXY="http://high") == "http://high"
    assert env("http://a", http_proxy="", HTTP_PROXY="http://high", ALL_PROXY="http://x") is None
    assert env("http://a", http_proxy="proxy:3128") == "http://proxy:3128"
    assert env("http://a", http_proxy=" me:pw@proxy:3128 ") == "http://proxy:3128"


def test_a_header_field_of_a_client_names_no_proxy_in_a_cgi_program() -> None:
    assert env("http://a", HTTP_PROXY="http://evil", REQUEST_METHOD="GET") is None
    assert env("http://a", http_proxy="http://own", REQUEST_METHOD="GET") == "http://own"
    assert env("https://a", HTTPS_PROXY="http://own", REQUEST_METHOD="GET") == "http://own"


def test_an_environment_without_proxies_is_false() -> None:
    assert not Environment({"no_proxy": "*", "http_proxy": ""})
    assert Environment({"https_proxy": "x"})


def test_an_invalid_variable_is_an_error_with_its_name_when_it_is_needed() -> None:
    environment = Environment({"HTTPS_PROXY": "ftp://me:secret@x", "http_proxy": "http://fine"})
    assert environment.proxy_for(URL("http://a").origin) == Proxy("http://fine")
    with pytest.raises(InvalidRequest) as caught:
        environment.proxy_for(URL("https://a").origin)
    text = "the environment variable HTTPS_PROXY is not a proxy: ftp:// is not a scheme of proxies"
    assert str(caught.value).startswith(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "covered", "not_covered"),
    [
        ("*", ["http://a", "https://[::1]"], []),
        ("a.example", ["http://a.example", "https://x.a.example:8", "http://a.example."], ["http://ba.example"]),
        (".a.example", ["http://a.example", "http://x.a.example"], ["http://ba.example"]),
        ("*.a.example", ["http://a.example", "http://x.a.example"], ["http://example"]),
        ("A.Example.", ["http://a.example"], []),
        ("a.example:8080", ["http://a.example:8080", "http://x.a.example:8080"], ["http://a.example"]),
        ("a.example:443", ["https://a.example"], ["http://a.example"]),
        ("b, a  c\td", ["http://a", "http://b", "http://c", "http://d"], ["http://e"]),
        ("localhost", ["http://localhost:1", "http://x.localhost"], ["http://127.0.0.1"]),
        ("127.0.0.1", ["http://127.0.0.1", "http://127.1"], ["http://127.0.0.2", "http://1.127.0.0"]),
        ("127.1:80", ["http://127.0.0.1"], ["https://127.0.0.1"]),
        ("::1", ["http://[::1]", "http://[0:0::1]:99"], ["http://[::2]"]),
        ("[::1]:99", ["http://[::1]:99"], ["http://[::1]"]),
        ("10.0.0.0/8", ["http://10.1.2.3", "http://[::ffff:10.1.2.3]"], ["http://11.1.1.1", "http://a"]),
        ("10.1.2.3/8", ["http://10.200.2.3"], []),
        ("fd00::/8", ["http://[fd12::1]"], ["http://[fe80::1]", "http://10.1.1.1"]),
        ("[fd00::]/8", ["http://[fd12::1]"], []),
        ("bücher.example", ["http://xn--bcher-kva.example"], []),
        ("10.*,a b:c:d,/,10.0.0.0/99,[,:80,a:x,*b", [], ["http://10.1.1.1", "http://b", "http://xb"]),
        ("0.0.1", [], ["http://127.0.0.1"]),
        ("", [], ["http://a"]),
    ],
)  # fmt: skip
def test_no_proxy_exempts(no_proxy: str, covered: list[str], not_covered: list[str]) -> None:
    exempt = NoProxy(no_proxy)
    assert [url for url in covered if not exempt.covers(URL(url).origin)] == []
    assert [url for url in not_covered if exempt.covers(URL(url).origin)] == []
    for url in covered:
        assert env(url, all_proxy="http://p", no_proxy=no_proxy) is None
        assert env(url, all_proxy="http://p", NO_PROXY=no_proxy) is None
    for url in not_covered:
        assert env(url, all_proxy="http://p", no_proxy=no_proxy) == "http://p"


HOSTS = st.sampled_from(["http://a.b", "http://10.1.2.3", "https://[fd00::1]:9", "http://1.b"])
TEXTS = st.text(st.sampled_from("a.b*:/[]0129fd%@ ,\\ü-_\t") | st.characters(), max_size=40)


@given(TEXTS, HOSTS)
def test_every_no_proxy_is_parsed(text: str, url: str) -> None:
    assert NoProxy(text).covers(URL(url).origin) in (True, False)


@given(TEXTS)
def test_every_text_is_a_proxy_or_refused(text: str) -> None:
    for given_text in (text, f"http://{text}", f"socks5h://{text}", f"socks4://{text}"):
        try:
            proxy = Proxy(given_text)
        except InvalidRequest:
            continue
        assert Proxy(str(proxy)).url == proxy.url


def test_a_long_no_proxy_takes_linear_time() -> None:
    for piece in (":", "[", "[:", "a:", ".", "*.", "1.", "0/"):
        NoProxy(piece * 200_000).covers(URL("http://10.0.0.1").origin)
    many = NoProxy(",".join(f"h{n}.example" for n in range(100_000)))
    assert many.covers(URL("http://x.h99999.example").origin)
