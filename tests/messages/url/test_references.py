from __future__ import annotations

import pytest

from adieu.errors import InvalidURL
from adieu.messages.url import URL

BASE = URL("http://a/b/c/d;p?q")


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("g:h", "g:h"),
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("g?y#s", "http://a/b/c/g?y#s"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y#s"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/./x", "http://a/b/c/g#s/./x"),
        ("g#s/../x", "http://a/b/c/g#s/../x"),
        ("http:g", "http://a/b/c/g"),  # as the RFC allows for backward compatibility
    ],
)
def test_references_resolve_as_in_rfc_3986(reference: str, target: str) -> None:
    assert str(BASE.join(reference)) == target


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("https://other.org:443/x", "https://other.org/x"),
        ("HTTP://A/x", "http://a/x"),
        ("\\x\\y", "http://a/x/y"),
        ("\\\\other.org\\x", "http://other.org/x"),
        ("/\\other.org", "http://other.org/"),
        ("/a b?c d", "http://a/a%20b?c%20d"),
        ("/ü", "http://a/%C3%BC"),
        ("/caf\xc3\xa9", "http://a/caf%C3%83%C2%A9"),
        ("/100%", "http://a/100%25"),
        ("%2e%2e/x", "http://a/b/x"),
        ("  /x \r\n", "http://a/x"),
        ("http:?x", "http://a/b/c/d;p?x"),
        ("mock:\\x", "mock:%5Cx"),
    ],
)
def test_odd_locations_resolve_as_in_browsers(reference: str, target: str) -> None:
    assert str(BASE.join(reference)) == target


@pytest.mark.parametrize(
    "reference",
    ["https:x", "///x", "//", "http://", "/a\nb", "//a b/", "/\x00", "//[::1", "localhost:80"],
)
def test_an_invalid_reference_is_refused(reference: str) -> None:
    with pytest.raises(InvalidURL):
        BASE.join(reference)


def test_a_reference_keeps_the_user_unless_it_has_an_authority() -> None:
    base = URL("https://joe:pw@h/a/b")
    assert (base.join("c").username, base.join("c").password) == ("joe", "pw")
    assert base.join("//h/c").username is None
    assert base.join("https://h/c").username is None
    assert base.join("https://ann@h/c").username == "ann"


def test_a_fragment_is_not_inherited() -> None:
    assert URL("https://h/a#f").join("").fragment is None


def test_a_url_without_an_authority_is_not_a_base() -> None:
    with pytest.raises(InvalidURL, match="is not a base"):
        URL("data:,x").join("y")
    assert str(URL("data:,x").join("https://h/")) == "https://h/"


def test_a_reference_is_text() -> None:
    with pytest.raises(InvalidURL, match="not bytes"):
        BASE.join(b"/x")  # type: ignore[arg-type]
