from __future__ import annotations

import copy
import doctest
import enum
import pickle
import string
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.errors import InvalidHeader
from adieu.messages import headers
from adieu.messages.headers import Headers, merge
from adieu.texts import is_secret

REPEATED = [("Accept", "a"), ("X-One", "1"), ("accept", "b"), ("ACCEPT", "c")]
COOKIES = [("Set-Cookie", "a=1, b"), ("set-cookie", "c=2")]


def test_a_field_is_found_in_any_case_and_kept_as_written() -> None:
    h = Headers([("Content-TYPE", "text/html")])
    assert h["content-type"] == h["CONTENT-Type"] == "text/html"
    assert "Content-Type" in h
    assert list(h) == ["Content-TYPE"]
    assert h.raw == h.multi_items() == [("Content-TYPE", "text/html")]


def test_headers_are_made_of_mappings_pairs_and_headers() -> None:
    pairs = [("A", "1"), ("B", "2"), ("B", "3")]
    made = [
        Headers(pairs),
        Headers(tuple(pairs)),
        Headers(iter(pairs)),  # type: ignore[arg-type]
        Headers([list(pair) for pair in pairs]),  # type: ignore[misc]
        Headers({"A": "1", "B": ["2", "3"]}),
        Headers(MappingProxyType({"A": "1", "B": ("2", "3")})),
        Headers([(b"A", b"1"), (b"B", 2), (b"B", b"3")]),
        Headers(Headers(pairs)),
    ]
    assert all(h.multi_items() == pairs for h in made)
    assert Headers().multi_items() == Headers(None).multi_items() == Headers({}).multi_items() == []


def test_a_header_made_of_another_is_independent_of_it() -> None:
    first = Headers(REPEATED)
    assert len(first) == 2  # the index is built, and must not be shared
    for second in (Headers(first), first.copy(), copy.copy(first), merge(first, None)):
        second["x-new"] = "1"
        second["accept"] = "z"
        assert "x-new" not in first
        assert first.multi_items() == REPEATED
    listed = first.multi_items()
    listed.clear()
    assert len(first) == 2


def test_the_fields_of_the_wire_are_taken_as_they_are() -> None:
    fields = [("X-Odd", "\x00 untouched ")]
    h = Headers.from_wire(fields)
    assert h.raw is fields
    assert h["x-odd"] == "\x00 untouched "


def test_repeated_fields_are_joined_when_they_are_asked_for_together() -> None:
    h = Headers(REPEATED)
    assert h["accept"] == "a, b, c"
    assert h.get("Accept") == "a, b, c"
    assert h.get_list("accept") == ["a", "b", "c"]
    assert h.get_list("x-one") == ["1"]
    assert h.get_list("x-none") == []
    assert h.multi_items() == REPEATED


def test_set_cookie_is_never_joined() -> None:
    h = Headers(COOKIES)
    assert h["set-cookie"] == "a=1, b"
    assert h.get_list("Set-Cookie") == ["a=1, b", "c=2"]


def test_as_a_mapping_there_are_distinct_names_as_first_written() -> None:
    h = Headers(REPEATED)
    assert isinstance(h, MutableMapping)
    assert len(h) == 2
    assert list(h) == list(h.keys()) == ["Accept", "X-One"]
    assert list(h.items()) == [("Accept", "a, b, c"), ("X-One", "1")]
    assert dict(h) == {**h} == {"Accept": "a, b, c", "X-One": "1"}
    assert h
    assert not Headers()


def test_a_missing_field_is_a_key_error_or_the_default() -> None:
    h = Headers({"a": "1"})
    with pytest.raises(KeyError, match="X-None"):
        h["X-None"]
    with pytest.raises(KeyError, match="X-None"):
        del h["X-None"]
    with pytest.raises(KeyError):
        h.pop("X-None")
    assert h.get("x-none") is None
    assert h.get("x-none", "d") == h.pop("x-none", "d") == "d"
    assert h.get("x-none", 5) == 5
    others: tuple[object, ...] = (5, b"a")
    assert not any(other in h for other in others)


def test_setting_replaces_the_first_field_and_removes_the_others() -> None:
    for looked_up in (False, True):
        h = Headers(REPEATED)
        if looked_up:
            assert h["accept"] == "a, b, c"
        h["ACCEPT"] = "z"
        h["New"] = "n"
        assert h.multi_items() == [("ACCEPT", "z"), ("X-One", "1"), ("New", "n")]
        assert (h["accept"], h["new"], len(h)) == ("z", "n", 3)


def test_adding_keeps_the_fields_of_that_name() -> None:
    h = Headers({"a": "1"})
    assert h["a"] == "1"
    h.add("A", "2")
    assert h["a"] == "1, 2"
    assert h.multi_items() == [("a", "1"), ("A", "2")]


def test_deleting_removes_every_field_of_the_name() -> None:
    h = Headers(REPEATED)
    del h["accept"]
    assert h.multi_items() == [("X-One", "1")]
    assert "accept" not in h
    assert h.pop("X-ONE") == "1"
    assert not h


def test_the_rest_of_a_mutable_mapping_works_too() -> None:
    h = Headers({"a": "1"})
    assert h.setdefault("A", "2") == "1"
    assert h.setdefault("b", "2") == h["b"] == "2"
    h.clear()
    assert h.multi_items() == []
    assert len(h) == 0


def test_update_replaces_the_fields_that_it_names() -> None:
    h = Headers([*REPEATED, *COOKIES])
    h.update([("accept", "x"), ("accept", "y"), ("new", "1")])
    assert h.get_list("accept") == ["x", "y"]
    assert h.get_list("set-cookie") == ["a=1, b", "c=2"]
    h.update(Headers(COOKIES[:1]))
    assert h.get_list("set-cookie") == ["a=1, b"]
    h.update({"new": None, "X-ONE": "2"})
    assert "new" not in h
    assert h["x-one"] == "2"


def test_headers_with_the_same_fields_are_equal() -> None:
    h = Headers(REPEATED)
    assert h == Headers([("x-one", "1"), ("accept", "a"), ("accept", "b"), ("accept", "c")])
    assert h == {"ACCEPT": ["a", "b", "c"], "x-one": "1"}
    assert h == {"accept": "a, b, c", "x-one": "1"}
    assert h != Headers([("x-one", "1"), ("accept", "b"), ("accept", "a"), ("accept", "c")])
    assert Headers(COOKIES) != Headers(COOKIES[:1])
    assert h != {"accept": "a, b, c"}
    assert h != REPEATED
    assert h != {"bad name": "1"}
    assert Headers({"a": "x"}) != Headers({"a": "X"})
    assert Headers.__hash__ is None


def test_headers_survive_pickling_and_copying() -> None:
    h = Headers([*REPEATED, *COOKIES])
    assert h["accept"]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(h, protocol)).multi_items() == h.multi_items()
    assert copy.deepcopy(h).multi_items() == h.multi_items()
    assert not hasattr(h, "__dict__")


class Text(str, enum.Enum):
    NAME = "x-text"
    VALUE = "text"


class Number(enum.IntEnum):
    SEVEN = 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("  \tspace around \t ", "space around"),
        ("tab\tinside", "tab\tinside"),
        ("", ""),
        (" ", ""),
        ("café", "café"),
        ("\x80\xff", "\x80\xff"),
        (b"caf\xc3\xa9", "caf\xc3\xa9"),
        (5, "5"),
        (-1, "-1"),
        (Number.SEVEN, "7"),
        (Text.VALUE, "text"),
    ],
)
def test_a_value_is_text_bytes_or_an_int(value: str | bytes | int, text: str) -> None:
    h = Headers({"a": value, "b": [value, value]})
    h["c"] = value
    h.add("d", value)
    assert [v for _, v in h.multi_items()] == [text] * 5
    merged = merge(Headers(), {"a": value})
    assert merged.raw == [("a", text)]
    assert merged["a"].encode("latin-1").decode("latin-1") == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\r\nX-Evil: 1", "has the character U+000D at position 1: remove it"),
        ("a\nb", "U+000A at position 1"),
        ("token\n", "U+000A at position 5"),
        ("\rx", "U+000D at position 0"),
        ("a\x00", "U+0000 at position 1"),
        ("\x0b", "U+000B"),
        ("\x7f", "U+007F"),
        (b"a\r\nb", "U+000D at position 1"),
        ("例", "a character at position 0 that is not in Latin-1: encode it by RFC 8187"),
        ("\u2028", "not in Latin-1"),
        ("\ud800", "not in Latin-1"),
        (None, "is NoneType; it must be str, bytes or int"),
        (True, "is bool; it must be"),
        (1.5, "is float; it must be"),
        ({"a"}, "is set; it must be"),
        ([None], "is NoneType"),
        ([["x"]], "is list"),
        (bytearray(b"x"), "is bytearray"),
    ],
)
def test_a_value_that_could_inject_a_field_is_refused(value: str, reason: str) -> None:
    h = Headers()
    with pytest.raises(InvalidHeader) as caught:
        Headers({"X-Note": value})
    assert str(caught.value).startswith("the value of the header field 'X-Note' ")
    assert reason in str(caught.value)
    for attempt in (
        lambda: Headers([("x", value)]),
        lambda: h.update({"x": [value]}),
        lambda: h.add("x", value if not isinstance(value, list) else value[0]),
        lambda: h.__setitem__("x", value),
        lambda: merge(h, {"x": [value]}),
    ):
        with pytest.raises(InvalidHeader):
            attempt()
    assert not h


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("x y", "begins with 'x' has ' ' at position 1"),
        ("x:", "has ':' at position 1"),
        (":path", "has ':' at position 0"),
        ("x\r\nEvil", "has '\\r' at position 1"),
        ("x\n", "has '\\n' at position 1"),
        (" x", "has ' ' at position 0"),
        ("naïve", "has 'ï' at position 2"),
        ("x\x00", "has '\\x00'"),
        ("(x)", "has '('"),
        (b"x\xff", "has 'ÿ'"),
        (5, "is str or bytes, not int"),
        (None, "is str or bytes, not NoneType"),
        ((1, 2), "is str or bytes, not tuple"),
    ],
)
def test_a_name_that_is_no_token_is_refused(name: str, reason: str) -> None:
    h = Headers()
    for attempt in (
        lambda: Headers({name: "v"}),
        lambda: Headers([(name, "v")]),
        lambda: h.add(name, "v"),
        lambda: h.__setitem__(name, "v"),
        lambda: h.update({name: "v"}),
        lambda: merge(h, {name: None}),
    ):
        with pytest.raises(InvalidHeader) as caught:
            attempt()
        assert reason in str(caught.value)
    assert not h


def test_every_character_of_a_token_is_allowed() -> None:
    name = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
    assert list(Headers({name: "v"})) == [name]
    assert type(next(iter(Headers({Text.NAME: "v"})))) is str


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("a: b", "headers are a mapping or pairs, not str"),
        (b"a: b", "not bytes"),
        (5, "not int"),
        (["ab"], "is a pair of name and value, not str"),
        ([("a",)], "is a pair"),
        ([("a", "b", "c")], "is a pair"),
    ],
)
def test_anything_but_a_field_is_refused(fields: Mapping[str, str], reason: str) -> None:
    attempts: list[Callable[[], Headers]] = [
        lambda: Headers(fields),
        lambda: merge(Headers(), fields),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidHeader) as caught:
            attempt()
        assert reason in str(caught.value)


def test_no_refusal_shows_a_value() -> None:
    for fields in (
        {"Authorization": "Bearer hunter2\n"},
        {"Authorization": "Bearer hunter2 ü 例"},
        {"Authorization: Bearer hunter2": "x"},
        {"X-Anything": "hunter2\x00"},
        {"X-Anything": ["hunter2", None]},
    ):
        with pytest.raises(InvalidHeader) as caught:
            Headers(fields)  # type: ignore[arg-type]
        assert "hunter2" not in repr(caught.value)


def test_a_repr_shows_no_secret() -> None:
    h = Headers(
        [
            ("Accept", "*/*"),
            ("Authorization", "Basic hunter2"),
            ("Proxy-Authorization", "hunter2"),
            ("Cookie", "sid=hunter2"),
            ("Set-Cookie", "sid=hunter2"),
            ("X-API-Key", "hunter2"),
            ("apikey", "hunter2"),
            ("X-Auth-Token", "hunter2"),
            ("Ocp-Apim-Subscription-Key", "hunter2"),
            ("X-Amz-Security-Token", "hunter2"),
            ("X-Hub-Signature-256", "hunter2"),
        ]
    )
    assert "hunter2" not in repr(h)
    assert repr(h).startswith("Headers([('Accept', '*/*'), ('Authorization', '***'), ")


def test_a_repr_shows_other_values() -> None:
    for name in (
        "Idempotency-Key",
        "Sec-WebSocket-Key",
        "WWW-Authenticate",
        "Content-Type",
        "ETag",
    ):
        assert not is_secret(name)


def test_merging_replaces_defaults_by_own_fields() -> None:
    defaults = Headers([("Accept", "*/*"), ("X-A", "1"), ("x-a", "2"), ("X-B", "3")])
    before = defaults.multi_items()
    own = {"x-A": ["7", "8"], "x-c": "9", "accept": None, "x-none": None}
    merged = merge(defaults, own)
    assert merged.multi_items() == [("X-B", "3"), ("x-A", "7"), ("x-A", "8"), ("x-c", "9")]
    assert defaults.multi_items() == before
    assert merge(defaults, Headers({"X-B": "4"})).get_list("x-b") == ["4"]
    assert merge(defaults, [("x-b", "5"), ("x-b", "6")]).get_list("x-b") == ["5", "6"]
    assert merge(defaults, {"x-z": "1"}).multi_items() == [*before, ("x-z", "1")]
    assert merge(defaults, {}).multi_items() == before


def test_merging_leaves_both_arguments_alone() -> None:
    defaults, own = Headers({"a": "1"}), Headers({"b": "2"})
    for merged in (merge(defaults, own), merge(Headers(), own), merge(defaults, None)):
        merged["c"] = "3"
        merged.add("a", "4")
    assert defaults.multi_items() == [("a", "1")]
    assert own.multi_items() == [("b", "2")]


_NAMES = st.sampled_from(["a", "A", "b", "set-cookie", "Set-Cookie"])
_VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=3)


@given(
    st.lists(st.tuples(_NAMES, _VALUES)),
    st.lists(st.tuples(st.sampled_from("sad+l"), _NAMES, _VALUES)),
)
def test_the_index_never_disagrees_with_the_fields(
    fields: list[tuple[str, str]], steps: list[tuple[str, str, str]]
) -> None:
    h = Headers(fields)
    for step, name, value in steps:
        if step == "s":
            h[name] = value
        elif step == "a":
            h.add(name, value)
        elif step == "d":
            h.pop(name, None)
        elif step == "+":
            h.update({name: [value, value]})
        else:
            h.get(name)
    fresh = Headers.from_wire(h.multi_items())
    assert h == fresh
    assert dict(h) == dict(fresh)
    assert len(h) == len(list(h))


@given(st.dictionaries(st.text() | st.binary(), st.text() | st.binary()))
def test_every_accepted_field_is_one_line_on_the_wire(fields: dict[str, str]) -> None:
    try:
        h = Headers(fields)
    except InvalidHeader:
        return
    for name, value in h.raw:
        line = f"{name}: {value}".encode("latin-1")
        assert not set(line) & {0, 10, 13}
        assert name.isascii()
        assert value == value.strip(" \t")


def test_the_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(headers).failed == 0
