"""Lines of a text that comes in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adieu.errors import BodyTooLarge, InvalidRequest
from adieu.messages.decoding.lines import LineSplitter
from support.growth import assert_linear


def lines_of(pieces: list[str], max_line: int = 1000) -> list[str]:
    splitter = LineSplitter(max_line)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return lines + splitter.finish()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\rb\r", ["a", "b"]),
        ("\n", [""]),
        ("\r\n", [""]),
        ("\n\r", ["", ""]),
        ("\r\r\n\n", ["", "", ""]),
        ("a\n\n\nb", ["a", "", "", "b"]),
        ("a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g", ["a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"]),
    ],
)
def test_lines_end_at_lf_crlf_and_cr_and_nowhere_else(text: str, lines: list[str]) -> None:
    assert lines_of([text]) == lines
    assert lines_of(list(text)) == lines


def test_a_line_is_returned_when_its_end_has_come() -> None:
    splitter = LineSplitter(1000)
    assert splitter.feed("data: 1\r") == ["data: 1"]
    assert splitter.feed("\n") == []
    assert splitter.feed("") == []
    assert splitter.feed("\r") == [""]
    assert splitter.feed("") == []
    assert splitter.feed("\nx") == []
    assert splitter.feed("y\n\nz") == ["xy", ""]
    assert splitter.finish() == ["z"]
    assert splitter.finish() == []


def test_a_long_line_in_many_pieces_takes_linear_time() -> None:
    def split(pieces: int) -> None:
        splitter = LineSplitter(100 * pieces)
        for _ in range(pieces):
            splitter.feed("x" * 100)
        assert list(splitter.feed("\n")) == ["x" * 100 * pieces]

    assert_linear(split, 5_000)


@settings(max_examples=300)
@given(st.lists(st.text(alphabet="ab\r\n\u2028", max_size=6), max_size=12))
def test_lines_do_not_depend_on_the_pieces(pieces: list[str]) -> None:
    text = "".join(pieces)
    whole = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines_of(pieces) == (whole if whole[-1] else whole[:-1])


@pytest.mark.parametrize("size", [1, 3, 10, 100])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nmore\n"])
def test_a_line_that_is_too_long_is_refused_after_those_before_it(size: int, end: str) -> None:
    """However it is divided into pieces, and whether its end has come or not."""
    text = "ab\n" * 3 + "x" * 11 + end
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    splitter = LineSplitter(10)
    got: list[str] = []
    given_out = (line for piece in pieces for line in splitter.feed(piece))
    with pytest.raises(BodyTooLarge, match="a line has more than 10 characters: raise max_line"):
        got.extend(given_out)
    assert got == ["ab"] * 3
    longest = lines_of(pieces, 11)
    assert longest[:4] == ["ab", "ab", "ab", "x" * 11]


def test_many_short_lines_in_one_piece_are_no_long_line() -> None:
    assert lines_of(["ab\n" * 1000], 2) == ["ab"] * 1000


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None, "9"])
def test_the_bound_is_a_number_of_characters(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="max_line is a number of characters"):
        LineSplitter(wrong)
