"""Lines of a text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adieu.messages.decoding.lines import LineSplitter
from support.growth import assert_linear


def lines_of(pieces: list[str]) -> list[str]:
    splitter = LineSplitter()
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
    splitter = LineSplitter()
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
        splitter = LineSplitter()
        for _ in range(pieces):
            splitter.feed("x" * 100)
        assert splitter.feed("\n") == ["x" * 100 * pieces]

    assert_linear(split, 5_000)


@settings(max_examples=300)
@given(st.lists(st.text(alphabet="ab\r\n\u2028", max_size=6), max_size=12))
def test_lines_do_not_depend_on_the_pieces(pieces: list[str]) -> None:
    text = "".join(pieces)
    whole = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines_of(pieces) == (whole if whole[-1] else whole[:-1])
