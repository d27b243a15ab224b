from __future__ import annotations

import copy
import doctest
import gc
import os
import pickle
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adieu.client.base_url import joined
from adieu.errors import InvalidURL
from adieu.messages.url import URL, Origin, form, parse_url, url

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_url_is_split_into_the_parts_that_a_request_needs() -> None:
    u = URL("https://user:pa%3Ass@Example.ORG:8443/a/b?q=1&r=2#frag")
    assert (u.scheme, u.host, u.port, u.path) == ("https", "example.org", 8443, "/a/b")
    assert (u.query, u.fragment, u.username, u.password) == ("q=1&r=2", "frag", "user", "pa:ss")
    assert u.target == "/a/b?q=1&r=2"
    assert u.authority == "example.org:8443"
    assert u.origin == Origin("https", "example.org", 8443)
    assert str(u) == "https://example.org:8443/a/b?q=1&r=2#frag"


@pytest.mark.parametrize(
    ("text", "port", "authority", "normal"),
    [
        ("http://h", 80, "h", "http://h/"),
        ("http://h:", 80, "h", "http://h/"),
        ("http://h:80/", 80, "h", "http://h/"),
        ("http://h:00080/", 80, "h", "http://h/"),
        ("http://h:443/", 443, "h:443", "http://h:443/"),
        ("https://h/", 443, "h", "https://h/"),
        ("https://h:443/", 443, "h", "https://h/"),
        ("https://h:80/", 80, "h:80", "https://h:80/"),
        ("https://h:0/", 0, "h:0", "https://h:0/"),
        ("https://h:65535/", 65535, "h:65535", "https://h:65535/"),
        ("mock://h/", None, "h", "mock://h/"),
        ("mock://h:80/", 80, "h:80", "mock://h:80/"),
        ("https://[::1]:8443/", 8443, "[::1]:8443", "https://[::1]:8443/"),
    ],
)
def test_the_default_port_is_known_and_not_written(
    text: str, port: int | None, authority: str, normal: str
) -> None:
    u = URL(text)
    assert (u.port, u.authority, str(u)) == (port, authority, normal)
    assert str(u.origin) == f"{u.scheme}://{authority}"


@pytest.mark.parametrize("port", ["65536", "99999", "8o", "-1", "+80", "8 0", "٨٠", "9" * 5000])
def test_an_invalid_port_is_refused(port: str) -> None:
    with pytest.raises(InvalidURL, match=r"has the port .*: it must be 0 to 65535"):
        URL(f"https://example.org:{port}/")


@pytest.mark.parametrize(
    ("text", "query", "fragment", "target"),
    [
        ("https://h", None, None, "/"),
        ("https://h?", "", None, "/?"),
        ("https://h#", None, "", "/"),
        ("https://h?a#b", "a", "b", "/?a"),
        ("https://h/p?a?b/c", "a?b/c", None, "/p?a?b/c"),
        ("https://h/p#a?b", None, "a?b", "/p"),
        ("https://h?@evil.net/", "@evil.net/", None, "/?@evil.net/"),
        ("https://h#@evil.net/", None, "@evil.net/", "/"),
    ],
)
def test_a_missing_part_is_none_and_an_empty_part_stays(
    text: str, query: str | None, fragment: str | None, target: str
) -> None:
    u = URL(text)
    assert (u.host, u.query, u.fragment, u.target) == ("h", query, fragment, target)


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/a b", "/a%20b"),
        ("/ü", "/%C3%BC"),
        ("/例", "/%E4%BE%8B"),
        ("/😀", "/%F0%9F%98%80"),
        ("/%41%7e", "/%41%7e"),  # kept: a server may have signed this spelling
        ("/%c3%bc", "/%c3%bc"),
        ("/100%", "/100%25"),
        ("/%zz%4", "/%25zz%254"),
        ("/%%41", "/%25%41"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/[x]", "/%5Bx%5D"),
        ("/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@"),
        ("/a//b", "/a//b"),
        ("\\a\\b", "/a/b"),
    ],
)
def test_a_path_is_encoded_only_where_it_must_be(path: str, encoded: str) -> None:
    assert URL("https://h" + path).path == encoded


@pytest.mark.parametrize(
    ("query", "encoded"),
    [
        ("q=a b", "q=a%20b"),
        ("q=a+b", "q=a+b"),
        ("q=ü", "q=%C3%BC"),
        ("a[]=1", "a%5B%5D=1"),
        ("q=%2F%", "q=%2F%25"),
        ("q='\"\\|", "q='%22%5C%7C"),
        ("/?:@", "/?:@"),
    ],
)
def test_a_query_is_encoded_only_where_it_must_be(query: str, encoded: str) -> None:
    assert URL(f"https://h/?{query}").query == encoded
    assert URL(f"https://h/#{query}").fragment == encoded


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/a/b/c/./../../g", "/a/g"),
        ("/./a", "/a"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a//../b", "/a/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a/%2E%2e/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e./b", "/b"),
        ("/a/...", "/a/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b/.c", "/a/..b/.c"),
        ("/a%2F..%2Fb", "/a%2F..%2Fb"),
        ("/a/..\\..\\b", "/b"),
    ],
)
def test_dot_segments_are_removed_while_parsing(path: str, normal: str) -> None:
    assert URL("https://h" + path).path == normal


def test_dots_in_a_query_are_data() -> None:
    assert URL("https://h/a?x=/../y").target == "/a?x=/../y"


def test_params_are_added_to_the_query() -> None:
    u = URL("https://h/p#f")
    assert str(u.with_params({"q": "a b&c", "n": 1})) == "https://h/p?q=a+b%26c&n=1#f"
    assert (
        str(u.with_params([("a", 1), ("a", 2)]).with_params({"b": 3}))
        == "https://h/p?a=1&a=2&b=3#f"
    )
    assert URL("https://h/?").with_params({"a": "1"}).query == "a=1"
    assert URL("https://h/?x=%zz").with_params({"a": "1"}).query == "x=%25zz&a=1"
    assert u.with_params({}) is u
    assert u.with_params([("q", None), ("r", [])]) is u
    assert URL("https://joe:pw@h/").with_params({"a": 1}).password == "pw"


def test_replace_returns_another_url_with_normal_parts() -> None:
    u = URL("https://joe:pw@h:8443/p?q#f")
    assert str(u.replace(host="MÜNCHEN.de")) == "https://xn--mnchen-3ya.de:8443/p?q#f"
    assert str(u.replace(host="::1")) == str(u.replace(host="[::1]")) == "https://[::1]:8443/p?q#f"
    with pytest.raises(InvalidURL, match="a port is no part of a host"):
        u.replace(host="h:80")
    assert str(u.replace(port=None)) == str(u.replace(port=443)) == "https://h/p?q#f"
    assert str(u.replace(path="/a b/../%zz?#")) == "https://h:8443/%25zz%3F%23?q#f"
    assert str(u.replace(query="a=ü#")) == "https://h:8443/p?a=%C3%BC%23#f"
    assert str(u.replace(query=None, fragment=None)) == "https://h:8443/p"
    assert str(u.replace(query="", fragment="")) == "https://h:8443/p?#"
    assert str(u.replace(path="")) == "https://h:8443/?q#f"
    assert (u.replace(password="p@:%41").password, u.replace(username="x").username) == (
        "p@:%41",
        "x",
    )
    assert u.replace(username=None).username == ""
    assert u.replace(username=None, password=None) == u.without_userinfo() == URL(str(u))
    assert u.replace() == u
    assert u.without_fragment() == u.replace(fragment=None)
    assert URL("https://[::1]/x").replace(path="/y").host == "::1"


def test_a_default_port_changes_with_the_scheme_and_another_port_stays() -> None:
    assert URL("http://h/").replace(scheme="HTTPS").port == 443
    assert URL("http://h:8080/").replace(scheme="https").port == 8080
    assert URL("http://h/").replace(scheme="mock").port is None
    assert URL("mock://h/").replace(scheme="http").port == 80


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"scheme": "1x"}, "is not a scheme"),
        ({"scheme": "http\n"}, "U+000A"),
        ({"scheme": None}, "the scheme of a URL is a str, not NoneType"),
        ({"host": ""}, "has no host"),
        ({"host": "a b"}, "has ' '"),
        ({"host": "a/b"}, "has '/'"),
        ({"host": "u@b"}, "has '@'"),
        ({"host": "a:80"}, "an IPv6 address stands in brackets"),
        ({"port": 65536}, "an int from 0 to 65535"),
        ({"port": "80"}, "an int from 0 to 65535"),
        ({"port": True}, "an int from 0 to 65535"),
        ({"path": "x"}, 'does not begin with "/"'),
        ({"path": "/a\nb"}, "U+000A at position 2"),
        ({"path": b"/x"}, "the path of a URL is a str, not bytes"),
        ({"query": "a\r\nb"}, "U+000D at position 1"),
        ({"query": 0}, "the query of a URL is a str, not int"),
        ({"fragment": "\ud800"}, "U+D800"),
        ({"password": "hunter2\ud800"}, "the password of a URL is a str that UTF-8 can encode"),
        ({"username": 5}, "the user name of a URL"),
    ],
)
def test_replace_refuses_parts_that_no_url_can_have(parts: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidURL, match=re.escape(reason)) as caught:
        URL("https://h/").replace(**parts)  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_replace_cannot_make_a_url_that_cannot_be_parsed() -> None:
    for parts in ({"path": "80"}, {"query": "joe:pw@h"}, {"scheme": "a.b"}, {"host": "h"}):
        with pytest.raises(InvalidURL):
            URL("data:,x").replace(**parts)  # type: ignore[arg-type]


def test_equal_urls_are_those_of_equal_requests() -> None:
    same = [URL(t) for t in ("https://h", "HTTPS://H:443/", "https://h/./a/..", " https:\\\\h ")]
    assert len(set(same)) == 1
    assert URL("https://h/#") != URL("https://h/") != URL("https://h/?")
    assert URL("https://h/A") != URL("https://h/a")
    assert URL("https://joe@h/") != URL("https://h/")
    assert URL("https://joe:1@h/") != URL("https://joe:2@h/")
    assert URL("https://joe:1@h/") == URL("https://j%6Fe:1@h/")
    assert URL("https://h/") != "https://h/"


def test_a_url_never_changes() -> None:
    u = URL("https://h/")
    with pytest.raises(AttributeError, match=r"use replace\(host=...\)"):
        u.host = "evil.net"
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del u.host
    with pytest.raises(AttributeError):
        u.other = 1
    assert not hasattr(u, "__dict__")


@pytest.mark.parametrize(
    "text",
    ["https://h/p?q#f", "https://joe:p%40%0A@h:1/", "https://:t@h/", "mock:///", "data:,x",
     "http+unix://%2FX/y", "https://[::1]/", "https://h/" + "x" * 3000],
)  # fmt: skip
def test_a_url_survives_pickling_and_copying(text: str) -> None:
    u = URL(text)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(u, protocol))
        assert again == u
        assert (again.username, again.password, again.host) == (u.username, u.password, u.host)
    assert copy.copy(u) == copy.deepcopy(u) == u


def test_a_url_of_a_url_is_that_url() -> None:
    u = URL("https://joe:pw@h/")
    assert URL(u) is u


def test_a_text_is_parsed_once_unless_it_is_very_long() -> None:
    assert parse_url("https://h/once") is parse_url("https://h/once") is URL("https://h/once")
    long = "https://h/" + "x" * 3000
    assert parse_url(long) == parse_url(long)
    assert parse_url(long) is not parse_url(long)


_HOSTILE = st.text(
    st.sampled_from("ahxn-.:/\\?#[]@%2e0.1 \t\r\n\x00ü例\u0661\u05d0\u200d\ud800'|\"_~A+")
    | st.characters(),
    max_size=40,
)
_ANY_TEXT = st.one_of(
    st.text(),
    _HOSTILE,
    st.builds(
        "{}://{}".format, st.sampled_from(["http", "https", "HTTP", "mock", "file"]), _HOSTILE
    ),
    st.builds("https://{}/{}".format, _HOSTILE, _HOSTILE),
    st.builds("{}:{}".format, st.sampled_from(["data", "a", "x.y"]), _HOSTILE),
    st.builds("http://xn--{}/".format, _HOSTILE),
    st.builds("http://[{}]/".format, st.text("0123456789abcdefg:.%", max_size=40)),
    st.builds("http://{}/".format, st.text("0123456789x.af", max_size=30)),
)
_WIRE = re.compile(r"[!-~]*")


def assert_ready_for_the_wire(u: URL) -> None:
    for text in (
        str(u),
        repr(u).replace(" ", ""),
        u.authority,
        u.target,
        u.path,
        u.query or "",
        u.host,
    ):
        assert _WIRE.fullmatch(text), text
    again = URL(str(u))
    assert again == u.without_userinfo()
    assert str(again) == str(u)
    assert again.origin == u.origin


@settings(max_examples=1500)
@given(_ANY_TEXT)
@example("https://a\\@b")
@example("http://\u3002/")
@example("http://xn--\ud800/")
@example("g:80%")
@example("mock:////")
@example("mock:/.//x")
def test_any_text_is_a_url_that_round_trips_or_is_refused(text: str) -> None:
    try:
        u = URL(text)
    except InvalidURL:
        return
    assert_ready_for_the_wire(u)


@settings(max_examples=500)
@given(st.sampled_from(["http://h/a/b?q", "mock:///x", "data:,x", "https://u:p@h/"]), _ANY_TEXT)
def test_any_reference_gives_a_url_that_round_trips_or_is_refused(base: str, text: str) -> None:
    try:
        u = URL(base).join(text)
    except InvalidURL:
        return
    assert_ready_for_the_wire(u)


@settings(max_examples=300)
@given(_HOSTILE, st.text(), st.text(), st.text(), st.text())
def test_any_parts_give_a_url_that_round_trips_or_are_refused(
    host: str, path: str, query: str, username: str, password: str
) -> None:
    for base in (URL("https://h/"), URL("mock:///"), URL("data:,x")):
        for parts in ({"host": host}, {"path": path}, {"path": "/" + path, "query": query},
                      {"username": username, "password": password}):  # fmt: skip
            try:
                u = base.replace(**parts)  # type: ignore[arg-type]
            except InvalidURL:
                continue
            assert_ready_for_the_wire(u)
            assert pickle.loads(pickle.dumps(u)) == u


def test_the_examples_of_the_docstrings_hold() -> None:
    for module in (url, form):
        assert doctest.testmod(module).failed == 0


def test_urls_and_headers_import_nothing_heavy_until_it_is_needed() -> None:
    heavy = ["dataclasses", "email", "http", "idna", "inspect", "ipaddress", "urllib.parse"]
    code = (
        "import sys, adieu.messages.headers, adieu.messages.url as url\n"
        "url.URL('https://example.org/a b?q#f').with_params({'a': 1}).join('/x')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


# Costs


_STARTS = st.one_of(
    st.sampled_from(
        [
            *("https://h", "http://H:80", "https://h:00443", "http://[::1]:8080", "https://127.1"),
            *("https://xn--mnchen-3ya.de", "https://m\u00fcnchen.de", "https://a b", " https://h"),
            *("https://h ", "https://h\t", "https://u@h", "https://u:p@h:1", "https://h:", "//h"),
            *("https://0x7f.1", "https://1.2.3.4.5", "https://a..b", "https://-", "HTTPS://h"),
            *("https://h\x00", "https://h\u00a0", "https://h\\x", "https://%68", "http://h%00"),
            *("mock://h", "http:/", "https:", "https://", "https://" + "a" * 300),
        ]
    ),
    st.text("htps:/@.[]%2eE0x1aü\t \\", max_size=20).map("https://".__add__),
)
_RESTS = st.text('/.%2eEfF?#&=aZ ü|"[]\\@:;\n+~', max_size=15)


@settings(max_examples=1500, deadline=None)
@given(start=_STARTS, rest=_RESTS)
@example("https://h ", "/")
@example("https://h", "/" + "a" * 70_000)
@example("https://h:" + "0" * 70_000 + "80", "/")
def test_the_quick_way_to_parse_a_url_gives_what_the_general_one_gives(
    start: str, rest: str
) -> None:
    text = start + rest
    try:
        general: object = _parts(url._parse_any(text))
    except InvalidURL as error:
        general = str(error)
    try:
        quick: object = _parts(url._parse(text))
    except InvalidURL as error:
        quick = str(error)
    assert quick == general


def _parts(parsed: URL) -> list[object]:
    return [getattr(parsed, name) for name in URL.__slots__]


def _work_of(work: Callable[[], object]) -> tuple[int, int]:
    """How many Python functions a call enters, and how many functions of C."""
    counts = {"call": 0, "c_call": 0}

    def profile(frame: object, event: str, argument: object) -> None:
        if event in counts:
            counts[event] += 1

    before = sys.getprofile()
    gc.disable()  # Finalizers of other tests' objects would be counted.
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return counts["call"] - 1, counts["c_call"] - 1  # Without `work` itself, and the end.


KNOWN = [
    "https://api.example.org",
    "http://127.0.0.1:54321",
    "http://[::1]:8080",
    "https://m\u00fcnchen.de",
]


@pytest.mark.parametrize("origin", KNOWN)
def test_a_new_path_on_a_known_origin_is_one_match_and_one_object(origin: str) -> None:
    """Nothing of the origin is parsed or normalised again: 5 microseconds where it took up to 30."""
    URL(f"{origin}/known")
    calls, c_calls = _work_of(lambda: URL(f"{origin}/items/17?page=2"))
    assert calls <= 5
    assert c_calls <= 25


def test_new_params_cost_what_they_have() -> None:
    base = URL("https://api.example.org/items")
    calls, c_calls = _work_of(lambda: base.with_params({"page": 17, "q": "abc"}))
    assert calls <= 13
    assert c_calls <= 24


def test_a_new_path_below_a_base_url_is_as_cheap() -> None:
    base = URL("https://me:secret@api.example.org/v1/")
    joined(base, "/known")
    calls, c_calls = _work_of(lambda: joined(base, "/items/17"))
    assert calls <= 9
    assert c_calls <= 50


def test_what_is_remembered_of_origins_is_bounded() -> None:
    for number in range(3000):
        URL(f"https://host{number}.example/")
    assert url._site.cache_info().currsize == 1024
    assert url._cached_site_of.cache_info().currsize == 1024
    before = url._site.cache_info().misses, url._cached_site_of.cache_info().misses
    # Long texts are not kept: 1024 of them could take 64 MiB.
    URL("mock://" + "%61" * 2000 + "/")
    long = "https://" + "a" * 60 + ":" + "0" * 600 + "80"
    assert URL(long).port == 80
    assert url._site.cache_info().misses == before[0]
    assert url._cached_site_of.cache_info().misses == before[1] + 1
