from __future__ import annotations

import enum
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.errors import InvalidRequest
from adieu.messages.url.form import FormFields, encode_form


class Colour(enum.IntEnum):
    RED = 7


class Word(str, enum.Enum):
    HELLO = "hello you"


@pytest.mark.parametrize(
    ("fields", "encoded"),
    [
        ({"q": "a b"}, "q=a+b"),
        ({"q": "a+b&c=d"}, "q=a%2Bb%26c%3Dd"),
        ({"q": "*-._~'()/"}, "q=*-._%7E%27%28%29%2F"),
        ({"ü": "例"}, "%C3%BC=%E4%BE%8B"),
        ({"q": ""}, "q="),
        ({"": "x"}, "=x"),
        ({"q": b"\xff \x00"}, "q=%FF+%00"),
        ({"n": 5, "m": -1}, "n=5&m=-1"),
        ({"f": 0.5, "g": 1e20}, "f=0.5&g=1e%2B20"),
        ({"t": True, "f": False}, "t=true&f=false"),
        ({"gone": None, "here": 1}, "here=1"),
        ({"a": [1, "b", None, True]}, "a=1&a=b&a=true"),
        ({"a": ("x", "y")}, "a=x&a=y"),
        ({"a": []}, ""),
        ({}, ""),
        ([], ""),
        ([("a", 1), ("b", 2), ("a", 3)], "a=1&b=2&a=3"),
        ((("a", 1),), "a=1"),
        ({"e": Colour.RED, "w": Word.HELLO}, "e=7&w=hello+you"),
        ({"line": "a\r\nb"}, "line=a%0D%0Ab"),
    ],
)
def test_fields_are_encoded_as_browsers_do(fields: FormFields, encoded: str) -> None:
    assert encode_form(fields) == encoded


def test_pairs_may_come_from_any_iterable() -> None:
    assert encode_form(iter([("a", 1)])) == "a=1"  # type: ignore[arg-type]
    assert encode_form({"a": 1}.items()) == "a=1"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"when": object()},
            "form field 'when' is object; it must be str, bytes, int, float, bool",
        ),
        ({"tags": {"x"}}, "form field 'tags' is set"),
        ({"deep": [["x"]]}, "form field 'deep' is list"),
        ({"map": {}}, "form field 'map' is dict"),
        ({None: "x"}, "form field None is NoneType"),
        ({"q": "\ud800"}, "form field 'q' has a lone surrogate"),
        ("a=1", "not text; a query that is encoded already belongs into the URL"),
        (b"a=1", "not text"),
        (5, "form fields are a mapping or pairs, not int"),
        (["ab"], "come in pairs of name and value, not as str"),
        ([("a",)], "come in pairs"),
        ([("a", 1, 2)], "come in pairs"),
    ],
)
def test_a_refusal_names_the_field_and_its_type(fields: FormFields, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode_form(fields)
    assert reason in str(caught.value)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_decoding_an_encoded_form_gives_the_same_fields(pairs: list[tuple[str, str]]) -> None:
    try:
        encoded = encode_form(pairs)
    except InvalidRequest:
        assert any("\ud800" <= c <= "\udfff" for pair in pairs for text in pair for c in text)
        return
    assert encoded.isascii()
    assert parse_qsl(encoded, keep_blank_values=True) == pairs
