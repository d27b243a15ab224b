"""Dates in header fields, parsed by the algorithm for cookies (RFC 6265bis, section 5.1.1).

The algorithm looks for a time, a day, a month and a year, in this order of preference and anywhere in the text. So it
parses the three forms of an HTTP-date (RFC 9110, section 5.6.7), and the variations that servers send.
"""

from __future__ import annotations

import re

__all__ = ["parse_date"]

# Tokens are separated by printable characters that are no digit, no letter and no colon.
_TOKENS = re.compile(r"[^\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+").findall
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])").match
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])").match
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The longest known form has 40 characters. The limit bounds the work.
_LONGEST = 256


def parse_date(text: str) -> float | None:
    """The seconds since the epoch of a date in UTC; None if the text is no date.

    >>> parse_date("Sun, 06 Nov 1994 08:49:37 GMT")
    784111777.0
    """
    time: re.Match[str] | None = None
    day = month = year = None
    for token in _TOKENS(text[:_LONGEST]):
        # The order of these tests matters: "10" is taken for a day before it is taken for a year.
        if time is None and (found := _TIME(token)):
            time = found
        elif day is None and (found := _DAY(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS[token[:3].lower()]
        elif year is None and (found := _YEAR(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = int(time[1]), int(time[2]), int(time[3])
    if year < 1601 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= _DAYS[month - 1] + (month == 2 and _is_leap_year(year)):
        return None
    return float(((_days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)


def _is_leap_year(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_since_epoch(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01. Years begin in March here, so that a leap day is the last day of its year."""
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719468
