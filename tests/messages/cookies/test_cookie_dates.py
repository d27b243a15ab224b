"""Dates as servers write them: the algorithm of RFC 6265bis, section 5.1.1."""

from __future__ import annotations

import calendar
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.messages.fields.date import parse_date


def at(*date: int) -> float:
    return float(calendar.timegm((*date, 0, 0, 0)[:6]))


@pytest.mark.parametrize(
    ("text", "when"),
    [
        # The three forms of RFC 9110, section 5.6.7.
        ("Sun, 06 Nov 1994 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", at(1994, 11, 6, 8, 49, 37)),
        # Other forms that servers write.
        ("Wed, 09-Jun-2021 10:18:14 GMT", at(2021, 6, 9, 10, 18, 14)),
        ("09 June 2021 10:18:14", at(2021, 6, 9, 10, 18, 14)),
        ("10:18:14 2021 9 jUn", at(2021, 6, 9, 10, 18, 14)),
        ("Thu,18-Apr-2019;23:27:25 GMT", at(2019, 4, 18, 23, 27, 25)),
        ("Thu, 18 Apr 2019 1:2:3 +0200", at(2019, 4, 18, 1, 2, 3)),
        ("18 Apr 2019 23:27:25.5", at(2019, 4, 18, 23, 27, 25)),
        ("18th Apr 2019AD 23:27:25Z", at(2019, 4, 18, 23, 27, 25)),
        ("Thu Apr 18 23:27:25 PDT 2019", at(2019, 4, 18, 23, 27, 25)),
        # Years of two digits.
        ("1 Jan 69 00:00:00", at(2069, 1, 1)),
        ("1 Jan 70 00:00:00", at(1970, 1, 1)),
        ("1 Jan 99 00:00:00", at(1999, 1, 1)),
        ("1 Jan 00 00:00:00", at(2000, 1, 1)),
        # Leap years, and both ends.
        ("29 Feb 2000 12:00:00", at(2000, 2, 29, 12)),
        ("29 Feb 2024 12:00:00", at(2024, 2, 29, 12)),
        ("1 Jan 1601 00:00:00", at(1601, 1, 1)),
        ("31 Dec 9999 23:59:59", at(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_the_parts_of_a_date_are_found_in_any_order(text: str, when: float) -> None:
    assert parse_date(text) == when


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "never",
        "Sun, 06 Nov 1994",
        "Sun, 06 Nov 08:49:37 GMT",
        "06 1994 08:49:37",
        "Nov 1994 08:49:37",
        "00 Nov 1994 08:49:37",
        "31 Apr 2019 08:49:37",
        "29 Feb 1900 08:49:37",
        "29 Feb 2023 08:49:37",
        "32 Jan 2019 08:49:37",
        "06 Nov 1994 24:00:00",
        "06 Nov 1994 08:60:00",
        "06 Nov 1994 08:49:60",
        "06 Nov 1994 08:49",
        "06 Nov 1994 008:49:37",
        "06 Nov 1600 08:49:37",
        "06 Nov 12345 08:49:37",
        "06 Nov 199 08:49:37",
        "06 November1994 08:49:37",
        "06 \u0661\u0669\u0669\u0664 Nov 08:49:37",
    ],
)
def test_an_incomplete_or_impossible_date_is_none(text: str) -> None:
    assert parse_date(text) is None


@given(st.integers(-11644473600, 253402300799))
def test_dates_written_by_strftime_are_read_back(when: int) -> None:
    text = time.strftime("%d %b %Y %H:%M:%S", time.gmtime(when))
    if not text[7:11].isdigit():  # some platforms do not pad years to four digits
        return
    assert parse_date(text) == when


def test_dates_written_by_the_email_package_are_read_back() -> None:
    assert parse_date(formatdate(1_700_000_000, usegmt=True)) == 1_700_000_000


@given(st.text(max_size=400))
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = parse_date(text)
    assert found is None or isinstance(found, float)


@given(
    st.lists(
        st.sampled_from(
            ["1", "12", "1:2:3", "23:59:59", "feb", "29", "99", "2000", "-", ",", "GMT"]
        ),
        max_size=12,
    )
)
def test_any_order_of_date_like_tokens_is_a_date_or_none(parts: list[str]) -> None:
    found = parse_date(" ".join(parts))
    assert found is None or -11644473600 <= found < 253402300800


def test_only_the_first_256_characters_are_examined() -> None:
    date = "06 Nov 1994 08:49:37"
    assert parse_date(" " * (256 - len(date)) + date) == 784111777.0
    assert parse_date(" " * 256 + date) is None
