"""The jar: where cookies are sent (RFC 6265bis, sections 5.7 and 5.8), and how callers add and find them."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adieu
from adieu import URL, Cookie, Cookies
from adieu.lifecycle.lock import is_owned
from adieu.messages.cookies import public_suffix, store
from support.locks import InterruptedLock

if TYPE_CHECKING:
    from pathlib import Path

WEB = "https://www.example.org/"


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jar(clock: Clock) -> Cookies:
    return Cookies(clock=clock)


def sent(jar: Cookies, url: str) -> str:
    return jar.header_for(URL(url)) or ""


def after(url: str, *fields: str) -> Cookies:
    """A jar with the cookies of one response."""
    jar = Cookies()
    jar.store(URL(url), fields)
    return jar


# Domains


@pytest.mark.parametrize(
    ("url", "domain", "sent_to", "not_sent_to"),
    [
        # For the host only, without a Domain.
        (WEB, "", [WEB], ["https://example.org/", "https://a.www.example.org/"]),
        (WEB, "; Domain", [WEB], ["https://example.org/", "https://a.www.example.org/"]),
        # For a domain, and the hosts below it.
        (
            WEB,
            "; Domain=example.org",
            [WEB, "https://example.org/", "https://a.b.example.org/", "https://EXAMPLE.org:8443/"],
            ["https://badexample.org/", "https://example.org.evil.net/", "https://org/"],
        ),
        (WEB, "; Domain=.Example.Org", ["https://example.org/", "https://a.example.org/"], []),
        (
            WEB,
            "; Domain=www.example.org",
            [WEB, "https://a.www.example.org/"],
            ["https://example.org/"],
        ),
        # Ports, schemes and the dot of a rooted name make no difference.
        ("http://example.org:81/", "", ["https://example.org/", "http://example.org:82/"], []),
        ("https://example.org./", "", ["https://example.org/"], []),
        ("https://example.org/", "", ["https://example.org./"], []),
        # An international name, as A-labels.
        (
            "https://bücher.example/",
            "; Domain=xn--bcher-kva.example",
            ["https://a.bücher.example/"],
            [],
        ),
        # An address has no hosts below it.
        ("http://127.0.0.1/", "", ["http://127.0.0.1:99/"], ["http://1.127.0.0.1.example/"]),
        ("http://10.0.0.1/", "; Domain=10.0.0.1", ["http://10.0.0.1/"], []),
        ("http://[::1]/", "", ["http://[::1]:8080/"], ["http://[::2]/"]),
        # A name of one label is for itself only.
        ("http://intranet/", "; Domain=intranet", ["http://intranet/"], ["http://a.intranet/"]),
        ("http://localhost:8000/", "; Domain=localhost", ["http://localhost/"], []),
    ],
)
def test_a_cookie_is_sent_to_its_hosts_only(
    url: str, domain: str, sent_to: list[str], not_sent_to: list[str]
) -> None:
    jar = after(url, f"a=b{domain}")
    assert [where for where in sent_to if sent(jar, where) != "a=b"] == []
    assert [where for where in not_sent_to if sent(jar, where)] == []


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        (WEB, "example.com"),
        (WEB, "a.www.example.org"),
        (WEB, "ww.example.org"),
        (WEB, "xample.org"),
        (WEB, "org"),
        (WEB, ".org"),
        (WEB, "..example.org"),
        (WEB, "example.org."),
        (WEB, "example.org:443"),
        (WEB, "https://example.org"),
        (WEB, "\xe4.example.org"),
        ("http://10.0.0.1/", "0.0.1"),
        ("http://10.0.0.1/", "1"),
        ("http://[::1]/", "[::1]"),
        ("https://bücher.example/", "b\xfccher.example"),
        ("https://a.localhost/", "localhost"),
    ],
)
def test_a_cookie_for_a_domain_that_is_not_the_hosts_is_refused(url: str, domain: str) -> None:
    assert len(after(url, f"a=b; Domain={domain}")) == 0


@pytest.mark.parametrize("suffix", ["co.uk", "github.io", "kyoto.jp", "com.ck"])
def test_no_host_can_set_a_cookie_for_a_public_suffix(suffix: str) -> None:
    pytest.importorskip("publicsuffixlist")
    assert len(after(f"https://mine.{suffix}/", f"a=b; Domain={suffix}")) == 0
    assert len(after(f"https://a.mine.{suffix}/", f"a=b; Domain=mine.{suffix}")) == 1


def test_a_host_that_is_a_public_suffix_can_set_its_own_cookies() -> None:
    pytest.importorskip("publicsuffixlist")
    jar = after("https://github.io/", "a=b; Domain=github.io")
    assert sent(jar, "https://github.io/") == "a=b"
    assert sent(jar, "https://other.github.io/") == ""


def test_without_the_extra_single_labels_are_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "publicsuffixlist", None)
    forget_public_suffixes()
    try:
        assert len(after("https://a.com/", "a=b; Domain=com")) == 0
        assert len(after("https://a.co.uk/", "a=b; Domain=a.co.uk")) == 1
        assert len(after("https://a.co.uk/", "a=b; Domain=co.uk")) == 1  # refused with the extra
    finally:
        forget_public_suffixes()


def forget_public_suffixes() -> None:
    public_suffix.is_public_suffix.cache_clear()
    public_suffix._suffixes.cache_clear()


# Paths


@pytest.mark.parametrize(
    ("url", "attribute", "sent_to", "not_sent_to"),
    [
        ("/a/b", "", ["/a", "/a/", "/a/c", "/a/b/c", "/a?x"], ["/", "/ab", "/b"]),
        ("/a/b/", "", ["/a/b", "/a/b/c"], ["/a", "/a/bc"]),
        ("/a", "", ["/", "/b", "/a/b"], []),
        ("/", "", ["/", "/x/y"], []),
        ("/x?/a/b", "", ["/"], []),
        ("/x", "; Path=/a", ["/a", "/a/", "/a/b"], ["/", "/ab", "/A"]),
        ("/x", "; Path=/a/", ["/a/", "/a/b"], ["/a", "/ab"]),
        ("/a/b", "; Path=nonsense", ["/a/c"], ["/"]),
        ("/a/b", "; Path=", ["/a/c"], ["/"]),
        ("/a/b", "; Path=/", ["/", "/c"], []),
    ],
)
def test_a_path_covers_whole_segments(
    url: str, attribute: str, sent_to: list[str], not_sent_to: list[str]
) -> None:
    jar = after(f"https://a.example{url}", f"a=b{attribute}")
    assert [path for path in sent_to if not sent(jar, f"https://a.example{path}")] == []
    assert [path for path in not_sent_to if sent(jar, f"https://a.example{path}")] == []


# Secure, prefixes, SameSite


def test_a_secure_cookie_is_never_sent_without_encryption() -> None:
    jar = after(WEB, "a=b; Secure")
    assert sent(jar, WEB) == "a=b"
    assert sent(jar, "http://www.example.org/") == ""


def test_a_secure_cookie_cannot_be_set_without_encryption() -> None:
    assert len(after("http://www.example.org/", "a=b; Secure")) == 0


@pytest.mark.parametrize(
    "host", ["localhost", "app.localhost", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000"]
)
def test_this_machine_counts_as_secure(host: str) -> None:
    jar = after(f"http://{host}/", "a=b; Secure")
    assert sent(jar, f"http://{host}/") == "a=b"


@pytest.mark.parametrize(
    "host", ["localhost.example", "notlocalhost", "127.0.0.1.example", "10.0.0.1"]
)
def test_a_host_that_only_looks_like_this_machine_is_not_secure(host: str) -> None:
    assert len(after(f"http://{host}/", "a=b; Secure")) == 0


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        ("a=new", False),  # it would replace the secure one
        ("a=new; Domain=example.org", False),  # it would hide it on the same host
        ("a=new; Path=/login/en", False),  # it would come first at that path
        ("a=new; Path=/", True),  # it comes after the secure one
        ("b=new", True),
    ],
)
def test_an_unencrypted_response_cannot_replace_secure_cookies(cookie: str, kept: bool) -> None:
    jar = after("https://www.example.org/login", "a=old; Path=/login; Secure")
    jar.store(URL("http://www.example.org/login/x"), [cookie])
    assert "a=old" in sent(jar, "https://www.example.org/login/en")
    assert ("new" in sent(jar, "https://www.example.org/login/x")) is kept


def test_an_unencrypted_response_cannot_hide_secure_cookies_of_hosts_below() -> None:
    jar = after("https://a.example.org/", "a=old; Secure")
    jar.store(URL("http://example.org/"), ["a=new; Domain=example.org"])
    assert sent(jar, "https://a.example.org/") == "a=old"


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("__Secure-a=b; Secure", True),
        ("__Secure-a=b", False),
        ("__secure-a=b", False),
        ("__SECURE-a=b; Secure; Domain=example.org", True),
        ("__Host-a=b; Secure; Path=/", True),
        ("__host-a=b; secure; path=/", True),
        ("__Host-a=b; Secure", False),
        ("__Host-a=b; Secure; Path=", False),
        ("__Host-a=b; Secure; Path=/x", False),
        ("__Host-a=b; Path=/", False),
        ("__HOST-a=b; Secure; Path=/; Domain=www.example.org", False),
        ("__hOsT-a=b; Secure; Path=/; Domain=", True),
        # The value of a cookie without a name is sent where a name is expected.
        ("=__Secure-a=b", False),
        ("__Host-a", False),
        ("=__host-a=b; Secure; Path=/", False),
        ("_Host-a=b", True),
        ("a=__Host-b", True),
    ],
)
def test_the_rules_of_a_prefix_hold_in_any_case(field: str, kept: bool) -> None:
    assert len(after(WEB, field)) == kept


def test_same_site_is_kept_and_none_requires_secure() -> None:
    jar = after(WEB, "a=1; SameSite=Strict", "b=2; SameSite=None; Secure", "c=3; SameSite=None")
    assert [(c.name, c.same_site) for c in jar] == [("a", "Strict"), ("b", "None")]
    assert sent(jar, WEB) == "a=1; b=2"


def test_http_only_is_kept() -> None:
    assert [cookie.http_only for cookie in after(WEB, "a=1; HttpOnly", "b=2")] == [True, False]


# Time


def test_a_cookie_lasts_as_long_as_the_server_said(clock: Clock, jar: Cookies) -> None:
    jar.store(URL(WEB), ["a=1; Max-Age=60", "b=2; Expires=Tue, 14 Nov 2023 22:15:20 GMT", "c=3"])
    assert sent(jar, WEB) == "a=1; b=2; c=3"
    clock.now += 59
    assert sent(jar, WEB) == "a=1; b=2; c=3"
    clock.now += 1
    assert sent(jar, WEB) == "b=2; c=3"
    clock.now += 60
    assert sent(jar, WEB) == "c=3"
    assert len(jar) == 1


def test_max_age_overrides_expires_in_any_order(clock: Clock, jar: Cookies) -> None:
    long, gone = "Expires=Tue, 14 Nov 2034 00:00:00 GMT", "Expires=Tue, 14 Nov 2000 00:00:00 GMT"
    jar.store(URL(WEB), [f"a=1; Max-Age=60; {gone}", f"b=2; {long}; Max-Age=60"])
    assert [cookie.expires for cookie in jar] == [clock.now + 60] * 2


def test_a_cookie_is_kept_for_at_most_400_days(clock: Clock, jar: Cookies) -> None:
    jar.store(URL(WEB), ["a=1; Max-Age=99999999999", "b=2; Expires=Fri, 31 Dec 9999 00:00:00 GMT"])
    assert [cookie.expires for cookie in jar] == [clock.now + 400 * 86400] * 2


@pytest.mark.parametrize(
    "when", ["Max-Age=0", "Max-Age=-5", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_a_time_in_the_past_deletes_the_cookie(when: str, jar: Cookies) -> None:
    jar.store(URL(WEB), ["a=1", "a=2; Path=/x", f"a=; {when}"])
    assert [(c.value, c.path) for c in jar] == [("2", "/x")]
    jar.store(URL(WEB), [f"a=; Path=/x; {when}"])
    assert len(jar) == 0
    assert jar.header_for(URL(WEB)) is None


# Order, identity, limits


def test_longer_paths_come_first_and_older_cookies_before_newer_ones() -> None:
    jar = after(
        "https://www.example.org/a/b/c",
        "first=1; Path=/",
        "second=2; Path=/a/b",
        "third=3; Path=/a",
        "fourth=4; Path=/; Domain=example.org",
        "fifth=5; Path=/a/b",
    )
    jar.store(URL(WEB), ["first=6"])  # renewed, it keeps its age
    assert sent(jar, "https://www.example.org/a/b/c") == (
        "second=2; fifth=5; third=3; first=6; fourth=4"
    )


def test_name_domain_path_and_host_only_identify_a_cookie() -> None:
    jar = after(
        "https://www.example.org/", "a=1", "A=2", "a=3; Path=/x", "a=4; Domain=www.example.org"
    )
    jar.store(URL("https://www.example.org/"), ["a=5"])
    assert [cookie.value for cookie in jar] == ["5", "2", "3", "4"]


def test_a_cookie_without_a_name_is_sent_as_its_value() -> None:
    assert sent(after(WEB, "just text", "a=b"), WEB) == "just text; a=b"


def test_bytes_are_sent_back_unchanged() -> None:
    assert sent(after(WEB, 'a="\xc3\xbc,%20\\"'), WEB) == 'a="\xc3\xbc,%20\\"'


def test_of_more_than_150_cookies_of_a_domain_the_least_recently_used_go(jar: Cookies) -> None:
    url = URL(WEB)
    jar.store(url, ["kept=1; Path=/used", "safe=1; Secure; Path=/x"])
    for number in range(1000):
        jar.store(url, [f"c{number}=x; Path=/c"])
        assert "kept" in (jar.header_for(URL(f"{WEB}used")) or "")
    names = [cookie.name for cookie in jar]
    assert 150 <= len(names) <= 165
    assert names[:2] == ["kept", "safe"]
    assert names[-1] == "c999"


def test_a_domain_with_too_many_cookies_does_not_affect_others(jar: Cookies) -> None:
    jar.store(URL("https://a.example/"), ["a=1"])
    jar.store(URL(WEB), [f"c{number}=x" for number in range(500)])
    assert sent(jar, "https://a.example/") == "a=1"


def test_of_more_than_3000_cookies_the_least_recently_used_go(jar: Cookies) -> None:
    for number in range(4000):
        jar.store(URL(f"https://h{number}.example/"), ["a=1"])
    assert 3000 <= len(jar) <= 3300
    assert sent(jar, "https://h3999.example/") == "a=1"
    assert sent(jar, "https://h0.example/") == ""


def test_expired_cookies_go_first(clock: Clock, jar: Cookies) -> None:
    jar.store(URL(WEB), ["old=1", *(f"c{number}=x; Max-Age=5" for number in range(160))])
    clock.now += 10
    jar.store(URL(WEB), [f"d{number}=x" for number in range(10)])
    assert len(jar) == 11


def test_a_request_does_not_look_at_cookies_of_other_hosts(
    jar: Cookies, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        jar.store(URL(f"https://h{number}.example/"), ["a=1; Path=/x"])
    compared: list[str] = []

    def path_matches(path: str, cookie_path: str) -> bool:
        compared.append(cookie_path)
        return True

    monkeypatch.setattr(store, "path_matches", path_matches)
    assert jar.header_for(URL("https://h7.example/")) == "a=1"
    assert compared == ["/x"]


# Cookies of the caller


def test_values_by_name_are_sent_to_the_host_of_the_jars_url_only() -> None:
    jar = Cookies({"a": "1"}, url="https://api.example.org/v1/")
    jar["b"] = "2"
    assert sent(jar, "https://api.example.org/other") == "a=1; b=2"
    for other in (
        "https://example.org/",
        "https://x.api.example.org/",
        "http://api.example.org/",
    ):
        assert sent(jar, other) == ""


def test_values_by_name_for_an_http_url_are_sent_without_encryption() -> None:
    jar = Cookies({"a": "1"}, url="http://api.example.org/")
    assert sent(jar, "http://api.example.org/") == "a=1"


def test_without_a_host_a_value_by_name_is_refused() -> None:
    for make in (lambda: Cookies({"a": "1"}), lambda: Cookies().set("a", "1")):
        with pytest.raises(adieu.InvalidRequest, match=r"'a' has no host.*domain=.*base_url"):
            make()


def test_a_domain_is_one_host_or_with_a_dot_also_those_below() -> None:
    jar = Cookies()
    jar.set("one", "1", domain="Example.org")
    jar.set("all", "2", domain=".example.org", path="/x")
    jar.set("clear", "3", domain="example.org", secure=False)
    jar.set("v6", "4", domain="::1")
    assert sent(jar, "https://example.org/x/y") == "all=2; one=1; clear=3"
    assert sent(jar, "https://a.example.org/x") == "all=2"
    assert sent(jar, "http://example.org/") == "clear=3"
    assert sent(jar, "http://[::1]:8000/") == "v6=4"


@pytest.mark.parametrize(
    "domain",
    ["", ".", "a b", "example.org:8080", "https://example.org", "example.org/x", "u@h", "h?", "h#"],
)
def test_a_domain_is_a_host(domain: str) -> None:
    with pytest.raises(adieu.InvalidRequest):
        Cookies().set("a", "1", domain=domain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "v"), ("a=b", "v"), ("a;b", "v"), (" a", "v"), ("a\n", "v"), ("a\tb", "v"), ("ä€", "v"),
        ("a", "b;c"), ("a", " b"), ("a", "b\r\nX: y"), ("a", "€"), ("a", "\x00"), ("a", "v" * 4096),
        ("a", 1), (b"a", "b"), ("a", None),
    ],
)  # fmt: skip
def test_a_cookie_that_cannot_be_sent_unchanged_is_refused_without_its_value(
    name: Any, value: Any
) -> None:
    with pytest.raises(adieu.InvalidRequest) as caught:
        Cookies().set(name, value, domain="example.org")
    assert str(value)[:20] not in str(caught.value) or str(value) in ("v", "b", " b", "1", "None")


@pytest.mark.parametrize(
    "more",
    [
        {"path": "x"}, {"path": "/" + "x" * 1024}, {"path": "/\n"}, {"path": ""}, {"path": "/ü"},
        {"expires": float("nan")}, {"expires": float("inf")}, {"expires": -1}, {"expires": "now"},
    ],
)  # fmt: skip
def test_a_path_and_a_time_are_checked_too(more: dict[str, Any]) -> None:
    with pytest.raises(adieu.InvalidRequest):
        Cookies().set("a", "1", domain="example.org", **more)


def test_a_prefix_is_checked_too() -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"'__Host-a' .*one host alone"):
        Cookies().set("__Host-a", "1", domain=".example.org")
    with pytest.raises(adieu.InvalidRequest, match="it is not secure"):
        Cookies().set("__Secure-a", "1", domain="example.org", secure=False)
    Cookies().set("__Host-a", "1", domain="example.org")


def test_a_jar_is_reached_by_names() -> None:
    jar = Cookies({"a": "1", "b": "2"}, url=WEB)
    assert (jar["a"], jar.get("b"), jar.get("c"), jar.get("c", "none")) == ("1", "2", None, "none")
    assert "a" in jar
    assert "c" not in jar
    del jar["a"]
    assert [cookie.name for cookie in jar] == ["b"]
    for missing in (lambda: jar["a"], lambda: jar.delete("a"), lambda: jar.__delitem__("a")):
        with pytest.raises(KeyError, match="a"):
            missing()
    jar.clear()
    assert len(jar) == 0


def test_a_dict_of_the_jar_has_the_values_by_name() -> None:
    jar = Cookies({"a": "1", "b": "2"}, url="https://example.org")
    jar.set("a", "1", domain="example.com")
    assert dict(jar) == {"a": "1", "b": "2"}
    jar.set("a", "3", domain="example.com")
    with pytest.raises(adieu.InvalidRequest, match="2 cookies are called 'a'"):
        dict(jar)


def test_one_of_several_cookies_has_to_be_chosen_by_domain_or_path() -> None:
    jar = Cookies({"a": "1"}, url=WEB)
    jar.set("a", "2", domain="example.org", path="/x")
    with pytest.raises(
        adieu.InvalidRequest, match=r"2 cookies are called 'a'.*example.org/x, www.example.org/"
    ):
        jar["a"]
    assert jar.get("a", domain="www.example.org") == "1"
    assert jar.get("a", domain=".example.org") == "2"
    assert jar.get("a", path="/x") == "2"
    jar.delete("a", path="/x")
    assert jar["a"] == "1"
    jar.set("a", "1", domain="example.com")
    assert jar["a"] == "1"  # both have this value
    jar.clear(domain="example.com")
    assert [cookie.domain for cookie in jar] == ["www.example.org"]


def test_cookies_are_copied_from_jar_to_jar() -> None:
    jar = after(WEB, "a=1; Secure; HttpOnly; Path=/x; Domain=example.org; Max-Age=60; SameSite=Lax")
    assert list(Cookies(jar)) == list(jar)
    assert list(Cookies([Cookie("a", "1", "example.org")])) == [Cookie("a", "1", "example.org")]


@pytest.mark.parametrize("wrong", ["a=b", ["a"], [("a", "b")], 7])
def test_anything_but_a_cookie_is_refused(wrong: Any) -> None:
    with pytest.raises((adieu.InvalidRequest, TypeError)):
        Cookies(wrong, url=WEB)


@pytest.mark.parametrize(
    "cookie",
    [
        Cookie("a", "1\r\nHost: evil", "example.org"),
        Cookie("a", "1", "example.org\n.evil.example"),
        Cookie("a", "1", "example.org\tTRUE"),
        Cookie("a", "1", ""),
        Cookie("a", "1", "例.example"),
        Cookie("a", "1", "example.org", "/\n"),
    ],
)
def test_a_cookie_made_by_hand_cannot_carry_a_line_end_or_a_tab(cookie: Cookie) -> None:
    with pytest.raises(adieu.InvalidRequest):
        Cookies([cookie])


@pytest.mark.parametrize("size", [1023, 1024, 1025, 60_000])
def test_a_default_path_has_the_bound_of_a_path_that_is_given(size: int) -> None:
    jar = Cookies()
    path = "/" + "x" * (size - 1)
    jar.store(URL(f"https://a.example{path}/y"), ["a=1"])
    assert [cookie.path for cookie in jar] == ([path] if size <= 1024 else [])
    # One with a longer Path attribute is kept for the default path.
    jar.store(URL("https://b.example/x/y"), [f"a=1; Path={path}"])
    assert jar.get("a", domain="b.example", path=path if size <= 1024 else "/x") == "1"


def test_a_default_path_may_have_parameters(tmp_path: Path) -> None:
    jar = Cookies()
    jar.store(URL("https://a.example/app;v=1/page"), ["a=1"])
    assert sent(jar, "https://a.example/app;v=1/other") == "a=1"
    assert sent(jar, "https://a.example/app/other") == ""
    jar.save(tmp_path / "jar")
    assert list(Cookies.load(tmp_path / "jar")) == list(jar)
    assert list(pickle.loads(pickle.dumps(jar))) == list(jar)


def test_no_repr_shows_a_value() -> None:
    jar = Cookies({"session": "s3cret"}, url=WEB)
    jar.set("x", "s3cret", domain=".example.org", path="/p")
    assert repr(jar) == "<Cookies: 2 for example.org, www.example.org>"
    assert (
        repr(list(jar))
        == "[<Cookie session=*** for www.example.org/>, <Cookie x=*** for .example.org/p>]"
    )
    assert "s3cret" not in f"{next(iter(jar))}"
    assert repr(Cookies()) == "<Cookies: 0>"


def test_a_jar_pickles() -> None:
    jar = Cookies({"a": "1"}, url=WEB)
    jar.store(URL("https://b.example/"), ["b=2; Max-Age=60; Path=/x; HttpOnly"])
    other = pickle.loads(pickle.dumps(jar))
    assert list(other) == list(jar)
    other["c"] = "3"
    assert sent(other, WEB) == "a=1; c=3"
    assert "c" not in jar


def test_threads_share_a_jar() -> None:
    jar = Cookies()
    failures: list[BaseException] = []
    urls = [URL(f"https://h{number}.example/") for number in range(8)]
    start = threading.Barrier(8)

    def work(mine: int) -> None:
        try:
            start.wait(30)
            for turn in range(300):
                jar.store(urls[turn % 8], [f"t{mine}-{turn % 20}=x", f"gone{mine}=; Max-Age=0"])
                jar.header_for(urls[mine])
                if turn % 50 == 0:
                    jar.clear(domain=urls[turn % 8].host)
                    len(jar)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert jar._store._size == len(jar) == sum(map(len, jar._store._domains.values()))


def test_an_interrupt_does_not_leave_the_jar_locked() -> None:
    jar = Cookies({"a": "1"}, url=WEB)
    broken: Any = InterruptedLock()
    usual, jar._lock = jar._lock, broken
    with pytest.raises(KeyboardInterrupt):
        jar.header_for(URL(WEB))
    assert not is_owned(jar._lock)
    jar._lock = usual
    assert sent(jar, WEB) == "a=1"


def test_a_url_without_a_host_has_no_cookies() -> None:
    assert len(after("data:,x", "a=b")) == 0
    jar = Cookies({"a": "1"}, url=WEB)
    assert sent(jar, "file:///etc/passwd") == ""


def test_an_unused_jar_loads_nothing() -> None:
    program = (
        "import sys, adieu; assert 'adieu.messages.cookies.jar' not in sys.modules; adieu.Cookies();"
        "wrong = {'http', 'email', 'datetime', 'ipaddress', 'tempfile', 'publicsuffixlist'} & set(sys.modules);"
        "assert not wrong, wrong"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


# Any input


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "http://a.example/x",
                    "https://a.example/",
                    "https://b.a.example/x/y",
                    "http://10.0.0.1/",
                    "http://a.example/x;y=1/z",
                    f"http://a.example/x{'y' * 1100}/z",
                    "http://[::1]/%0a%20/x",
                ]
            ),
            st.text(alphabet=st.sampled_from("ab=;/. -09xdomainPathSecure\x00\xe4"), max_size=60)
            | st.sampled_from(
                [
                    "a=1; Secure",
                    "a=2; Domain=a.example",
                    "a=; Max-Age=0",
                    "b=3; Path=/x",
                    "__Host-a=1",
                    "c=4; Path=/\xe4",
                    "d=5; Path=/x y; Max-Age=99999999999",
                    "e=6; Path=/\ty",
                    "f=7; Path=/x; Path=y",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_any_set_cookie_is_sent_as_a_valid_field_to_no_other_host(
    responses: list[tuple[str, str]],
) -> None:
    jar = Cookies()
    for url, field in responses:
        jar.store(URL(url), [field])
    for url in ("http://a.example/x/y", "https://b.a.example/x", "http://10.0.0.1/"):
        header = jar.header_for(URL(url))
        if header is not None:
            adieu.Headers({"cookie": header})
    assert jar.header_for(URL("https://c.example/x/y")) is None
    assert jar.header_for(URL("https://example/x/y")) is None
    assert jar._store._size == len(jar)
    assert list(pickle.loads(pickle.dumps(jar))) == list(jar)
    assert list(Cookies(jar)) == list(jar)
