"""Link fields (RFC 8288): the examples of the RFC, fields of servers, and any other text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu.messages.fields.links import links_by_relation, parse_links
from adieu.messages.url import URL
from support.growth import assert_linear

BASE = URL("https://api.example.org/items?page=2")


def found(value: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(link.url), link.relations) for link in parse_links(value, BASE)]


@pytest.mark.parametrize(
    ("value", "links"),
    [
        (
            '<http://example.com/TheBook/chapter2>; rel="previous"; title="previous chapter"',
            [("http://example.com/TheBook/chapter2", ("previous",))],
        ),
        (
            '<http://example.org/>; rel="start http://example.net/relation/other"',
            [("http://example.org/", ("start", "http://example.net/relation/other"))],
        ),
        (
            '<https://example.org/>; rel="start", <https://example.org/index>; rel="index"',
            [("https://example.org/", ("start",)), ("https://example.org/index", ("index",))],
        ),
        # As GitHub sends them: commas and semicolons within a target have no meaning.
        (
            '<https://h/r?a=1,2;3&page=3>; rel="next", <?page=9>; rel=last',
            [
                ("https://h/r?a=1,2;3&page=3", ("next",)),
                ("https://api.example.org/items?page=9", ("last",)),
            ],
        ),
        ('</a>;rel=NEXT;title="x, <y>; rel=z"', [("https://api.example.org/a", ("next",))]),
        ("<b> ; rel = next", [("https://api.example.org/b", ("next",))]),
        ("<>;rel=self", [("https://api.example.org/items?page=2", ("self",))]),
        ('</a>; rel="next"; rel="prev"', [("https://api.example.org/a", ("next",))]),
        (", ,</a>; rel=x,,", [("https://api.example.org/a", ("x",))]),
        ("</a>; rel=x junk, </b>; rel=y", [("https://api.example.org/a", ("x",)),
                                           ("https://api.example.org/b", ("y",))]),
        ('junk "with, comma", </b>; rel=y', [("https://api.example.org/b", ("y",))]),
        # About another resource
        ('</a>; rel=next; anchor="#part"', []),
        ("</a>", []),
        ("</a>; rel", []),
        ("</a", []),
        ("<http://[>; rel=next", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_field_is_parsed_as_the_rfc_says(
    value: str, links: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert found(value) == links


def test_parameters_are_decoded_and_utf_8_goes_first() -> None:
    value = '</a>; rel=prev; title="plain"; title*=UTF-8\'de\'letztes%20Kapitel; type="a\\"b"'
    [link] = parse_links(value, BASE)
    assert link.parameters == {"title": "letztes Kapitel", "type": 'a"b'}


def test_a_response_gives_the_first_link_of_each_relation() -> None:
    response = adieu.Response(200, [("Link", "<?p=3>; rel=next, <?p=4>; rel=next"),
                                    ("link", "<?p=1>; rel=\"prev first\"")])  # fmt: skip
    response.for_request = adieu.Request("GET", BASE)
    assert {name: str(link.url) for name, link in response.links.items()} == {
        "next": "https://api.example.org/items?p=3",
        "prev": "https://api.example.org/items?p=1",
        "first": "https://api.example.org/items?p=1",
    }
    assert adieu.Response(200).links == {}


@given(st.text(st.sampled_from("<>;,=\" \\*'%rel0a/é:[")) | st.text())
def test_no_text_raises(value: str) -> None:
    links_by_relation(value, BASE)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        ("", "<"),
        ("", "<a>;"),
        ('<a>;rel="', "\\"),
        ("", "<a>;="),
        ("", ", "),
        ("", '"'),
        ("<a>", " "),
        ("<a>; rel=", " "),
        ("<a>; ", "x"),
        ("", "a"),
    ],
)
def test_long_fields_take_linear_time(start: str, piece: str) -> None:
    assert_linear(lambda size: links_by_relation(start + piece * size, BASE), 2_000)
